"""Measuring a detector on annotated images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from brule.data import BadFiles, SampleList, build_cache
from brule.data.names import samples_in_order
from brule.detector.estimator import LandmarkDetector
from brule.errors import DataError
from brule.evaluation import Evaluation, evaluate

Progress = Callable[[int, int], object]


def measure_detector(
    detector: LandmarkDetector,
    samples: SampleList,
    *,
    normaliser: str = "auto",
    regions: dict[str, tuple[int, ...]] | None = None,
    batch_size: int = 64,
    views: int = 1,
    skip_bad: bool = False,
    progress: tuple[Progress | None, Progress | None] = (None, None),
) -> tuple[Evaluation, BadFiles]:
    """Cut annotated images out, predict, and score.

    Args:
        detector: a trained one.
        samples: annotated as the detector's shapes were.
        normaliser: the distance that errors are divided by, see :func:`brule.evaluation.evaluate`.
        regions: names of regions with the indices of their landmarks.
        batch_size: images at a time.
        views: how often to look at each image, see :meth:`LandmarkDetector.predict`.
        skip_bad: leave files out that can't be decoded.
        progress: called while images are decoded, and while landmarks are predicted.

    Returns:
        The evaluation, and the files that were left out.

    Raises:
        DataError: the annotation has another number of landmarks, or a file is bad.
    """
    samples = check_annotation(detector, samples)
    crop, (decoding, predicting) = detector.config_.crop, progress
    cache = build_cache(samples, crop.image_size, scale=crop.scale, progress=decoding, skip_bad=skip_bad)
    result = evaluate(
        partial(detector.predict_crops, views=views),
        cache,
        barycenter=detector.barycenter_.numpy(),
        shapes=None if detector.shapes_ is None else detector.shapes_.numpy(),
        normaliser=normaliser,
        regions=regions,
        edges=detector.edges_,
        batch_size=batch_size,
        progress=predicting,
    )
    return result, BadFiles([*samples.bad, *cache.bad], skip=True)


def check_annotation(detector: LandmarkDetector, samples: SampleList) -> SampleList:
    """Samples with their landmarks in the detector's order, matched by name where both have names.

    Raises:
        DataError: there is none, or the landmarks aren't those of the detector.
    """
    if not samples:
        raise DataError("expected annotated images, got none")
    samples = samples_in_order(samples, detector.landmark_names_)
    expected, got = len(detector.barycenter_), samples.n_points
    if got != expected:
        raise DataError(
            f"{samples[0].path}: its annotation has {got} landmarks, the detector finds {expected}; evaluate it on images "
            "that are annotated as its shapes were"
        )
    return samples
