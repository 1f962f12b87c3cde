"""Folders of images in a project."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating.folders import ImageFolder, indexed
from brule.annotating.missing import missing_notes
from brule.cli.annotate import annotate
from brule.errors import DataError


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0byte", "gone"])
def test_a_folder_that_cannot_be_has_no_images(tmp_path: Path, name: str) -> None:
    assert indexed([ImageFolder.from_json({"path": name}, tmp_path)]) == {}


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """A project whose folder of images was moved away after it was annotated."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30)).save(photos / name)
    project = Project(tmp_path / "project", [photos], template=Template(names=("tip",)))
    assert missing_notes(project) == []
    for image in project.entries:
        project.change(image, 0, Marks({"tip": Mark(1.0, 2.0)}, "accepted"))
    photos.rename(tmp_path / "elsewhere")
    return tmp_path / "project"


def test_a_folder_that_was_moved_away_is_noted(moved: Path) -> None:
    photos = moved.parent / "photos"
    assert missing_notes(Project(moved)) == [
        f"the folder of images {photos} isn't there: move it back, or say where it is now: in the page (Set up), or as path in "
        f"{moved / 'project.json'}",
        "2 annotations are kept whose images aren't there",
    ]
    (moved.parent / "elsewhere").rename(moved.parent / "photos")
    assert missing_notes(Project(moved)) == [] and len(Project(moved).accepted()) == 2


@pytest.mark.parametrize("wanted", [{"export": "pts"}, {"export": "measures"}, {"predict": Path("run")}], ids=str)
def test_the_command_says_that_a_folder_was_moved_away(
    moved: Path, wanted: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        contextlib.nullcontext() if wanted == {"export": "measures"} else pytest.raises(DataError, match=r"photos isn't there")
    ):
        annotate(output=moved, **wanted)
    noted = capsys.readouterr().err
    assert "photos isn't there" in noted and "2 annotations are kept whose images aren't there" in noted
