"""A real server on the loopback: kill -9 loses nothing that was shown as saved, one server per project, a clean end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brule.annotating import Project, Template

from .conftest import NAMES, at, picture

httpx = pytest.importorskip("httpx")


class Running:
    """A server as a process of its own."""

    def __init__(self, project: Path, *words: str) -> None:
        command = [sys.executable, "-m", "brule", "annotate", "-o", str(project), "--port", "0", "--no-open", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("open http"), (line, self.process.stderr.read() if self.process.stderr else "")
        self.address = line.split()[1]
        self.client = httpx.Client(base_url=self.address, headers={"X-Brule": "1"}, timeout=60, trust_env=False)

    def close(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def running(project: Path, *words: str) -> Iterator[Running]:
    server = Running(project, *words)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        picture(tmp_path / "photos" / f"{seed}.png", seed=seed)
    Project(tmp_path / "project", [tmp_path / "photos"], template=Template(names=NAMES))
    return tmp_path / "project"


def test_it_answers_and_ends_cleanly_on_ctrl_c(folder: Path) -> None:
    with running(folder) as server:
        assert server.client.get("/api/project").json()["n_images"] == 3
        with server.client.stream("GET", "/api/events") as stream:  # an open stream doesn't hold up the end
            assert next(stream.iter_text()).startswith(": hello")
            server.process.send_signal(signal.SIGINT)
            started = time.monotonic()
            out, err = server.process.communicate(timeout=30)
        assert server.process.returncode == 0 and "Traceback" not in err and "saved" in err, (out, err)
        assert time.monotonic() - started < 20


def test_a_second_server_of_one_project_names_the_first(folder: Path) -> None:
    with running(folder) as server:
        command = [sys.executable, "-m", "brule", "annotate", "-o", str(folder), "--no-open"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert second.returncode == 2 and server.address in second.stderr
    with running(folder) as again:  # a killed server leaves no lock behind
        assert again.client.get("/api/project").status_code == 200


def test_other_pages_hear_of_a_change(folder: Path) -> None:
    with running(folder) as server:
        image = server.client.get("/api/images").json()["items"][0]["id"]
        with server.client.stream("GET", "/api/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": hello"
            with httpx.Client(base_url=server.address, headers={"X-Brule": "1"}, trust_env=False) as other:
                other.put(f"/api/images/{image}", json={"version": 0, "points": [at(1, 2), None, None]})
            while next(lines) != "event: image":
                pass
            assert json.loads(next(lines).removeprefix("data: "))["version"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_kill_9_loses_nothing_that_was_saved(folder: Path, seed: int) -> None:
    """The server is killed at random moments, ``BRULE_KILLS`` times (50 in the long form), while points are set and undone."""
    rng = random.Random(seed)
    kills = int(os.environ.get("BRULE_KILLS", "5"))
    known: dict[str, dict[str, Any]] = {}
    for _ in range(kills):
        with running(folder) as server:
            for image, saved in known.items():
                found = server.client.get(f"/api/images/{image}").json()
                # What was asked for when it was killed may be there or not; what was answered must be.
                assert found["version"] in (saved["version"], saved["version"] + 1)
                if found["version"] == saved["version"]:
                    assert found["points"] == saved["points"] and found["undo"] == saved["undo"]
                known[image] = found
            known = known or {one["id"]: server.client.get(f"/api/images/{one['id']}").json() for one in _items(server)}
            killer = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"import os, time; time.sleep({rng.uniform(0.05, 1.0)}); os.kill({server.process.pid}, 9)",
                ]
            )
            with contextlib.suppress(httpx.TransportError):
                while True:
                    _edit(server, known, rng)
            killer.wait()
    print(f"{kills} kills, {sum(one['version'] for one in known.values())} changes")
    project = Project(folder)
    for image, saved in known.items():
        record = project.record(image)
        assert record.version in (saved["version"], saved["version"] + 1)
        assert json.loads(project.annotation_file(image).read_text(encoding="utf-8")) if record.marks.placed else True


def _items(server: Running) -> list[dict[str, Any]]:
    return list(server.client.get("/api/images").json()["items"])


def _edit(server: Running, known: dict[str, dict[str, Any]], rng: random.Random) -> None:
    image = rng.choice(list(known))
    version, url = known[image]["version"], f"/api/images/{image}"
    if known[image]["undo"] and rng.random() < 0.3:
        answer = server.client.post(f"{url}/undo", json={"version": version})
    else:
        points = [at(rng.randrange(64), rng.randrange(48)) if rng.random() < 0.8 else None for _ in NAMES]
        answer = server.client.put(url, json={"version": version, "points": points})
    assert answer.status_code == 200, answer.text
    known[image] = answer.json()


@pytest.mark.slow
def test_twenty_thousand_images_open_in_three_seconds(tmp_path: Path) -> None:
    content = picture(tmp_path / "one.png", size=(8, 8)).read_bytes()
    for k in range(20_000):
        path = tmp_path / "photos" / f"{k // 1000:02d}" / f"{k:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    started = time.monotonic()
    project = Project(tmp_path / "project", [tmp_path / "photos"], template=Template(names=NAMES))
    first = time.monotonic() - started
    started = time.monotonic()
    again = Project(project.folder)
    opened = time.monotonic() - started
    print(f"20,000 images: made in {first:.2f} s, opened in {opened:.2f} s")
    assert len(again.entries) == 20_000
    assert max(first, opened) < 3.0, (first, opened)
    from starlette.testclient import TestClient

    from brule.web.app import create_app
    from brule.web.page import Page

    with TestClient(create_app(Page(again)), base_url="http://127.0.0.1:8421") as client:
        started = time.monotonic()
        assert client.get("/api/project").json()["n_images"] == 20_000
        page = client.get("/api/images?offset=19990&limit=20").json()
        assert page["total"] == 20_000 and len(page["items"]) == 10
        assert time.monotonic() - started < 1.0
