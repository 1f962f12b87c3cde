"""Imported polygons, offered by the server as contours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

SQUARE = [[10.5, 10.5], [30.5, 10.5], [30.5, 30.5], [10.5, 30.5]]


def polygons(photos: Path, name: str) -> None:
    shape = {"label": "wing", "shape_type": "polygon", "points": SQUARE}
    known = {"version": "5.5.0", "imageData": None, "imageWidth": 64, "imageHeight": 48}
    (photos / "a" / "1.json").write_text(json.dumps({**known, "imagePath": name, "shapes": [shape]}))


def test_polygons_of_an_added_folder_become_a_contour(browser: Any, project: Any, photos: Path) -> None:
    assert browser.json("GET", "/api/project")["outlines"] == []
    polygons(photos, "1.png")
    answer = browser.json("POST", "/api/project/folders", {"paths": [str(photos / "a")]})
    assert (answer["outlined"], answer["imported"]) == (1, 0)
    assert browser.json("GET", "/api/project")["outlines"] == [{"label": "wing", "n_images": 1, "closed": True}]
    placed = browser.json("POST", "/api/project/contours", {"label": "wing", "n": 4})
    assert (placed["placed"], placed["kept"]) == (1, 0)
    assert placed["template"]["names"][3:] == ["wing 1", "wing 2", "wing 3", "wing 4"]
    record = browser.json("GET", f"/api/images/{browser.ids()['a/1.png']}")
    found = np.array([(point["x"], point["y"]) for point in record["points"][3:]])
    assert sorted(map(tuple, found.tolist())) == [(10, 10), (10, 30), (30, 10), (30, 30)]
    assert record["status"] == "draft" and record["points"][:3] == [None] * 3  # the project's own landmarks are still to do


def test_contours_that_cannot_be_made_are_refused(browser: Any, photos: Path) -> None:
    polygons(photos, "1.png")
    browser.json("POST", "/api/project/folders", {"paths": [str(photos / "a")]})
    for body in (
        {"label": "leg", "n": 4},
        {"label": "wing"},
        {"label": "wing", "n": 1},
        {"label": "wing", "n": 4, "start": "x"},
    ):
        answer = browser.send("POST", "/api/project/contours", body)
        assert answer.status_code == 400, body
        assert answer.json()["error"]["message"]
    assert browser.json("GET", "/api/project")["template"]["contours"] == []


def test_a_folder_that_is_in_the_project_already(browser: Any, photos: Path) -> None:
    answer = browser.json("POST", "/api/project/folders", {"paths": [str(photos)]})
    assert (answer["added"], answer["left_out"]) == (0, [f"{photos}: is in the project already"])


def test_a_folder_that_was_moved_away_is_shown(browser: Any, project: Any, photos: Path) -> None:
    assert browser.json("GET", "/api/project")["problems"] == []
    image = browser.ids()["a/1.png"]
    points = [{"x": 1, "y": 2, "state": "visible"}] * 3
    browser.json("PUT", f"/api/images/{image}", {"version": 0, "points": points, "status": "accepted"})
    photos.rename(photos.with_name("elsewhere"))
    project.refresh()
    found = browser.json("GET", "/api/project")
    assert found["images"] == [f"{photos} (isn't there; 1 annotation is kept without images)"]
    assert len(found["problems"]) == 2 and str(photos) in found["problems"][0]
