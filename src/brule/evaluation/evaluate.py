"""Evaluate a predictor on annotated crops, beside the two constant predictions that need no predictor at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from brule.data import CropCache
from brule.errors import DataError
from brule.evaluation.checks import Array
from brule.evaluation.confidence import RiskCoverage, rank_correlation, risk_coverage
from brule.evaluation.distances import fitting_kinds, normaliser
from brule.evaluation.intervals import Estimate, mean_estimates
from brule.evaluation.metrics import landmark_errors, mean_of_present, region_errors
from brule.evaluation.regions import Regions, contours, landmark_regions
from brule.evaluation.scores import ImageErrors, Scores, measure, summarise

FLOOR_NAMES = ("constant barycenter", "constant mean shape")


class HasPoints(Protocol):
    """What a predictor returns; :class:`brule.model.Landmarks` is one. A ``spread`` (B, N) is taken along if it has one."""

    @property
    def points(self) -> Any:
        """``(B, N, 2)`` in the unit square of each crop."""
        ...


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation found. Points are in the unit square of each image's crop, errors in percent of ``distance``.

    Attributes:
        scores: of the predictor.
        barycenter: scores of the constant prediction of the barycenter: the floor.
        mean_shape: scores of the constant prediction of the annotated shapes' mean; ``None`` where they have no mean.
        names: the path of each image.
        per_image: NME and W₁ of each image.
        floor: those of the constant barycenter.
        mean_floor: those of the constant mean shape, or ``None``.
        predictions: ``(B, N, 2)``.
        truth: ``(B, N, 2)``, NaN = missing.
        spread: ``(B, N)``, how far off the predictor thinks each landmark may be, in sides of the crop; or ``None``.
        distance: ``(B,)``, what errors are divided by, in sides of the crop.
        sides: ``(B,)``, the side of each crop in pixels of its image.
        centre: ``(N, 2)``, the barycenter.
        regions: name → 0-based indices of its landmarks.
        edges: pairs of landmarks that pictures join by lines.
    """

    scores: Scores
    barycenter: Scores
    mean_shape: Scores | None
    names: list[str]
    per_image: ImageErrors
    floor: ImageErrors
    mean_floor: ImageErrors | None
    predictions: Array
    truth: Array
    spread: Array | None
    distance: Array
    sides: Array
    centre: Array
    regions: dict[str, tuple[int, ...]]
    edges: tuple[tuple[int, int], ...] = ()

    @property
    def errors(self) -> Array:
        """``(B,)``, the NME of each image in percent."""
        return self.per_image.nme

    @property
    def floor_errors(self) -> Array:
        """``(B,)``, that of the constant barycenter."""
        return self.floor.nme

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
        """The same of the constant barycenter."""
        constant = np.broadcast_to(self.centre, self.truth.shape)
        return self._regional(landmark_errors(constant, self.truth, distance=self.distance))

    @cached_property
    def by_distance(self) -> dict[str, tuple[Estimate, Estimate]]:
        """NME of the predictor and of the constant barycenter, divided by every distance that all images have."""
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
    def rank_correlation(self) -> Estimate | None:
        """Spearman's ρ of mean spread and NME over images, or ``None`` without spreads."""
        return None if self.mean_spread is None else rank_correlation(self.mean_spread, self.errors)

    @cached_property
    def risk_coverage(self) -> RiskCoverage | None:
        """The mean NME of the images that stay if the least sure ones are laid aside, or ``None`` without spreads."""
        return None if self.mean_spread is None else risk_coverage(self.mean_spread, self.errors)

    def _regional(self, errors: Array) -> dict[str, Estimate]:
        found = mean_estimates(np.stack(list(region_errors(errors, self.regions).values()), axis=1))
        return dict(zip(self.regions, found, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON: those of :class:`Scores`, the floors', by region and so on, and each image's error."""
        mean = self.mean_shape
        curve = self.risk_coverage
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
        normaliser: as ``kind`` of :func:`brule.evaluation.normaliser`.
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
    centre = np.asarray(barycenter, dtype=np.float64)
    truth = _truth(cache, len(centre))
    names = [str(sample.path) for sample in cache.samples]
    named = landmark_regions(len(centre), regions)
    distance_name, distance = _distance(truth, normaliser, names)
    predictions, spread = _predict_all(predict_crops, cache.images, batch_size, progress)
    mean = None if shapes is None else np.asarray(shapes, dtype=np.float64).mean(axis=0)
    mine = measure(predictions, truth, distance=distance)
    floor = measure(_repeated(centre, len(truth)), truth, distance=distance)
    mean_floor = None if mean is None else measure(_repeated(mean, len(truth)), truth, distance=distance)
    return Evaluation(
        scores=summarise(mine, floor=floor, normaliser=distance_name),
        barycenter=summarise(floor, floor=floor, normaliser=distance_name),
        mean_shape=None if mean_floor is None else summarise(mean_floor, floor=floor, normaliser=distance_name),
        names=names,
        per_image=mine,
        floor=floor,
        mean_floor=mean_floor,
        predictions=predictions,
        truth=truth,
        spread=spread,
        distance=distance,
        sides=np.asarray(cache.boxes[:, 2] - cache.boxes[:, 0], dtype=np.float64),
        centre=centre,
        regions=named,
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


def _predict_all(
    predict_crops: Callable[[Array], HasPoints],
    images: Array,
    batch_size: int,
    progress: Callable[[int, int], object] | None,
) -> tuple[Array, Array | None]:
    points, spreads = [], []
    for start in range(0, len(images), batch_size):
        batch = np.array(images[start : start + batch_size])  # a copy: PyTorch warns of read-only memory
        found = predict_crops(batch)
        points.append(np.asarray(found.points, dtype=np.float64))
        if getattr(found, "spread", None) is not None:
            spreads.append(np.asarray(found.spread, dtype=np.float64))  # type: ignore[attr-defined]
        if progress is not None:
            progress(min(start + batch_size, len(images)), len(images))
    return np.concatenate(points), np.concatenate(spreads) if spreads else None


def _repeated(points: Array, count: int) -> Array:
    return np.broadcast_to(points, (count, *points.shape))
