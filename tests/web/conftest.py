"""A project of drawn images, and a client that sends what the page sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Project, Template

pytest.importorskip("starlette")
pytest.importorskip("httpx")

NAMES = ("left", "right", "top")


def picture(path: Path, size: tuple[int, int] = (64, 48), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a/1.png", "b/1.png", "ü 2.png")):
        picture(tmp_path / "photos" / name, seed=seed)
    return tmp_path / "photos"


@pytest.fixture
def project(photos: Path, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", [photos], template=Template(names=NAMES, edges=((0, 1),)))


class Browser:
    """The page's side of the conversation."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, **more)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.request(method, path, json={} if body is None else body, headers={"X-Brule": "1", **headers})

    def json(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.get(path) if method == "GET" else self.send(method, path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self) -> dict[str, str]:
        return {one["name"]: one["id"] for one in self.json("GET", "/api/images?limit=1000")["items"]}


@pytest.fixture
def browser(project: Project) -> Iterator[Browser]:
    from starlette.testclient import TestClient

    from brule.web.app import create_app
    from brule.web.page import Page

    with TestClient(create_app(Page(project)), base_url="http://127.0.0.1:8421") as client:
        yield Browser(client)


def at(x: float, y: float, state: str = "visible") -> dict[str, Any]:
    return {"x": x, "y": y, "state": state}


GONE = {"state": "absent"}
