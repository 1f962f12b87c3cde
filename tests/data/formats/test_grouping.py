"""Loose points and boxes become objects; polygons become evenly spaced points."""

from __future__ import annotations

import numpy as np
import pytest

from brule.data import Annotation, Annotations
from brule.data.formats.grouping import Grouping, LooseBox, Mark
from brule.data.formats.outlines import evenly_spaced, with_outline_points
from brule.data.formats.record import NamedPoints, Outline
from brule.data.formats.values import turned_box
from brule.errors import ConfigError, DataError


def objects(marks: list[Mark], boxes: list[LooseBox]) -> tuple[list[NamedPoints], list[str]]:
    grouping = Grouping()
    return grouping.objects(NamedPoints("a.png", (100, 80)), marks, boxes, where="a.json"), grouping.notes()


def box(label: str, *edges: float, group: object = None) -> LooseBox:
    return LooseBox(label, edges, group)  # type: ignore[arg-type]


def test_without_groups_all_points_are_one_object_and_the_smallest_box_around_them_is_its_own() -> None:
    boxes = [box("photo", 0, 0, 99, 79), box("wing", 10, 10, 50, 50), box("ruler", 60, 60, 90, 70)]
    (one,), notes = objects([Mark("a", (12, 12)), Mark("b", (40, 40))], boxes)
    assert one.points == {"a": (12, 12), "b": (40, 40)} and one.box == (10, 10, 50, 50)
    assert len(notes) == 2 and any("'ruler' holds none" in note for note in notes)


def test_a_box_around_some_points_counts_where_no_other_holds_more() -> None:
    marks = [Mark("a", (12, 12)), Mark("b", (40, 40)), Mark("c", (70, 70))]
    assert objects(marks, [box("wing", 10, 10, 50, 50)])[0][0].box == (10, 10, 50, 50)
    (one,), notes = objects(marks, [box("eye", 10, 10, 20, 20), box("wing", 10, 10, 50, 50)])
    assert one.box == (10, 10, 50, 50) and "'eye' holds only some" in notes[0]


def test_repeated_names_are_separated_by_boxes_or_refused() -> None:
    marks = [Mark("a", (1, 1)), Mark("a", (50, 50))]
    found, _ = objects(marks, [box("x", 40, 40, 60, 60), box("x", 0, 0, 10, 10)])
    assert [(one.box, one.points["a"]) for one in found] == [((40, 40, 60, 60), (50, 50)), ((0, 0, 10, 10), (1, 1))]
    with pytest.raises(DataError, match=r"a\.json: .*'a' at \(50, 50\) is in no box"):
        objects(marks, [box("x", 0, 0, 10, 10), box("x", 70, 70, 80, 80)])
    with pytest.raises(DataError, match="two points are called 'a'"):
        objects(marks, [])


def test_groups_beat_places() -> None:
    marks = [Mark("a", (1, 1), group=2), Mark("a", (50, 50), group=1)]
    found, _ = objects(marks, [box("x", 40, 40, 60, 60, group=2)])
    assert [(one.points["a"], one.box) for one in found] == [((1, 1), (40, 40, 60, 60)), ((50, 50), None)]


def test_boxes_alone_are_objects() -> None:
    found, notes = objects([], [box("x", 0, 0, 50, 50), box("x", 60, 60, 70, 70)])
    assert sorted(one.box for one in found) == [(0, 0, 50, 50), (60, 60, 70, 70)] and notes == []


def test_a_turned_box() -> None:
    assert turned_box((0, 0, 4, 2), 90, (0, 0)) == pytest.approx((-2, 0, 0, 4))  # clockwise on the screen, where y points down
    assert turned_box((0, 0, 4, 2), 180, (2, 1)) == pytest.approx((0, 0, 4, 2))
    root = 2**0.5
    assert turned_box((-1, -1, 1, 1), 45, (0, 0)) == pytest.approx((-root, -root, root, root))


def test_points_along_a_square() -> None:
    square = np.array([(0, 0), (4, 0), (4, 4), (0, 4)])
    np.testing.assert_allclose(evenly_spaced(square, 8), [(0, 0), (2, 0), (4, 0), (4, 2), (4, 4), (2, 4), (0, 4), (0, 2)])
    np.testing.assert_allclose(evenly_spaced(square, 2), [(0, 0), (4, 4)])
    line = [(0, 0), (3, 0), (4, 1), (4, 4)]  # of length 3 + √2 + 3
    ends = evenly_spaced(np.array(line), 3, closed=False)
    np.testing.assert_allclose(ends, [(0, 0), (3.5, 0.5), (4, 4)])
    with pytest.raises(DataError, match="in one place"):
        evenly_spaced(np.array([(1, 1), (1, 1)]), 3)


def test_outlines_become_landmarks_behind_the_points() -> None:
    square = np.array([(0, 0), (4, 0), (4, 4), (0, 4)], dtype=np.float64)
    item = Annotation("a.png", None, outlines=(Outline("wing", square),))
    found = with_outline_points(Annotations([item]), 4)
    assert found.layout.names == ("wing/0", "wing/1", "wing/2", "wing/3")
    np.testing.assert_allclose(found.items[0].points, square)
    two = with_outline_points(Annotations([Annotation("a.png", outlines=(Outline("w", square), Outline("w", square + 9)))]), 4)
    assert len(two) == 2 and two.items[1].points[0].tolist() == [9, 9]
    with pytest.raises(ConfigError, match="at least 2"):
        with_outline_points(Annotations([item]), 1)
