"""The page's parts that need no browser, tested by node's own test runner; and the types of all its modules."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "src" / "brule" / "web" / "static"
TESTS = Path(__file__).parent / "js"
FORBIDDEN = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "https://", "//cdn")


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node isn't installed: the page's modules are tested with it (Debian: apt-get install nodejs)")
    return found


def test_modules_without_a_browser(node: str, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"type": "module"}')  # node takes .js for the old kind of module otherwise
    shutil.copytree(STATIC / "js", tmp_path / "static")
    shutil.copytree(TESTS, tmp_path / "js")
    result = subprocess.run([node, "--test", "js/"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_is_imported_and_small() -> None:
    modules = sorted((STATIC / "js").rglob("*.js"))
    texts = {module: module.read_text(encoding="utf-8") for module in modules}
    for module, text in texts.items():
        assert len(text.splitlines()) <= 400, f"{module.name} has more than 400 lines"
        imported = any(module.name in other for path, other in texts.items() if path != module)
        assert imported or module.name == "main.js", f"nothing uses {module.name}"


def test_nothing_is_written_as_markup_or_fetched_from_elsewhere() -> None:
    for path in sorted(STATIC.rglob("*")):
        if path.suffix not in (".js", ".css", ".html"):
            continue
        text = path.read_text(encoding="utf-8")
        for forbidden in FORBIDDEN:
            assert forbidden not in text, f"{path.name} has {forbidden}"
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), path.name
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert "<style" not in page and " style=" not in page and page.count("<script") == page.count('<script type="module" src=')


@pytest.mark.slow
def test_types() -> None:
    checker = type_checker()
    if checker is None:
        pytest.skip("TypeScript isn't installed; `make lint` installs it where npm is, and checks the page's modules")
    result = subprocess.run(
        [*checker, "-p", str(Path(__file__).with_name("jsconfig.json"))], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout


def type_checker() -> list[str] | None:
    """The TypeScript compiler beside the tests or of the system; nothing is downloaded."""
    own = Path(__file__).parent / "node_modules" / ".bin" / "tsc"
    found = os.environ.get("TSC") or (str(own) if own.exists() else shutil.which("tsc"))
    return [found] if found else None
