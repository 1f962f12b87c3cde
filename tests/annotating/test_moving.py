"""Folders of images that are removed from a project, or that were moved on the disk."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating import project as project_module
from brule.annotating.aside import set_aside
from brule.annotating.folders import ImageFolder, owner
from brule.annotating.missing import missing_notes
from brule.annotating.moving import content_of, locate_folder, match_folder, remove_folder
from brule.data import read_samples
from brule.errors import DataError, OutputError

TEMPLATE = Template(names=("tip", "base"))


def photos(folder: Path, *names: str, size: tuple[int, int] = (40, 30)) -> Path:
    for k, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (10 * k, 0, 0)).save(path)
    return folder


def accept(project: Project, *names: str, layer: str = "first") -> None:
    for image, entry in project.entries.items():
        if entry.name in names:
            at = float(sorted(names).index(entry.name))
            marks = Marks({"tip": Mark(1.0 + at, 2.0), "base": Mark(9.0, 8.0)}, "accepted")
            project.change(image, project.record(image, layer).version, marks, layer=layer)


def tips(project: Project) -> dict[str, tuple[float, int]]:
    """Where the first landmark is in each annotated image, and how many steps can be undone."""
    first, found = project.template.names[0], {}
    for image in project.accepted():
        record = project.record(image)
        found[record.entry.name] = (record.marks.points[first].x, len(record.history.done))
    return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two folders; in each, two images are annotated, one of them twice."""
    first, second = photos(tmp_path / "one", "a.png", "b.png", "c.png"), photos(tmp_path / "two", "a.png", "d/b.png")
    found = Project(tmp_path / "project", [first, second], template=TEMPLATE)
    accept(found, "a.png", "b.png", "two/a.png", "two/d/b.png")
    accept(found, "a.png", "two/a.png", layer="repeat")
    return found


@pytest.mark.parametrize("which", [0, 1], ids=["the first", "the second"])
def test_a_folder_that_is_removed_takes_its_annotations_along_and_brings_them_back(project: Project, which: int) -> None:
    folder, before = project.settings.folders[which], tips(project)
    prefix = ["", "two/"][which]
    own = {name for name in before if name.startswith("two/") == (which == 1)}
    assert content_of(project, folder).accepted == content_of(project, folder).annotated == 2
    assert remove_folder(project, folder).n_images == [3, 2][which]
    for seen in (project, Project(project.folder)):
        assert tips(seen) == {name: found for name, found in before.items() if name not in own}
        assert missing_notes(seen) == []  # kept, and not missed
        assert {entry.path.parent for entry in seen.entries.values()}.isdisjoint({folder.path})
    assert len(read_samples(project.folder, require_points=True)) == 2  # nor does training read them
    assert len(list((project.folder / "removed").rglob("*.json"))) == 3
    assert project.add([folder.path]) == [3, 2][which]
    assert tips(project) == before == tips(Project(project.folder))
    assert {one.prefix for one in project.settings.folders} == {"", "two"} and prefix + "a.png" in before
    assert project.summaries.repeated == {image for image, one in project.entries.items() if one.name in ("a.png", "two/a.png")}
    assert not list((project.folder / "removed").rglob("*.json")) and project.settings.removed == ()


def test_another_folder_gets_none_of_the_annotations_of_a_removed_one(project: Project, tmp_path: Path) -> None:
    remove_folder(project, project.settings.folders[0])
    project.add([photos(tmp_path / "three", "a.png", "b.png")])
    assert set(tips(project)) == {"two/a.png", "two/d/b.png"}
    assert [one.prefix for one in project.settings.folders] == ["two", "three"]
    remove_folder(project, project.settings.folders[0])
    remove_folder(project, project.settings.folders[0])
    project.add([photos(tmp_path / "other" / "two", "a.png")])
    assert tips(project) == {} and [one.prefix for one in project.settings.folders] == ["two-2"]


def test_removing_that_was_interrupted_is_completed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutputError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(project_module, "set_aside", full)
        with pytest.raises(OutputError, match="full"):
            remove_folder(project, project.settings.folders[0])
    assert set(tips(project)) == {"two/a.png", "two/d/b.png"}
    again = Project(project.folder)
    assert missing_notes(again) == [] and len(read_samples(project.folder, require_points=True)) == 2


def test_what_is_asked_for_meanwhile_does_not_bring_an_annotation_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history of an image could restore the file that has just been set aside."""
    (image,) = (image for image, entry in project.entries.items() if entry.name == "a.png")
    missed: list[KeyError] = []

    def ask() -> None:
        try:
            project.record(image)
        except KeyError as error:
            missed.append(error)

    asking = threading.Thread(target=ask)

    def moved(*given: Any) -> None:
        set_aside(*given)
        asking.start()
        asking.join(0.2)

    with monkeypatch.context() as patched:
        patched.setattr(project_module, "set_aside", moved)
        remove_folder(project, project.settings.folders[0])
    asking.join(20)
    assert len(missed) == 1 and missing_notes(Project(project.folder)) == []


def test_annotations_that_return_are_brought_to_the_landmarks_of_today(project: Project) -> None:
    folder = project.settings.folders[0]
    before = tips(project)
    shutil.rmtree(project.own / "history")  # as where another program has written them
    project = Project(project.folder)
    remove_folder(project, folder)
    project.set_template(project.settings.version, Template(names=("point", "base")), [0, 1])
    project.add([folder.path])
    assert {name: x for name, (x, _) in tips(project).items()} == {name: x for name, (x, _) in before.items()}


def test_an_image_belongs_to_the_folder_that_it_is_in(tmp_path: Path) -> None:
    """Also where a subfolder is called like the prefix of another folder."""
    one, two = ImageFolder(tmp_path / "one"), ImageFolder(tmp_path / "b", "b")
    assert owner("a.png", [one, two]) == one and owner("b/1.png", [one, two]) == two
    assert owner("b/1.png", [one, two], tmp_path / "one" / "b" / "1.png") == one
    assert owner("x.png", [ImageFolder(tmp_path, files=("y.png",))]) is None


@pytest.fixture
def moved(project: Project, tmp_path: Path) -> Project:
    (tmp_path / "two").rename(tmp_path / "elsewhere")
    return Project(project.folder)


def test_a_folder_that_was_moved_is_located(moved: Project, tmp_path: Path) -> None:
    folder, place = moved.settings.folders[1], tmp_path / "elsewhere"
    assert set(tips(moved)) == {"a.png", "b.png"} and len(missing_notes(moved)) == 2
    photos(place, "new.png")
    found = match_folder(moved, folder, place)
    assert (found.n_images, found.annotated, found.matching, found.lacking) == (3, 2, 2, ())
    assert set(tips(moved)) == {"a.png", "b.png"}  # only looked at
    assert locate_folder(moved, folder, place) == found
    for seen in (moved, Project(moved.folder)):
        assert missing_notes(seen) == []
        assert tips(seen) == {"a.png": (1.0, 1), "b.png": (2.0, 1), "two/a.png": (3.0, 1), "two/d/b.png": (4.0, 1)}
        assert [one.prefix for one in seen.settings.folders] == ["", "two"]
    read = {sample.path.resolve() for sample in read_samples(moved.folder, require_points=True)}
    assert read == {tmp_path / "one" / "a.png", tmp_path / "one" / "b.png", place / "a.png", place / "d" / "b.png"}
    (file,) = (moved.folder / "annotations" / "two" / "d").iterdir()
    assert (file.parent / json.loads(file.read_text())["imagePath"]).resolve() == place / "d" / "b.png"


def test_images_that_are_not_there_keep_their_annotations(moved: Project, tmp_path: Path) -> None:
    folder, place = moved.settings.folders[1], tmp_path / "elsewhere"
    (place / "d" / "b.png").unlink()
    found = locate_folder(moved, folder, place)
    assert (found.matching, found.lacking) == (1, ("two/d/b.png",))
    assert set(tips(moved)) == {"a.png", "b.png", "two/a.png"}
    assert missing_notes(moved) == ["1 annotation is kept whose images aren't there"]
    photos(place, "d/b.png")
    moved.refresh()
    assert "two/d/b.png" in tips(moved)


def test_another_folder_is_not_taken_for_the_one_that_was_moved(moved: Project, tmp_path: Path) -> None:
    folder = moved.settings.folders[1]
    before = (moved.folder / "project.json").read_text()
    wrong = {
        "no such folder": tmp_path / "nowhere",
        "no image found": tmp_path / "empty",
        "all images that are annotated are missing there, such as two/a.png": photos(tmp_path / "strangers", "z.png"),
        "all images that are annotated have other sizes there": photos(tmp_path / "large", "a.png", "d/b.png", size=(80, 60)),
        "is a folder of the project already": tmp_path / "one",
    }
    (tmp_path / "empty").mkdir()
    for reason, path in wrong.items():
        for look in (match_folder, locate_folder):
            with pytest.raises(DataError, match=reason):
                look(moved, folder, path)
    with pytest.raises(DataError, match="is where it was"):
        locate_folder(moved, moved.settings.folders[0], tmp_path / "elsewhere")
    assert (moved.folder / "project.json").read_text() == before
