"""Hostile requests: each is refused with a clean status; nothing is executed, and nothing is written outside the project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from brule.annotating import Project

from .conftest import Browser, at, picture

HOST = "127.0.0.1:8421"
FULL = [at(1, 2), at(3, 4), at(5, 6)]
TRAVERSALS = (
    "/static/../app.py",
    "/static/..%2fapp.py",
    "/static/%2e%2e/app.py",
    "/static/....//app.py",
    "/static//etc/passwd",
    "/static/..%5capp.py",
    "/static/%00",
    "/../../etc/passwd",
    "/api/images/../project",
    "/api/images/..%2f..%2fetc%2fpasswd",
    "/api/images/%2e%2e%2fproject.json/view",
    "/api/export/..%2f..%2fproject.zip",
    "/api/export/onnx/..%2f..%2fx.onnx",
    "/api/export/onnx/%2e%2e.onnx",
    "/api/images/0000000000000000",
    "/api/images/%00",
    "/api/images/'%20or%201=1",
    "/api/images/<script>",
    "/api/landmarks/-1",
    "/api/landmarks/99999999999999999999",
    "/api/landmarks/x",
    "/etc/passwd",
    "/api/train/preview/../../x",
    "/api",
    "/api/",
    "/static/",
    "/api/images/x/tile/0/0/0",
    "/api/images/x/tile/-1/0/0",
)
HOSTS = (
    "evil.example",
    "evil.example:8421",
    "127.0.0.1.evil.example:8421",
    "127.0.0.1:8421.evil",
    "",
    "localhost@evil:1",
    "[::1",
    "10.0.0.1:8421",
)
ORIGINS = (
    "http://evil.example",
    "null",
    "https://127.0.0.1",
    "http://127.0.0.1:9999",
    "http://localhost:8421",
    "file://",
    "",
)
QUERIES = (
    "offset=-1",
    "offset=x",
    "offset=1e3",
    "limit=0",
    "limit=1000000",
    "limit=NaN",
    "order=drop",
    "status=hacked",
    "offset=" + "9" * 400,
    "limit=%00",
    "offset=٣",
    "order=name%00",
)
BROKEN = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"nonsense",
    b"\xff\xfe\x00",
    b'{"version": 0, "points": ' + b"[" * 100_000,
    b'{"version": NaN}',
    b'{"version": 0, "points": [{"x": NaN, "y": 1}, null, null]}',
    b'{"version": 0, "points": [{"x": 1e999, "y": 1}, null, null]}',
    b'{"version": ' + b"9" * 5000 + b', "points": [null, null, null]}',
    b'{"version": 0, "points": [{"x": -Infinity, "y": 1}, null, null]}',
    b'{"version": 0, "points": "abc"}',
    b'{"version": 0, "points": {"0": 1}}',
    b'{"__proto__": {"x": 1}, "version": 0, "points": []}',
    b'{"version": 0, "points": [null, null, null], "status": "\\ud800"}',
    b'{"version": 0.5, "points": [null, null, null]}',
    b'{"version": 0, "points": [[1, 2], null, null]}',
    b'{"version": 0, "points": [{"x": "1", "y": "2"}, null, null]}',
)
NAMES = (
    "../evil.png",
    "..\\evil.png",
    "/tmp/evil.png",
    "a/../../evil.png",
    "evil.svg",
    "evil.html",
    "evil.png\x00.html",
    "",
    ".",
    "..",
    "a//b.png",
    "C:\\evil.png",
    "con.png/../..",
    "x" * 600 + ".png",
    ".hidden/../x.png",
    "a/./b.png",
    "<script>.png",
    "evil.json",
    "../project.json",
)


@pytest.fixture
def outside(tmp_path: Path, project: Project) -> Iterator[Path]:
    """Whatever lies outside the project is the same afterwards."""

    def contents() -> dict[str, bytes]:
        files = (path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(project.folder))
        return {str(path): path.read_bytes() for path in files}

    before = contents()
    yield tmp_path
    assert contents() == before


def refused(answer: Any, *statuses: int) -> None:
    assert answer.status_code in (statuses or range(400, 500)), (answer.status_code, answer.text[:300])
    assert "Traceback" not in answer.text and "root:" not in answer.text
    assert (
        answer.headers["x-content-type-options"] == "nosniff"
        and "default-src 'none'" in answer.headers["content-security-policy"]
    )
    if answer.headers["content-type"].startswith("application/json"):
        assert set(answer.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_address_leads_out(browser: Browser, outside: Path, path: str) -> None:
    answer = browser.get(path)
    if path == "/api/images/../project":  # the client takes it apart itself, as every browser does
        assert answer.status_code == 200
    else:
        refused(answer)


@pytest.mark.parametrize(("host", "path"), list(product(HOSTS, ("/", "/api/project", "/api/images"))))
def test_other_hosts_are_refused(browser: Browser, host: str, path: str) -> None:
    refused(browser.get(path, headers={"host": host}), 403)


@pytest.mark.parametrize(("origin", "method"), list(product(ORIGINS, ("GET", "PUT", "POST"))))
def test_other_origins_are_refused(browser: Browser, project: Project, outside: Path, origin: str, method: str) -> None:
    image = next(iter(project.entries))
    path = {"GET": "/api/project", "PUT": f"/api/images/{image}", "POST": "/api/train"}[method]
    body = {"version": 0, "points": FULL} if method == "PUT" else {}
    if method == "GET":
        refused(browser.get(path, headers={"origin": origin}), 403)
    else:
        refused(browser.send(method, path, body, origin=origin), 403)
    assert not project.annotation_file(image).exists()


@pytest.mark.parametrize("site", ["cross-site", "same-site", "evil"])
def test_requests_that_another_page_causes_are_refused(browser: Browser, site: str) -> None:
    refused(browser.get("/api/project", headers={"sec-fetch-site": site}), 403)
    refused(browser.send("POST", "/api/train/stop", {}, **{"sec-fetch-site": site}), 403)
    opened = browser.get("/", headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate"})
    assert opened.status_code == 200  # a link to the page may be followed


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_can_send_is_refused(browser: Browser, project: Project, kind: str) -> None:
    image = next(iter(project.entries))
    body = json.dumps({"version": 0, "points": FULL})
    url = f"/api/images/{image}"
    refused(browser.client.put(url, content=body, headers={"content-type": kind}), 403)  # without the page's header
    refused(browser.client.put(url, content=body, headers={"content-type": kind, "x-brule": "1"}), 415)
    assert not project.annotation_file(image).exists()


@pytest.mark.parametrize("query", QUERIES)
def test_queries_that_make_no_sense_are_refused(browser: Browser, query: str) -> None:
    refused(browser.get(f"/api/images?{query}"), 400)


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_broken_bodies_are_refused(browser: Browser, project: Project, outside: Path, content: bytes) -> None:
    image = next(iter(project.entries))
    headers = {"content-type": "application/json", "x-brule": "1"}
    for method, path in (
        ("PUT", f"/api/images/{image}"),
        ("PUT", "/api/project/template"),
        ("POST", f"/api/images/{image}/undo"),
    ):
        refused(browser.client.request(method, path, content=content, headers=headers), 400)
    assert not project.annotation_file(image).exists()


def test_huge_bodies_are_refused_unread(browser: Browser, project: Project) -> None:
    url = f"/api/images/{next(iter(project.entries))}"
    headers = {"content-type": "application/json", "x-brule": "1"}
    refused(browser.client.put(url, content=b"x" * (5 << 20), headers=headers), 413)
    refused(browser.client.put(url, content=b"{}", headers={**headers, "content-length": "99999999999999999999"}), 413)
    refused(browser.client.put(url, content=b"{}", headers={**headers, "content-length": "-1"}), 400)

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * (1 << 20)

    refused(browser.client.put(url, content=endless(), headers=headers), 413)
    answer = browser.client.put(url, content=endless(), headers=headers).json()["error"]
    assert answer == {"code": "too_large", "message": "the request is too large: expected at most 4 MiB"}
    stays = browser.client.request("GET", "/", content=endless())  # the answer doesn't wait for the body
    assert stays.status_code in (200, 413)


@pytest.mark.parametrize("name", NAMES)
def test_uploads_stay_in_the_project(browser: Browser, outside: Path, tmp_path: Path, name: str) -> None:
    content = picture(tmp_path / "project" / "x.png").read_bytes()
    headers = {"content-type": "application/octet-stream", "x-brule": "1"}
    refused(browser.client.post("/api/upload", params={"name": name}, content=content, headers=headers), 400)


def test_only_images_are_taken(browser: Browser, project: Project, outside: Path) -> None:
    headers = {"content-type": "application/octet-stream", "x-brule": "1"}
    for content in (b"", b"<script>alert(1)</script>", b"\x89PNG\r\n\x1a\n" + b"\0" * 50):
        refused(browser.client.post("/api/upload?name=x.png", content=content, headers=headers), 400)
    assert not list((project.folder / "images").rglob("*.*"))


def test_an_upload_is_an_image_of_the_project(browser: Browser, project: Project, tmp_path: Path) -> None:
    content = picture(tmp_path / "project" / ".x" / "x.png").read_bytes()
    headers = {"content-type": "application/octet-stream", "x-brule": "1"}
    for name in ("new.png", "ä/ö.png"):
        added = browser.client.post("/api/upload", params={"name": name}, content=content, headers=headers).json()
        assert browser.get(f"/api/images/{added['id']}/view?size=256").status_code == 200
        again = browser.client.post("/api/upload", params={"name": name}, content=content, headers=headers)
        assert again.json() == added
    other = picture(tmp_path / "project" / ".x" / "y.png", seed=9).read_bytes()
    refused(browser.client.post("/api/upload?name=new.png", content=other, headers=headers), 409)


def test_links_out_of_the_folder_are_not_followed(browser: Browser, project: Project, photos: Path, tmp_path: Path) -> None:
    secret = picture(tmp_path / "elsewhere" / "secret.png", seed=7)
    (photos / "link.png").symlink_to(secret)
    (photos / "inside.png").symlink_to(photos / "a" / "1.png")
    project.refresh()
    ids = browser.ids()
    for what in ("view?size=256", "tile/0/0/0", "crop?x=1&y=1&side=9"):
        refused(browser.get(f"/api/images/{ids['link.png']}/{what}"), 403)
        assert browser.get(f"/api/images/{ids['inside.png']}/{what}").status_code == 200


def test_script_in_names_is_text(project: Project, photos: Path, browser: Browser) -> None:
    name = "<img src=x onerror=alert(1)>\"'&.png"
    picture(photos / name)
    project.refresh()
    answer = browser.get("/api/images")
    assert name in [one["name"] for one in answer.json()["items"]]
    assert (
        answer.headers["content-type"].startswith("application/json") and answer.headers["x-content-type-options"] == "nosniff"
    )
    saved = browser.json("PUT", f"/api/images/{browser.ids()[name]}", {"version": 0, "points": FULL, "action": "<script>"})
    assert saved["name"] == name


def test_names_that_are_no_text_are_listed(project: Project, photos: Path, browser: Browser) -> None:
    import os

    picture(photos / "x.png").rename(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.png"))
    project.refresh()
    ids = browser.ids()
    assert "caf\\udce9.png" in ids
    answer = browser.send("PUT", f"/api/images/{ids['caf' + chr(92) + 'udce9.png']}", {"version": 0, "points": FULL})
    assert answer.status_code == 400 and "rename" in answer.json()["error"]["message"]


def test_with_a_token_nobody_comes_in_without_it(project: Project) -> None:
    from starlette.testclient import TestClient

    from brule.web.app import create_app
    from brule.web.page import Page

    app = create_app(Page(project, local=False), host="0.0.0.0", token="right")
    with TestClient(app, base_url="http://192.168.1.5:8421", follow_redirects=False) as client:
        for path in ("/", "/?token=wrong", "/?token=", "/api/project", "/static/index.html", "/api/project?token=right"):
            refused(client.get(path), 401)
        opened = client.get("/?token=right")
        assert opened.status_code == 303 and opened.headers["location"] == "/"
        assert "httponly" in opened.headers["set-cookie"].lower() and "samesite=strict" in opened.headers["set-cookie"].lower()
        assert client.get("/api/project").status_code == 200
        client.cookies.set("other[of a server on this host]", '{"a": "b"}')
        assert client.get("/api/project").status_code == 200
        folders = client.post("/api/project/folders", json={"paths": ["/"]}, headers={"x-brule": "1"})
        refused(folders, 403)  # nobody from outside names folders of this machine
        client.cookies.set("brule-8421", "wrong")
        client.cookies.delete("brule-8421", domain="192.168.1.5", path="/")
    with TestClient(app, base_url="http://192.168.1.5:8421", cookies={"brule-8421": "wrong"}) as client:
        refused(client.get("/api/project"), 401)


def test_two_servers_on_one_host_keep_each_their_own_cookie(project: Project) -> None:
    from starlette.testclient import TestClient

    from brule.web.app import create_app
    from brule.web.page import Page

    page = Page(project, local=False)
    ports = {8421: "the first token", 8422: "the second token"}
    apps = {port: create_app(page, host="0.0.0.0", token=token) for port, token in ports.items()}
    clients = {port: TestClient(app, base_url=f"http://192.168.1.5:{port}") for port, app in apps.items()}
    kept: dict[str, str] = {}  # a browser keeps cookies by host, whatever the port
    for port, token in ports.items():
        opened = clients[port].get(f"/?token={token}", follow_redirects=False)
        assert opened.status_code == 303
        kept |= dict(opened.cookies)
    assert len(kept) == 2
    header = "; ".join(f"{name}={value}" for name, value in kept.items())
    for port, client in clients.items():
        client.cookies.clear()
        assert client.get("/api/project", headers={"cookie": header}).status_code == 200, port


def test_a_fault_of_ours_is_a_plain_answer(browser: Browser, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "record", lambda *_: 1 / 0)
    answer = browser.get(f"/api/images/{next(iter(project.entries))}")
    assert answer.status_code == 500 and answer.json()["error"]["code"] == "internal" and "division" not in answer.text


def test_these_are_two_hundred_requests() -> None:
    counted = len(TRAVERSALS) + 3 * len(HOSTS) + 3 * len(ORIGINS) + len(QUERIES) + 3 * len(BROKEN) + len(NAMES)
    assert counted + 3 * 2 + 4 * 2 + 4 + 3 + 6 + 9 >= 195
