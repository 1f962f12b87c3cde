"""Every figure for one set of predictions, each with its interval, beside the constant prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from brule.evaluation.checks import Array
from brule.evaluation.distances import normaliser
from brule.evaluation.intervals import Estimate, mean_estimates
from brule.evaluation.metrics import areas_under_steps, normalized_mean_error, wasserstein1_error

LIMITS = (8, 10)  # percent, of AUC and failure rate
FIGURES = ("nme", "w1", "auc_8", "fr_8", "auc_10", "fr_10")


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """What each image is worth; every figure of :class:`Scores` is a mean over these.

    Attributes:
        nme: ``(B,)`` in percent.
        w1: ``(B,)`` in percent.
    """

    nme: Array
    w1: Array


@dataclass(frozen=True)
class Scores:
    """What a set of predictions is worth, with the constant prediction (the floor) beside it.

    Attributes:
        nme: mean over images of the normalised mean error, percent.
        w1: mean permutation-free W₁ error, percent.
        auc_8: area under the CED up to 8 %, 0 to 1.
        fr_8: share of images with an error above 8 %.
        auc_10: area under the CED up to 10 %, 0 to 1.
        fr_10: share of images with an error above 10 %.
        floor_nme: ``nme`` of the constant prediction.
        floor_w1: ``w1`` of the constant prediction.
        n: number of images.
        normaliser: the name of the distance that all errors are divided by.
        intervals: figure → the two ends of its 95 % bootstrap interval over images.
    """

    nme: float
    w1: float
    auc_8: float
    fr_8: float
    auc_10: float
    fr_10: float
    floor_nme: float
    floor_w1: float
    n: int
    normaliser: str
    intervals: Mapping[str, tuple[float, float]]

    @property
    def nme_low(self) -> float:
        """Lower end of the interval of ``nme``."""
        return self.intervals["nme"][0]

    @property
    def nme_high(self) -> float:
        """Upper end of the interval of ``nme``."""
        return self.intervals["nme"][1]

    def estimate(self, name: str) -> Estimate:
        """A figure (one of ``nme``, ``w1``, ``auc_8``, …) with its interval."""
        return Estimate(getattr(self, name), *self.intervals[name])

    def to_dict(self) -> dict[str, Any]:
        """The figures as a plain dictionary, ready for JSON: ``nme``, ``nme_low``, ``nme_high``, and so on."""
        figures: dict[str, Any] = {}
        for name in FIGURES:
            figures |= {
                name: getattr(self, name),
                f"{name}_low": self.intervals[name][0],
                f"{name}_high": self.intervals[name][1],
            }
        rest = {"floor_nme": self.floor_nme, "floor_w1": self.floor_w1, "n": self.n, "normaliser": self.normaliser}
        return figures | rest


def measure(prediction: ArrayLike, truth: ArrayLike, *, distance: ArrayLike) -> ImageErrors:
    """The two errors of every image.

    Args:
        prediction: ``(B, N, 2)``.
        truth: ``(B, N, 2)``, same frame; NaN = missing.
        distance: a number or ``(B,)``, same unit.

    Raises:
        DataError: shapes disagree, an image has no truth at all, or a distance is zero.
    """
    return ImageErrors(
        normalized_mean_error(prediction, truth, distance=distance), wasserstein1_error(prediction, truth, distance)
    )


def summarise(errors: ImageErrors, *, floor: ImageErrors, normaliser: str) -> Scores:
    """The figures of a set of images, from the errors of each; the intervals of all come from the same resamples.

    Args:
        errors: of the predictions.
        floor: of the constant prediction, on the same images.
        normaliser: the name of the distance that both are divided by.
    """
    columns = [errors.nme, errors.w1]
    for limit in LIMITS:
        columns += [areas_under_steps(errors.nme, limit), (errors.nme > limit).astype(np.float64)]
    found = dict(zip(FIGURES, mean_estimates(np.stack(columns, axis=1)), strict=True))
    values: dict[str, Any] = {name: figure.value for name, figure in found.items()}
    return Scores(
        **values,
        floor_nme=float(floor.nme.mean()),
        floor_w1=float(floor.w1.mean()),
        n=len(errors.nme),
        normaliser=normaliser,
        intervals={name: (figure.low, figure.high) for name, figure in found.items()},
    )


def score(prediction: ArrayLike, truth: ArrayLike, *, floor: ArrayLike, normaliser: str | ArrayLike = "auto") -> Scores:
    """Every figure of CONTRIBUTING, "Measuring honestly", for one set of predictions.

    Args:
        prediction: ``(B, N, 2)``.
        truth: ``(B, N, 2)``, same frame; NaN = missing.
        floor: ``(B, N, 2)``, the constant prediction's points in that frame (in pixels they differ from image to image).
        normaliser: as ``kind`` of :func:`brule.evaluation.normaliser`.

    Raises:
        DataError: shapes disagree, an image has no truth at all, or a distance is zero.
    """
    name, distance = _find_distance(truth, normaliser)
    mine, constant = measure(prediction, truth, distance=distance), measure(floor, truth, distance=distance)
    return summarise(mine, floor=constant, normaliser=name)


_find_distance = normaliser  # functions here have an argument of the same name
