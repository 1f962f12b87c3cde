"""Every figure for one set of predictions, each with its interval, beside the constant prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array, mean_of_present
from brule.evaluation.distances import normaliser
from brule.evaluation.intervals import Estimate, estimate, mean_estimates
from brule.evaluation.metrics import areas_under_steps, normalized_mean_error, wasserstein1_error

LIMITS = (8, 10)  # percent, of AUC and failure rate; a convention for faces
FACE_DISTANCES = ("outer eye corners", "pupils", "eyes")
FIGURES = ("nme", "median_nme", "nme_px", "nme_mm", "found", "w1", "auc_8", "fr_8", "auc_10", "fr_10", "auc_floor")
_OF_FACES = tuple(f"{name}_{limit}" for limit in LIMITS for name in ("auc", "fr"))


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """The errors of each image; every figure of :class:`Scores` is computed from these.

    Attributes:
        nme: ``(B,)`` in percent.
        w1: ``(B,)`` in percent.
        px: ``(B,)`` mean distance of a landmark from its true place, in pixels.
        mm: the same in millimetres, NaN where an image has no scale; ``None`` where none has one.
        missed: ``(B,)``: nothing was found; the errors are those of a stand-in. ``None`` if something was found everywhere.
    """

    nme: Array
    w1: Array
    px: Array
    missed: Array | None = None
    mm: Array | None = None

    def some(self, rows: Array) -> ImageErrors:
        """Those of the chosen images, by index or by a mask."""
        missed, mm = (None if values is None else values[rows] for values in (self.missed, self.mm))
        return ImageErrors(nme=self.nme[rows], w1=self.w1[rows], px=self.px[rows], missed=missed, mm=mm)


@dataclass(frozen=True)
class Scores:
    """The figures of a set of predictions, with those of the constant prediction (the floor) beside them.

    Attributes:
        nme: mean over images of the normalised mean error, percent.
        median_nme: the median over images.
        nme_px: mean distance of a landmark from its true place, pixels.
        nme_mm: the same in millimetres; ``None`` unless every image has a scale.
        found: share of images whose NME is below ``floor_nme``: the object was found. 0 to 1.
        nme_found: mean NME of these; ``None`` if there is none.
        w1: mean permutation-free W₁ error, percent.
        auc_8: area under the CED up to 8 %, 0 to 1; ``None`` for other objects than faces.
        fr_8: share of images with an error above 8 %; ``None`` for the same.
        auc_10: area under the CED up to 10 %; ``None`` for the same.
        fr_10: share of images with an error above 10 %; ``None`` for the same.
        auc_floor: area under the CED up to ``floor_nme``, 0 to 1: for any object.
        floor_nme: ``nme`` of the constant prediction inside the true boxes.
        floor_w1: ``w1`` of it.
        n: number of images.
        normaliser: the name of the distance that all errors are divided by.
        intervals: figure → the two ends of its 95 % bootstrap interval over images.
    """

    nme: float
    median_nme: float
    nme_px: float
    found: float
    nme_found: float | None
    w1: float
    auc_8: float | None
    fr_8: float | None
    auc_10: float | None
    fr_10: float | None
    auc_floor: float
    floor_nme: float
    floor_w1: float
    n: int
    normaliser: str
    intervals: Mapping[str, tuple[float, float]]
    nme_mm: float | None = None

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures there are, in the order in which they are shown."""
        return tuple(name for name in FIGURES if getattr(self, name) is not None)

    @property
    def limits(self) -> tuple[int, ...]:
        """The thresholds of AUC and failure rate in percent; none for other objects than faces."""
        return LIMITS if self.normaliser in FACE_DISTANCES else ()

    @property
    def nme_low(self) -> float:
        """Lower end of the interval of ``nme``."""
        return self.intervals["nme"][0]

    @property
    def nme_high(self) -> float:
        """Upper end of the interval of ``nme``."""
        return self.intervals["nme"][1]

    def estimate(self, name: str) -> Estimate:
        """A figure (one of :attr:`figures`) with its interval."""
        return Estimate(getattr(self, name), *self.intervals[name])

    def to_dict(self) -> dict[str, Any]:
        """The figures as a plain dictionary, ready for JSON: ``nme``, ``nme_low``, ``nme_high``, and so on."""
        figures: dict[str, Any] = {}
        for name in FIGURES:
            low, high = self.intervals.get(name, (None, None))
            figures |= {name: getattr(self, name), f"{name}_low": low, f"{name}_high": high}
        rest = {"nme_found": self.nme_found, "floor_nme": self.floor_nme, "floor_w1": self.floor_w1}
        return figures | rest | {"n": self.n, "normaliser": self.normaliser}


def measure(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    distance: ArrayLike,
    sides: ArrayLike = 1.0,
    missed: Array | None = None,
    spacing: Array | None = None,
) -> ImageErrors:
    """The errors of every image.

    Args:
        prediction: ``(B, N, 2)``.
        truth: ``(B, N, 2)``, same frame; NaN = missing.
        distance: a number or ``(B,)``, same unit.
        sides: pixels for one unit of that frame, a number or ``(B,)``.
        missed: ``(B,)``: where the prediction is a stand-in, because nothing was found.
        spacing: ``(B, 2)`` millimetres per pixel along x and y, NaN where an image has no scale.

    Raises:
        DataError: shapes disagree, an image has no truth at all, or a distance is zero.
    """
    nme = normalized_mean_error(prediction, truth, distance=distance)
    px = nme / 100 * np.asarray(distance, dtype=np.float64) * np.asarray(sides, dtype=np.float64)
    mm = None
    if spacing is not None:
        offsets = np.asarray(prediction, dtype=np.float64) - np.asarray(truth, dtype=np.float64)
        per_unit = np.asarray(sides, dtype=np.float64).reshape(-1, 1) * spacing
        mm = mean_of_present(np.linalg.norm(offsets * per_unit[:, None], axis=2), axis=1)
    return ImageErrors(nme=nme, w1=wasserstein1_error(prediction, truth, distance), px=px, missed=missed, mm=mm)


def summarise(errors: ImageErrors, *, floor: ImageErrors, normaliser: str) -> Scores:
    """The figures of a set of images, from the errors of each; the intervals of all come from the same resamples.

    Args:
        errors: of the predictions.
        floor: of the constant prediction, on the same images.
        normaliser: the name of the distance that both are divided by.
    """
    nme, limit = errors.nme, float(floor.nme.mean())
    found = nme < limit if errors.missed is None else (nme < limit) & ~errors.missed
    columns = {"nme": nme, "nme_px": errors.px, "found": found.astype(np.float64), "w1": errors.w1}
    if errors.mm is not None and np.isfinite(errors.mm).all():
        columns["nme_mm"] = errors.mm
    columns["auc_floor"] = areas_under_steps(nme, limit) if limit > 0 else np.zeros_like(nme)
    for one in LIMITS if normaliser in FACE_DISTANCES else ():
        columns |= {f"auc_{one}": areas_under_steps(nme, one), f"fr_{one}": (nme > one).astype(np.float64)}
    means = dict(zip(columns, mean_estimates(np.stack(list(columns.values()), axis=1)), strict=True))
    means["median_nme"] = estimate(lambda chosen: np.median(nme[chosen], axis=1), len(nme))
    values: dict[str, Any] = dict.fromkeys(_OF_FACES) | {name: figure.value for name, figure in means.items()}
    return Scores(
        **values,
        nme_found=float(nme[found].mean()) if found.any() else None,
        floor_nme=limit,
        floor_w1=float(floor.w1.mean()),
        n=len(nme),
        normaliser=normaliser,
        intervals={name: (figure.low, figure.high) for name, figure in means.items()},
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
