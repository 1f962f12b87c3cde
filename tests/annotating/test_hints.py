"""Every hint is given for the mistake it is about, and for no correct shape."""

from __future__ import annotations

import numpy as np
import pytest

from brule.annotating.hints import hints
from brule.annotating.statistics import ShapeStatistics
from brule.annotating.template import BUILT_IN
from brule.data.synthetic import synthetic_faces

FACE = BUILT_IN["face68"][1]
FACES = synthetic_faces(40, size=256, seed=11).points.astype(np.float64)
KNOWN = ShapeStatistics.of(FACES[:20], pairs=FACE.pairs)


def codes(points: np.ndarray, **more: object) -> list[str]:
    return [hint.code for hint in hints(points, FACE, KNOWN, **more)]  # type: ignore[arg-type]


def test_correct_faces_get_hardly_any_hint() -> None:
    warned = sum(bool(codes(points)) for points in FACES[20:])
    assert warned <= 2


def test_left_and_right_exchanged() -> None:
    order = np.arange(68)
    for a, b in FACE.pairs or ():
        order[a], order[b] = b, a
    found = hints(FACES[25][order], FACE, KNOWN)
    assert found[0].code == "exchanged" and {36, 45} <= set(found[0].landmarks)


def test_one_pair_exchanged() -> None:
    points = FACES[25].copy()
    points[[36, 45]] = points[[45, 36]]
    assert ("exchanged", (36, 45)) in [(hint.code, hint.landmarks) for hint in hints(points, FACE, KNOWN)]


def test_two_points_in_one_place() -> None:
    points = FACES[26].copy()
    points[30] = points[33]
    found = [hint for hint in hints(points, FACE, KNOWN) if hint.code == "coincident"]
    assert [hint.landmarks for hint in found] == [(30, 33)]
    assert [hint.code for hint in hints(points, FACE, None) if hint.landmarks == (30, 33)] == ["coincident"]


def test_a_contour_out_of_order() -> None:
    points = FACES[27].copy()
    points[[5, 6]] = points[[6, 5]]
    found = [hint for hint in hints(points, FACE, KNOWN) if hint.code == "order"]
    assert len(found) == 1 and {5, 6} <= set(found[0].landmarks) and found[0].message.startswith("jaw")


def test_one_point_far_from_where_the_others_have_it() -> None:
    points = FACES[28].copy()
    points[30] += [40, -40]
    assert (30,) in [hint.landmarks for hint in hints(points, FACE, KNOWN) if hint.code == "far"]


def test_a_shape_unlike_the_others() -> None:
    points = np.random.default_rng(0).uniform(0, 256, (68, 2))
    assert "outlier" in codes(points)


def test_a_box_that_is_too_tight() -> None:
    left, top = FACES[29].min(0)
    right, bottom = FACES[29].max(0)
    assert "box" not in codes(FACES[29], box=(left, top, right, bottom))
    assert "box" in codes(FACES[29], box=(left, top, right, bottom - 5))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_points_are_no_reason_for_anything(count: int) -> None:
    points = np.full((68, 2), np.nan)
    points[:count] = FACES[30][:count]
    assert codes(points) == []


def hints_of_own(shapes: np.ndarray, own: int) -> list[str]:
    known = ShapeStatistics.of(shapes, pairs=FACE.pairs)
    return [hint.code for hint in hints(shapes[own], FACE, known, own=own)]


@pytest.mark.parametrize("count", [6, 20, 45])
def test_a_gross_error_is_hinted_at_although_the_statistics_have_it(count: int) -> None:
    shapes = 4 * synthetic_faces(count, size=64, seed=4).points.astype(np.float64)
    shapes[2, 30] += [60, -60]
    assert "far" in hints_of_own(shapes, 2)
    shapes[2] = np.random.default_rng(0).uniform(0, 256, (68, 2))
    assert "outlier" in hints_of_own(shapes, 2)
    assert sum(bool(hints_of_own(shapes, k)) for k in range(3, min(count, 8))) <= 1


def test_leaving_one_shape_out_is_the_same_as_never_having_had_it() -> None:
    shapes = FACES[:12].copy()
    shapes[3, 30] += [40, -40]
    without = ShapeStatistics.of(np.delete(shapes, 3, axis=0), pairs=FACE.pairs)
    with_all = ShapeStatistics.of(shapes, pairs=FACE.pairs)
    expected = [hint for hint in hints(shapes[3], FACE, without) if hint.code != "outlier"]
    found = [hint for hint in hints(shapes[3], FACE, with_all, own=3) if hint.code != "outlier"]
    assert expected and found == expected


def test_many_images_cost_a_constant_each(monkeypatch: pytest.MonkeyPatch) -> None:
    from brule.annotating import hints as module

    calls = 0
    misfit = module._misfit

    def counted(points: np.ndarray, statistics: ShapeStatistics) -> float | None:
        nonlocal calls
        calls += 1
        return misfit(points, statistics)

    monkeypatch.setattr(module, "_misfit", counted)
    shapes = synthetic_faces(50, size=64, seed=5).points.astype(np.float64)
    known = ShapeStatistics.of(shapes)
    template = FACE.model_copy(update={"pairs": None})
    for own, points in enumerate(shapes):
        hints(points, template, known, own=own)
    assert calls <= 2 * len(shapes)  # each shape once for what is usual, and once as the one that is looked at


def test_a_landmark_outside_the_image() -> None:
    points = FACES[29].copy()
    points[30] = [-3, 100]
    assert "outside" not in codes(FACES[29], size=(256, 256))
    found = [hint for hint in hints(points, FACE, None, size=(256, 256)) if hint.code == "outside"]
    assert [hint.landmarks for hint in found] == [(30,)]
