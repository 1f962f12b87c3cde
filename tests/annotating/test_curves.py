"""Curves of TPS files and contours of a project are the same; a project's scale holds wherever its folder is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Contour, Mark, Marks, Project, Template
from brule.annotating.exporting import collected, export_project
from brule.annotating.importing import import_annotations
from brule.data import convert, read_samples
from brule.data.annotations import read_annotations
from brule.errors import DataError
from tests.data.cases.test_6_formats import dicom, ramp

WINGS = """LM=2
1.0 1.0
2.0 3.0
CURVES=2
POINTS=3
5.0 1.0
6.0 2.0
7.0 1.0
POINTS=2
8.0 8.0
9.0 9.0
IMAGE=0.png
ID=0
SCALE=0.5
LM=2
2.0 2.0
3.0 4.0
CURVES=2
POINTS=3
6.0 2.0
7.0 3.0
8.0 2.0
POINTS=2
9.0 9.0
10.0 10.0
IMAGE=1.png
ID=1
SCALE=0.5
"""
NAMES = ("a", "b", "c", "d", "e")


def pictures(folder: Path, count: int = 2) -> Path:
    folder.mkdir()
    for k in range(count):
        Image.new("RGB", (20, 30), (k, 0, 0)).save(folder / f"{k}.png")
    return folder


def annotated(tmp_path: Path, template: Template, count: int = 2) -> Project:
    project = Project(tmp_path / "project", [pictures(tmp_path / "photos", count)], template=template)
    for image in project.entries:
        points = {name: Mark(3.0 * k + 1, 2.0 * k + 4) for k, name in enumerate(template.names)}
        project.change(image, 0, Marks(points, "accepted"))
    return project


def lines_of(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("IMAGE=")]


def test_the_curves_of_a_tps_file_go_through_a_project(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos")
    (folder / "wings.tps").write_text(WINGS)
    project = Project(tmp_path / "project")
    assert import_annotations(project, [folder]).n_images == 2
    assert [(one.name, one.points, one.closed) for one in project.template.contours] == [
        ("curve 1", (2, 3, 4), False),
        ("curve 2", (5, 6), False),
    ]
    assert project.template.edges == () and project.template.lines == ((2, 3), (3, 4), (5, 6))
    assert lines_of(export_project(project, "tps", tmp_path / "out.tps").files[0]) == lines_of(folder / "wings.tps")
    convert(project.folder, tmp_path / "converted.tps")
    assert lines_of(tmp_path / "converted.tps") == lines_of(folder / "wings.tps")
    convert(folder / "wings.tps", tmp_path / "direct.tps")
    assert lines_of(tmp_path / "direct.tps") == lines_of(folder / "wings.tps")


@pytest.mark.parametrize("points", [(1, 0, 2), (0, 1, 2), (4, 3), (2, 3)])
def test_contours_that_are_not_the_last_landmarks_stay_landmarks(points: tuple[int, ...], tmp_path: Path) -> None:
    """As curves they would change the order, and programs that read only LM= would miss them."""
    project = annotated(tmp_path, Template(names=NAMES, contours=(Contour(name="rim", points=points),)))
    exported, converted = export_project(project, "tps", tmp_path / "a.tps"), convert(project.folder, tmp_path / "b.tps")
    for file, lost in ((exported.files[0], exported.lost), (converted.files[0], converted.lost)):
        assert lines_of(file)[0] == "LM=5" and "CURVES=1" not in lines_of(file)
        np.testing.assert_allclose(read_annotations(file).items[0].points, collected(project).items[0].points)
        assert "curves" in lost


def test_contours_of_the_last_landmarks_are_curves(tmp_path: Path) -> None:
    project = annotated(tmp_path, Template(names=NAMES, contours=(Contour(name="rim", points=(2, 3, 4)),)))
    exported = export_project(project, "tps", tmp_path / "a.tps")
    assert lines_of(exported.files[0])[0] == "LM=2" and read_annotations(exported.files[0]).layout.curves == ((2, 3, 4),)
    assert "curves" not in exported.lost and "the edges between landmarks" not in exported.lost


@pytest.mark.parametrize("closed", [False, True])
def test_only_what_curves_do_not_hold_is_lost(tmp_path: Path, closed: bool) -> None:
    contour = Contour(name="rim", points=(2, 3, 4), closed=closed)
    project = annotated(tmp_path, Template(names=NAMES, contours=(contour,)))
    assert ("the edges between landmarks" in export_project(project, "tps").lost) is closed  # a curve is open
    assert "curves" in export_project(project, "labelme").lost


def test_a_curve_of_one_point_is_no_contour(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos")
    (folder / "wings.tps").write_text("LM=2\n1 1\n2 3\nCURVES=1\nPOINTS=1\n5 5\nIMAGE=0.png\n")
    project = Project(tmp_path / "project")
    assert import_annotations(project, [folder]).n_images == 1
    assert project.template.contours == () and len(project.template.names) == 3


def test_the_projects_scale_holds_in_every_reader(tmp_path: Path) -> None:
    project = annotated(tmp_path, Template(names=NAMES), count=3)
    first = next(iter(project.entries))
    record = project.record(first)
    project.change(first, record.version, Marks(record.marks.points, "accepted", scale=0.25))
    assert [sample.spacing for sample in read_samples(project.folder)] == [(0.25, 0.25), None, None]
    project.set_settings(scale=0.5)
    assert [sample.spacing for sample in read_samples(project.folder)] == [(0.25, 0.25), (0.5, 0.5), (0.5, 0.5)]
    assert [item.scale for item in collected(project).items] == [0.25, 0.5, 0.5]
    convert(project.folder, tmp_path / "out.tps", write_as="tps")
    assert (tmp_path / "out.tps").read_text().count("SCALE=0.5\n") == 2
    assert "SCALE=0.25\n" in (tmp_path / "out.tps").read_text()
    convert(project.folder, tmp_path / "out.csv", write_as="csv")
    assert (tmp_path / "out.csv").read_text().count("0.5") >= 2
    assert read_annotations(tmp_path / "out.csv").items[1].scale == 0.5


def test_a_projects_scale_is_not_that_of_images_elsewhere(tmp_path: Path) -> None:
    project = annotated(tmp_path, Template(names=NAMES))
    project.set_settings(scale=0.5)
    folder = tmp_path / "photos"
    (folder / "wings.tps").write_text("LM=2\n1 1\n2 3\nIMAGE=0.png\n")
    assert {sample.spacing for sample in read_samples(folder)} == {None}


def test_a_dicom_image_has_a_scale_of_its_own(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", 1)
    (folder / "1.dcm").write_bytes(dicom(ramp(), PixelSpacing=[0.2, 0.1]))
    project = Project(tmp_path / "project", [folder], template=Template(names=NAMES))
    for image in project.entries:
        project.change(image, 0, Marks({name: Mark(k + 1.0, k * k) for k, name in enumerate(NAMES)}, "accepted"))
    project.set_settings(scale=0.5)
    assert [sample.spacing for sample in read_samples(project.folder)] == [(0.5, 0.5), (0.1, 0.2)]
    assert [item.spacing for item in collected(project).items] == [(0.5, 0.5), (0.1, 0.2)]


def test_a_specimen_that_lacks_a_landmark_leaves_the_others_to_morphoj(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from brule.cli import main

    project = annotated(tmp_path, Template(names=NAMES), count=3)
    last = list(project.entries)[-1]
    record = project.record(last)
    points = {name: mark for name, mark in record.marks.points.items() if name != "c"}
    project.change(last, record.version, Marks(points, "accepted"))
    found = export_project(project, "morphoj")
    assert found.n_images == 2 and len(found.files[0].read_text().splitlines()) == 3
    assert found.left_out == ["2.png lacks the landmark c: MorphoJ can't hold missing points"]
    assert export_project(project, "pts").n_images == 2
    assert export_project(project, "tps").left_out == []
    target = tmp_path / "out.txt"
    assert main(["annotate", "-o", str(project.folder), "--export", "morphoj", "--target", str(target)]) == 0
    assert "2.png lacks the landmark c" in capsys.readouterr().err and len(target.read_text().splitlines()) == 3
    words = ["data", "convert", str(project.folder), str(tmp_path / "again.txt"), "--to", "morphoj"]
    assert main(words) == 2
    assert "--skip-bad" in capsys.readouterr().err
    assert main([*words, "--skip-bad"]) == 0
    assert "2.png" in capsys.readouterr().err and len((tmp_path / "again.txt").read_text().splitlines()) == 3


def test_if_every_specimen_lacks_a_landmark_the_message_names_one(tmp_path: Path) -> None:
    project = annotated(tmp_path, Template(names=NAMES))
    for image in project.entries:
        record = project.record(image)
        points = {name: mark for name, mark in record.marks.points.items() if name not in ("c", "d")}
        project.change(image, record.version, Marks(points, "accepted"))
    with pytest.raises(DataError, match=r"nothing is left to export; .* 0\.png lacks the landmark c and 1 more"):
        export_project(project, "morphoj")
    with pytest.raises(DataError, match=r"no object is left .*0\.png"):
        convert(project.folder, tmp_path / "out.txt", write_as="morphoj", skip_bad=True)
