"""The result of an evaluation: figures, the errors behind them, and what they were computed from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from brule.arrays import Array, mean_of_present
from brule.evaluation.confidence import RiskCoverage, rank_correlation, risk_coverage
from brule.evaluation.distances import fitting_kinds
from brule.evaluation.intervals import INTERVAL, Estimate, mean_estimates
from brule.evaluation.metrics import landmark_errors, region_errors
from brule.evaluation.scores import ImageErrors, Scores

FLOOR_NAMES = ("barycenter", "mean shape")
Boxes = Literal["none", "given"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of an evaluation. Points are in the unit square of each object's true crop, errors in percent of ``distance``.

    Attributes:
        boxes: ``"none"``: the predictions were made on whole images; ``"given"``: inside the true boxes.
        scores: of the predictor.
        barycenter: scores of the constant prediction of the barycenter.
        mean_shape: scores of the constant prediction of the annotated shapes' mean; ``None`` where they have no mean.
        names: the path of each object's image; an image with several objects comes several times.
        per_image: the errors of each image.
        barycenter_errors: those of the constant barycenter.
        mean_errors: those of the constant mean shape, or ``None``.
        predictions: ``(B, N, 2)``.
        truth: ``(B, N, 2)``, NaN = missing.
        spread: ``(B, N)``, how far off the predictor thinks each landmark may be, in sides of the crop; or ``None``.
        uncertainty: ``(B,)``: the higher, the sooner a person should look; or ``None``.
        distance: ``(B,)``, what errors are divided by, in sides of the crop.
        sides: ``(B,)``, the side of each crop in pixels of its image.
        baseline: ``(N, 2)``, the constant prediction that is the floor: the mean shape, or the barycenter if there is no mean.
        centre: ``(N, 2)``, the barycenter.
        regions: name → 0-based indices of its landmarks.
        edges: pairs of landmarks that pictures join by lines.
        landmark_names: of the landmarks, in their order; ``None`` if they have none.
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
    landmark_names: tuple[str, ...] | None = None

    @property
    def errors(self) -> Array:
        """``(B,)``, the NME of each object in percent."""
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
    def landmark_labels(self) -> list[str]:
        """What each landmark is called in texts and tables: its name, else its number, counted from 1."""
        return list(self.landmark_names or (f"landmark {i}" for i in range(1, len(self.centre) + 1)))

    @cached_property
    def object_numbers(self) -> list[int]:
        """The number of each object in its image, counted from 1 in the order of the annotation."""
        seen: Counter[str] = Counter()
        numbers = []
        for name in self.names:
            seen[name] += 1
            numbers.append(seen[name])
        return numbers

    @property
    def n_images(self) -> int:
        """The number of images, each counted once, however many objects it has."""
        return len(set(self.names))

    @cached_property
    def landmark_errors(self) -> Array:
        """``(B, N)`` in percent, NaN where the truth is missing."""
        return landmark_errors(self.predictions, self.truth, distance=self.distance)

    @cached_property
    def by_landmark(self) -> list[Estimate]:
        """The mean error of each landmark over the images where it is present."""
        return mean_estimates(self.landmark_errors)

    def worst_landmarks(self, count: int) -> list[int]:
        """The indices of the landmarks with the largest mean errors, the largest first, of those that are present anywhere."""
        means = np.array([one.value for one in self.by_landmark])
        known = np.flatnonzero(np.isfinite(means))
        return known[np.argsort(-means[known], kind="stable")][:count].tolist()

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
        """Spearman's ρ of :attr:`uncertainty_order` and NME over images; ``None`` if no prediction has an uncertainty."""
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
            "interval": INTERVAL,
            "floors": {
                name: scores.to_dict() for name, scores in zip(FLOOR_NAMES, (self.barycenter, mean), strict=True) if scores
            },
            "by_region": {name: _triple(one) for name, one in self.by_region.items()},
            "floor_by_region": {name: _triple(one) for name, one in self.floor_by_region.items()},
            "regions": {name: list(indices) for name, indices in self.regions.items()},
            "by_landmark": [_triple(one) for one in self.by_landmark],
            "landmark_names": None if self.landmark_names is None else list(self.landmark_names),
            "by_distance": {name: _triple(own) for name, (own, _) in self.by_distance.items()},
            "floor_by_distance": {name: _triple(floor) for name, (_, floor) in self.by_distance.items()},
            "missing_landmarks": int(np.isnan(self.truth).any(axis=2).sum()),
            "spread_error_correlation": _triple(self.rank_correlation) if self.rank_correlation else None,
            "risk_coverage_area": curve.area if curve else None,
            "risk_coverage_oracle_area": curve.oracle_area if curve else None,
            "images": [
                {"name": name, "object": number, "nme": float(error)}
                for name, number, error in zip(self.names, self.object_numbers, self.errors, strict=True)
            ],
        }


def _triple(figure: Estimate) -> list[float | None]:
    """Value and interval; JSON has no NaN."""
    return [value if np.isfinite(value) else None for value in figure]
