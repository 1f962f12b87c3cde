"""Annotations of other programs become a project's, with their states."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Project, Template
from brule.annotating.exporting import collected
from brule.annotating.importing import Imported, add_images, import_annotations
from brule.annotating.marks import Mark, Marks
from brule.annotating.predictions import Predictions
from brule.data import read_samples
from brule.data.annotations import write_annotations
from brule.data.formats import FORMATS, Annotation, Annotations
from brule.data.samples import Layout
from brule.data.synthetic import write_synthetic_faces
from brule.errors import DataError

NAMES = ("tip", "left", "right")
POINTS = np.array([[5, 6], [7.5, 8], [np.nan, np.nan]], dtype=np.float32)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.png", "sub/b.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(path)
    return tmp_path / "photos"


def coco(photos: Path, names: tuple[str, ...] = NAMES) -> Path:
    items = [
        Annotation("a.png", POINTS, size=(40, 30), occluded=np.array([False, True, False])),
        Annotation("sub/b.png", POINTS + 1, size=(40, 30)),
    ]
    return write_annotations(photos / "annotations.json", Annotations(items, Layout(names, ((0, 1),))), format=FORMATS["coco"])[
        0
    ]


def test_a_new_project_has_the_landmarks_and_states_of_the_annotations(photos: Path, tmp_path: Path) -> None:
    coco(photos)
    project = Project(tmp_path / "project", [photos])
    found = import_annotations(project, [photos])
    assert (found.n_images, found.kept, found.left_out) == (2, 0, [])
    assert project.template.names == NAMES and project.template.edges == ((0, 1),)
    record = project.record(next(image for image, entry in project.entries.items() if entry.name == "a.png"))
    states = {name: mark.state for name, mark in record.marks.points.items()}
    assert states == {"tip": "visible", "left": "hidden", "right": "absent"} and record.marks.status == "accepted"
    again = collected(project)
    np.testing.assert_array_equal(again.items[0].points, POINTS)


def test_what_is_annotated_already_stays(photos: Path, tmp_path: Path) -> None:
    coco(photos)
    project = Project(tmp_path / "project", [photos])
    import_annotations(project, [photos])
    image = next(iter(project.entries))
    project.undo(image, 1)
    again = import_annotations(project, [photos])
    assert (again.n_images, again.kept) == (0, 2)
    assert project.record(image).marks.placed == 0


def test_other_landmarks_are_refused(photos: Path, tmp_path: Path) -> None:
    coco(photos, ("tip", "left", "other"))
    project = Project(tmp_path / "project", [photos], template=Template(names=NAMES))
    with pytest.raises(DataError, match="open a new project"):
        import_annotations(project, [photos])


def test_landmarks_in_another_order_are_matched_by_name(photos: Path, tmp_path: Path) -> None:
    coco(photos)
    project = Project(tmp_path / "project", [photos], template=Template(names=NAMES[::-1]))
    import_annotations(project, [photos])
    np.testing.assert_array_equal(collected(project).items[0].points, POINTS[::-1])


def test_pts_files_beside_images(tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path / "faces", 3, size=32)
    project = Project(tmp_path / "project", [tmp_path / "faces"])
    assert import_annotations(project, [tmp_path / "faces"]).n_images == 3
    assert len(project.template.names) == 68 and project.summaries.counts()["accepted"] == 3


def test_an_annotation_file_brings_its_images_along(photos: Path, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    found = import_annotations(project, [coco(photos)])
    assert found.n_images == 2 and len(project.entries) == 2


def test_images_alone_are_nothing_to_import(photos: Path, tmp_path: Path) -> None:
    assert import_annotations(Project(tmp_path / "project", [photos]), [photos]).n_images == 0


def test_predictions_are_reviewed_and_never_become_labels(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    folder.mkdir()
    entries = [
        {"path": str(photos / name), "points": (POINTS[:2] + k).tolist(), "spread": [k + 1, k + 3], "flagged": k == 1}
        for k, name in enumerate(("a.png", "sub/b.png"))
    ]
    (folder / "landmarks.json").write_text(json.dumps({"landmarks": 2, "names": ["tip", "left"], "images": entries}))
    project = Project(tmp_path / "project")
    found = import_annotations(project, [folder])
    assert (found.n_images, found.predicted, found.left_out) == (0, 2, [])
    assert project.template.names == ("tip", "left") and project.summaries.counts()["new"] == 2
    kept = Predictions(project.folder / "predictions" / "found.jsonl", project)
    second = next(entry.name for entry in project.entries.values() if entry.name.endswith("b.png"))
    own = kept.of(second)
    assert own is not None and own.flagged and kept.uncertainty[second] == 3
    np.testing.assert_array_equal(own.points, POINTS[:2] + 1)
    other = Project(tmp_path / "other", [photos], template=Template(names=NAMES))
    with pytest.raises(DataError, match="it lacks right; open a new project"):
        import_annotations(other, [folder])


def test_as_training_data_a_project_has_its_accepted_images_alone(photos: Path, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", [photos], template=Template(names=NAMES))
    first, second = project.entries
    placed = {name: Mark.at(5.0 + 9 * k, 7.0 + k) for k, name in enumerate(NAMES)}
    project.change(first, 0, Marks(placed, "accepted"))
    project.change(second, 0, Marks(placed, "draft"))
    samples = read_samples(project.folder, require_points=True, skip_bad=True)
    assert [sample.path.name for sample in samples] == ["a.png"]
    assert [(bad.path.name, bad.reason) for bad in samples.bad] == [("b.png", "has no accepted annotation in the project")]


def test_other_landmarks_add_nothing_and_only_the_different_ones_are_named(photos: Path, tmp_path: Path) -> None:
    coco(photos, ("tip", "left", "other"))
    project = Project(tmp_path / "project", template=Template(names=NAMES))
    with pytest.raises(DataError, match="it lacks right, and has other, which the project lacks; open a new project"):
        add_images(project, [photos])
    assert not project.entries and not project.settings.folders and not Project(tmp_path / "project").settings.folders


def test_a_second_folder_with_other_landmarks_keeps_the_first_one_out(photos: Path, tmp_path: Path) -> None:
    coco(photos)
    write_synthetic_faces(tmp_path / "faces", 2, size=32)
    project = Project(tmp_path / "project")
    with pytest.raises(DataError, match="has 68 landmarks without names, but the project has 3"):
        add_images(project, [photos, tmp_path / "faces"])
    assert not project.entries and project.template.names == ()


def test_the_command_adds_nothing_of_a_folder_with_other_landmarks(photos: Path, tmp_path: Path) -> None:
    from brule.cli.annotate import annotate

    coco(photos)
    Project(tmp_path / "project", template=Template(names=("a", "b")))
    with pytest.raises(DataError, match="open a new project"):
        annotate([str(photos)], output=tmp_path / "project", export="pts")
    assert not Project(tmp_path / "project").settings.folders


def test_a_folder_that_is_added_twice(photos: Path, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    assert add_images(project, [photos]) == (2, Imported())
    added, again = add_images(project, [photos])
    assert added == 0 and again.left_out == [f"{photos}: is in the project already"]
    Image.new("RGB", (40, 30)).save(photos / "c.png")
    assert add_images(project, [photos]) == (1, Imported())
