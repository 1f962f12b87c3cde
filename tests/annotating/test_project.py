"""A project's list of images, its left–right pairs, and what has to be on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating.folders import ImageEntry, image_id
from brule.annotating.symmetry import project_pairs
from brule.errors import OutputError


def project_of(folder: Path, names: list[str], template: Template) -> Project:
    for k, name in enumerate(names):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), (k, 0, 0)).save(path)
    return Project(folder / "project", [folder / "images"], template=template)


def test_a_new_file_takes_its_place_among_the_names(tmp_path: Path) -> None:
    project = project_of(tmp_path, ["b.png", "d.png"], Template(names=("a",)))
    for name in ("c.png", "a.png", "e.png", "c.png"):
        before = project.entries
        path = tmp_path / "images" / name
        Image.new("RGB", (60, 40)).save(path)
        project.include(ImageEntry(image_id(name), name, path))
        assert (project.entries is before) is (len(project.entries) == len(before))  # what is kept of it is made anew
    assert [entry.name for entry in project.entries.values()] == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    assert list(project.entries) == [entry.id for entry in project.entries.values()] == list(project.summaries)


def test_left_and_right_are_found_from_annotated_shapes(tmp_path: Path) -> None:
    names = ("left eye", "right eye", "nose", "left mouth", "right mouth")
    project = project_of(tmp_path, ["0.png", "1.png", "2.png"], Template(names=names))
    assert project_pairs(project) is None
    for k, image in enumerate(project.entries):
        places = [(10, 8), (30 + k, 8), (20, 16), (13, 25), (27, 25 + k)]
        project.change(image, 0, Marks({name: Mark(x, y) for name, (x, y) in zip(names, places, strict=True)}, "accepted"))
    assert project_pairs(project) == ((0, 1), (3, 4))


def test_an_annotation_and_its_name_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_of(tmp_path, ["0.png"], Template(names=("a", "b")))
    (image,) = project.entries
    synced: list[str] = []
    original = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        original(descriptor)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("shows which files are flushed by /proc, which isn't here")
    monkeypatch.setattr(os, "fsync", noted)
    record = project.change(image, 0, Marks({"a": Mark(1, 2), "b": Mark(3, 4)}, "accepted"))
    folder = os.path.realpath(project.folder / "annotations")
    assert folder in synced and sum(path.startswith(f"{folder}{os.sep}") for path in synced) == 1
    assert synced.count(folder) == 1  # once is enough
    assert os.path.realpath(record.log.parent) in synced
    synced.clear()
    project.undo(image, record.version)
    assert not project.annotation_file(image).exists() and folder in synced


def test_a_file_that_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_of(tmp_path, ["0.png"], Template(names=("a", "b")))
    (image,) = project.entries
    record = project.change(image, 0, Marks({"a": Mark(1, 2), "b": Mark(3, 4)}, "accepted"))

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match=r"0\.png\.json"):
        project.undo(image, record.version)
