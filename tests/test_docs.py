"""The docs agree with the code: every command has a page, every package its line, and names that can be installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from brule.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
SUFFIXES = {".py", ".html", ".js", ".yml", ".ipynb", ".svg"}
HIDDEN = {"bench"}  # explains where it is now
COMMANDS = sorted(name for name in app if not name.startswith("-") and name not in HIDDEN)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page(command: str) -> None:
    rows = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in rows if line.startswith(f"| `brule {command}` |")]
    page = re.search(r"\[([\w-]+\.md)\]\(\1\)", row)
    assert page, f"docs/commands.md: {row} names no page"
    assert f"brule {command}" in (ROOT / "docs" / page[1]).read_text(encoding="utf-8")


def test_commands_are_listed_in_the_order_of_work() -> None:
    listed = re.findall(r"^\| `brule ([a-z]+)`", (ROOT / "docs" / "commands.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == sorted(COMMANDS, key=lambda name: app[name].sort_key)


def test_every_page_is_in_the_contents() -> None:
    contents = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert not [page.name for page in PAGES if page.name != "README.md" and f"]({page.name})" not in contents]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_contributing_lists_the_packages_that_there_are() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    house = text[text.index("src/brule/\n") : text.index("\ntests/")]
    listed = {name.rstrip("/") for line in re.findall(r"^  (\S.*?)  +\S", house, re.MULTILINE) for name in line.split(", ")}
    there = {
        path.name
        for path in (ROOT / "src" / "brule").iterdir()
        if (path.is_dir() and path.name != "__pycache__") or (path.suffix == ".py" and not path.stem.startswith("__"))
    }
    assert {name.removesuffix(".py") for name in listed} == {name.removesuffix(".py") for name in there}


def test_messages_name_a_package_that_helps() -> None:
    """``brule`` on the package index is another project."""
    folders = [ROOT / name for name in ("src", "notebooks", "tools", "docs/site", ".github")]
    sources = [path for folder in folders for path in folder.rglob("*") if path.suffix in SUFFIXES]
    files = [
        *sources,
        *PAGES,
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "pyproject.toml",
        ROOT / "Makefile",
        ROOT / "Dockerfile",
    ]
    assert len(files) > 200
    old = re.compile(r"(?<![\w-])brule\[|pip install (-U )?'?brule(?![\w-])")
    assert not [str(path.relative_to(ROOT)) for path in files if old.search(path.read_text(encoding="utf-8"))]


def test_the_readme_is_short_and_begins_with_a_picture() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 600
    assert text.split("\n\n")[1].startswith("![")
