"""Shapes made ready: missing points completed, and each shape in the crop that it has as a whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brule import LandmarkDetector
from brule.data.shapes import Shapes, to_crop
from brule.data.synthetic import synthetic_faces
from brule.detector import ready_shapes
from brule.errors import DataError


def shapes_of(arrays: list[np.ndarray]) -> Shapes:
    return Shapes([to_crop(points) for points in arrays], [str(i) for i in range(len(arrays))])


def test_whole_shapes_stay_as_they_are() -> None:
    shapes = shapes_of(list(synthetic_faces(4, size=64).points))
    ready = ready_shapes(shapes)
    assert ready.whole is not None and torch.equal(ready.whole, torch.stack(ready.sets))
    np.testing.assert_array_equal(ready.whole.numpy(), np.stack(shapes.points))


def test_a_shape_without_its_rim_is_cut_out_as_a_whole_one() -> None:
    """Copies of one shape, one without its jaw: its own crop would be far smaller than those of the others."""
    face = synthetic_faces(1, size=64).points[0]
    holed = face.astype(np.float64)
    holed[:17] = np.nan
    ready = ready_shapes(shapes_of([face, face, holed]))
    assert ready.whole is not None
    np.testing.assert_allclose(ready.whole[2], ready.whole[0], atol=1e-9)
    np.testing.assert_allclose(ready.whole.mean(0), ready.whole[0], atol=1e-9)
    assert torch.isnan(ready.sets[2][:17]).all()
    np.testing.assert_allclose(ready.sets[2][17:], ready.whole[0][17:], atol=1e-9)


def test_shapes_of_different_sizes_are_never_completed() -> None:
    shapes = shapes_of([np.random.default_rng(n).uniform(0, 9, (n, 2)) for n in (5, 6)])
    shapes.points[0][1] = np.nan
    ready = ready_shapes(shapes)
    assert ready.whole is None and [len(own) for own in ready.sets] == [5, 6]


def test_a_single_point_is_no_shape() -> None:
    shapes = Shapes([np.array([[0.5, 0.5]])] * 3, list("abc"))
    with pytest.raises(DataError, match="two landmarks or more"):
        ready_shapes(shapes)


def test_a_point_that_no_shape_has_is_named() -> None:
    shapes = shapes_of([np.random.default_rng(n).uniform(0, 9, (5, 2)) for n in range(3)])
    for points in shapes.points:
        points[3] = np.nan
    with pytest.raises(DataError, match="none of the 3 has the point 3"):
        ready_shapes(shapes)


def tiny() -> LandmarkDetector:
    return LandmarkDetector(iterations=1, batch_size=4, quiet=True, encoder__width=8, encoder__depth=2, threads=1)


def test_a_detector_learns_from_shapes_that_lack_points() -> None:
    faces = synthetic_faces(8, size=48)
    whole = np.repeat(faces.points[:1].astype(np.float64), 5, axis=0)
    holed = whole.copy()
    holed[0, :17] = holed[3, 60] = np.nan
    detector, plain = (tiny().fit(faces.images, shapes=list(shapes)) for shapes in (holed, whole))
    assert detector.shapes_ is not None and plain.shapes_ is not None
    torch.testing.assert_close(detector.shapes_, plain.shapes_, rtol=0, atol=1e-6)
    torch.testing.assert_close(detector.barycenter_, plain.barycenter_, rtol=0, atol=1e-6)


def test_annotated_images_none_of_which_is_whole_give_shapes() -> None:
    faces = synthetic_faces(4, size=48)
    holed = faces.points.astype(np.float64)
    for k in range(4):
        holed[k, 10 * k] = np.nan
    detector = tiny().fit(labelled=(faces.images, holed))
    assert detector.shapes_ is not None and detector.shapes_.shape == (4, 68, 2) and torch.isfinite(detector.shapes_).all()


@pytest.mark.parametrize(
    ("fill", "said"),
    [(np.nan, "shape 1 has 2 of its 5 points; expected at least 3"), (np.inf, "shape 1 holds infinity")],
)
def test_shapes_that_cannot_be_used_are_refused(fill: float, said: str) -> None:
    shapes = np.random.default_rng(0).uniform(0, 9, (3, 5, 2))
    shapes[1, :3] = fill
    with pytest.raises(DataError, match=said):
        tiny().fit(synthetic_faces(4, size=48).images, shapes=list(shapes))
