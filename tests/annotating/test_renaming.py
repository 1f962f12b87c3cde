"""Renaming landmarks while others read, and where one image can't be read."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.errors import DataError

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
    broken = tmp_path / "images" / "001.png"
    whole = broken.read_bytes()
    broken.write_bytes(b"not an image")
    project = Project(tmp_path / "project")
    with pytest.raises(DataError, match=r"001\.png"):
        project.set_template(project.settings.version, NEW, [0, 1])
    assert project.template == NEW
    first, _, last = project.entries
    assert sorted(project.record(first).marks.points) == sorted(project.record(last).marks.points) == ["A", "b"]
    again = Project(tmp_path / "project")  # it can be opened
    with pytest.raises(DataError, match="isn't complete"):  # a second renaming would lose what the first one waits for
        again.set_template(again.settings.version, Template(names=("A", "B")), [0, 1])
    broken.write_bytes(whole)
    again.set_template(again.settings.version, Template(names=("A", "B")), [0, 1])
    assert names_of(again) == [["A", "B"]] * 3
    assert again.settings.renaming is None
