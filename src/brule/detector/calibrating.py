"""Calibrating a detector: fits the error model from uncertainty features, on images that it wasn't trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
import torch

from brule.arrays import Array, mean_of_present
from brule.data import BadFiles, Sample, SampleList, build_cache
from brule.detector.fitted import FittedDetector
from brule.detector.measuring import check_annotation
from brule.detector.progress import Progress, in_stages
from brule.detector.uncertainty import Calibration, ErrorModel, TtaPredictions, UncertaintyFeatures, one_tta, tta_transforms
from brule.errors import DataError
from brule.evaluation import Estimate, RiskCoverage, rank_correlation, risk_coverage

FOLDS = 5
MIN_IMAGES = 10
DEFAULT_TTA = 4
KEPT = (0.9, 0.75, 0.5)  # shares of the images for which the risk is reported
_GROUPS = 4


@dataclass(frozen=True, eq=False)
class Quality:
    """How well expected errors predict the true ones, for one number of views. Errors are in percent of the crop's side.

    The expected error of an image is from an error model that was fitted without it (cross-validation).

    Attributes:
        views: how many views of each image were averaged.
        error: the mean error of the predictions.
        correlation: Spearman's ρ of expected and true error over images.
        risk: the true error of the remaining images if the least certain ones are set aside.
        groups: expected and true mean error of four groups of images, from the surest to the least sure.
    """

    views: int
    error: float
    correlation: Estimate
    risk: RiskCoverage
    groups: list[tuple[float, float]]

    def kept(self, share: float) -> tuple[float, float]:
        """The mean error of the surest ``share`` of the images, and of those with the smallest errors."""
        index = max(0, round(share * len(self.risk.risk)) - 1)
        return float(self.risk.risk[index]), float(self.risk.oracle[index])

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "views": self.views,
            "error": self.error,
            "rank_correlation": [value if np.isfinite(value) else None for value in self.correlation],
            "risk_coverage_area": self.risk.area,
            "risk_coverage_oracle_area": self.risk.oracle_area,
            "kept": {f"{share:g}": self.kept(share) for share in KEPT},
            "groups": self.groups,
        }


@dataclass(frozen=True)
class WholeImages:
    """What expected errors are worth where the detector finds the object itself: one view, images of one annotated object.

    The error models were fitted to the same images, inside the true boxes.

    Attributes:
        images: how many there are.
        flagged: how many predictions are flagged as probably wrong, or missing.
        expected: mean expected error of the other predictions, in percent of the crop's side; NaN without any.
        true: their mean true error.
    """

    images: int
    flagged: int
    expected: float
    true: float

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        figures = {"expected": self.expected, "true": self.true}
        return {
            "images": self.images,
            "flagged": self.flagged,
            **{name: value if np.isfinite(value) else None for name, value in figures.items()},
        }


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """What a calibration found.

    Attributes:
        calibration: the error models, fitted to all images inside their true boxes; the detector has them now.
        before: Spearman's ρ of the heatmap's spread alone, which an uncalibrated detector returns, and the error.
        quality: for 1, 2, … views.
        bad: files that were left out.
        whole: how the expected errors do on whole images; ``None`` where the detector has no locator.
    """

    calibration: Calibration
    before: Estimate
    quality: list[Quality]
    bad: BadFiles
    whole: WholeImages | None = None


class CalibrateKeywords(TypedDict, total=False):
    """The options of :func:`calibrate_detector`, for type checkers; ``views`` is another name of ``tta``."""

    tta: int
    seed: int
    batch_size: int
    views: int | None
    skip_bad: bool
    progress: tuple[Progress | None, Progress | None]


def calibrate_detector(
    detector: FittedDetector,
    samples: SampleList,
    *,
    tta: int = DEFAULT_TTA,
    seed: int = 0,
    batch_size: int = 64,
    views: int | None = None,
    skip_bad: bool = False,
    progress: tuple[Progress | None, Progress | None] = (None, None),
) -> CalibrationReport:
    """Calibrate a detector: from now on the spread that it predicts is an expected error.

    The errors are those inside the true boxes, so an expected error holds on condition that the object was found. Where it
    wasn't, the true error is larger: there, the detector flags its prediction. Where it has a locator, both errors are compared
    on whole images, too.

    Keep it with :meth:`LandmarkDetector.save`, or with :func:`brule.detector.write_calibration` in its folder.

    Args:
        detector: a trained one; its ``calibration_`` is set.
        samples: annotated as the detector's shapes were, and not trained on with their landmarks.
        tta: the largest number of views, 1 … 6, that ``predict`` can average afterwards; there is an error model for every
            smaller one, too.
        seed: of the division into folds.
        batch_size: images at a time.
        views: another name of ``tta``.
        skip_bad: leave files out that can't be decoded.
        progress: called while images are decoded, and while landmarks are predicted.

    Returns:
        The calibration and how good it is, by cross-validation.

    Raises:
        DataError: fewer than ten images, another number of landmarks, or a bad file.
        ConfigError: a number of views that there isn't, or two different ones.
    """
    most = one_tta(tta, views, default=DEFAULT_TTA)
    tta_transforms(most, mirror=True)
    samples = check_annotation(detector, samples)
    crop, (decoding, predicting) = detector.config_.crop, progress
    cache = build_cache(samples, crop.image_size, scale=crop.scale, progress=decoding, skip_bad=skip_bad)
    if len(cache) < MIN_IMAGES:
        raise DataError(f"calibrate: expected at least {MIN_IMAGES} annotated images, got {len(cache)}; fifty are plenty")
    truth = np.asarray(cache.points, dtype=np.float64)
    missing = np.asarray(np.isnan(truth).any(axis=2))
    bare = np.flatnonzero(missing.all(axis=1))
    if len(bare):
        raise DataError(f"{cache.samples[bare[0]].path}: expected annotated landmarks, all of them are missing; leave it out")
    n_whole = len(_alone(cache.samples)) if detector.whereabouts_.locator is not None else 0
    first, second = in_stages(predicting, len(cache), n_whole)
    predictions = _predict_all_views(detector, cache.images, most, batch_size=batch_size, progress=first)
    reader = detector.reader()
    folds = _folds(len(truth), seed)
    maps, quality, before = {}, [], None
    for count in range(1, most + 1):
        own = predictions.first(count)
        features = reader.features(own)
        errors = np.linalg.norm(own.mean.double().numpy() - truth, axis=2)
        maps[count] = ErrorModel.fit(features, errors)
        quality.append(_quality(count, _held_out(features, errors, folds), errors))
        before = before or rank_correlation(features.heatmap_spread.mean(axis=1), mean_of_present(errors, axis=1))
    assert before is not None
    facts = {"unit": "percent of the crop's side", "folds": FOLDS, "seed": seed, "quality": [one.to_dict() for one in quality]}
    detector.calibration_ = Calibration(maps, len(truth), facts)
    bad, whole = BadFiles([*samples.bad, *cache.bad], skip=True), None
    if detector.whereabouts_.locator is not None:
        whole = _on_whole_images(detector, cache.samples, batch_size=batch_size, progress=second)
        detector.calibration_ = replace(detector.calibration_, facts={**facts, "whole_images": whole.to_dict()})
    return CalibrationReport(detector.calibration_, before, quality, bad, whole)


def _alone(samples: Sequence[Sample]) -> list[Sample]:
    """Those whose image has no other annotated object."""
    counts = Counter(sample.path for sample in samples)
    return [sample for sample in samples if counts[sample.path] == 1]


def _on_whole_images(
    detector: FittedDetector, samples: Sequence[Sample], *, batch_size: int, progress: Progress | None
) -> WholeImages:
    """Expected and true errors of a calibrated detector, without boxes."""
    truths = {one.path: np.asarray(one.points, dtype=np.float64) for one in _alone(samples)}
    errors, flagged, done = [], 0, 0
    shown = SampleList([Sample(path) for path in truths], bad=BadFiles(skip=True))
    for batch, found in detector.iter_predict(shown, skip_bad=True, flagged="keep", batch_size=batch_size):
        for sample, one in zip(batch, found, strict=True):
            if one.flagged or not one.found:
                flagged += 1
                continue
            pixels, truth = one.spread.double().numpy(), truths[sample.path]
            side = pixels.mean() / one.uncertainty  # spread is in pixels, uncertainty the mean of the same in sides of the crop
            true = np.linalg.norm(one.points.double().numpy() - truth, axis=1)
            errors.append([100 * np.mean(values[np.isfinite(true)]) / side for values in (pixels, true)])
        done += len(batch)
        if progress is not None:
            progress(done, len(truths))
    expected, true = np.mean(errors, axis=0).tolist() if errors else (np.nan, np.nan)
    return WholeImages(done, flagged, expected, true)


def _predict_all_views(
    detector: FittedDetector, images: Array, views: int, *, batch_size: int, progress: Progress
) -> TtaPredictions:
    reader = detector.reader(batch_size)
    parts = []
    for start in range(0, len(images), batch_size):
        crops = np.array(images[start : start + batch_size])  # a copy: PyTorch warns of read-only memory
        parts.append(reader.read_views(crops, views=views))
        progress(min(start + batch_size, len(images)), len(images))
    return TtaPredictions(torch.cat([part.points for part in parts], 1), torch.cat([part.heatmap_spread for part in parts], 1))


def _folds(n: int, seed: int) -> Array:
    """The fold of each image, ``(B,)``, as even as can be."""
    order = np.random.default_rng(seed).permutation(n)
    folds = np.empty(n, dtype=np.int64)
    folds[order] = np.arange(n) % FOLDS
    return folds


def _held_out(features: UncertaintyFeatures, errors: Array, folds: Array) -> Array:
    """Expected errors ``(B, N)``, each image's from an error model that was fitted without its fold."""
    expected = np.empty_like(errors)
    for fold in range(FOLDS):
        own = folds == fold
        expected[own] = ErrorModel.fit(features.some(~own), errors[~own]).expected(features.some(own))
    return expected


def _quality(views: int, expected: Array, errors: Array) -> Quality:
    # Both means run over the landmarks that are annotated, or an image that lacks the hard ones would look too sure.
    expected_error = 100 * mean_of_present(np.where(np.isfinite(errors), expected, np.nan), axis=1)
    true = 100 * mean_of_present(errors, axis=1)
    groups = np.array_split(np.argsort(expected_error, kind="stable"), _GROUPS)
    return Quality(
        views=views,
        error=float(true.mean()),
        correlation=rank_correlation(expected_error, true),
        risk=risk_coverage(expected_error, true),
        groups=[(float(expected_error[group].mean()), float(true[group].mean())) for group in groups],
    )
