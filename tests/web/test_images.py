"""Annotating over HTTP: what is saved, undone, refused, and read by the rest of brule."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Project
from brule.data import read_samples
from brule.errors import DataError

from .conftest import GONE, Browser, at

FULL = [at(10, 20), at(30.25, 20.5, "hidden"), GONE]


def test_the_list_names_every_image_once(browser: Browser) -> None:
    found = browser.json("GET", "/api/images")
    assert [one["name"] for one in found["items"]] == ["a/1.png", "b/1.png", "ü 2.png"] and found["total"] == 3
    assert len({one["id"] for one in found["items"]}) == 3
    assert {one["status"] for one in found["items"]} == {"new"}


def test_what_is_saved_is_read_by_every_command(browser: Browser, project: Project, photos: Path) -> None:
    image = browser.ids()["b/1.png"]
    saved = browser.json("PUT", f"/api/images/{image}", {"version": 0, "points": FULL, "scale": 0.5})
    assert saved["status"] == "accepted" and saved["version"] == 1
    (sample,) = read_samples([str(project.folder)], require_points=True)
    assert sample.path.samefile(photos / "b/1.png")
    np.testing.assert_array_equal(sample.points, np.array([[10, 20], [30.25, 20.5], [np.nan, np.nan]], dtype=np.float32))


def test_a_draft_teaches_nothing_yet(browser: Browser, project: Project) -> None:
    image = browser.ids()["a/1.png"]
    saved = browser.json("PUT", f"/api/images/{image}", {"version": 0, "points": [at(1, 2), None, None]})
    assert saved["status"] == "draft"
    assert [sample.points for sample in read_samples([str(project.folder)])] == [None]


def test_it_is_there_after_opening_the_project_again(browser: Browser, project: Project) -> None:
    image = browser.ids()["a/1.png"]
    before = browser.json("PUT", f"/api/images/{image}", {"version": 0, "points": FULL})
    again = Project(project.folder)
    record = again.record(image)
    assert record.version == before["version"]
    assert [again.summaries[image].status, again.summaries[image].placed] == ["accepted", 2]
    mark = record.marks.points["right"]
    assert (mark.x, mark.y, mark.state) == (30.25, 20.5, "hidden") and record.marks.points["top"].state == "absent"


def test_undo_and_redo_also_after_reload(browser: Browser, project: Project) -> None:
    image = browser.ids()["a/1.png"]
    url = f"/api/images/{image}"
    for version, x in enumerate((5, 6, 7)):
        browser.json("PUT", url, {"version": version, "points": [at(x, 1), None, None], "action": f"to {x}"})
    assert browser.json("GET", f"{url}/history") == {"undo": ["to 5", "to 6", "to 7"], "redo": []}
    assert browser.json("POST", f"{url}/undo", {"version": 3})["points"][0]["x"] == 6
    record = Project(project.folder).record(image)
    assert (record.marks.points["left"].x, len(record.history.done), len(record.history.undone)) == (6, 2, 1)
    assert browser.json("POST", f"{url}/undo", {"version": 4})["points"][0]["x"] == 5
    empty = browser.json("POST", f"{url}/undo", {"version": 5})
    assert empty["points"] == [None] * 3 and empty["status"] == "new"
    assert not project.annotation_file(image).exists()
    assert browser.send("POST", f"{url}/undo", {"version": 6}).status_code == 400
    for version, x in zip((6, 7, 8), (5, 6, 7), strict=True):
        assert browser.json("POST", f"{url}/redo", {"version": version})["points"][0]["x"] == x


def test_two_tabs_never_lose_a_change_silently(browser: Browser) -> None:
    url = f"/api/images/{browser.ids()['a/1.png']}"
    browser.json("PUT", url, {"version": 0, "points": [at(1, 1), None, None]})
    refused = browser.send("PUT", url, {"version": 0, "points": [at(2, 2), None, None]})
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "conflict"
    assert refused.json()["current"]["points"][0] == at(1, 1) and refused.json()["current"]["version"] == 1
    assert browser.json("GET", url)["points"][0] == at(1, 1)


def test_a_change_by_another_program_is_a_step(browser: Browser, project: Project) -> None:
    image = browser.ids()["a/1.png"]
    url = f"/api/images/{image}"
    browser.json("PUT", url, {"version": 0, "points": FULL})
    file = project.annotation_file(image)
    file.write_text(file.read_text(encoding="utf-8").replace("10.5", "12.5"), encoding="utf-8")
    now = browser.json("GET", url)
    assert now["points"][0]["x"] == 12 and now["version"] == 2
    assert browser.send("PUT", url, {"version": 1, "points": FULL}).status_code == 409
    assert browser.json("POST", f"{url}/undo", {"version": 2})["points"][0]["x"] == 10


def test_saving_the_same_again_is_no_step(browser: Browser) -> None:
    url = f"/api/images/{browser.ids()['a/1.png']}"
    for version in (0, 1, 1):
        assert browser.json("PUT", url, {"version": version, "points": FULL})["version"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"version": 0, "points": FULL[:2]},
        {"version": 0, "points": [*FULL, None]},
        {"version": 0, "points": [{"x": 1, "y": 2, "state": "absent"}, None, None]},
        {"version": 0, "points": [{"x": 1}, None, None]},
        {"version": 0, "points": [at(1, 10**7), None, None]},
        {"version": 0, "points": [at(500, 2), None, None]},
        {"version": 0, "points": [{"x": "1", "y": 2}, None, None]},
        {"version": -1, "points": FULL},
        {"version": 0, "points": FULL, "status": "new"},
        {"version": 0, "points": FULL, "scale": 0},
        {"version": 0, "points": FULL, "box": [5, 5, 4, 9]},
        {"version": 0, "points": FULL, "unknown": 1},
        {"version": 0, "points": [GONE] * 3, "status": "accepted"},
        {"version": True, "points": FULL},
        [],
    ],
)
def test_a_request_that_makes_no_sense_changes_nothing(browser: Browser, project: Project, body: object) -> None:
    image = browser.ids()["a/1.png"]
    answer = browser.send("PUT", f"/api/images/{image}", body)
    assert answer.status_code == 400 and answer.json()["error"]["message"]
    assert not project.annotation_file(image).exists()


def test_previews_and_tiles_show_the_upright_image(browser: Browser, project: Project, photos: Path) -> None:
    wide = Image.new("RGB", (1300, 700), "black")
    wide.paste("red", (0, 0, 650, 350))
    exif = wide.getexif()
    exif[0x0112] = 6  # turned by a quarter to the right
    wide.save(photos / "turned.jpg", exif=exif, quality=95)
    project.refresh()
    url = f"/api/images/{browser.ids()['turned.jpg']}"
    record = browser.json("GET", url)
    assert (record["width"], record["height"], record["view"]["levels"]) == (700, 1300, 3)
    preview = np.asarray(Image.open(io.BytesIO(browser.get(f"{url}/view?size=512").content)))
    assert preview.shape == (512, 276, 3)
    assert preview[100, 200, 0] > 200 > 60 > preview[400, 50, 0]  # red lies at the upper right now
    tiles = [browser.get(f"{url}/tile/0/{column}/{row}") for row in range(3) for column in range(2)]
    sizes = [Image.open(io.BytesIO(tile.content)).size for tile in tiles]
    assert sizes == [(512, 512), (188, 512)] * 2 + [(512, 276), (188, 276)]
    assert Image.open(io.BytesIO(browser.get(f"{url}/tile/2/0/0").content)).size == (175, 325)
    assert browser.get(f"{url}/tile/0/2/0").status_code == 400
    assert Image.open(io.BytesIO(browser.get(f"{url}/crop?x=1&y=1&side=50&size=64").content)).size == (64, 64)


def test_a_full_disk_is_said_and_changes_nothing(browser: Browser, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    image = browser.ids()["a/1.png"]
    url = f"/api/images/{image}"
    browser.json("PUT", url, {"version": 0, "points": FULL})
    log = next((project.own / "history").rglob("*.jsonl"))
    before = project.annotation_file(image).read_bytes(), log.read_bytes()
    replace = os.replace

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    answer = browser.send("PUT", url, {"version": 1, "points": [at(1, 1), None, None]})
    assert answer.status_code == 507 and answer.json()["error"]["code"] == "disk_full"
    assert (project.annotation_file(image).read_bytes(), log.read_bytes()) == before
    monkeypatch.setattr(os, "replace", replace)
    assert browser.json("PUT", url, {"version": 1, "points": [at(1, 1), None, None]})["version"] == 2


def test_a_projects_files_open_its_own_images_alone(browser: Browser, project: Project, tmp_path: Path) -> None:
    image = browser.ids()["a/1.png"]
    browser.json("PUT", f"/api/images/{image}", {"version": 0, "points": FULL})
    Image.new("RGB", (64, 48)).save(tmp_path / "secret.png")
    file = project.annotation_file(image)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("photos/a/1.png", "secret.png"), encoding="utf-8")
    with pytest.raises(DataError, match="outside the folders given"):
        read_samples([str(project.folder)], require_points=True)


def test_a_change_made_with_earlier_landmarks_is_brought_to_the_present_ones(browser: Browser, project: Project) -> None:
    url = f"/api/images/{browser.ids()['a/1.png']}"
    known = browser.json("GET", url)["landmarks"]
    template = {"version": project.settings.version, "names": ["top", "new", "right"], "from": [2, None, 1]}  # "left" is gone
    assert browser.json("PUT", "/api/project/template", template)["measures_gone"] == []
    late = {"version": 0, "points": [at(1, 1), at(2, 2), at(3, 3)], "landmarks": known}
    saved = browser.json("PUT", url, late)
    assert saved["points"] == [at(3, 3), None, at(2, 2)] and saved["status"] == "draft"
    assert saved["landmarks"] == browser.json("GET", "/api/project")["landmarks"] > known
    again = browser.json("PUT", url, {"version": 1, "points": [at(3, 3), at(4, 4), at(2, 2)], "landmarks": saved["landmarks"]})
    assert again["status"] == "accepted"


def test_one_landmark_through_images_of_other_landmarks(browser: Browser, project: Project) -> None:
    image = browser.ids()["a/1.png"]
    browser.json("PUT", f"/api/images/{image}", {"version": 0, "points": FULL})
    file = project.annotation_file(image)
    file.write_text(file.read_text().replace('"left"', '"other"').replace('"right"', '"another"'))  # by another program
    found = browser.json("GET", "/api/landmarks/0")
    assert [(one["point"], one["side"]) for one in found["items"]] == [(None, 16.0)]
