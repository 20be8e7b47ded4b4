"""The pages under docs/: commands that the command line has, links that lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from porefield.service.cli import app

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """Every `porefield ...` of a page's code blocks, as words."""
    found = []
    for block in FENCED.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if match := re.search(r"(?:^|-- +)(porefield .*)", line):
                found.append(shlex.split(match[1], comments=True)[1:])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_exist_with_their_options(page: Path) -> None:
    for words in commands(page):
        command: Any = get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command, words = command.commands[words[0]], words[1:]
        command.make_context(command.name, words)


def test_commands_are_found() -> None:
    assert ["sweep", "run", "sweep.yaml", "--out", "sweep"] in commands(DOCS / "cluster.md")
    assert any("--address" in words and "--resume" in words for words in commands(DOCS / "cluster.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target
