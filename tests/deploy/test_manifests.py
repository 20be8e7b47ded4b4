"""The manifests of deploy/, offline: KubeRay's fields, Kubernetes' own strict schemas for what lies inside, and what
only this repository knows (versions, options, image arguments)."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from typer.main import get_command

from porefield.service.cli import app
from porefield.service.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = "1.33"
COMPOSE = DEPLOY / "compose.yaml"
MANIFESTS = sorted(path for path in DEPLOY.glob("*.yaml") if path != COMPOSE)
SCHEMA = yaml.safe_load((Path(__file__).parent / "kuberay_schema.yaml").read_text(encoding="utf-8"))


def read(name: str) -> dict[str, Any]:
    (document,) = yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8"))
    return document


def check(document: dict[str, Any]) -> None:
    """Raise ValidationError for what a cluster would refuse, or silently drop."""
    if document["apiVersion"] == "ray.io/v1":
        Draft202012Validator(SCHEMA).validate(document)
        for name, template in templates(document):
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": template["spec"]}
            kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    else:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["spec"].get("rayClusterSpec", document["spec"])


def templates(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pod templates of a RayCluster or RayJob by the name of their group."""
    cluster = cluster_of(document)
    yield "head", cluster["headGroupSpec"]["template"]
    for group in cluster.get("workerGroupSpecs", ()):
        yield group["groupName"], group["template"]
    if "submitterPodTemplate" in document["spec"]:
        yield "submitter", document["spec"]["submitterPodTemplate"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.name)
def test_a_cluster_would_take_it(path: Path) -> None:
    check(read(path.name))


def test_there_are_a_cluster_a_job_and_storage() -> None:
    assert {read(p.name)["kind"] for p in MANIFESTS} == {"RayCluster", "RayJob", "PersistentVolumeClaim"}


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("spec", "rayClusterSpec", "workerGroupSpec"), []),  # a misspelt field
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),  # a number where text must be
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "containers", 0, "volumeMount"), []),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "containers", 0, "ports", 0), {"port": 1}),
        (("spec", "submissionMode"), "k8s"),
        (("spec", "clusterSelector"), {"ray.io/cluster": "porefield"}),  # beside a cluster of its own
    ],
)
def test_the_check_finds_planted_faults(at: tuple[str | int, ...], value: Any) -> None:
    document = copy.deepcopy(read("rayjob.yaml"))
    place: Any = document
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    with pytest.raises((ValidationError, kubernetes_validate.ValidationError)):
        check(document)


@pytest.mark.parametrize("name", ["raycluster.yaml", "rayjob.yaml"])
def test_ray_has_the_version_of_the_images(name: str) -> None:
    pins = [(ROOT / f"requirements/runtime-{kind}.txt").read_text() for kind in ("cluster", "cluster-cuda13")]
    pinned = {match[1] for text in pins if (match := re.search(r"^ray==(\S+)", text, re.MULTILINE))}
    assert {cluster_of(read(name))["rayVersion"]} == pinned


@pytest.mark.parametrize("name", ["raycluster.yaml", "rayjob.yaml"])
def test_pods_run_as_the_images_user_and_find_their_volumes(name: str) -> None:
    uid = re.search(r"--uid (\d+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert uid is not None
    claim = read("storage.yaml")["metadata"]["name"]
    for _, template in templates(read(name)):
        spec = template["spec"]
        assert spec["securityContext"]["runAsUser"] == int(uid[1])
        volumes = {v["name"]: v for v in spec.get("volumes", ())}
        mounted = {m["name"] for c in spec["containers"] for m in c.get("volumeMounts", ())}
        assert mounted == set(volumes)
        assert all(v["persistentVolumeClaim"]["claimName"] == claim for n, v in volumes.items() if n == "data")
        for container in spec["containers"]:
            limits, requests = container["resources"]["limits"], container["resources"]["requests"]
            assert limits["memory"] == requests["memory"] or "submitter" in container["name"]


def test_the_jobs_entrypoint_is_a_command_that_exists() -> None:
    words = shlex.split(read("rayjob.yaml")["spec"]["entrypoint"])
    assert words[0] == "porefield"
    command: Any = get_command(app)
    while words := words[1:]:
        if words[0] not in getattr(command, "commands", {}):
            break
        command = command.commands[words[0]]
    command.make_context(command.name, words, resilient_parsing=False)


def test_the_compose_file_names_commands_and_settings_that_exist() -> None:
    document = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    services = document["services"]
    assert {"service", "postgresql", "ray-head", "ray-worker", "database-upgrade"} == set(services)
    for name in ("service", "database-upgrade"):
        command: Any = get_command(app)
        for word in services[name]["command"]:
            command = command.commands[word]
        for variable in services[name]["environment"]:
            if variable.startswith("POREFIELD_"):
                assert variable.removeprefix("POREFIELD_").lower() in ServiceSettings.model_fields
    # passwords come from whoever starts it, and the port is open on this machine only
    assert "${POSTGRES_PASSWORD:?" in services["postgresql"]["environment"]["POSTGRES_PASSWORD"]
    assert services["service"]["ports"] == ["127.0.0.1:8000:8000"]
    volumes = {name: services[name]["volumes"] for name in ("service", "ray-head", "ray-worker")}
    assert all(v == ["data:/data"] for v in volumes.values())
