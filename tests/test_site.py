"""The documentation's site: what is built beside docs/*.md, and that every page is in its navigation."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "docs" / "site"


def site_module(name: str, needs: str) -> ModuleType:
    pytest.importorskip(needs, reason="pip install 'brule-landmarks[docs]'")
    spec = importlib.util.spec_from_file_location(name, SITE / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md", "commands.md"}
    assert pages <= listed and listed - pages == {"index.md", "contributing.md", "benchmarks.md", "changelog.md"}


@pytest.mark.parametrize(
    ("link", "origin", "place", "expected"),
    [
        ("docs/using.md", "README.md", "index.md", "using.md"),
        ("docs/README.md", "README.md", "index.md", "index.md"),
        ("../CONTRIBUTING.md", "docs/install.md", "install.md", "contributing.md"),
        ("../docs/results.md", "benchmarks/README.md", "benchmarks.md", "results.md"),
        ("using.md", "docs/commands/predict.md", "commands/predict.md", "using.md"),
        ("../using.md", "docs/commands/predict.md", "commands/predict.md", "../using.md"),
    ],
)
def test_links_lead_to_the_sites_pages(link: str, origin: str, place: str, expected: str) -> None:
    assert site_module("hooks", "mkdocs").target(link, origin, place) == expected


def test_links_to_other_files_lead_to_the_source() -> None:
    hooks = site_module("hooks", "mkdocs")
    assert hooks.target("../LICENSE", "docs/install.md", "install.md") == f"{hooks.SOURCE}/blob/main/LICENSE"


def test_every_command_and_package_has_a_page() -> None:
    hooks = site_module("hooks", "mkdocs")
    from brule.cli import app

    assert set(hooks.COMMANDS) == {name for name in app if not name.startswith("-")}
    assert not [name for name in hooks.PACKAGES if importlib.util.find_spec(name) is None]


def test_docstrings_become_markdown() -> None:
    module = site_module("docstrings", "griffe")
    pytest.importorskip("latex2mathml", reason="pip install 'brule-landmarks[docs]'")
    import griffe

    package = griffe.visit("brule", filepath=Path("brule.py"), code="def f(): ...\nclass C:\n    def m(self): ...\n")
    text = "Like :func:`f`, :func:`~brule.data.read`.\n\n.. math:: x^2 +\n    y\n\nwith::\n\n    code"
    shown = module.as_markdown(text, package["C"])
    assert 'identifier="brule.f" optional><code>f</code>' in shown
    assert 'identifier="brule.data.read" optional><code>read</code>' in shown
    assert "<math" in shown and "<mi>y</mi>" in shown and ".. math" not in shown
    assert shown.endswith("with:\n\n    code")
    assert 'identifier="brule.C.m"' in module.as_markdown(":meth:`m`", package["C"])
