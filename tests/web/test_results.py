"""Measures, repeat errors and exports over HTTP; what is exported is what was annotated."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brule.annotating import Project
from brule.data.annotations import read_annotations
from brule.data.formats import FORMATS

from .conftest import GONE, Browser, at

POINTS = [at(10, 20), at(30.25, 20.5, "hidden"), GONE]


@pytest.fixture
def annotated(browser: Browser) -> Browser:
    for name, image in browser.ids().items():
        browser.json("PUT", f"/api/images/{image}", {"version": 0, "points": [*POINTS[:2], at(5, 6 + len(name))], "scale": 0.5})
    return browser


def test_measures_are_kept_and_shown(annotated: Browser, project: Project) -> None:
    wanted = {"distances": [{"name": "width", "landmarks": [0, 1]}], "angles": [{"name": "a", "landmarks": [0, 1, 2]}]}
    assert annotated.json("PUT", "/api/project/measurements", wanted) == wanted
    assert annotated.json("GET", "/api/project")["measurements"] == wanted
    found = annotated.json("GET", "/api/measure?limit=2")
    assert found["columns"][:3] == ["width_px", "width_mm", "a_deg"] and found["total"] == 3 and len(found["rows"]) == 2
    width = np.hypot(20.25, 0.5)
    np.testing.assert_allclose(found["rows"][0]["values"][:2], [width, width / 2], atol=1e-3)
    table = annotated.get("/api/measure.csv")
    assert table.text.splitlines()[0].startswith("image,width_px,width_mm,a_deg") and len(table.text.splitlines()) == 4
    bad = {"distances": [{"name": "width", "landmarks": [0, 7]}], "angles": []}
    assert annotated.send("PUT", "/api/project/measurements", bad).status_code == 400


@pytest.mark.parametrize("second", ["width", "centroid_size"])
def test_two_measures_of_one_name_are_refused(annotated: Browser, second: str) -> None:
    measures = [{"name": "width", "landmarks": [0, 1]}, {"name": second, "landmarks": [1, 2]}]
    answer = annotated.send("PUT", "/api/project/measurements", {"distances": measures, "angles": []})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"there is a measure called {second!r} already; choose another name"
    assert annotated.json("GET", "/api/project")["measurements"]["distances"] == []


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_every_format_is_exported_and_read_again(annotated: Browser, project: Project, format: str) -> None:
    answer = annotated.json("POST", "/api/export", {"format": format})
    assert answer["n_images"] == 3
    content = annotated.get(answer["download"])
    assert content.headers["content-disposition"].startswith("attachment")
    archive = zipfile.ZipFile(io.BytesIO(content.content))
    assert len(archive.namelist()) == len(answer["files"])
    file = project.folder / answer["files"][0]
    if format not in ("pts", "yolo"):  # these need the image beside them
        found = read_annotations(file, format=FORMATS[format], images=[entry.path for entry in project.entries.values()])
        points = [item.points for item in found.items if item.points is not None]
        assert len(points) == (1 if FORMATS[format].one_image else 3)
        np.testing.assert_allclose(
            points[0][:2], [[10, 20], [30.25, 20.5]], atol=1 if "fractions" not in FORMATS[format].holds else 1e-3
        )
    assert annotated.json("POST", "/api/export", {"format": format})["files"] == answer["files"]  # and once more


@pytest.mark.parametrize("format", ["labelme", "yolo"])
def test_an_image_that_is_not_finished_any_more_leaves_the_export(annotated: Browser, project: Project, format: str) -> None:
    before = annotated.json("POST", "/api/export", {"format": format})["files"]
    place = project.folder / "exports" / format
    (place / "notes.md").write_text("a person's own")
    image = project.accepted()[0]
    record = project.record(image)
    project.change(image, record.version, replace(record.marks, status="draft"))
    answer = annotated.json("POST", "/api/export", {"format": format})
    assert (answer["n_images"], len(answer["files"])) == (2, len(before) - 1)
    archive = zipfile.ZipFile(io.BytesIO(annotated.get(answer["download"]).content))
    assert sorted(archive.namelist()) == sorted([*(file.split("/", 2)[2] for file in answer["files"]), "notes.md"])


def test_nothing_finished_is_nothing_to_export(browser: Browser) -> None:
    answer = browser.send("POST", "/api/export", {"format": "tps"})
    assert answer.status_code == 400 and "finished" in answer.json()["error"]["message"]
    assert browser.get("/api/export/tps.zip").status_code == 404
    assert browser.send("POST", "/api/export", {"format": "../x"}).status_code == 400
    assert browser.send("POST", "/api/export/onnx", {}).status_code == 503


def test_a_second_annotation_is_kept_apart(annotated: Browser, project: Project) -> None:
    image = annotated.ids()["a/1.png"]
    url = f"/api/images/{image}?layer=repeat"
    empty = annotated.json("GET", url)
    assert empty["points"] == [None] * 3 and empty["version"] == 0
    moved = [at(13, 24), at(30.25, 20.5), at(5, 13)]
    annotated.json("PUT", url, {"version": 0, "points": moved})
    assert annotated.json("GET", f"/api/images/{image}")["points"][0]["x"] == 10
    found = annotated.json("GET", "/api/repeat")
    assert found["images"] == 1 and [row["repeat_px"] for row in found["landmarks"]] == [5.0, 0.0, 0.0]
    assert [row["detector_px"] for row in found["landmarks"]] == [None] * 3
    listed = {one["name"]: one["repeated"] for one in annotated.json("GET", "/api/images")["items"]}
    assert listed == {"a/1.png": True, "b/1.png": False, "ü 2.png": False}
    assert Project(project.folder).summaries.repeated == {image}


def test_proposals_come_by_themselves(browser: Browser) -> None:
    assert browser.client.app.state.page.choices.work.wait(60)
    found = browser.json("GET", "/api/project")["choice"]
    assert found["ready"] and sorted(found["ids"]) == sorted(browser.ids().values())
    ordered = browser.json("GET", "/api/images?order=proposed")["items"]
    assert [one["id"] for one in ordered] == found["ids"] and [one["proposed"] for one in ordered] == [1, 2, 3]


def test_exporting_from_the_command_line(
    annotated: Browser, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from brule.cli import main

    target = tmp_path / "out" / "shapes.tps"
    assert main(["annotate", "-o", str(project.folder), "--export", "tps", "--target", str(target)]) == 0
    assert target.read_text(encoding="utf-8").count("LM=3") == 3 and "SCALE=0.5" in target.read_text(encoding="utf-8")
    assert main(["annotate", "-o", str(project.folder), "--export", "tps", "--target", str(target)]) == 2  # exists already
    assert main(["annotate", "-o", str(project.folder), "--export", "measures"]) == 0
    assert (project.folder / "exports" / "measures.csv").is_file()
    assert main(["annotate", "-o", str(project.folder), "--export", "nonsense"]) == 2
    assert "one of" in capsys.readouterr().err
    assert main(["annotate", "-o", str(project.folder), "--target", str(target)]) == 2
    assert "--export" in capsys.readouterr().err
    assert main(["annotate", "-o", str(project.folder), "--export", "tps", "--predict", str(target)]) == 2


def test_annotations_are_taken_over_before_they_are_exported(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from brule.cli import main

    shapes = [{"label": "rim", "shape_type": "polygon", "points": [[2, 3], [10, 3], [10, 9]]}]
    content = {"imagePath": "1.png", "imageData": None, "imageWidth": 40, "imageHeight": 30, "shapes": shapes}
    (photos / "a" / "1.json").write_text(json.dumps(content))
    words = ["annotate", str(photos / "a"), "-o", str(tmp_path / "new"), "--outline-points", "4"]
    assert main([*words, "--export", "tps", "--target", str(tmp_path / "shapes.tps")]) == 0
    assert "POINTS=4" in (tmp_path / "shapes.tps").read_text(encoding="utf-8")
    assert "contour 'rim': 4 landmarks placed in 1 image\n" in capsys.readouterr().err
    words[-1] = "9"  # the contour is there already, with its own number
    assert main([*words, "--export", "tps", "--target", str(tmp_path / "again.tps")]) == 0
    assert "contour 'rim': 4 landmarks placed in 0 images\n" in capsys.readouterr().err


def test_a_project_that_is_open_is_not_changed_by_a_command(
    project: Project, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from brule.annotating.lock import only_server
    from brule.cli import main

    file = project.folder / "project.json"
    more = tmp_path / "more"
    shutil.copytree(photos / "a", more)
    before = file.read_bytes()
    with only_server(project.folder):
        for words in ([str(more), "--no-open"], [str(more), "--export", "tps"], ["--outline-points", "4", "--predict", "run"]):
            assert main(["annotate", "-o", str(project.folder), *words]) == 2
            assert "is open already" in capsys.readouterr().err
        assert file.read_bytes() == before
        assert main(["annotate", "-o", str(project.folder), "--export", "tps"]) != 0
        assert "no annotation is finished" in capsys.readouterr().err  # exports only read


def test_the_projects_scale_is_that_of_images_without_their_own(annotated: Browser, project: Project) -> None:
    images = annotated.ids()
    record = annotated.json("GET", f"/api/images/{images['a/1.png']}")
    bare = {"version": record["version"], "points": record["points"], "scale": None}
    annotated.json("PUT", f"/api/images/{images['a/1.png']}", bare)
    assert annotated.json("PUT", "/api/project/settings", {"scale": 0.25})["project"]["scale"] == 0.25
    assert annotated.send("PUT", "/api/project/settings", {"scale": 0}).status_code == 400
    again = Project(project.folder)
    scales = {entry.name: again.scale(again.record(image).marks) for image, entry in again.entries.items()}
    assert scales == {"a/1.png": 0.25, "b/1.png": 0.5, "ü 2.png": 0.5}
