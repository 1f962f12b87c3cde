"""Measuring a detector on annotated images: on whole images, as users get it, and inside the true boxes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal, TypedDict

import numpy as np

from brule.arrays import Array
from brule.coordinates import pixels_to_unit
from brule.data import BadFiles, Box, CropCache, Sample, SampleList, build_cache, whole_image_crop
from brule.data.images import as_image, image_size
from brule.data.names import samples_in_order
from brule.detector.fitted import FittedDetector
from brule.detector.inputs import as_annotated
from brule.detector.items import predicted_files, recognised
from brule.detector.landmarks import Landmarks, joined
from brule.detector.pairing import annotated_again, annotated_objects, matched_rows
from brule.detector.progress import Progress, in_stages
from brule.detector.training_images import image_keys
from brule.detector.types import AnnotatedInput, Images, PointSets
from brule.detector.upright import upright_samples
from brule.errors import ConfigError, DataError
from brule.evaluation import CropPredictions, Evaluation, Measurement, evaluate, evaluate_points, normalized_mean_error
from brule.evaluation import normaliser as distance_of
from brule.evaluation.measurement import FEW_IMAGES

Boxes = Literal["none", "given", "both"]

_EARLY = 0.95  # share of the schedule below which training stopped early


@dataclass(frozen=True)
class MeasureOptions:
    """How a detector is measured.

    Attributes:
        normaliser: the distance that errors are divided by, see :func:`brule.evaluation.normaliser`; or that many pixels.
        regions: names of regions with the indices of their landmarks.
        batch_size: images at a time.
        tta: test-time augmentation, see :meth:`LandmarkDetector.predict`.
        refine: refinement passes, see :meth:`LandmarkDetector.predict`.
    """

    normaliser: str | float = "auto"
    regions: dict[str, tuple[int, ...]] | None = None
    batch_size: int = 64
    tta: int = 1
    refine: int | None = None


class MeasureKeywords(TypedDict, total=False):
    """The options of :func:`measure_detector`, for type checkers."""

    boxes: Boxes
    normaliser: str | float
    regions: dict[str, tuple[int, ...]] | None
    batch_size: int
    tta: int
    refine: int | None
    skip_bad: bool
    progress: tuple[Progress | None, Progress | None]


def measure_detector(
    detector: FittedDetector,
    data: AnnotatedInput,
    *,
    boxes: Boxes = "both",
    normaliser: str | float = "auto",
    regions: dict[str, tuple[int, ...]] | None = None,
    batch_size: int = 64,
    tta: int = 1,
    refine: int | None = None,
    skip_bad: bool = False,
    progress: tuple[Progress | None, Progress | None] = (None, None),
) -> Measurement:
    """Predict annotated images and score the predictions.

    Args:
        detector: a trained one.
        data: images annotated as the detector's shapes were: a folder, files, globs, or samples.
        boxes: ``"none"``: predict on whole images, without boxes; ``"given"``: inside the true boxes; ``"both"``.
        normaliser: the distance that errors are divided by, see :func:`brule.evaluation.normaliser`; or that many pixels.
        regions: names of regions with the indices of their landmarks.
        batch_size: images at a time.
        tta: test-time augmentation: views of each crop, see :meth:`LandmarkDetector.predict`.
        refine: refinement passes, see :meth:`LandmarkDetector.predict`.
        skip_bad: leave files out that can't be decoded.
        progress: called while images are decoded, and while landmarks are predicted.

    Returns:
        The figures in both ways, what makes them unreliable, and the files that were left out.

    Raises:
        DataError: the annotation has another number of landmarks, or a file is bad.
        ConfigError: ``boxes`` is none of the three.
    """
    if boxes not in ("none", "given", "both"):
        raise ConfigError(f"boxes: expected 'none', 'given' or 'both', got {boxes!r}")
    samples = check_annotation(detector, annotated_files(data, skip_bad=skip_bad))
    options = MeasureOptions(normaliser, regions, batch_size, tta, refine)
    crop, (decoding, predicting) = detector.config_.crop, progress
    cache = build_cache(samples, crop.image_size, scale=crop.scale, progress=decoding, skip_bad=skip_bad)
    n_paths = 0 if boxes == "given" else len({sample.path for sample in cache.samples})
    first, second = in_stages(predicting, n_paths, 0 if boxes == "none" else len(cache))
    whole, objects = (None, {}) if boxes == "given" else _on_whole_images(detector, cache, options, progress=first)
    return Measurement(
        whole=whole,
        given=None if boxes == "none" else _inside_boxes(detector, cache, options, progress=second),
        objects=objects,
        repeat=repeat_error(samples, normaliser),
        warnings=tuple(_warnings(detector, cache.samples)),
        bad=BadFiles([*samples.bad, *cache.bad], skip=True),
    )


def annotated_files(data: AnnotatedInput, *, skip_bad: bool) -> SampleList:
    """Annotated files as samples; samples stay what they are.

    Raises:
        DataError: they are images in memory, or lack landmarks.
    """
    samples = data if isinstance(data, SampleList) else as_annotated(data, skip_bad).images
    if not isinstance(samples, SampleList):
        raise DataError("expected annotated files, got images in memory; score(images, points) measures on those")
    return samples


def mean_error(detector: FittedDetector, images: Images, points: PointSets, *, normaliser: str | float = "auto") -> float:
    """The mean NME in percent on whole images in any form; where nothing is found, that of the mean shape on the whole image.

    Args:
        detector: a trained one.
        images: as for :meth:`LandmarkDetector.predict`, one object each; those of a folder or a glob in its order.
        points: ``(B, N, 2)`` the true landmarks in pixels, NaN where one is missing.
        normaliser: the distance that errors are divided by, see :func:`brule.evaluation.normaliser`; or that many pixels.

    Raises:
        DataError: there are more or fewer sets of points than images, or none.
    """
    kind, given = recognised(images)
    shown = list(given) if kind == "pictures" else SampleList(predicted_files(given).values())
    truth = np.asarray(points, dtype=np.float64)
    if truth.shape != (len(shown), len(detector.barycenter_), 2) or not len(shown):
        expected = f"({len(shown)}, {len(detector.barycenter_)}, 2)"
        raise DataError(f"score: expected points of shape {expected}, one set for each image, got {truth.shape}")
    predictions = detector.predict(shown).points.double().cpu().numpy()
    mean = detector.mean_shape().double().cpu().numpy()
    for k in np.flatnonzero(~np.isfinite(predictions).all(axis=(1, 2))):
        one = shown[k]
        size = image_size(one.path) if isinstance(one, Sample) else as_image(one).size
        left, top, right, _ = whole_image_crop(*size)
        predictions[k] = mean * (right - left) + np.array([left, top])
    distance = distance_of(truth, normaliser)[1]
    return float(normalized_mean_error(predictions, truth, distance=distance).mean())


def check_annotation(detector: FittedDetector, samples: SampleList) -> SampleList:
    """Samples as the detector is measured on them: with their landmarks in its order, matched by name where both have names,
    and with the angles of their objects where its crops show turned objects upright.

    Raises:
        DataError: there is none, one has no landmarks, or the landmarks aren't those of the detector.
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
    bare = next((one.path for one in samples if one.points is None or not np.isfinite(one.points).all(axis=1).any()), None)
    if bare is not None:
        raise DataError(f"{bare}: expected annotated landmarks, all of them are missing; leave it out, or annotate it")
    return upright_samples(samples, detector.mean_shape()) if detector.whereabouts_.turns else samples


def repeat_error(samples: SampleList, kind: str | float = "auto") -> dict[str, float]:
    """The error between two annotations of one image, where some images are annotated twice.

    Two samples are repeats if they are of one file, or of copies of it in different folders, and their landmarks lie in about
    one place.

    Returns:
        ``nme`` in percent, ``nme_px`` in pixels, and ``n`` pairs of annotations; empty if there are none.
    """
    annotated = [sample for sample in samples if sample.points is not None]
    by_object: dict[int, list[Sample]] = defaultdict(list)
    image = np.unique(image_keys(sample.path for sample in annotated), return_inverse=True)[1]
    for sample, shown in zip(annotated, annotated_objects(annotated, image).tolist(), strict=True):
        by_object[shown].append(sample)
    pairs = [pair for own in by_object.values() for pair in pairwise(own) if annotated_again(*pair)]
    if not pairs:
        return {}
    first = np.array([one.points for one, _ in pairs], dtype=np.float64)
    second = np.array([other.points for _, other in pairs], dtype=np.float64)
    lengths = np.linalg.norm(first - second, axis=2)
    mean = np.nanmean(lengths, axis=1)
    try:
        nme = 100 * float(np.nanmean(mean / distance_of(first, kind)[1]))
    except DataError:  # an annotation lacks what gives the distance
        return {}
    return {"nme": nme, "nme_px": float(np.nanmean(mean)), "n": float(len(pairs))}


def _inside_boxes(detector: FittedDetector, cache: CropCache, options: MeasureOptions, *, progress: Progress) -> Evaluation:
    if options.refine:
        found = detector.predict(cache.samples, tta=options.tta, refine=options.refine, batch_size=options.batch_size)
        progress(len(cache), len(cache))
        return evaluate_points(_in_true_crops(found, np.arange(len(cache)), cache), cache, **_scoring(detector, cache, options))
    return evaluate(
        partial(detector.predict_crops, tta=options.tta),
        cache,
        batch_size=options.batch_size,
        progress=progress,
        **_scoring(detector, cache, options),
    )


def _on_whole_images(
    detector: FittedDetector, cache: CropCache, options: MeasureOptions, *, progress: Progress
) -> tuple[Evaluation, dict[str, float]]:
    """The evaluation on whole images, and precision and recall where images hold several objects."""
    paths = list(dict.fromkeys(sample.path for sample in cache.samples))
    place = {path: k for k, path in enumerate(paths)}
    image = np.array([place[sample.path] for sample in cache.samples])
    shown = annotated_objects(cache.samples, image)
    several = len(paths) < shown.max() + 1
    parts, done = [], 0
    for _, found in detector.iter_predict(
        SampleList([Sample(path) for path in paths]),
        objects="all" if several else "best",
        tta=options.tta,
        refine=options.refine,
        batch_size=options.batch_size,
    ):
        parts.append(found)
        if len(found):  # a batch in which nothing is found doesn't say how far it reaches
            done = max(done, int(found.image.max()) + 1)
        progress(done, len(paths))
    progress(len(paths), len(paths))
    found = joined(parts)
    points, owner = found.points.double().numpy(), found.image.numpy()
    rows = matched_rows(points, owner, cache.samples, image=image, objects=shown)
    predictions = _in_true_crops(found, rows, cache)
    scoring = _scoring(detector, cache, options)
    stand_in = _stand_in(detector, cache)
    result = evaluate_points(predictions, cache, boxes="none", stand_in=stand_in, **scoring)
    return result, _precision_recall(result, found, shown) if several else {}


def _in_true_crops(found: Landmarks, rows: Array, cache: CropCache) -> CropPredictions:
    """Predictions in pixels → in the unit square of each object's true crop; NaN for objects without a prediction (row -1)."""
    here = rows >= 0
    boxes = np.asarray(cache.boxes, dtype=np.float64)
    points = np.full(cache.points.shape if cache.points is not None else (0,), np.nan)
    spread, uncertainty = np.full(points.shape[:2], np.nan), np.full(len(rows), np.nan)
    chosen = rows[here]
    own = found.points.double().numpy()[chosen]
    crops = [(cache.samples[k], tuple(boxes[k].tolist())) for k in np.flatnonzero(here)]
    points[here] = np.reshape([_in_crop(p, *crop) for p, crop in zip(own, crops, strict=True)], own.shape)
    spread[here] = found.spread.double().numpy()[chosen] / (boxes[here, 2] - boxes[here, 0])[:, None]
    uncertainty[here] = -found.score.double().numpy()[chosen]
    # What wasn't found is the least sure of all.
    worst = np.nanmax(uncertainty, initial=-np.inf) if here.any() else 0.0
    widest = np.nanmax(spread) if here.any() else 0.0
    return CropPredictions(points, np.nan_to_num(spread, nan=widest), np.nan_to_num(uncertainty, nan=worst))


def _in_crop(points: Array, sample: Sample, box: Box) -> Array:
    """Points ``(N, 2)`` in pixels → in the unit square of a crop, which is turned as the sample's object is."""
    left, top, right, bottom = box
    return pixels_to_unit(sample.in_frame(points, ((left + right) / 2, (top + bottom) / 2)), box)


def _stand_in(detector: FittedDetector, cache: CropCache) -> Array:
    """The prediction that counts where nothing is found: the mean shape placed on the whole image."""
    mean = detector.mean_shape().double().cpu().numpy()
    shown = []
    for sample, box in zip(cache.samples, cache.boxes.tolist(), strict=True):
        left, top, right, _ = whole_image_crop(*image_size(sample.path))
        pixels = mean * (right - left) + np.array([left, top])
        shown.append(_in_crop(pixels, sample, tuple(box)))
    return np.array(shown)


def _precision_recall(result: Evaluation, found: Landmarks, objects: Array) -> dict[str, float]:
    """Recall over annotated objects, precision over predictions that aren't flagged; right is an error below the floor.

    An object that was annotated several times counts once, by its first annotation.
    """
    missed = result.per_image.missed
    right = result.errors < result.scores.floor_nme
    right = right if missed is None else right & ~missed
    right = right[np.unique(objects, return_index=True)[1]]
    predictions = int((~found.flagged).sum())
    return {
        "objects": float(len(right)),
        "answers": float(predictions),  # the key of earlier versions, which metrics.json keeps
        "recall": float(right.mean()),
        "precision": float(right.sum() / predictions) if predictions else 0.0,
    }


def _scoring(detector: FittedDetector, cache: CropCache, options: MeasureOptions) -> dict[str, Any]:
    sides = np.asarray(cache.boxes[:, 2] - cache.boxes[:, 0], dtype=np.float64)
    kind = options.normaliser
    return {
        "barycenter": detector.barycenter_.numpy(),
        "shapes": None if detector.shapes_ is None else detector.shapes_.numpy(),
        "normaliser": kind if isinstance(kind, str) else kind / sides,
        "regions": options.regions,
        "edges": detector.edges_,
        "landmark_names": detector.landmark_names_,
    }


def _warnings(detector: FittedDetector, samples: SampleList) -> list[str]:
    """What makes figures unreliable, one sentence each."""
    keys = image_keys(sample.path for sample in samples)
    plain, taught = detector.training_images_.overlap(keys)
    found = []
    if taught:
        found.append(f"{taught} of these images were annotated for training, so the error on new images is larger than this")
    if plain:
        found.append(f"{plain} of these images were also training images (without their landmarks); new images may be harder")
    config, done = detector.config_, detector.progress_
    share = done.iteration / config.iterations
    if config.time_limit:
        share = max(share, done.elapsed / (60 * config.time_limit))
    if share < _EARLY:
        found.append(
            f"training stopped after {100 * share:.0f} % of its schedule: a finished run has a smaller error (--resume)"
        )
    if len(set(keys)) < FEW_IMAGES:
        found.append(f"{len(set(keys))} annotated images are few for a reliable figure: {FEW_IMAGES} or more are better")
    return found
