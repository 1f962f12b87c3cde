"""Evaluate a predictor on annotated crops, beside two constant predictions: the mean shape and the barycenter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array
from brule.data import CropCache
from brule.errors import DataError
from brule.evaluation.checks import check_names
from brule.evaluation.distances import normaliser
from brule.evaluation.regions import Regions, contours, landmark_regions
from brule.evaluation.result import Boxes, Evaluation
from brule.evaluation.scores import ImageErrors, measure, summarise


class HasPoints(Protocol):
    """What a predictor returns. A ``spread`` (B, N) and an ``uncertainty`` (B,) are taken along if it has them."""

    @property
    def points(self) -> Any:
        """``(B, N, 2)`` in the unit square of each crop."""
        ...


def evaluate(
    predict_crops: Callable[[Array], HasPoints],
    cache: CropCache,
    *,
    barycenter: ArrayLike,
    shapes: ArrayLike | None = None,
    normaliser: str | ArrayLike = "auto",
    regions: Regions | None = None,
    edges: Sequence[tuple[int, int]] | None = None,
    batch_size: int = 64,
    progress: Callable[[int, int], object] | None = None,
    landmark_names: Sequence[str] | None = None,
) -> Evaluation:
    """Predict every crop and compare with the annotation.

    Args:
        predict_crops: crops ``(B, S, S, 3)`` uint8 → an object whose ``points`` are ``(B, N, 2)`` in the unit square, and
            whose ``spread``, if it has one, is ``(B, N)`` in the same unit.
        cache: annotated crops, of the size and the scale that the predictor was made for.
        barycenter: ``(N, 2)`` in the unit square: the floor.
        shapes: ``(K, N, 2)``, the annotated shapes the predictor was given, for the second floor.
        normaliser: as ``kind`` of :func:`brule.evaluation.normaliser`; a number counts in sides of the crop.
        regions: as for :func:`brule.evaluation.landmark_regions`.
        edges: pairs of landmarks that pictures join by lines; by default :func:`contours`.
        batch_size: crops at a time.
        progress: called as ``progress(done, total)``.
        landmark_names: of the landmarks, in their order, for reports and tables.

    Returns:
        The figures with the floors beside them, and what they were computed from.

    Raises:
        DataError: no annotation, another number of landmarks than the predictor's, or an annotation that gives no
            normalising distance (the file is named).
    """
    _truth(cache, len(np.asarray(barycenter)))  # before predicting
    found = _predict_all(predict_crops, cache.images, batch_size, progress=progress)
    return evaluate_points(
        found, cache, barycenter=barycenter, shapes=shapes, normaliser=normaliser, regions=regions, edges=edges,
        landmark_names=landmark_names,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class CropPredictions:
    """Predictions of annotated objects, in the unit square of each object's true crop.

    Attributes:
        points: ``(B, N, 2)``; NaN in all landmarks of an object that wasn't found.
        spread: ``(B, N)`` in sides of the crop, or ``None``.
        uncertainty: ``(B,)``, or ``None``.
    """

    points: Array
    spread: Array | None = None
    uncertainty: Array | None = None


def evaluate_points(
    predictions: CropPredictions,
    cache: CropCache,
    *,
    boxes: Boxes = "given",
    stand_in: ArrayLike | None = None,
    barycenter: ArrayLike,
    shapes: ArrayLike | None = None,
    normaliser: str | ArrayLike = "auto",
    regions: Regions | None = None,
    edges: Sequence[tuple[int, int]] | None = None,
    landmark_names: Sequence[str] | None = None,
) -> Evaluation:
    """Compare predictions with the annotation.

    Args:
        predictions: one for each object of ``cache``, in its order.
        cache: the annotated objects; only their truth and the places of their crops count.
        boxes: whether the predictor had the true boxes.
        stand_in: ``(B, N, 2)``: the errors of objects that weren't found are those of these points; they never count as found.
        barycenter: ``(N, 2)`` in the unit square.
        shapes: ``(K, N, 2)``, the annotated shapes that the predictor was given; their mean is the floor.
        normaliser: as ``kind`` of :func:`brule.evaluation.normaliser`; a number counts in sides of the crop.
        regions: as for :func:`brule.evaluation.landmark_regions`.
        edges: pairs of landmarks that pictures join by lines; by default :func:`contours`.
        landmark_names: of the landmarks, in their order, for reports and tables.

    Raises:
        DataError: as :func:`evaluate`; or there isn't one prediction for each object of ``cache``.
    """
    centre = np.asarray(barycenter, dtype=np.float64)
    truth = _truth(cache, len(centre))
    _check_one_each(predictions, truth, stand_in)
    names = [str(sample.path) for sample in cache.samples]
    distance_name, distance = _distance(truth, normaliser, names)
    sides = np.asarray(cache.boxes[:, 2] - cache.boxes[:, 0], dtype=np.float64)
    mean = None if shapes is None else np.asarray(shapes, dtype=np.float64).mean(axis=0)
    spacing = _spacing(cache)
    points, missed = _without_gaps(predictions.points, stand_in)

    def measured(points: Array, gone: Array | None = None) -> ImageErrors:
        return measure(points, truth, distance=distance, sides=sides, missed=gone, spacing=spacing)

    mine, constant = measured(points, missed), measured(_repeated(centre, len(truth)))
    constant_mean = None if mean is None else measured(_repeated(mean, len(truth)))
    scored = partial(summarise, floor=constant_mean or constant, normaliser=distance_name)
    return Evaluation(
        boxes=boxes,
        scores=scored(mine),
        barycenter=scored(constant),
        mean_shape=None if constant_mean is None else scored(constant_mean),
        names=names,
        per_image=mine,
        barycenter_errors=constant,
        mean_errors=constant_mean,
        predictions=points,
        truth=truth,
        spread=predictions.spread,
        uncertainty=predictions.uncertainty,
        distance=distance,
        sides=sides,
        baseline=centre if mean is None else mean,
        centre=centre,
        regions=landmark_regions(len(centre), regions),
        edges=tuple(contours(len(centre)) if edges is None else edges),
        landmark_names=check_names(landmark_names, len(centre)),
    )


_find_distance = normaliser  # `evaluate` has an argument of the same name


def _distance(truth: Array, kind: str | ArrayLike, names: list[str]) -> tuple[str, Array]:
    try:
        return _find_distance(truth, kind)
    except DataError as error:
        for own, name in zip(truth, names, strict=True) if isinstance(kind, str) else ():
            try:
                _find_distance(own[None], kind)
            except DataError:
                raise DataError(f"{error} The first such image is {name}.") from None
        raise


def _truth(cache: CropCache, expected: int) -> Array:
    if cache.points is None:
        raise DataError("evaluate: expected annotated images, none of these has an annotation beside it")
    truth = np.asarray(cache.points, dtype=np.float64)
    if truth.shape[1] != expected:
        raise DataError(
            f"evaluate: the annotations have {truth.shape[1]} landmarks, the detector finds {expected}; "
            "evaluate it on images that are annotated as its shapes were"
        )
    return truth


def _check_one_each(predictions: CropPredictions, truth: Array, stand_in: ArrayLike | None) -> None:
    """Refuse predictions that can't be paired with the annotated objects.

    Raises:
        DataError: a table has another shape than the objects.
    """
    count, landmarks = truth.shape[:2]
    tables: dict[str, tuple[ArrayLike | None, tuple[int, ...]]] = {
        "points": (predictions.points, (count, landmarks, 2)),
        "spread": (predictions.spread, (count, landmarks)),
        "uncertainty": (predictions.uncertainty, (count,)),
        "stand_in": (stand_in, (count, landmarks, 2)),
    }
    for name, (table, shape) in tables.items():
        if table is not None and np.shape(table) != shape:
            raise DataError(
                f"evaluate: expected {name} of shape {shape}, one row for each of the {count} annotated objects (an image "
                f"with several objects has several rows), got {np.shape(table)}"
            )


def _spacing(cache: CropCache) -> Array | None:
    """``(B, 2)`` millimetres per pixel, NaN where an image has no scale; ``None`` where none has one."""
    known = [sample.spacing or (np.nan, np.nan) for sample in cache.samples]
    return np.array(known) if any(sample.spacing is not None for sample in cache.samples) else None


def _without_gaps(points: Array, stand_in: ArrayLike | None) -> tuple[Array, Array | None]:
    """Predictions with stand-ins where nothing was found, and where that is."""
    missed = np.asarray(np.isnan(points).all(axis=(1, 2)))
    if stand_in is None or not missed.any():
        return points, None
    return np.where(missed[:, None, None], np.asarray(stand_in, dtype=np.float64), points), missed


def _predict_all(
    predict_crops: Callable[[Array], HasPoints],
    images: Array,
    batch_size: int,
    *,
    progress: Callable[[int, int], object] | None,
) -> CropPredictions:
    found: dict[str, list[Array]] = {"points": [], "spread": [], "uncertainty": []}
    for start in range(0, len(images), batch_size):
        batch = np.array(images[start : start + batch_size])  # a copy: PyTorch warns of read-only memory
        predicted = predict_crops(batch)
        for name, parts in found.items():
            if getattr(predicted, name, None) is not None:
                parts.append(np.asarray(getattr(predicted, name), dtype=np.float64))
        if progress is not None:
            progress(min(start + batch_size, len(images)), len(images))
    return CropPredictions(**{name: np.concatenate(parts) for name, parts in found.items() if parts})


def _repeated(points: Array, count: int) -> Array:
    return np.broadcast_to(points, (count, *points.shape))
