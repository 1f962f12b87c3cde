"""Evaluate a predictor on annotated crops, beside the two constant predictions that need no predictor at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from brule.data import CropCache
from brule.errors import DataError
from brule.evaluation.metrics import Scores, normaliser, normalized_mean_error, score

Array = np.ndarray[Any, np.dtype[Any]]

FLOOR_NAMES = ("constant barycenter", "constant mean shape")


class HasPoints(Protocol):
    """What a predictor returns; :class:`brule.model.Landmarks` is one."""

    @property
    def points(self) -> Any:
        """``(B, N, 2)`` in the unit square of each crop."""
        ...


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation found. Points are in the unit square of each image's crop.

    Attributes:
        scores: of the predictor.
        barycenter: scores of the constant prediction of the barycenter: the floor.
        mean_shape: scores of the constant prediction of the annotated shapes' mean; ``None`` where they have no mean.
        names: the path of each image.
        errors: ``(B,)``, the NME of each image in percent.
        floor_errors: ``(B,)``, that of the constant barycenter.
        predictions: ``(B, N, 2)``.
        truth: ``(B, N, 2)``, NaN = missing.
    """

    scores: Scores
    barycenter: Scores
    mean_shape: Scores | None
    names: list[str]
    errors: Array
    floor_errors: Array
    predictions: Array
    truth: Array

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON: those of :class:`Scores`, the mean shape's, the limits, and every image's error."""
        mean = self.mean_shape
        return {
            **self.scores.to_dict(),
            "floor_auc_8": self.barycenter.auc_8,
            "floor_fr_8": self.barycenter.fr_8,
            "floor_auc_10": self.barycenter.auc_10,
            "floor_fr_10": self.barycenter.fr_10,
            "floor_mean_nme": mean.nme if mean else None,
            "floor_mean_w1": mean.w1 if mean else None,
            "limits": [8.0, 10.0],
            "unit": "percent of the normalising distance",
            "images": [{"name": n, "nme": float(e)} for n, e in zip(self.names, self.errors, strict=True)],
        }


def evaluate(
    predict_crops: Callable[[Array], HasPoints],
    cache: CropCache,
    *,
    barycenter: ArrayLike,
    shapes: ArrayLike | None = None,
    normaliser: str | ArrayLike = "auto",
    batch_size: int = 64,
    progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Predict every crop and compare with the annotation.

    Args:
        predict_crops: crops ``(B, S, S, 3)`` uint8 → an object whose ``points`` are ``(B, N, 2)`` in the unit square.
        cache: annotated crops, of the size and the scale that the predictor was made for.
        barycenter: ``(N, 2)`` in the unit square: the floor.
        shapes: ``(K, N, 2)``, the annotated shapes the predictor was given, for the second floor.
        normaliser: as ``kind`` of :func:`brule.evaluation.normaliser`.
        batch_size: crops at a time.
        progress: called as ``progress(done, total)``.

    Returns:
        The figures with the floors beside them, and what they were computed from.

    Raises:
        DataError: no annotation, another number of landmarks than the predictor's, or an annotation that gives no
            normalising distance (the file is named).
    """
    centre = np.asarray(barycenter, dtype=np.float64)
    truth = _truth(cache, len(centre))
    names = [str(sample.path) for sample in cache.samples]
    distance_name, distance = _distance(truth, normaliser, names)
    predictions = _predict_all(predict_crops, cache.images, batch_size, progress)

    def scored(points: Array) -> Scores:
        found = score(points, truth, floor=_repeated(centre, len(truth)), normaliser=distance)
        return Scores(**{**found.to_dict(), "normaliser": distance_name})  # type: ignore[arg-type]

    floor = _repeated(centre, len(truth))
    mean = None if shapes is None else np.asarray(shapes, dtype=np.float64).mean(axis=0)
    return Evaluation(
        scores=scored(predictions),
        barycenter=scored(floor),
        mean_shape=None if mean is None else scored(_repeated(mean, len(truth))),
        names=names,
        errors=normalized_mean_error(predictions, truth, distance=distance),
        floor_errors=normalized_mean_error(floor, truth, distance=distance),
        predictions=predictions,
        truth=truth,
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


def _predict_all(
    predict_crops: Callable[[Array], HasPoints],
    images: Array,
    batch_size: int,
    progress: Callable[[int, int], object] | None,
) -> Array:
    parts = []
    for start in range(0, len(images), batch_size):
        batch = np.array(images[start : start + batch_size])  # a copy: PyTorch warns of read-only memory
        parts.append(np.asarray(predict_crops(batch).points, dtype=np.float64))
        if progress is not None:
            progress(min(start + batch_size, len(images)), len(images))
    return np.concatenate(parts)


def _repeated(points: Array, count: int) -> Array:
    return np.broadcast_to(points, (count, *points.shape))
