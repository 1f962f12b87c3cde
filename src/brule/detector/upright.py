"""Turned objects: by how much annotated ones are turned, so that all crops can show them upright."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from brule.arrays import Array
from brule.data import SampleList, turn_about
from brule.detector.inputs import Annotated
from brule.detector.refinement import turns_of
from brule.locating import object_angles

if TYPE_CHECKING:
    from brule.data import Shapes
    from brule.training.sections import Locating

ANY_ROTATION = {"auto": None, "always": True, "never": False}


def are_turned(annotated: Annotated | None, settings: Locating) -> bool:
    """Whether crops are to show objects upright, according to annotated images and settings."""
    if annotated is None:
        return False
    rows = [sample.points for sample in annotated.images] if annotated.points is None else annotated.points
    return bool(object_angles(rows, any_rotation=ANY_ROTATION[settings.any_rotation]).any())


def upright_annotated(annotated: Annotated, settings: Locating) -> Annotated:
    """Annotated images whose objects' angles are known, if they are turned; the same otherwise.

    Args:
        annotated: landmarks in one index order.
        settings: whether objects may be turned.
    """
    rows = [sample.points for sample in annotated.images] if annotated.points is None else annotated.points
    angles = object_angles(rows, any_rotation=ANY_ROTATION[settings.any_rotation])
    if not angles.any():
        return annotated
    if annotated.points is not None:
        return replace(annotated, angles=angles.tolist())
    samples = [replace(one, angle=float(angle), box=None) for one, angle in zip(annotated.images, angles, strict=True)]
    return replace(annotated, images=annotated.images.replaced(samples))


def upright_shapes(shapes: Shapes, settings: Locating, *, scale: float) -> Shapes:
    """Shapes in the crops that show them upright; the same if they are upright, or their numbers of points differ.

    Args:
        shapes: in the unit square of their crops.
        settings: whether objects may be turned.
        scale: side of a crop over the longer side of the box.
    """
    from brule.data.shapes import to_crop  # late: prediction reads no shapes

    if shapes.n_points is None:
        return shapes
    angles = object_angles(list(shapes.points), any_rotation=ANY_ROTATION[settings.any_rotation])
    if not angles.any():
        return shapes
    turned = [turn_about(points, (0.5, 0.5), -angle) for points, angle in zip(shapes.points, angles.tolist(), strict=True)]
    return replace(shapes, points=[to_crop(points, scale=scale) for points in turned], placed=frozenset())


def upright_like(annotated: Annotated, mean: torch.Tensor) -> Annotated:
    """Annotated images with their objects' angles against a mean shape ``(N, 2)``."""
    if annotated.points is None:
        return replace(annotated, images=upright_samples(annotated.images, mean))
    upright = mean.double().cpu().numpy()
    angles = [_angle(np.asarray(points, dtype=np.float64), upright) or 0.0 for points in annotated.points]
    return replace(annotated, angles=angles)


def upright_samples(samples: SampleList, mean: torch.Tensor) -> SampleList:
    """Annotated samples with their objects' angles against a mean shape ``(N, 2)``, for crops that show them upright."""
    upright = mean.double().cpu().numpy()
    rows = []
    for sample in samples:
        angle = None if sample.points is None else _angle(np.asarray(sample.points, dtype=np.float64), upright)
        rows.append(sample if angle is None else replace(sample, angle=angle, box=None))
    return samples.replaced(rows)


def _angle(points: Array, upright: Array) -> float | None:
    """The angle of a shape by the landmarks that are there; ``None`` of fewer than two."""
    present = np.isfinite(points).all(axis=1)
    return None if present.sum() < 2 else float(turns_of(points[None, present], upright[present])[0])
