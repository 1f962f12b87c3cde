"""Rounds of training from the page: they survive the server, can be stopped and resumed, and their predictions are reviewed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brule.annotating import BUILT_IN, Project
from brule.annotating.rounds import held_out, note_round, rounds
from brule.data.synthetic import synthetic_faces, write_synthetic_faces

from .conftest import Browser, at

Faces = dict[str, list[dict[str, Any]]]
TINY = ["encoder.width=8", "crop.image_size=32", "batch_size=4", "checkpoint_every=2", "preview_every=2"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    write_synthetic_faces(tmp_path / "photos", 12, size=48, points=False)
    return Project(tmp_path / "project", [tmp_path / "photos"], template=BUILT_IN["face68"][1])


@pytest.fixture
def faces() -> Iterator[Faces]:
    points = synthetic_faces(12, size=48).points.astype(float)
    yield {f"face_{k:06d}.png": [at(round(x, 3), round(y, 3)) for x, y in own] for k, own in enumerate(points.tolist())}


def until(done: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.5)


def annotate(browser: Browser, faces: Faces, count: int) -> None:
    ids = browser.ids()
    for name in list(faces)[:count]:
        url = f"/api/images/{ids[name]}"
        version = browser.json("GET", url)["version"]
        browser.json("PUT", url, {"version": version, "points": faces[name]})


def test_without_an_annotated_image_nothing_can_be_trained(browser: Browser) -> None:
    answer = browser.send("POST", "/api/train", {})
    assert answer.status_code == 400 and "annotate" in answer.json()["error"]["message"]
    assert browser.json("GET", "/api/train")["state"] == "idle"
    assert browser.send("POST", "/api/predict", {}).status_code == 400


@pytest.mark.parametrize(
    "body", [{"minutes": 0}, {"minutes": "1"}, {"set": ["a b"]}, {"preset": "../x"}, {"start_from": 1}, {"x": 1}]
)
def test_settings_that_make_no_sense_are_refused(browser: Browser, body: dict[str, object]) -> None:
    assert browser.send("POST", "/api/train", body).status_code == 400


def test_what_train_says_is_shown(browser: Browser, faces: Faces) -> None:
    annotate(browser, faces, 3)
    browser.json("POST", "/api/train", {"set": ["encoder.widht=8"]})
    until(lambda: browser.json("GET", "/api/train")["state"] == "failed")
    assert "encoder.widht" in browser.json("GET", "/api/train")["message"]


@pytest.mark.slow
def test_train_stop_resume_review(browser: Browser, faces: Faces, project: Project) -> None:
    annotate(browser, faces, 5)
    started = browser.json("POST", "/api/train", {"set": [*TINY, "iterations=100000"], "minutes": 60})
    assert started["state"] == "running" and started["run"] == "round-1"
    assert browser.send("POST", "/api/train", {}).status_code == 400  # one at a time
    until(lambda: browser.json("GET", "/api/train")["iteration"] > 0)
    browser.json("POST", "/api/train/stop")
    until(lambda: browser.json("GET", "/api/train")["state"] == "stopped")
    again = browser.json("POST", "/api/train/resume")
    assert again["state"] == "running"
    until(lambda: browser.json("GET", "/api/train")["share"] is not None)
    browser.json("POST", "/api/train/stop")
    until(lambda: browser.json("GET", "/api/train")["state"] == "stopped")
    browser.json("POST", "/api/train", {"set": [*TINY, "iterations=4"]})
    until(lambda: browser.json("GET", "/api/train")["state"] == "finished")
    until(lambda: browser.json("GET", "/api/predict")["predicting"]["state"] == "finished")  # by itself
    listed = browser.json("GET", "/api/images?order=uncertainty&status=new")
    uncertainties = [one["uncertainty"] for one in listed["items"]]
    assert listed["total"] == 7 and uncertainties == sorted(uncertainties, reverse=True)
    image = listed["items"][0]
    record = browser.json("GET", f"/api/images/{image['id']}")
    assert record["prediction"]["run"] == "round-2" and len(record["prediction"]["points"]) == 68
    accepted = browser.json(
        "PUT", f"/api/images/{image['id']}", {"version": 0, "points": faces[image["name"]], "status": "accepted"}
    )
    assert accepted["status"] == "accepted"
    shown = browser.json("GET", "/api/runs")["runs"]
    assert [run["name"] for run in shown] == ["round-1", "round-2"]
    assert shown[1]["trained_on"] == 5 and shown[1]["held_out"]["n"] == 1
    own = [(at["x"], at["y"]) for at in record["prediction"]["points"]]
    truth = [(point["x"], point["y"]) for point in faces[image["name"]]]
    mean = sum(((x - u) ** 2 + (y - v) ** 2) ** 0.5 for (x, y), (u, v) in zip(own, truth, strict=True)) / 68
    assert shown[1]["held_out"]["error_px"] == pytest.approx(mean, abs=0.01)
    assert browser.get("/api/train/preview").status_code in (200, 404)


@pytest.mark.slow
def test_a_round_knows_what_it_was_trained_on(project: Project, browser: Browser, faces: Faces) -> None:
    annotate(browser, faces, 2)
    run = project.folder / "runs" / "round-1"
    run.mkdir(parents=True)
    note_round(project, run)
    assert [path.name for path in rounds(project)] == ["round-1"]
    annotate(browser, faces, 3)
    from brule.annotating.predictions import FORMAT, Predictions

    lines = [f'{{"format": "{FORMAT}", "landmarks": 68, "calibrated": false}}']
    for name in faces:
        shifted = [[point["x"] + 3, point["y"] + 4] for point in faces[name]]
        lines.append(f'{{"name": "{name}", "uncertainty": 1, "expected": null, "points": {shifted}, "spread": {[1] * 68}}}')
    file = project.folder / "predictions" / "round-1.jsonl"
    file.parent.mkdir()
    file.write_text("\n".join(lines) + '\n{"name": "cut of', encoding="utf-8")
    found = held_out(project, Predictions(file, project))
    assert found is not None and (found.n, found.error_px) == (1, pytest.approx(5.0, abs=1e-9))
    assert found.mean_shape_px is not None and found.mean_shape_px > 0
    # With three such images the detector is known to be better than the mean shape, so guesses come from it.
    assert browser.client.app.state.page.guesses.work.wait(120)
    annotate(browser, faces, 5)
    assert browser.client.app.state.page.guesses.work.wait(120)
    state = browser.json("GET", "/api/project")["guess"]
    assert state["held_out"]["detector"] == pytest.approx(5.0, abs=1e-3) and state["held_out"]["mean"] is not None
    image = browser.ids()[list(faces)[7]]
    nothing = [None] * 68
    guess = browser.json("POST", f"/api/images/{image}/guess", {"points": nothing})
    assert guess["source"] == state["source"]
    if state["source"] == "detector":
        truth = faces[list(faces)[7]]
        assert guess["points"][0]["x"] == pytest.approx(truth[0]["x"] + 3, abs=1e-2)
    fixed = [*faces[list(faces)[7]][:2], *nothing[2:]]
    again = browser.json("POST", f"/api/images/{image}/guess", {"points": fixed})
    assert again["points"][:2] == fixed[:2]  # placed points stay exactly where they are
