"""Renaming landmarks: all that belongs to them follows, now or when it can."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating.predictions import FORMAT, Predictions, _order
from brule.annotating.rounds import detects, note_round
from brule.data.renaming import Renaming, columns
from brule.errors import DataError, OutputError

OLD, NEW = Template(names=("a", "b")), Template(names=("A", "b"))


def project_of(folder: Path, count: int) -> Project:
    images = folder / "images"
    images.mkdir()
    for k in range(count):
        Image.fromarray(np.full((20, 30, 3), k, np.uint8)).save(images / f"{k:03}.png")
    project = Project(folder / "project", [images], template=OLD)
    for image in project.entries:
        project.change(image, 0, Marks({"a": Mark(1.0, 2.0), "b": Mark(3.0, 4.0)}, status="accepted"))
    return project


def broken(image: Path) -> Callable[[], int]:
    """Make an image unreadable; returns what mends it."""
    whole = image.read_bytes()
    image.write_bytes(b"not an image")
    return lambda: image.write_bytes(whole)


def names_of(project: Project) -> list[list[str]]:
    return [sorted(project.record(image).marks.points) for image in project.entries]


def test_images_are_read_while_landmarks_are_renamed(tmp_path: Path) -> None:
    project = project_of(tmp_path, 40)
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for image in reversed(project.entries):
                project.record(image)

    def rename() -> None:
        try:
            project.set_template(project.settings.version, NEW, [0, 1])
        finally:
            done.set()

    threads = [threading.Thread(target=work, daemon=True) for work in (read, read, rename)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "they wait for each other"
    assert names_of(project) == [["A", "b"]] * 40


def test_an_image_that_can_not_be_read_keeps_its_landmarks_for_later(tmp_path: Path) -> None:
    project = project_of(tmp_path, 3)
    mend = broken(tmp_path / "images" / "001.png")
    project = Project(tmp_path / "project")
    with pytest.raises(DataError, match=r"001\.png"):
        project.set_template(project.settings.version, NEW, [0, 1])
    assert project.template == NEW
    first, _, last = project.entries
    assert sorted(project.record(first).marks.points) == sorted(project.record(last).marks.points) == ["A", "b"]
    again = Project(tmp_path / "project")  # it can be opened
    again.set_template(again.settings.version, Template(names=("A", "B")), [0, 1])  # and go on
    assert sorted(again.record(first).marks.points) == ["A", "B"]
    mend()
    again.refresh()
    assert names_on_disk(again) == [["A", "B"]] * 3
    assert not again.settings.waiting


def names_on_disk(project: Project) -> list[list[str]]:
    files = [project.annotation_file(image) for image in project.entries]
    return [sorted(one["label"] for one in json.loads(file.read_text())["shapes"]) for file in files]


SWAPPED = Template(names=("b", "a"))  # the first landmark, which was a, is now b


def test_what_is_annotated_while_others_wait_has_the_new_names(tmp_path: Path) -> None:
    project = project_of(tmp_path, 3)
    first, second, third = project.entries
    project.annotation_file(third).unlink()  # not annotated yet
    (project.own / "history" / "first" / third[:2] / f"{third}.jsonl").unlink()
    mend = broken(tmp_path / "images" / "001.png")
    project = Project(tmp_path / "project")
    with pytest.raises(DataError, match=r"001\.png"):
        project.set_template(project.settings.version, SWAPPED, [0, 1])
    project.change(third, 0, Marks({"b": Mark(1.0, 2.0), "a": Mark(3.0, 4.0)}, status="accepted"))
    mend()
    again = Project(tmp_path / "project")
    for image in (first, second, third):
        points = again.record(image).marks.points
        assert (points["b"], points["a"]) == (Mark(1.0, 2.0), Mark(3.0, 4.0)), image


def test_images_that_come_back_get_the_new_names(tmp_path: Path) -> None:
    project = project_of(tmp_path, 3)
    away = tmp_path / "away.png"
    (tmp_path / "images" / "001.png").rename(away)
    project = Project(tmp_path / "project")
    for template in (SWAPPED, Template(names=("tip", "a", "new"))):
        project.set_template(project.settings.version, template, [0, 1, None][: len(template.names)])
    assert len(project.entries) == 2 and len(project.settings.waiting) == 1
    away.rename(tmp_path / "images" / "001.png")
    again = Project(tmp_path / "project")
    assert names_on_disk(again) == [["a", "tip"]] * 3
    image = list(again.entries)[1]
    assert again.record(image).marks.points["tip"] == Mark(1.0, 2.0)
    again.undo(image, again.record(image).version)
    again.undo(image, again.record(image).version, redo=True)
    assert again.record(image).marks.points["tip"] == Mark(1.0, 2.0)  # steps have the new names, too


def test_files_that_another_program_has_left_are_renamed_with_the_others(tmp_path: Path) -> None:
    project = project_of(tmp_path, 2)
    first, second = project.entries
    place = project.annotation_file(second)
    place.unlink()
    (project.own / "history" / "first" / second[:2] / f"{second}.jsonl").unlink()
    project = Project(tmp_path / "project")
    place.write_text(project.annotation_file(first).read_text().replace("000.png", "001.png"))
    project.set_template(project.settings.version, SWAPPED, [0, 1])
    assert project.record(second).marks.points["b"] == Mark(1.0, 2.0)
    third = place.read_text()
    (project.own / "history" / "first" / second[:2] / f"{second}.jsonl").unlink()
    place.write_text(third)  # as a copy of the project without histories
    assert Project(tmp_path / "project").record(second).marks.points["b"] == Mark(1.0, 2.0)


def test_a_file_that_was_set_back_by_a_step_stays_so(tmp_path: Path) -> None:
    """As ``git checkout`` does."""
    project = project_of(tmp_path, 1)
    (image,) = project.entries
    file = project.annotation_file(image)
    before = file.read_text()
    project.change(image, 1, Marks({"a": Mark(9.0, 9.0), "b": Mark(3.0, 4.0)}, status="accepted"))
    log = project.own / "history" / "first" / image[:2] / f"{image}.jsonl"
    file.write_text(before)
    os.utime(file, ns=(time := log.stat().st_mtime_ns + 10**9, time))
    record = Project(tmp_path / "project").record(image)
    assert record.marks.points["a"] == Mark(1.0, 2.0)
    os.utime(file, ns=(time := log.stat().st_mtime_ns - 10**9, time))  # older: the program ended between the two
    assert Project(tmp_path / "project").record(image).marks.points["a"] == Mark(9.0, 9.0)


def test_measures_follow_their_landmarks(tmp_path: Path) -> None:
    three = Template(names=("a", "b", "c"))
    project = Project(tmp_path / "project", template=three)
    angle = {"name": "tilt", "landmarks": [0, 1, 2]}
    project.set_settings(measurements={"distances": [{"name": "wide", "landmarks": [0, 2]}], "angles": [angle]})
    assert project.set_template(project.settings.version, Template(names=("c", "b", "a")), [2, 1, 0]) == []
    assert project.settings.measurements["distances"] == [{"name": "wide", "landmarks": [2, 0]}]
    assert project.set_template(project.settings.version, Template(names=("new", "c", "a"))) == ["tilt"]
    assert project.settings.measurements == {"distances": [{"name": "wide", "landmarks": [2, 1]}], "angles": []}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("a", "b"), [0, 1, None]),  # of the first landmarks
        (("b", "a"), [0, 1, None]),  # after the exchange
        (("tip", "a", "new"), [0, 1, 2]),
        (("new", "x", "a", "tip"), [3, 2, 0]),  # more of them, in another order
        (("p", "q"), None),
    ],
    ids=str,
)
def test_predictions_of_earlier_landmarks_are_brought_to_the_present_ones(
    names: tuple[str, ...], found: list[int | None] | None
) -> None:
    changes = [Renaming(2, ("a", "b"), (0, 1)), Renaming(3, ("b", "a"), (0, 1, None))]
    assert columns(names, changes, ("tip", "a", "new")) == found


@pytest.mark.parametrize("noted", [True, False])
def test_a_projects_predictions_are_shown_with_its_present_landmarks(tmp_path: Path, noted: bool) -> None:
    """Also where the names are those of before again, and where an earlier version of brule has written them."""
    project = project_of(tmp_path, 1)
    (entry,) = project.entries.values()
    head = {"format": FORMAT, "landmarks": 2, "calibrated": False} | ({"template": project.settings.version} if noted else {})
    found = {"name": entry.name, "uncertainty": 1, "expected": None, "points": [[1, 1], [2, 2]], "spread": [1, 2]}
    file = tmp_path / "run.jsonl"
    file.write_text(f"{json.dumps(head)}\n{json.dumps(found)}\n")
    for template in (Template(names=("x", "b")), Template(names=("x", "a")), Template(names=("b", "a"))):
        project.set_template(project.settings.version, template, [0, 1])
    project.set_template(project.settings.version, Template(names=("a", "b")), [1, 0])
    own = Predictions(file, project).of(entry.name)
    assert own is not None
    np.testing.assert_array_equal(own.points, [[2, 2], [1, 1]])
    project.set_template(project.settings.version, Template(names=("new", "a")), [None, 0])
    own = Predictions(file, project).of(entry.name)
    assert own is not None
    np.testing.assert_array_equal(own.points, [[np.nan, np.nan], [2, 2]])
    np.testing.assert_array_equal(own.spread, [np.nan, 2])
    assert not own.flagged  # "new" was never asked for
    project.set_template(project.settings.version, Template(names=("p", "q")), [None, None])
    with pytest.raises(DataError, match="predictions of 2 landmarks that the project doesn't have now"):
        Predictions(file, project)


class Finder:
    """What is asked of a detector before it predicts."""

    def __init__(self, names: tuple[str, ...] | None, count: int) -> None:
        self.landmark_names_, self.barycenter_ = names, range(count)


def test_a_detector_is_used_for_the_landmarks_that_it_learnt(tmp_path: Path) -> None:
    project = project_of(tmp_path, 2)
    rounds, elsewhere = project.folder / "runs" / "round-1", tmp_path / "run"
    rounds.mkdir(parents=True)
    note_round(project, rounds)
    for template in (Template(names=("x", "b")), Template(names=("x", "a")), Template(names=("b", "a"))):
        project.set_template(project.settings.version, template, [0, 1])
    project.set_template(project.settings.version, Template(names=("a", "b")), [1, 0])
    assert _order(Finder(("a", "b"), 2), project, rounds) == [1, 0]  # it learnt the first landmarks of these names
    assert not detects(rounds, project)
    assert _order(Finder(("b", "a"), 2), project, elsewhere) == [1, 0]
    assert _order(Finder(("b", "c", "a"), 3), project, elsewhere) == [2, 0]
    assert _order(Finder(None, 2), project, elsewhere) == _order(Finder(("1", "2"), 2), project, elsewhere) == [0, 1]
    for names, count in (("c", "b"), 2), (None, 3), (("1", "2", "3"), 3):
        with pytest.raises(DataError, match=rf"finds {count} landmarks.*, but the project has 2 \(a, b\)"):
            _order(Finder(names, count), project, elsewhere)


@pytest.mark.parametrize("fault", ["image", "disk"])
def test_what_is_in_memory_is_renamed_once_it_can_be(tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project_of(tmp_path, 1)
    project = Project(tmp_path / "project")
    (image,) = project.entries
    project.annotated()
    mend = broken(tmp_path / "images" / "000.png") if fault == "image" else lambda: 0
    with monkeypatch.context() as patch:
        if fault == "disk":
            patch.setattr("brule.annotating.records.append", failing)
        with pytest.raises((DataError, OutputError)):
            project.set_template(project.settings.version, SWAPPED, [0, 1])
    mend()
    record = project.record(image)
    assert record.marks.points["b"] == Mark(1.0, 2.0)
    project.change(image, record.version, Marks({"b": Mark(1.0, 2.0), "a": Mark(5.0, 5.0)}, status="accepted"))
    again = Project(tmp_path / "project").record(image).marks.points
    assert (again["b"], again["a"]) == (Mark(1.0, 2.0), Mark(5.0, 5.0))


def failing(*_: object, **__: object) -> int:
    raise OutputError("no room")


def test_what_was_taken_back_can_be_made_again_with_the_new_names(tmp_path: Path) -> None:
    project = project_of(tmp_path, 1)
    (image,) = project.entries
    project.undo(image, 1)
    assert not project.annotation_file(image).exists()
    project.set_template(project.settings.version, NEW, [0, 1])
    project.undo(image, project.record(image).version, redo=True)
    assert sorted(Project(tmp_path / "project").record(image).marks.points) == ["A", "b"]


def test_a_renaming_that_was_interrupted_in_an_earlier_version_is_completed(tmp_path: Path) -> None:
    project = project_of(tmp_path, 2)
    file = project.folder / "project.json"
    content = json.loads(file.read_text())
    content |= {"version": 2, "renaming": {"a": "A", "b": "b"}}
    content["template"]["names"] = ["A", "b"]
    file.write_text(json.dumps(content))
    again = Project(project.folder)
    assert names_on_disk(again) == [["A", "b"]] * 2 and not again.settings.waiting


def test_a_landmark_that_replaces_another_starts_without_points(tmp_path: Path) -> None:
    project = project_of(tmp_path, 1)
    (image,) = project.entries
    project.set_template(project.settings.version, Template(names=("x", "b")))
    assert project.record(image).marks.points == {"b": Mark(3.0, 4.0)}


def test_a_landmark_that_gets_another_name_keeps_its_points(tmp_path: Path) -> None:
    project = project_of(tmp_path, 1)
    (image,) = project.entries
    project.set_template(project.settings.version, Template(names=("x", "b")), [0, 1])
    assert project.record(image).marks.points == {"x": Mark(1.0, 2.0), "b": Mark(3.0, 4.0)}
    project.set_template(project.settings.version, Template(names=("p", "q")))  # all names are other ones: by place
    assert project.record(image).marks.points == {"p": Mark(1.0, 2.0), "q": Mark(3.0, 4.0)}


MORE = Template(names=("a", "b", "c"))
THREE = {"a": Mark(1.0, 2.0), "b": Mark(3.0, 4.0), "c": Mark(5.0, 6.0)}


def test_an_image_without_a_new_landmark_is_not_finished(tmp_path: Path) -> None:
    project = project_of(tmp_path, 2)
    project.set_template(project.settings.version, MORE)
    for again in (project, Project(project.folder)):
        assert again.accepted() == [] and again.summaries.counts()["draft"] == 2
        assert [again.record(image).marks.status for image in again.entries] == ["draft"] * 2
        assert [sorted(again.record(image).marks.points) for image in again.entries] == [["a", "b"]] * 2
    first = next(iter(project.entries))
    project.change(first, project.record(first).version, Marks(THREE, "accepted"))
    assert project.accepted() == [first] == Project(project.folder).accepted()


def test_no_step_finishes_an_image_without_a_new_landmark(tmp_path: Path) -> None:
    project = project_of(tmp_path, 1)
    (image,) = project.entries
    project.undo(image, project.record(image).version)
    project.undo(image, project.record(image).version, redo=True)
    project.set_template(project.settings.version, MORE)
    project.undo(image, project.record(image).version)
    project.undo(image, project.record(image).version, redo=True)
    assert project.record(image).marks.status == "draft" == Project(project.folder).record(image).marks.status


def test_an_image_is_finished_again_once_a_new_landmark_is_removed(tmp_path: Path) -> None:
    project = project_of(tmp_path, 2)
    first, second = project.entries
    project.set_template(project.settings.version, MORE)
    project.change(second, project.record(second).version, Marks({"a": THREE["a"], "b": THREE["b"], "c": THREE["c"]}, "draft"))
    project.set_template(project.settings.version, Template(names=("a", "b", "d", "c")))
    project.set_template(project.settings.version, Template(names=("A", "b")), [0, 1])
    assert project.accepted() == [first]  # the other one was changed since
    assert project.record(first).marks.points == {"A": Mark(1.0, 2.0), "b": Mark(3.0, 4.0)}
    assert Project(project.folder).accepted() == [first]
