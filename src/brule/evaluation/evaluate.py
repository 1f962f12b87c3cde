"""Evaluate a predictor on annotated crops, beside two constant predictions: the mean shape and the barycenter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array, mean_of_present
from brule.data import CropCache
from brule.errors import DataError
from brule.evaluation.confidence import RiskCoverage, rank_correlation, risk_coverage
from brule.evaluation.distances import fitting_kinds, normaliser
from brule.evaluation.intervals import Estimate, mean_estimates
from brule.evaluation.metrics import landmark_errors, region_errors
from brule.evaluation.regions import Regions, contours, landmark_regions
from brule.evaluation.scores import ImageErrors, Scores, measure, summarise

FLOOR_NAMES = ("barycenter", "mean shape")
Boxes = Literal["none", "given"]


class HasPoints(Protocol):
    """What a predictor returns. A ``spread`` (B, N) and an ``uncertainty`` (B,) are taken along if it has them."""

    @property
    def points(self) -> Any:
        """``(B, N, 2)`` in the unit square of each crop."""
        ...


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of an evaluation. Points are in the unit square of each object's true crop, errors in percent of ``distance``.

    Attributes:
        boxes: ``"none"``: the predictions were made on whole images; ``"given"``: inside the true boxes.
        scores: of the predictor.
        barycenter: scores of the constant prediction of the barycenter.
        mean_shape: scores of the constant prediction of the annotated shapes' mean; ``None`` where they have no mean.
        names: the path of each image.
        per_image: the errors of each image.
        barycenter_errors: those of the constant barycenter.
        mean_errors: those of the constant mean shape, or ``None``.
        predictions: ``(B, N, 2)``.
        truth: ``(B, N, 2)``, NaN = missing.
        spread: ``(B, N)``, how far off the predictor thinks each landmark may be, in sides of the crop; or ``None``.
        uncertainty: ``(B,)``: the higher, the sooner a person should look; or ``None``.
        distance: ``(B,)``, what errors are divided by, in sides of the crop.
        sides: ``(B,)``, the side of each crop in pixels of its image.
        baseline: ``(N, 2)``, the constant prediction that is the floor: the mean shape, or the barycenter where there is none.
        centre: ``(N, 2)``, the barycenter.
        regions: name → 0-based indices of its landmarks.
        edges: pairs of landmarks that pictures join by lines.
    """

    boxes: Boxes
    scores: Scores
    barycenter: Scores
    mean_shape: Scores | None
    names: list[str]
    per_image: ImageErrors
    barycenter_errors: ImageErrors
    mean_errors: ImageErrors | None
    predictions: Array
    truth: Array
    spread: Array | None
    uncertainty: Array | None
    distance: Array
    sides: Array
    baseline: Array
    centre: Array
    regions: dict[str, tuple[int, ...]]
    edges: tuple[tuple[int, int], ...] = ()

    @property
    def errors(self) -> Array:
        """``(B,)``, the NME of each image in percent."""
        return self.per_image.nme

    @property
    def floor(self) -> ImageErrors:
        """The errors of the floor: the constant mean shape, or the constant barycenter if there is no mean."""
        return self.mean_errors or self.barycenter_errors

    @property
    def floor_scores(self) -> Scores:
        """The scores of the floor."""
        return self.mean_shape or self.barycenter

    @property
    def floor_name(self) -> str:
        """Which constant prediction the floor is."""
        return FLOOR_NAMES[0 if self.mean_shape is None else 1]

    @property
    def floor_errors(self) -> Array:
        """``(B,)``, the NME of the floor."""
        return self.floor.nme

    @property
    def beats_floor(self) -> bool:
        """Whether the detector is better than the constant prediction on most images; a few lost objects don't decide."""
        return self.scores.median_nme < self.floor_scores.median_nme and self.scores.found > 0.5

    @cached_property
    def landmark_errors(self) -> Array:
        """``(B, N)`` in percent, NaN where the truth is missing."""
        return landmark_errors(self.predictions, self.truth, distance=self.distance)

    @cached_property
    def by_landmark(self) -> list[Estimate]:
        """The mean error of each landmark over the images where it is present."""
        return mean_estimates(self.landmark_errors)

    @cached_property
    def landmark_lengths(self) -> Array:
        """The mean error of each landmark in sides of the crop, ``(N,)``."""
        return mean_of_present(np.linalg.norm(self.predictions - self.truth, axis=2), axis=0)

    @cached_property
    def by_region(self) -> dict[str, Estimate]:
        """The mean error of each region over the images where any of it is present."""
        return self._regional(self.landmark_errors)

    @cached_property
    def floor_by_region(self) -> dict[str, Estimate]:
        """The same of the floor."""
        constant = np.broadcast_to(self.baseline, self.truth.shape)
        return self._regional(landmark_errors(constant, self.truth, distance=self.distance))

    @cached_property
    def by_distance(self) -> dict[str, tuple[Estimate, Estimate]]:
        """NME of the predictor and of the floor, divided by every distance that all images have."""
        kinds = fitting_kinds(self.truth)
        factors = [self.distance / distance for distance in kinds.values()]
        columns = [errors.nme * factor for factor in factors for errors in (self.per_image, self.floor)]
        found = iter(mean_estimates(np.stack(columns, axis=1))) if columns else iter(())
        return {name: (next(found), next(found)) for name in kinds}

    @cached_property
    def mean_spread(self) -> Array | None:
        """``(B,)``, the mean spread of each image's landmarks in percent of the crop's side, or ``None``."""
        return None if self.spread is None else 100.0 * self.spread.mean(axis=1)

    @cached_property
    def uncertainty_order(self) -> Array | None:
        """``(B,)``, what orders the images by how sure the predictor is: the uncertainty, else the mean spread, or ``None``."""
        return self.mean_spread if self.uncertainty is None else self.uncertainty

    @cached_property
    def rank_correlation(self) -> Estimate | None:
        """Spearman's ρ of :attr:`uncertainty_order` and NME over images; ``None`` if the predictor doesn't rate its answers."""
        return None if self.uncertainty_order is None else rank_correlation(self.uncertainty_order, self.errors)

    @cached_property
    def risk_coverage(self) -> RiskCoverage | None:
        """The mean NME of the remaining images if the least certain ones are set aside, or ``None`` for the same reason."""
        return None if self.uncertainty_order is None else risk_coverage(self.uncertainty_order, self.errors)

    def _regional(self, errors: Array) -> dict[str, Estimate]:
        found = mean_estimates(np.stack(list(region_errors(errors, self.regions).values()), axis=1))
        return dict(zip(self.regions, found, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON: those of :class:`Scores`, the floors', by region and so on, and each image's error."""
        mean = self.mean_shape
        curve = self.risk_coverage
        floor = self.floor_scores
        return {
            **self.scores.to_dict(),
            "boxes": self.boxes,
            "floor": self.floor_name,
            "beats_floor": self.beats_floor,
            **{f"floor_{name}": getattr(floor, name) for name in ("auc_8", "fr_8", "auc_10", "fr_10")},
            "floor_barycenter_nme": self.barycenter.nme,
            "floor_barycenter_w1": self.barycenter.w1,
            "floor_mean_nme": mean.nme if mean else None,
            "floor_mean_w1": mean.w1 if mean else None,
            "limits": list(self.scores.limits),
            "unit": "percent of the normalising distance",
            "interval": "95 % percentile bootstrap over images, 2000 resamples, seed 0",
            "floors": {
                name: scores.to_dict() for name, scores in zip(FLOOR_NAMES, (self.barycenter, mean), strict=True) if scores
            },
            "by_region": {name: _triple(one) for name, one in self.by_region.items()},
            "floor_by_region": {name: _triple(one) for name, one in self.floor_by_region.items()},
            "regions": {name: list(indices) for name, indices in self.regions.items()},
            "by_landmark": [_triple(one) for one in self.by_landmark],
            "by_distance": {name: _triple(own) for name, (own, _) in self.by_distance.items()},
            "floor_by_distance": {name: _triple(floor) for name, (_, floor) in self.by_distance.items()},
            "missing_landmarks": int(np.isnan(self.truth).any(axis=2).sum()),
            "spread_error_correlation": _triple(self.rank_correlation) if self.rank_correlation else None,
            "risk_coverage_area": curve.area if curve else None,
            "risk_coverage_oracle_area": curve.oracle_area if curve else None,
            "images": [{"name": n, "nme": float(e)} for n, e in zip(self.names, self.errors, strict=True)],
        }


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

    Returns:
        The figures with the floors beside them, and what they were computed from.

    Raises:
        DataError: no annotation, another number of landmarks than the predictor's, or an annotation that gives no
            normalising distance (the file is named).
    """
    _truth(cache, len(np.asarray(barycenter)))  # before predicting
    found = _predict_all(predict_crops, cache.images, batch_size, progress=progress)
    return evaluate_points(
        found, cache, barycenter=barycenter, shapes=shapes, normaliser=normaliser, regions=regions, edges=edges
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Answers:
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
    answers: Answers,
    cache: CropCache,
    *,
    boxes: Boxes = "given",
    stand_in: ArrayLike | None = None,
    barycenter: ArrayLike,
    shapes: ArrayLike | None = None,
    normaliser: str | ArrayLike = "auto",
    regions: Regions | None = None,
    edges: Sequence[tuple[int, int]] | None = None,
) -> Evaluation:
    """Compare predictions with the annotation.

    Args:
        answers: one for each object of ``cache``.
        cache: the annotated objects; only their truth and the places of their crops count.
        boxes: whether the predictor had the true boxes.
        stand_in: ``(B, N, 2)``: the errors of objects that weren't found are those of these points; they never count as found.
        barycenter: ``(N, 2)`` in the unit square.
        shapes: ``(K, N, 2)``, the annotated shapes that the predictor was given; their mean is the floor.
        normaliser: as ``kind`` of :func:`brule.evaluation.normaliser`; a number counts in sides of the crop.
        regions: as for :func:`brule.evaluation.landmark_regions`.
        edges: pairs of landmarks that pictures join by lines; by default :func:`contours`.

    Raises:
        DataError: as :func:`evaluate`.
    """
    centre = np.asarray(barycenter, dtype=np.float64)
    truth = _truth(cache, len(centre))
    names = [str(sample.path) for sample in cache.samples]
    distance_name, distance = _distance(truth, normaliser, names)
    sides = np.asarray(cache.boxes[:, 2] - cache.boxes[:, 0], dtype=np.float64)
    mean = None if shapes is None else np.asarray(shapes, dtype=np.float64).mean(axis=0)
    spacing = _spacing(cache)
    predictions, missed = _without_gaps(answers.points, stand_in)

    def measured(points: Array, gone: Array | None = None) -> ImageErrors:
        return measure(points, truth, distance=distance, sides=sides, missed=gone, spacing=spacing)

    mine, constant = measured(predictions, missed), measured(_repeated(centre, len(truth)))
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
        predictions=predictions,
        truth=truth,
        spread=answers.spread,
        uncertainty=answers.uncertainty,
        distance=distance,
        sides=sides,
        baseline=centre if mean is None else mean,
        centre=centre,
        regions=landmark_regions(len(centre), regions),
        edges=tuple(contours(len(centre)) if edges is None else edges),
    )


_find_distance = normaliser  # `evaluate` has an argument of the same name


def _triple(figure: Estimate) -> list[float | None]:
    """Value and interval; JSON has no NaN."""
    return [value if np.isfinite(value) else None for value in figure]


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
) -> Answers:
    found: dict[str, list[Array]] = {"points": [], "spread": [], "uncertainty": []}
    for start in range(0, len(images), batch_size):
        batch = np.array(images[start : start + batch_size])  # a copy: PyTorch warns of read-only memory
        answers = predict_crops(batch)
        for name, parts in found.items():
            if getattr(answers, name, None) is not None:
                parts.append(np.asarray(getattr(answers, name), dtype=np.float64))
        if progress is not None:
            progress(min(start + batch_size, len(images)), len(images))
    return Answers(**{name: np.concatenate(parts) for name, parts in found.items() if parts})


def _repeated(points: Array, count: int) -> Array:
    return np.broadcast_to(points, (count, *points.shape))
