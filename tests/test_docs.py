"""The docs agree with the code: every command has a page, every package its line, and names that can be installed."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from brule.cli import app
from tests.test_architecture import LEVEL_OF, LEVELS, ONLY, WITHOUT

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
READ = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
SUFFIXES = {".py", ".html", ".js", ".yml", ".ipynb", ".svg"}
COMMANDS = sorted(name for name in app if not name.startswith("-"))


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


@pytest.mark.parametrize("page", READ, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", READ, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_a_page_on_landmarks_calls_them_keypoints_once(page: Path) -> None:
    """So that people who search for keypoints find it."""
    text = page.read_text(encoding="utf-8").lower()
    glosses = re.findall(r"landmarks?\s\(keypoints?\)|landmarks are also known as keypoints", text)
    assert len(glosses) == ("landmark" in text)


def resolve(name: str) -> object:
    """Import the longest module that the dotted name begins with, and take its attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("brule"):
                pytest.skip(f"needs {error.name}")
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


@pytest.mark.parametrize("page", READ, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_names_of_the_library_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"(?<![\w./-])brule(?:\.[A-Za-z_]\w*)+", text))
    for module, imported in re.findall(r"^ *from (brule(?:\.\w+)*) import ([\w, ]+?)(?: +#.*)?$", text, re.MULTILINE):
        names |= {f"{module}.{name.strip()}" for name in imported.split(",")}
    for name in sorted(names):
        resolve(name)


def test_a_wrong_name_is_noticed() -> None:
    with pytest.raises(AttributeError):
        resolve("brule.geometry.between")


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


def test_contributing_states_the_levels_that_are_tested() -> None:
    """The table of who may import whom, against the rules of ``tests/test_architecture.py``."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d?) ?\| (`.*?) \| (.*) \|$", text, re.MULTILINE)
    listed = [package for _, names, _ in rows for package in re.findall(r"`(\w+)`", names)]
    assert sorted(listed) == sorted(package for level in LEVELS for package in level if package != "__main__")
    order = [LEVEL_OF[package] for package in listed if package != "tensors"]  # the table has it beside what it uses
    assert order == sorted(order)
    for _, names, may_use in rows:
        for package in re.findall(r"`(\w+)`", names):
            if package in ONLY:
                used, _, excluded = may_use.partition(";")
                assert set(re.findall(r"`(\w+)`", used)) == ONLY[package], package
                assert not set(re.findall(r"`(\w+)`", excluded)) & ONLY[package]
            for forbidden in WITHOUT.get(package, ()):
                assert re.search(rf"`{package}`.* never `{forbidden}`", may_use), package


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
