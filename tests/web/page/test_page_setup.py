"""Setting up in the browser: folders named, chosen and dropped; polygons become contours; groups of landmarks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from brule.annotating import Mark, Marks, Project, Template, named_template


def names(project: Project) -> set[str]:
    return {entry.name for entry in project.entries.values()}


def test_a_folder_is_named_and_landmarks_are_typed(draw: Callable, serve: Callable, visit: Callable, tmp_path: Path) -> None:
    faces = draw(3, size=64)
    project = Project(tmp_path / "project")
    person = visit(serve(project)).goto("")
    person.page.fill("input[placeholder='/home/me/photos']", str(faces.folder))
    person.page.keyboard.press("Enter")
    person.page.wait_for_selector("text=3 images")
    person.page.get_by_label("Add landmarks, separated by commas").fill("nose,  chin ,")
    person.page.keyboard.press("Enter")
    person.page.wait_for_selector("#name-1")
    assert project.template.names == ("nose", "chin")
    person.page.click("a:has-text('Start annotating')")
    person.opened()
    assert person.page.inner_text(".prompt").startswith("Click on 1 nose")


def test_dropped_and_chosen_folders_are_copied_with_their_subfolders(
    draw: Callable, serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    faces = draw(3, size=64)
    (faces.folder / "left").mkdir()
    (faces.folder / "face_002.png").rename(faces.folder / "left" / "face_002.png")
    (faces.folder / "notes.txt").write_text("not an image")
    project = Project(tmp_path / "project", template=Template(names=("a", "b")))
    person = visit(serve(project)).goto("setup")
    box = person.page.locator(".drop").bounding_box()
    session = person.page.context.new_cdp_session(person.page)
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(faces.folder)], "dragOperationsMask": 1}
        session.send("Input.dispatchDragEvent", {"type": kind, "x": box["x"] + 20, "y": box["y"] + 20, "data": data})
    person.page.wait_for_selector(".toast:has-text('3 images added. 1 other file passed over.')")
    assert names(project) == {"photos/face_000.png", "photos/face_001.png", "photos/left/face_002.png"}
    copied = project.folder / "images" / "photos" / "left" / "face_002.png"
    assert copied.read_bytes() == (faces.folder / "left" / "face_002.png").read_bytes()
    (faces.folder / "face_000.png").rename(faces.folder / "face_009.png")
    person.page.set_input_files("input[aria-label='Folder of images to add']", str(faces.folder))
    person.page.wait_for_selector(".card:has-text('4 images')")
    assert names(project) >= {"photos/face_009.png", "photos/face_000.png"}


def test_the_full_disk_ends_an_upload_with_its_reason(draw: Callable, serve: Callable, visit: Callable, tmp_path: Path) -> None:
    faces = draw(3, size=64)
    project = Project(tmp_path / "project")
    person = visit(serve(project)).goto("setup")
    sent: list[str] = []

    def full(route: Any) -> None:
        sent.append(route.request.url)
        if len(sent) == 1:
            return route.continue_()
        route.fulfill(status=507, json={"error": {"code": "disk_full", "message": "No room on the disk."}})

    person.page.route("**/api/upload*", full)
    files = [str(faces.folder / f"face_00{k}.png") for k in range(3)]
    person.page.set_input_files("input[aria-label='Image files to add']", files)
    person.page.wait_for_selector(".toast-error:has-text('1 image added, 1 not: No room on the disk.')")
    assert len(sent) == 2 and len(names(project)) == 1  # the third isn't tried


def test_imported_polygons_become_contours(draw: Callable, serve: Callable, visit: Callable, tmp_path: Path) -> None:
    faces = draw(2, size=64)
    square = np.array([(10, 10), (50, 10), (50, 50), (10, 50)], dtype=float)
    for k, corners in enumerate((square, np.roll(square[::-1], 1, axis=0))):  # the other one starts and runs differently
        shape = {"label": "wing", "shape_type": "polygon", "points": (corners + 0.5).tolist()}
        known = {"version": "5.5.0", "imageData": None, "imageWidth": 64, "imageHeight": 64}
        content = {**known, "imagePath": f"face_00{k}.png", "shapes": [shape]}
        (faces.folder / f"face_00{k}.json").write_text(json.dumps(content))
    project = Project(tmp_path / "project")
    person = visit(serve(project)).goto("setup")
    person.page.fill("input[placeholder='/home/me/photos']", str(faces.folder))
    person.page.keyboard.press("Enter")
    person.page.wait_for_selector(".toast:has-text('outlines found in 2 images')")
    assert "polygon in 2 images" in person.page.inner_text(".outline")
    person.page.get_by_label("Landmarks along wing").fill("8")
    person.page.click("button:has-text('Make a contour')")
    person.page.wait_for_selector(".toast:has-text('Placed in 2 images')")
    person.page.wait_for_selector("#name-7")
    first, second = (project.record(image).marks.array(project.template.names) for image in project.entries)
    np.testing.assert_allclose(first, second, atol=0.01)
    assert {tuple(corner) for corner in square} <= {tuple(point) for point in first.tolist()}
    assert person.page.input_value("input[aria-label='Landmarks of wing']") == "1-8"


def test_many_landmarks_are_listed_in_groups(draw: Callable, serve: Callable, visit: Callable, tmp_path: Path) -> None:
    faces = draw(1, size=64)
    project = Project(tmp_path / "project", [faces.folder], template=named_template("face68"))
    person = visit(serve(project)).goto("annotate").opened()
    headings = person.page.locator(".landmark-group").all_inner_texts()
    assert [text.split("\n")[0] for text in headings][:3] == ["jaw", "right brow", "left brow"] and len(headings) == 9
    for place in ((10, 10), (12, 20), (14, 30)):
        person.click(*place)
    assert "3 of 17" in person.page.locator(".landmark-group").first.inner_text()
    person.page.locator(".landmark-group").first.click()
    assert not person.page.locator("#landmark-5").is_visible() and person.page.locator("#landmark-20").is_visible()
    person.page.locator(".stage-points").focus()
    person.press("6", "Enter")  # a closed group opens when one of its landmarks is selected
    assert person.page.locator("#landmark-5").is_visible()


def accepted(project: Project, count: int) -> None:
    for image in list(project.entries)[:count]:
        project.change(image, 0, Marks({"a": Mark(1.0, 2.0)}, "accepted"))


def test_a_folder_is_removed_and_comes_back_with_its_annotations(
    draw: Callable, serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    faces = draw(3, size=64)
    project = Project(tmp_path / "project", [faces.folder], template=Template(names=("a",)))
    accepted(project, 2)
    person = visit(serve(project)).goto("setup")
    person.page.get_by_role("button", name=f"Remove {faces.folder}").click()
    asked = person.page.inner_text(".dialog")
    assert "3 images" in asked and "2 annotations (2 accepted)" in asked and "Nothing is deleted" in asked
    person.page.click(".dialog button:has-text('Cancel')")
    assert len(project.settings.folders) == 1
    person.page.get_by_role("button", name=f"Remove {faces.folder}").click()
    person.page.click(".dialog button:has-text('Remove the folder')")
    person.page.wait_for_selector(".toast:has-text('Add it again to get its 2 annotations back')")
    person.page.wait_for_selector(".card:has-text('No images yet.')")
    assert not project.entries and not person.page.get_by_role("button", name=f"Remove {faces.folder}").count()
    person.page.fill("input[placeholder='/home/me/photos']", str(faces.folder))
    person.page.keyboard.press("Enter")
    person.page.wait_for_selector(".card:has-text('3 images · 2 accepted')")


def test_a_folder_that_was_moved_is_located(draw: Callable, serve: Callable, visit: Callable, tmp_path: Path) -> None:
    faces, others = draw(3, size=64), draw(1, size=96, folder="others")
    project = Project(tmp_path / "project", [faces.folder], template=Template(names=("a",)))
    accepted(project, 2)
    project.close()
    faces.folder.rename(tmp_path / "moved")
    person = visit(serve(Project(project.folder))).goto("setup")
    place = person.page.get_by_label("Where the folder is now")
    person.page.get_by_role("button", name="Locate").click()
    assert place.input_value() == str(faces.folder)
    place.fill(str(others.folder))
    person.page.keyboard.press("Enter")
    person.page.wait_for_selector(".toast-error:has-text('isn’t the folder'), .toast-error:has-text(\"isn't the folder\")")
    person.page.get_by_role("button", name="Locate").click()
    assert place.input_value() == str(others.folder)  # what was tried last
    place.fill(str(tmp_path / "moved"))
    person.page.click(".dialog button:has-text('Look there')")
    person.page.wait_for_selector(".dialog:has-text('3 images. All 2 annotated images are there.')")
    person.page.click(".dialog button:has-text('Use it')")
    person.page.wait_for_selector(".toast:has-text('The folder is found, with 2 annotations.')")
    person.page.wait_for_selector(".card:has-text('3 images · 2 accepted')")
    assert not person.page.get_by_role("button", name="Locate").count()
