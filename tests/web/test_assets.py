"""The page's own files: named beforehand, kept by the browser, replaced with the next version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from brule.web.assets import FOLDER, Assets

from .conftest import Browser

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def test_the_page_names_every_module_and_each_address_answers(browser: Browser) -> None:
    page = browser.get("/")
    assert page.headers["cache-control"] == "no-cache"
    addresses = re.findall(r'(?:href|src)="(/[^"]+)"', page.text)
    modules = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.js")}
    assert {address.split("/", 3)[3] for address in addresses if address.endswith(".js")} == modules
    for address in addresses:
        answer = browser.get(address)
        assert answer.status_code == 200 and answer.content == (FOLDER / address.split("/", 3)[3]).read_bytes()
        assert answer.headers["content-type"].startswith(TYPES[Path(address).suffix])
        assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("path", ["js/main.js", "0000000000000000/js/main.js", "{version}/js/other.js", "{version}/../app.py"])
def test_other_addresses_are_refused(browser: Browser, path: str) -> None:
    answer = browser.get(f"/static/{path.format(version=Assets().version)}")
    assert answer.status_code == 404 and "code" in answer.json()["error"]


def test_any_other_content_or_name_is_another_version(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("let x = 1;")
    first = Assets(tmp_path).version
    (tmp_path / "a.js").write_text("let x = 2;")
    second = Assets(tmp_path).version
    (tmp_path / "a.js").rename(tmp_path / "b.js")
    assert len({first, second, Assets(tmp_path).version}) == 3


def test_an_installation_without_the_files_says_so(tmp_path: Path) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Route
    from starlette.testclient import TestClient

    with TestClient(Starlette(routes=[Route("/", Assets(tmp_path / "nowhere").index)])) as client:
        answer = client.get("/")
    assert answer.status_code == 500 and "install it again" in answer.text
