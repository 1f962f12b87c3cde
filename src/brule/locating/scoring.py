"""Scoring detections, to choose among them and to reject false ones: a logistic model of what is known without the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from brule.arrays import Array
from brule.errors import DataError
from brule.locating.examples import usable
from brule.locating.logistic import fit_logistic
from brule.locating.painting import painted_over
from brule.locating.places import landmark_sides
from brule.locating.pyramid import ImageLike
from brule.locating.stored import damage_reported, finite_numbers, named_values

_SIGNS = (1.0, -1.0, -1.0, -1.0)  # of a right detection: high score; passes agree; shape and spread are usual
_RIDGE = 1e-3
_TINY = 1e-6
_MIN_SCALE = 1e-3  # of a feature, where all training detections have nearly the same value
_MAX_FALSE_ALARMS = 0.04  # of the right training detections; a little below the 5 % that are aimed at on new images
_MAX_THRESHOLD = 0.5  # a likelier detection is never flagged: new images are often harder than those of training
_TRIM_ROUNDS = 2
_IMAGES_IN_MEMORY = 32  # painted over at a time
_MIN_RIGHT = 0.2  # probability below which the best detection in an unlabelled image isn't taken for right
_MAX_WRONG = 0.5  # probability from which a detection beside the painted-over one isn't taken for wrong: another object, maybe


@dataclass(frozen=True, eq=False)
class DetectionFeatures:
    """What is known about M detections without their truth.

    Attributes:
        score: ``(M,)`` the locator's, from 0 to 1.
        shift: ``(M,)`` mean distance between the landmarks of the last two refinement passes, over the longer side of the box.
        energy: ``(M,)`` how unusual the shape is; 1 on average for shapes of the object.
        spread: ``(M,)`` mean spread of the landmarks, over the longer side of the box.
    """

    score: Array
    shift: Array
    energy: Array
    spread: Array

    def __len__(self) -> int:
        """The number of detections."""
        return len(self.score)

    def table(self) -> Array:
        """``(M, 4)``: the log odds of the score, and the logarithms of the others; the worst value if one isn't finite."""
        from scipy.special import logit

        bounded = np.clip(np.where(np.isfinite(self.score), self.score, 0.0), _TINY, 1 - _TINY)
        logs = [
            np.log(np.clip(np.where(np.isfinite(one), one, 1 / _TINY), _TINY, 1 / _TINY))
            for one in (self.shift, self.energy, self.spread)
        ]
        return np.stack([logit(bounded), *logs], axis=1)

    def chosen(self, rows: Array) -> DetectionFeatures:
        """Some detections: booleans ``(M,)`` or indices."""
        return DetectionFeatures(self.score[rows], self.shift[rows], self.energy[rows], self.spread[rows])

    @staticmethod
    def joined(parts: Sequence[DetectionFeatures]) -> DetectionFeatures:
        """The detections of one or more parts, one after the other."""
        names = ("score", "shift", "energy", "spread")
        return DetectionFeatures(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects that were detected in several images, with their landmarks.

    Attributes:
        features: of M detections.
        points: ``(M, N, 2)`` landmarks in pixels of the image.
        image: ``(M,)`` index of the image.
    """

    features: DetectionFeatures
    points: Array
    image: Array


Detect = Callable[[Sequence[ImageLike]], Detections]


@dataclass(frozen=True, eq=False)
class DetectionScorer:
    r"""How likely a detection is to be right.

    .. math:: p = \sigma\bigl(b + \textstyle\sum_k w_k (x_k - m_k) / s_k\bigr)

    over the columns ``x`` of :meth:`DetectionFeatures.table`, whose weights can't have the wrong sign.

    Attributes:
        mean: ``m``, ``(4,)``.
        scale: ``s``, ``(4,)``.
        weights: ``w``, ``(4,)``.
        offset: ``b``.
        threshold: detections with a smaller probability are flagged.
    """

    mean: Array
    scale: Array
    weights: Array
    offset: float
    threshold: float

    @classmethod
    def fit(cls, features: DetectionFeatures, right: Array, *, max_false_alarms: float = _MAX_FALSE_ALARMS) -> DetectionScorer:
        """Learn from detections that are known to be right or wrong; both classes count half.

        Args:
            features: of M detections.
            right: ``(M,)`` booleans.
            max_false_alarms: largest share of the right detections that is flagged. The share is smaller if more of them look
                wrong than are likely to be: the threshold is 0.5 at most.

        Raises:
            DataError: all detections are right, all are wrong, or there is none.
        """
        right = np.asarray(right, dtype=bool)
        if not right.any() or right.all():
            raise DataError(
                f"detection scorer: expected right and wrong detections, got {int(right.sum())} right ones of {len(right)}; "
                "annotate more images, or train for longer"
            )
        table = features.table()
        mean, scale = table.mean(axis=0), np.maximum(table.std(axis=0), _MIN_SCALE)
        weights, offset = fit_logistic((table - mean) / scale, right, signs=_SIGNS, ridge=_RIDGE)
        scorer = cls(mean, scale, weights, offset, 0.0)
        usual = float(np.quantile(scorer.probability(features)[right], max_false_alarms))
        return replace(scorer, threshold=min(usual, _MAX_THRESHOLD))

    def probability(self, features: DetectionFeatures) -> Array:
        """``(M,)``: how likely each detection is to be right."""
        from scipy.special import expit

        return expit((features.table() - self.mean) / self.scale @ self.weights + self.offset)

    @property
    def usual_shift(self) -> float:
        """The geometric mean shift of the training detections: a neutral value if there was no refinement pass."""
        return float(np.exp(self.mean[1]))

    def flagged(self, features: DetectionFeatures) -> Array:
        """``(M,)`` booleans: detections that are likely to be wrong."""
        return self.probability(features) < self.threshold

    def facts(self) -> dict[str, Any]:
        """The scorer as JSON values; :meth:`from_facts` reads them."""
        listed = {name: getattr(self, name).tolist() for name in ("mean", "scale", "weights")}
        return {**listed, "offset": self.offset, "threshold": self.threshold}

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> DetectionScorer:
        """The scorer that :meth:`facts` described.

        Raises:
            CheckpointError: something is missing, of another kind or shape, or out of range.
        """
        with damage_reported("detection scorer"):
            known, shape = named_values(facts, "scorer"), (len(_SIGNS),)
            mean, scale, weights = (finite_numbers(known[key], key, shape=shape) for key in ("mean", "scale", "weights"))
            offset, threshold = (float(finite_numbers(known[key], key)) for key in ("offset", "threshold"))
            if not (scale > 0).all() or not 0 <= threshold <= 1:
                raise ValueError(f"expected scales above 0 and a threshold from 0 to 1, got {scale.tolist()} and {threshold:g}")
        return cls(mean, scale, weights, offset, threshold)


def learn_scorer(
    detect: Detect,
    images: Sequence[ImageLike],
    points: Sequence[Array],
    *,
    unlabelled: Sequence[ImageLike] = (),
    most: int = 100,
    seed: int = 0,
) -> DetectionScorer:
    """Learn which detections are right, from training images alone.

    Right are the detections in annotated images that are closer to the truth than the mean shape in the true box is, and
    the best detections in unlabelled images, unless the model contradicts this. Wrong are the other detections in annotated
    images, and all detections in the same images with the object painted over; in unlabelled images, which may show further
    objects, again unless the model contradicts this.

    Args:
        detect: locates objects in images and predicts their landmarks; a few detections per image, those with the highest
            score first. No rows if it finds nothing, or is given no images.
        images: annotated ones.
        points: ``(N, 2)`` or ``(O, N, 2)`` landmarks of each, pixels, NaN where one is missing. Images without an object of
            two landmarks or more are left out.
        unlabelled: most of them with an object.
        most: largest number of unlabelled images that are used: the first ones.
        seed: of the painting.

    Raises:
        DataError: the numbers of images and annotations differ, or there is no right detection or no wrong one.
    """
    if len(images) != len(points):
        raise DataError(f"detection scorer: expected one annotation per image, got {len(points)} for {len(images)} images")
    annotated = [(image, shapes) for image, one in zip(images, points, strict=True) if len(shapes := _usable(one))]
    images, truth = [image for image, _ in annotated], [shapes for _, shapes in annotated]
    unlabelled = list(unlabelled)[:most]
    own, other = detect(images), detect(unlabelled)
    if not len(own.image):
        raise DataError("detection scorer: the locator finds nothing in any of the annotated images")
    tops = np.unique(other.image, return_index=True)[1]
    found_in = [unlabelled[int(k)] for k in other.image[tops]]
    hidden = _with_objects_hidden(detect, images, [_places(shapes) for shapes in truth], seed=seed)
    known = DetectionFeatures.joined([own.features, *hidden])
    label = np.append(_near_truth(own, truth), np.zeros(len(known) - len(own.image), bool))
    presumed_right = other.features.chosen(tops)
    covers = [_places(shape[None]) for shape in other.points[tops]]
    nothing = presumed_right.chosen(np.zeros(len(presumed_right), bool))
    beside = _with_objects_hidden(detect, found_in, covers, seed=seed + len(images))
    presumed_wrong = DetectionFeatures.joined([nothing, *beside])
    scorer = _fitted(known, label, right=presumed_right, wrong=nothing)
    for _ in range(_TRIM_ROUNDS if len(tops) else 0):
        presumed_right = presumed_right.chosen(scorer.probability(presumed_right) >= _MIN_RIGHT)
        wrong = presumed_wrong.chosen(scorer.probability(presumed_wrong) < _MAX_WRONG)
        scorer = _fitted(known, label, right=presumed_right, wrong=wrong)
    return scorer


def _usable(points: Array) -> Array:
    """``(O, N, 2)``: the shapes of an annotation that give a box."""
    shapes = np.asarray(points, dtype=np.float64)
    if shapes.ndim not in (2, 3) or shapes.shape[-1] != 2:
        raise DataError(f"detection scorer: expected landmarks (N, 2) or (O, N, 2), got {shapes.shape}")
    shapes = shapes.reshape(-1, *shapes.shape[-2:])
    return shapes[[usable(shape) for shape in shapes]] if len(shapes) else shapes


def _fitted(known: DetectionFeatures, label: Array, *, right: DetectionFeatures, wrong: DetectionFeatures) -> DetectionScorer:
    """The scorer of detections whose labels are known, and of others presumed right or wrong."""
    labels = [label, np.ones(len(right), bool), np.zeros(len(wrong), bool)]
    return DetectionScorer.fit(DetectionFeatures.joined([known, right, wrong]), np.concatenate(labels))


def _with_objects_hidden(
    detect: Detect, images: Sequence[ImageLike], covers: list[Array], *, seed: int
) -> list[DetectionFeatures]:
    """Detections in images whose objects ``(O, 5)`` are painted over, some images at a time."""
    parts = []
    for start in range(0, len(images), _IMAGES_IN_MEMORY):
        some = range(start, min(start + _IMAGES_IN_MEMORY, len(images)))
        parts.append(detect([painted_over(images[k], covers[k], seed=seed + k) for k in some]).features)
    return parts


def _near_truth(detections: Detections, truth: Sequence[Array]) -> Array:
    """``(M,)`` booleans: detections with a smaller error than the mean shape placed in the true box."""
    floor = floor_error([shape for shapes in truth for shape in shapes])
    right = np.zeros(len(detections.image), bool)
    for k, (points, image) in enumerate(zip(detections.points, detections.image, strict=True)):
        right[k] = any(_error(points, shape) < floor for shape in truth[int(image)])
    return right


def floor_error(shapes: Sequence[Array]) -> float:
    """Mean error of the mean shape placed in the boxes of shapes ``(N, 2)``, over the boxes' longer sides.

    Args:
        shapes: one or more, in one index order, NaN where a landmark is missing.
    """
    placed = []
    for shape in shapes:
        low, high = np.nanmin(shape, axis=0), np.nanmax(shape, axis=0)
        placed.append((shape - (low + high) / 2) / max(float((high - low).max()), 1e-9))
    mean = np.nanmean(placed, axis=0)
    return float(np.nanmean([np.linalg.norm(one - mean, axis=1) for one in placed]))


def _error(points: Array, shape: Array) -> float:
    """Mean distance of landmarks ``(N, 2)`` from true ones, over the longer side of the true box; infinite if none is known."""
    distance = np.linalg.norm(points - shape, axis=1)
    known = distance[np.isfinite(distance)]
    return float(known.mean() / landmark_sides(shape[None])[0]) if len(known) else np.inf


def _places(shapes: Array) -> Array:
    """Upright places ``(O, 5)`` around landmarks ``(O, N, 2)``."""
    low, high = np.nanmin(shapes, axis=1), np.nanmax(shapes, axis=1)
    return np.concatenate([(low + high) / 2, high - low, np.zeros((len(shapes), 1))], axis=1)
