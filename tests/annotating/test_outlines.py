"""Outlines of other programs become contours of semilandmarks that correspond from image to image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Contour, Mark, Marks, Project, Template
from brule.annotating.importing import import_annotations
from brule.annotating.outlines import contour_from_outlines, outline_labels, read_outlines
from brule.errors import ConfigError, DataError

# A leaf with a tip: nothing but the whole turn maps it onto itself.
LEAF = np.array([(0, 0), (30, -12), (60, 0), (30, 20)], dtype=float)


def outlined(folder: Path, shapes: dict[str, list[tuple[str, np.ndarray, bool]]]) -> Path:
    """Images with labelme files that hold outlines alone."""
    folder.mkdir()
    for name, outlines in shapes.items():
        Image.new("RGB", (200, 150)).save(folder / f"{name}.png")
        made = [
            {"label": label, "shape_type": "polygon" if closed else "linestrip", "points": (corners + 0.5).tolist()}
            for label, corners, closed in outlines
        ]
        known = {"imageData": None, "imageWidth": 200, "imageHeight": 150}
        content = {"version": "5.5.0", "imagePath": f"{name}.png", **known, "shapes": made}
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def opened(folder: Path, shapes: dict[str, list[tuple[str, np.ndarray, bool]]], template: Template | None = None) -> Project:
    source = outlined(folder / "photos", shapes)
    project = Project(folder / "project", [source], template=template)
    assert import_annotations(project, [source]).outlined == len(shapes)
    return project


def points(project: Project, name: str) -> np.ndarray:
    image = next(image for image, entry in project.entries.items() if entry.name == name)
    return project.record(image).marks.array(project.template.names)


def test_wherever_a_polygon_starts_and_whichever_way_it_runs(tmp_path: Path) -> None:
    shapes = {
        "a": [("leaf", LEAF + 40, True)],
        "b": [("leaf", np.roll(LEAF, -2, axis=0) + np.array((70, 60)), True)],  # begins at the tip
        "c": [("leaf", 1.5 * np.roll(LEAF[::-1], 1, axis=0) + 50, True)],  # the other way round, and larger
    }
    project = opened(tmp_path, shapes)
    assert [(one.label, one.n_images, one.closed) for one in outline_labels(project)] == [("leaf", 3, True)]
    placed = contour_from_outlines(project, "leaf", count=12)
    assert (placed.n_images, placed.kept) == (3, 0)
    contour = project.template.contours[0]
    assert (contour.name, contour.closed, len(contour.points)) == ("leaf", True, 12)
    a, b, c = (points(project, f"{name}.png") for name in "abc")
    step = np.linalg.norm(np.diff(np.concatenate([LEAF, LEAF[:1]]), axis=0), axis=1).sum() / (12 * 16)
    assert np.abs(b - np.array((70, 60)) - (a - 40)).max() <= 1.01 * step  # starts are found to a sixteenth of the spacing
    assert np.abs((c - 50) / 1.5 - (a - 40)).max() <= 1.01 * step
    assert project.summaries.counts()["accepted"] == 3  # nothing else is to be annotated


def test_lines_that_run_the_other_way(tmp_path: Path) -> None:
    line = np.array([(0, 0), (30, 0), (40, 30)], dtype=float)
    project = opened(tmp_path, {"a": [("vein", line + 20, False)], "b": [("vein", line[::-1] + 50, False)]})
    contour_from_outlines(project, "vein", count=5)
    np.testing.assert_allclose(points(project, "a.png") - 20, points(project, "b.png") - 50, atol=0.01)
    ends = points(project, "a.png")[[0, -1]]
    np.testing.assert_allclose(ends, line[[0, -1]] + 20, atol=0.01)
    assert not project.template.contours[0].closed


def test_as_drawn_keeps_the_first_corner(tmp_path: Path) -> None:
    turned = np.roll(LEAF, -2, axis=0)
    project = opened(tmp_path, {"a": [("leaf", LEAF + 40, True)], "b": [("leaf", turned + 60, True)]})
    contour_from_outlines(project, "leaf", count=8, start="drawn")
    np.testing.assert_allclose(points(project, "a.png")[0], LEAF[0] + 40, atol=0.01)
    np.testing.assert_allclose(points(project, "b.png")[0], LEAF[2] + 60, atol=0.01)


def test_the_start_follows_what_is_annotated_already(tmp_path: Path) -> None:
    template = Template(
        names=("tip", "base", "w1", "w2", "w3", "w4"), contours=(Contour(name="leaf", points=(2, 3, 4, 5), closed=True),)
    )
    project = opened(tmp_path, {"a": [("leaf", LEAF + 40, True)], "b": [("leaf", LEAF[::-1] + 60, True)]}, template)
    first = next(iter(project.entries))
    marks = project.record(first).marks
    own = np.roll(LEAF, 1, axis=0) + 41
    places = dict(zip(template.names[2:], (Mark.at(x, y) for x, y in own), strict=True))
    others = {"tip": Mark.at(1, 1), "base": Mark.at(2, 2)}
    project.change(first, project.record(first).version, type(marks)({**places, **others}, "accepted"))
    found = contour_from_outlines(project, "leaf")
    assert (found.n_images, found.kept) == (1, 1)
    np.testing.assert_allclose(points(project, "a.png")[2:], own, atol=0.01)  # what is placed stays
    begun = next(image for image, entry in project.entries.items() if entry.name == "b.png")
    assert project.summaries[begun].status == "draft"  # tip and base aren't placed yet
    # The square's own points are corners, the other's are evenly spaced along it: they agree to half the spacing.
    spacing = np.linalg.norm(np.diff(np.concatenate([LEAF, LEAF[:1]]), axis=0), axis=1).sum() / 4
    assert np.linalg.norm(points(project, "b.png")[2:] - 19 - own, axis=1).max() < spacing / 2


def test_finished_images_stay_finished_where_the_contour_is_placed(tmp_path: Path) -> None:
    shapes = {"a": [("leaf", LEAF + 40, True)], "b": [("vein", LEAF + 60, False)]}
    project = opened(tmp_path, shapes, Template(names=("tip",)))
    for image in project.entries:
        project.change(image, 0, Marks({"tip": Mark.at(1, 1)}, "accepted"))
    contour_from_outlines(project, "leaf", count=5)
    assert [project.summaries[image].status for image in project.entries] == ["accepted", "draft"]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    project = opened(tmp_path, {"a": [("leaf", LEAF + 40, True), ("dot", np.ones((2, 2)), True)]})
    with pytest.raises(ConfigError, match="no outline is called 'wing'"):
        contour_from_outlines(project, "wing", count=5)
    for count in (None, 1, 5000):
        with pytest.raises(ConfigError, match="expected 2 to 2000"):
            contour_from_outlines(project, "leaf", count=count)
    with pytest.raises(DataError, match=r"a\.png: the outline 'dot'"):
        contour_from_outlines(project, "dot", count=5)
    assert project.template.names == () and project.summaries.counts()["new"] == 1
    contour_from_outlines(project, "leaf", count=5)
    with pytest.raises(ConfigError, match="has 5 landmarks already"):
        contour_from_outlines(project, "leaf", count=6)
    (project.folder / "outlines.jsonl").write_text('{"name": "a.png"}\n')
    with pytest.raises(DataError, match="damaged"):
        read_outlines(project)
