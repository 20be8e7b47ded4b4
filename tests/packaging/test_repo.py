"""Promises of the repository's own files that no other check would miss."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PIN_FILES = sorted((ROOT / "requirements").glob("*.txt"))
PYTHONS = ("3.11", "3.12", "3.13")


def tracked_files() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a git checkout")
    return [path for line in listed.splitlines() if (path := ROOT / line).is_file()]


def pins(path: Path) -> dict[str, list[Requirement]]:
    """Pinned requirements by name; a package may have several, for different Pythons."""
    found: dict[str, list[Requirement]] = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", path.read_text(encoding="utf-8")):
        requirement = Requirement(entry.split("\\")[0].strip())
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def pinned_version(candidates: list[Requirement], python: str) -> Version | None:
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    versions = [
        next(iter(r.specifier)).version for r in candidates if r.marker is None or r.marker.evaluate(environment)
    ]
    assert len(versions) <= 1, f"two pins for one Python: {candidates}"
    return Version(versions[0]) if versions else None


@pytest.mark.parametrize("path", PIN_FILES, ids=lambda p: p.name)
def test_every_pin_has_an_exact_version_and_hashes(path: Path) -> None:
    for entry in re.split(r"\n(?=[A-Za-z0-9])", path.read_text(encoding="utf-8")):
        assert re.match(r"[A-Za-z0-9._-]+==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("file", "extras", "groups"),
    [
        ("runtime.txt", (), ("build",)),
        ("runtime-cuda13.txt", ("cuda13",), ("build",)),
        ("runtime-cluster.txt", ("jobs",), ("build",)),
        ("runtime-cluster-cuda13.txt", ("jobs", "cuda13"), ("build",)),
        ("dev.txt", ("cluster",), ("build", "dev")),
    ],
)
def test_pins_meet_what_the_package_declares(
    file: str, extras: tuple[str, ...], groups: tuple[str, ...], python: str
) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = list(declared["project"]["dependencies"])
    for extra in extras:
        wanted += declared["project"]["optional-dependencies"][extra]
    for group in groups:
        wanted += declared["dependency-groups"][group]
    pinned = pins(ROOT / "requirements" / file)
    for requirement in map(Requirement, wanted):
        version = pinned_version(pinned.get(canonicalize_name(requirement.name), []), python)
        assert version is not None, f"{file} has no pin of {requirement.name} for Python {python}: run make pins"
        assert version in requirement.specifier, f"{file} pins {requirement.name} {version}: run make pins"


def test_tools_and_tests_run_on_the_versions_that_users_get() -> None:
    runtime, dev = pins(ROOT / "requirements/runtime.txt"), pins(ROOT / "requirements/dev.txt")
    for name, candidates in runtime.items():
        for python in ("3.11", "3.12", "3.13"):  # a tool may need on all of them what the runtime needs on one
            users = pinned_version(candidates, python)
            ours = pinned_version(dev.get(name, []), python)
            assert users in (None, ours), f"{name} differs between runtime.txt and dev.txt: run make pins"


def test_no_file_names_a_package_index_or_a_place_on_someones_machine() -> None:
    # spelled apart, so that this file does not find itself
    forbidden = re.compile(
        "|".join(["index-" + "url", "find-" + r"links\s*[= ]\s*\S", r"pypi\." + "org", r"files\.python" + "hosted"])
    )
    allowed = {"Makefile"}  # the options that keep addresses out of the pin files
    home = re.compile(r"(?<![\w.])/(?:home|Users)/(?!porefield\b)\w+|/roo" + "t/")
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = str(path.relative_to(ROOT))
        if name not in allowed:
            assert not forbidden.search(text), f"{name} names a package index"
        assert not home.search(text), f"{name} names somebody's folder"


def test_no_generated_or_large_file_is_tracked() -> None:
    large = [f"{p.relative_to(ROOT)}" for p in tracked_files() if p.stat().st_size > 1_000_000]
    assert not large, f"expected files below 1 MB, got {large}"


def test_image_runs_as_an_ordinary_user() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users, "the Dockerfile never leaves root"
    assert users[-1] not in ("root", "0")
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    copied = [source for line in lines if line.startswith("COPY ") for source in line.split()[1:-1] if source[0] != "-"]
    missing = [source for source in copied if not (ROOT / source).exists()]
    assert not missing, f"the Dockerfile copies what is not there: {missing}"
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    hidden = [source for source in copied if f"!{source.split('/')[0]}" not in allowed]
    assert not hidden, f".dockerignore hides what the Dockerfile copies: {hidden}"


def test_version_has_a_changelog_entry() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)}\b", changelog, re.MULTILINE)
