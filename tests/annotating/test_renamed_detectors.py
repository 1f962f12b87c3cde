"""Landmarks that are renamed don't separate a project from its detectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating.predictions import Predictions, predict_project
from brule.annotating.rounds import detects, note_round
from brule.cli import main
from brule.data.renaming import present_names
from brule.data.synthetic import synthetic_faces
from brule.detector import LandmarkDetector

FOUR = (36, 45, 30, 8)  # of the 68 points of a drawn face
OLD = ("eye", "other eye", "nose", "chin")
TINY = {
    "crop__image_size": 32, "encoder__width": 8, "encoder__stacks": 1, "encoder__depth": 2, "encoder__stem_stride": 2,
    "batch_size": 4, "iterations": 2, "time_limit": 0, "preview_every": 0, "quiet": True, "device": "cpu",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a round that was trained on it."""
    faces = synthetic_faces(12, size=48, seed=3)
    (tmp_path / "photos").mkdir()
    for k, image in enumerate(faces.images):
        Image.fromarray(image).save(tmp_path / "photos" / f"{k:02}.png")
    found = Project(tmp_path / "project", [tmp_path / "photos"], template=Template(names=OLD))
    for image, points in zip(found.entries, faces.points[:, list(FOUR)].tolist(), strict=True):
        marks = {name: Mark(float(x), float(y)) for name, (x, y) in zip(OLD, points, strict=True)}
        found.change(image, 0, Marks(marks, "accepted"))
    return found


@pytest.fixture
def run(project: Project) -> Path:
    folder = project.folder / "runs" / "round-1"
    note_round(project, folder)
    LandmarkDetector(**TINY).fit(labelled=project.folder, directory=folder)
    return folder


def rename(project: Project, *names: str, kept: list[int | None] | None = None) -> None:
    project.set_template(project.settings.version, Template(names=names), kept or list(range(len(names))))


NEW = ("right eye", "left eye", "nose", "point of the chin")


@pytest.mark.parametrize("noted", [True, False], ids=["started by the page", "started by a command"])
def test_a_project_evaluates_predicts_and_continues_with_a_round_of_earlier_names(
    project: Project, run: Path, noted: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not noted:
        (project.own / "rounds" / "round-1.json").unlink()
    before = evaluated(project, run, tmp_path / "before.json")
    rename(project, *NEW)
    assert LandmarkDetector.load(run).landmark_names_ == NEW and detects(run, project)
    assert evaluated(project, run, tmp_path / "after.json") == before  # the same landmarks
    assert "left out" not in capsys.readouterr().err
    again = LandmarkDetector(**TINY).fit(labelled=project.folder, start_from=run, directory=tmp_path / "again")
    assert again.landmark_names_ == NEW
    assert len(Predictions(predict_project(project, run), project)) == 12
    resumed = LandmarkDetector(iterations=3, quiet=True, device="cpu").fit(labelled=project.folder, directory=run, resume=True)
    assert resumed.landmark_names_ == NEW and detects(run, project)
    rename(project, *OLD)  # what is stored by now are the names in between
    assert LandmarkDetector.load(run).landmark_names_ == OLD and detects(run, project)


def evaluated(project: Project, run: Path, file: Path) -> Any:
    """The error at each landmark that ``brule evaluate`` finds, with intervals."""
    words = ["evaluate", str(run), "--data", str(project.folder), "--boxes", "given", "-o", str(file.with_suffix(""))]
    assert main([*words, "--device", "cpu", "--json", str(file)]) == 0
    return json.loads(file.read_text())["by_landmark"]


def test_added_and_reordered_landmarks_are_matched_by_what_they_were(project: Project, run: Path) -> None:
    rename(project, "tip", "chin", "eye", "other eye", "new", kept=[2, 3, 0, 1, None])
    loaded = LandmarkDetector.load(run)
    assert loaded.landmark_names_ == ("eye", "other eye", "tip", "chin")  # in its own order
    assert not detects(run, project)  # a new round can't start from it
    found = Predictions(predict_project(project, run), project).of("00.png")
    own = loaded.predict([project.folder.parent / "photos" / "00.png"]).points[0].numpy()
    assert found is not None
    np.testing.assert_allclose(found.points, np.vstack([own[[2, 3, 0, 1]], [[np.nan, np.nan]]]), atol=0.002)


def renamed(tmp_path: Path, *changes: tuple[tuple[str, ...], list[int | None]]) -> Project:
    project = Project(tmp_path / "project", template=Template(names=("a", "b")))
    for names, kept in changes:
        rename(project, *names, kept=kept)
    return project


def test_names_of_a_round_are_those_of_now(tmp_path: Path) -> None:
    project = renamed(tmp_path, (("b", "a"), [0, 1]), (("b", "a", "c"), [0, 1, None]))
    run = project.folder / "runs" / "round-1"
    assert present_names(run, ("a", "b")) == ("b", "a")  # each was called as the other is now
    assert present_names(run, ("b", "a")) == ("b", "a")
    assert present_names(run, ("x", "y")) == ("x", "y") and present_names(run, ("b", "a", "c")) == ("b", "a", "c")
    for elsewhere in (tmp_path / "runs" / "round-1", project.folder / "other" / "round-1", tmp_path / "gone"):
        assert present_names(elsewhere, ("a", "b")) == ("a", "b")


def test_a_landmark_that_is_gone_keeps_its_name_apart_from_the_one_that_has_it_now(tmp_path: Path) -> None:
    project = renamed(tmp_path, (("a", "c"), [0, None]), (("c", "b"), [0, None]))
    assert present_names(project.folder / "runs" / "round-1", ("a", "b")) == ("c", "b (earlier)")


@pytest.mark.parametrize("damage", ['{"format": "brule-project-1"}', '{"format": "brule-project-1", "template": 3}', "{"])
def test_a_damaged_project_leaves_the_names(tmp_path: Path, damage: str) -> None:
    project = renamed(tmp_path, (("b", "a"), [0, 1]))
    (project.folder / "project.json").write_text(damage)
    assert present_names(project.folder / "runs" / "round-1", ("a", "b")) == ("a", "b")
