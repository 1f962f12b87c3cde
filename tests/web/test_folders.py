"""Folders of images in the page: removed, and located where they were moved to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from brule.annotating import Project

from .conftest import Browser, at, picture


@pytest.fixture
def annotated(browser: Browser) -> Browser:
    for image in list(browser.ids().values())[:2]:
        body = {"version": 0, "points": [at(1, 2), at(3, 4), at(5, 6)], "status": "accepted"}
        browser.json("PUT", f"/api/images/{image}", body)
    return browser


def the_folder(browser: Browser) -> dict[str, Any]:
    (folder,) = browser.json("GET", "/api/project")["folders"]
    return folder


def test_a_folder_is_removed_once_it_is_said_what_of_it_is_annotated(annotated: Browser, photos: Path) -> None:
    folder = the_folder(annotated)
    assert folder["path"] == str(photos) and not folder["missing"]
    url = f"/api/project/folders/{folder['id']}/remove"
    found = annotated.json("POST", url, {"check": True})
    assert found == {"n_images": 3, "annotated": 2, "accepted": 2}
    assert annotated.json("GET", "/api/project")["n_images"] == 3  # only asked
    assert annotated.json("POST", url) == found
    project = annotated.json("GET", "/api/project")
    assert (project["n_images"], project["folders"], project["problems"], project["counts"]["accepted"]) == (0, [], [], 0)
    assert annotated.send("POST", url).status_code == 404
    annotated.json("POST", "/api/project/folders", {"paths": [str(photos)]})
    assert annotated.json("GET", "/api/project")["counts"]["accepted"] == 2


def test_a_folder_is_located(annotated: Browser, photos: Path, tmp_path: Path) -> None:
    url = f"/api/project/folders/{the_folder(annotated)['id']}/locate"
    assert annotated.send("POST", url, {"path": str(tmp_path)}).status_code == 400  # it is still there
    photos.rename(tmp_path / "moved")
    project = annotated.json("GET", "/api/project")
    assert project["folders"][0]["missing"] and "in the page (Set up)" in project["problems"][0]
    picture(tmp_path / "others" / "x.png")
    refused = annotated.send("POST", url, {"path": str(tmp_path / "others"), "check": True})
    assert refused.status_code == 400 and "annotated are missing there" in refused.json()["error"]["message"]
    found = {"n_images": 3, "annotated": 2, "matching": 2, "lacking": [], "n_lacking": 0, "resized": [], "n_resized": 0}
    body = {"path": str(tmp_path / "moved")}
    assert annotated.json("POST", url, {**body, "check": True}) == found == annotated.json("POST", url, body)
    project = annotated.json("GET", "/api/project")
    assert project["folders"][0] | {"id": ""} == {"id": "", "path": str(tmp_path / "moved"), "missing": False}
    assert project["problems"] == [] and project["n_images"] == 3 and project["counts"]["accepted"] == 2
    for image in annotated.ids().values():  # what was known of the images before is of the new place now
        assert annotated.get(f"/api/images/{image}/view?size=256").status_code == 200
        version = annotated.json("GET", f"/api/images/{image}")["version"]
        annotated.json("PUT", f"/api/images/{image}", {"version": version, "points": [at(1, 1), None, None]})


def test_images_of_another_size_are_told_from_those_that_are_missing(annotated: Browser, photos: Path, tmp_path: Path) -> None:
    url = f"/api/project/folders/{the_folder(annotated)['id']}/locate"
    with_points = [one["name"] for one in annotated.json("GET", "/api/images")["items"] if one["status"] == "accepted"]
    photos.rename(tmp_path / "moved")
    Image.new("RGB", (7, 5)).save(tmp_path / "moved" / with_points[0])
    found = annotated.json("POST", url, {"path": str(tmp_path / "moved"), "check": True})
    assert (found["matching"], found["lacking"], found["resized"], found["n_resized"]) == (1, [], with_points[:1], 1)
    (tmp_path / "moved" / with_points[0]).unlink()
    found = annotated.json("POST", url, {"path": str(tmp_path / "moved"), "check": True})
    assert (found["matching"], found["lacking"], found["resized"], found["n_lacking"]) == (1, with_points[:1], [], 1)


def test_folders_stay_while_they_are_trained_on(annotated: Browser, photos: Path, tmp_path: Path) -> None:
    page: Any = annotated.client.app.state.page
    page.training._train = type("Running", (), {"running": True, "facts": {}})()
    url = f"/api/project/folders/{the_folder(annotated)['id']}"
    assert annotated.json("POST", f"{url}/remove", {"check": True})["annotated"] == 2
    answer = annotated.send("POST", f"{url}/remove")
    assert answer.status_code == 409 and "training is running" in answer.json()["error"]["message"]
    photos.rename(tmp_path / "moved")
    body = {"path": str(tmp_path / "moved")}
    assert annotated.json("POST", f"{url}/locate", {**body, "check": True})["matching"] == 2
    assert annotated.send("POST", f"{url}/locate", body).status_code == 409


def test_folders_are_changed_on_the_machine_of_the_server_only(annotated: Browser, project: Project) -> None:
    url = f"/api/project/folders/{the_folder(annotated)['id']}"
    page: Any = annotated.client.app.state.page
    page.local = False
    for path, body in (("remove", {}), ("locate", {"path": "/etc", "check": True})):
        assert annotated.send("POST", f"{url}/{path}", body).status_code == 403
    assert len(project.settings.folders) == 1
