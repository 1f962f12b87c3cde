"""Folders of images that are removed from a project, or that were moved on the disk."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating import moving as moving_module
from brule.annotating import project as project_module
from brule.annotating.folders import ImageFolder, RemovedFolder, _check_names, owner
from brule.annotating.missing import missing_notes
from brule.annotating.moving import content_of, match_folder, relocate_folder, remove_folder
from brule.annotating.removed import archive_annotations
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
        patched.setattr(project_module, "archive_annotations", full)
        with pytest.raises(OutputError, match="full"):
            remove_folder(project, project.settings.folders[0])
    assert set(tips(project)) == {"two/a.png", "two/d/b.png"}
    again = Project(project.folder)
    assert missing_notes(again) == [] and len(read_samples(project.folder, require_points=True)) == 2


def test_what_is_asked_for_meanwhile_does_not_bring_an_annotation_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history of an image could restore the file that has just been archived."""
    (image,) = (image for image, entry in project.entries.items() if entry.name == "a.png")
    missed: list[KeyError] = []

    def ask() -> None:
        try:
            project.record(image)
        except KeyError as error:
            missed.append(error)

    asking = threading.Thread(target=ask)

    def moved(*given: Any) -> None:
        archive_annotations(*given)
        asking.start()
        asking.join(0.2)

    with monkeypatch.context() as patched:
        patched.setattr(project_module, "archive_annotations", moved)
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
    assert relocate_folder(moved, folder, place) == found
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
    found = relocate_folder(moved, folder, place)
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
        for look in (match_folder, relocate_folder):
            with pytest.raises(DataError, match=reason):
                look(moved, folder, path)
    with pytest.raises(DataError, match="is where it was"):
        relocate_folder(moved, moved.settings.folders[0], tmp_path / "elsewhere")
    assert (moved.folder / "project.json").read_text() == before


@pytest.fixture
def nested(tmp_path: Path) -> Project:
    """A folder with a subfolder that has the only annotation."""
    found = Project(tmp_path / "project", [photos(tmp_path / "photos", "a/1.png", "a/2.png", "z.png")], template=TEMPLATE)
    accept(found, "a/1.png")
    return found


def test_new_annotations_stay_when_a_subfolder_of_a_removed_folder_is_added(nested: Project, tmp_path: Path) -> None:
    remove_folder(nested, nested.settings.folders[0])
    nested.add([tmp_path / "photos" / "a"])
    assert [one.prefix for one in nested.settings.folders] == ["a-2"]
    accept(nested, "a-2/1.png", "a-2/2.png")
    before = tips(nested)
    assert before.keys() == {"a-2/1.png", "a-2/2.png"} and tips(Project(nested.folder)) == before
    nested.add([tmp_path / "photos"])
    assert tips(Project(nested.folder)) == before | {"a/1.png": (1.0, 1)}


@pytest.fixture
def taken(nested: Project, tmp_path: Path) -> Project:
    """A project of an earlier version of brule, which has an image of the name of an archived annotation."""
    remove_folder(nested, nested.settings.folders[0])
    nested.rearrange(lambda settings: replace(settings, folders=(ImageFolder(tmp_path / "photos" / "a", "a"),)))
    accept(nested, "a/2.png", "a/1.png")
    accept(nested, "a/0.png", "a/1.png")  # at another place
    return nested


@pytest.mark.parametrize("there", [True, False], ids=["there", "moved away"])
def test_what_images_of_today_have_is_not_archived(taken: Project, tmp_path: Path, there: bool) -> None:
    before = tips(taken)
    assert before == {"a/1.png": (2.0, 2), "a/2.png": (2.0, 1)}
    if not there:
        (tmp_path / "photos").rename(tmp_path / "elsewhere")
    Project(taken.folder)
    if not there:
        (tmp_path / "elsewhere").rename(tmp_path / "photos")
    assert tips(Project(taken.folder)) == before


def test_restoring_does_not_overwrite_newer_annotations(taken: Project, tmp_path: Path) -> None:
    before = tips(taken)
    archived = (taken.folder / "removed" / "annotations" / "a" / "1.png.json").read_text()
    taken.add([tmp_path / "photos"])
    for seen in (taken, Project(taken.folder)):
        assert tips(seen) == before
        (note,) = missing_notes(seen)
        assert note.startswith("1 annotation of a removed folder is still in") and "a/1.png" in note
    assert (taken.folder / "removed" / "annotations" / "a" / "1.png.json").read_text() == archived
    for folder in reversed(taken.settings.folders):  # removed again, both are archived
        remove_folder(taken, folder)
    assert tips(taken) == {} and missing_notes(taken) == [] == missing_notes(Project(taken.folder))
    kept = sorted(file.name for file in (taken.folder / "removed" / "annotations" / "a").iterdir())
    assert kept == ["1.png.json", "1.png.json.1", "2.png.json"]
    assert (taken.folder / "removed" / "annotations" / "a" / "1.png.json.1").read_text() == archived


def test_a_hidden_image_gets_no_landmarks_of_another_one(nested: Project, tmp_path: Path) -> None:
    """Earlier versions of brule gave a folder a prefix that is also the name of another one's subfolder."""
    other = ImageFolder(photos(tmp_path / "other" / "a", "1.png", size=(90, 90)), "a")
    nested.rearrange(lambda settings: replace(settings, folders=(*settings.folders, other)))
    remove_folder(nested, nested.settings.folders[0])
    for seen in (nested, Project(nested.folder)):
        (image,) = seen.entries
        assert seen.entries[image].path == other.path / "1.png"
        record = seen.record(image)
        assert (record.marks, record.version) == (Marks(), 0) and seen.accepted() == []
    nested.add([tmp_path / "photos"])
    assert nested.accepted() == [] and len(missing_notes(nested)) == 1  # the image of that name is still another one
    remove_folder(nested, nested.settings.folders[1])
    remove_folder(nested, other)
    nested.add([tmp_path / "photos"])
    assert tips(nested) == {"a/1.png": (1.0, 1)} and missing_notes(nested) == []


def test_an_image_that_is_not_annotated_any_more_takes_its_history_along(nested: Project) -> None:
    (image,) = nested.accepted()
    nested.undo(image, nested.record(image).version)
    remove_folder(nested, nested.settings.folders[0])
    assert not list((nested.own / "history").rglob("*.jsonl"))
    nested.add([nested.settings.removed[0].folder.path])
    nested.undo(image, nested.record(image).version, redo=True)
    assert tips(nested) == {"a/1.png": (1.0, 1)}


@pytest.mark.parametrize("there", [True, False], ids=["there", "moved away"])
def test_a_prefix_is_not_the_name_of_a_subfolder(nested: Project, tmp_path: Path, there: bool) -> None:
    if not there:
        (tmp_path / "photos").rename(tmp_path / "elsewhere")
        nested = Project(nested.folder)
    nested.add([photos(tmp_path / "other" / "a", "1.png")])
    assert [one.prefix for one in nested.settings.folders] == ["", "a-2"]
    assert tips(nested).keys() == ({"a/1.png"} if there else set())


@pytest.mark.parametrize("name", ["../../photos/z.png", "/etc/x", "a/../../x", ""])
def test_a_name_in_the_project_file_does_not_lead_out_of_it(nested: Project, name: str) -> None:
    file = nested.folder / "project.json"
    content = json.loads(file.read_text())
    for key, value in (("removed", {"annotated": [name]}), ("images", {"files": [name]}), ("images", {"prefix": name or ".."})):
        file.write_text(json.dumps({**content, key: [{"path": "x", **value}]}))
        with pytest.raises(DataError, match="leads out of the project"):
            Project(nested.folder)
    with pytest.raises(DataError, match="leads out"):
        _check_names(nested.folder, ["C:x.png"], PureWindowsPath)
    assert RemovedFolder.from_json({"path": "x", "annotated": ["a..b/..c.png"]}, nested.folder).names == ("a..b/..c.png",)


@pytest.mark.parametrize(
    ("first", "second", "returns"),
    [("*.png", "", True), ("", "*.png", True), ("a.png", "[ab].png", True), ("[ab].png", "a.png", False)],
)
def test_annotations_return_with_all_files_that_are_annotated(tmp_path: Path, first: str, second: str, returns: bool) -> None:
    folder = photos(tmp_path / "photos", "a.png", "b.png", "c.png")
    project = Project(tmp_path / "project", [folder / first], template=TEMPLATE)
    accept(project, "a.png", "b.png")
    before = tips(project)
    remove_folder(project, project.settings.folders[0])
    project.add([folder / second])
    assert tips(project) == (before if returns else {}) and len(project.settings.removed) == (not returns)
    if not returns:
        remove_folder(project, project.settings.folders[0])
        project.add([folder / first])
        assert tips(project) == before


def test_only_files_that_are_there_make_a_folder_the_one_that_was_moved(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", "a.png", "b.png")
    project = Project(tmp_path / "project", [folder / "*.png"], template=TEMPLATE)
    accept(project, "a.png", "b.png")
    folder.rename(tmp_path / "elsewhere")
    project = Project(project.folder)
    with pytest.raises(DataError, match="no image found"):
        relocate_folder(project, project.settings.folders[0], photos(tmp_path / "strangers", "z.png"))
    (tmp_path / "elsewhere" / "b.png").unlink()
    found = relocate_folder(project, project.settings.folders[0], tmp_path / "elsewhere")
    assert (found.n_images, found.matching, found.lacking) == (1, 1, ("b.png",))
    assert tips(project) == {"a.png": (1.0, 1)} and len(missing_notes(project)) == 1


def test_images_of_another_size_are_named_and_not_pointed_to(moved: Project, tmp_path: Path) -> None:
    folder, place = moved.settings.folders[1], photos(tmp_path / "elsewhere", "d/b.png", size=(80, 60))
    file = moved.folder / "annotations" / "two" / "d" / "b.png.json"
    before = file.read_text()
    found = relocate_folder(moved, folder, place)
    assert (found.matching, found.lacking, found.resized) == (1, (), ("two/d/b.png",))
    assert file.read_text() == before


def test_folders_are_changed_while_nobody_else_changes_the_project(
    moved: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = (image for image, entry in moved.entries.items() if entry.name == "a.png")
    held: list[bool] = []

    def ask() -> None:
        with contextlib.suppress(KeyError):
            moved.record(image)

    def watched(*given: Any, **options: Any) -> list[str]:
        change = threading.Thread(target=ask, daemon=True)
        change.start()
        change.join(0.1)
        held.append(change.is_alive())
        return found_names(*given, **options)

    found_names = moving_module.annotated_names
    monkeypatch.setattr(moving_module, "annotated_names", watched)
    relocate_folder(moved, moved.settings.folders[1], tmp_path / "elsewhere")
    remove_folder(moved, moved.settings.folders[0])
    assert held and all(held)
    with pytest.raises(DataError, match="is no folder of the project any more"):
        remove_folder(moved, ImageFolder(tmp_path / "one"))
