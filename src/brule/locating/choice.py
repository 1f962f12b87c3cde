"""Choosing among answers, and rejecting them: a logistic score of what is known about an answer without its truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brule.arrays import Array
from brule.errors import CheckpointError, DataError
from brule.locating.painting import painted_over
from brule.locating.places import landmark_sides
from brule.locating.pyramid import ImageLike

_SIGNS = (1.0, -1.0, -1.0, -1.0)  # of a right answer: the locator is sure; passes agree; shape and spread are usual
_RIDGE = 1e-3
_TINY = 1e-6
_FALSE_ALARMS = 0.04  # of the right training answers at most; a little below the 5 % that are aimed at on new images
_LIKELY = 0.5  # probability from which no answer is flagged: new images are often harder than those of training
_TRIM_ROUNDS = 2
_AT_ONCE = 32  # images that are painted over and held in memory
_MIN_PROBABILITY = 0.2  # probability below which an answer in an unlabelled image isn't taken for right
_LIKELY_OTHER = 0.5  # probability from which an answer beside the one that was painted over may be another object


@dataclass(frozen=True, eq=False)
class AnswerFeatures:
    """What is known about M answers without their truth.

    Attributes:
        sure: ``(M,)`` the locator's score, from 0 to 1.
        shift: ``(M,)`` mean distance of the landmarks of the last two refinement passes, over the longer side of the box.
        energy: ``(M,)`` how unusual the shape is; 1 on average for shapes of the object.
        spread: ``(M,)`` mean spread of the landmarks, over the longer side of the box.
    """

    sure: Array
    shift: Array
    energy: Array
    spread: Array

    def __len__(self) -> int:
        """The number of answers."""
        return len(self.sure)

    def table(self) -> Array:
        """``(M, 4)`` log odds and logarithms; what isn't finite is as bad as can be."""
        from scipy.special import logit

        bounded = np.clip(np.nan_to_num(self.sure, nan=0.0), _TINY, 1 - _TINY)
        logs = [
            np.log(np.clip(np.nan_to_num(one, nan=1 / _TINY), _TINY, 1 / _TINY))
            for one in (self.shift, self.energy, self.spread)
        ]
        return np.stack([logit(bounded), *logs], axis=1)

    def chosen(self, rows: Array) -> AnswerFeatures:
        """Some answers: booleans ``(M,)`` or indices."""
        return AnswerFeatures(self.sure[rows], self.shift[rows], self.energy[rows], self.spread[rows])


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers over several images.

    Attributes:
        features: of M answers.
        points: ``(M, N, 2)`` landmarks in pixels of the image.
        image: ``(M,)`` index of the image.
    """

    features: AnswerFeatures
    points: Array
    image: Array


Answer = Callable[[Sequence[ImageLike]], Answers]


@dataclass(frozen=True, eq=False)
class AnswerScorer:
    r"""How likely an answer is to be right.

    .. math:: p = \sigma\bigl(b + \textstyle\sum_k w_k (x_k - m_k) / s_k\bigr)

    over the columns ``x`` of :meth:`AnswerFeatures.table`, whose weights can't have the wrong sign.

    Attributes:
        mean: ``m``, ``(4,)``.
        scale: ``s``, ``(4,)``.
        weights: ``w``, ``(4,)``.
        offset: ``b``.
        threshold: answers with a smaller probability are flagged.
    """

    mean: Array
    scale: Array
    weights: Array
    offset: float
    threshold: float

    @classmethod
    def fit(cls, features: AnswerFeatures, right: Array, *, false_alarms: float = _FALSE_ALARMS) -> AnswerScorer:
        """Learn from answers that are known to be right or wrong; both sides count half.

        Args:
            features: of M answers.
            right: ``(M,)`` booleans.
            false_alarms: largest share of the right answers that the threshold flags. It is smaller where more of them look
                wrong than are likely to be.

        Raises:
            DataError: one of the sides is empty.
        """
        from scipy.optimize import minimize
        from scipy.special import expit, xlogy

        right = np.asarray(right, dtype=bool)
        if not right.any() or right.all():
            raise DataError(
                f"answer scorer: expected right and wrong answers, got {int(right.sum())} right ones of {len(right)}"
            )
        table = features.table()
        mean, scale = table.mean(axis=0), np.maximum(table.std(axis=0), 1e-3)
        signed = (table - mean) / scale * _SIGNS
        share = np.where(right, 0.5 / right.sum(), 0.5 / (~right).sum())

        def loss(parameters: Array) -> tuple[float, Array]:
            odds = signed @ parameters[:-1] + parameters[-1]
            miss = share * (expit(odds) - right)
            value = -(share * (xlogy(right, expit(odds)) + xlogy(~right, expit(-odds)))).sum()
            gradient = np.append(signed.T @ miss + 2 * _RIDGE * parameters[:-1], miss.sum())
            return float(value + _RIDGE * (parameters[:-1] ** 2).sum()), gradient

        bounds = [(0.0, None)] * len(_SIGNS) + [(None, None)]
        solution = minimize(loss, np.zeros(len(_SIGNS) + 1), jac=True, bounds=bounds, method="L-BFGS-B").x
        scorer = cls(mean, scale, solution[:-1] * _SIGNS, float(solution[-1]), 0.0)
        threshold = min(float(np.quantile(scorer.probability(features)[right], false_alarms)), _LIKELY)
        return cls(mean, scale, scorer.weights, scorer.offset, threshold)

    def probability(self, features: AnswerFeatures) -> Array:
        """``(M,)``: how likely each answer is to be right."""
        from scipy.special import expit

        return expit((features.table() - self.mean) / self.scale @ self.weights + self.offset)

    @property
    def usual_shift(self) -> float:
        """A shift that speaks neither for nor against an answer: what to take where there was no refinement pass."""
        return float(np.exp(self.mean[1]))

    def flagged(self, features: AnswerFeatures) -> Array:
        """``(M,)`` booleans: answers that are likely to be wrong."""
        return self.probability(features) < self.threshold

    def facts(self) -> dict[str, Any]:
        """The same as JSON values; :meth:`from_facts` reads them."""
        listed = {name: getattr(self, name).tolist() for name in ("mean", "scale", "weights")}
        return {**listed, "offset": self.offset, "threshold": self.threshold}

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> AnswerScorer:
        """The scorer that :meth:`facts` described.

        Raises:
            CheckpointError: something is missing or of another kind.
        """
        try:
            mean, scale, weights = (np.array(facts[name], dtype=np.float64) for name in ("mean", "scale", "weights"))
            offset, threshold = float(facts["offset"]), float(facts["threshold"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"answer scorer: damaged or incomplete ({error!r}); train again") from error
        if not mean.shape == scale.shape == weights.shape == (len(_SIGNS),):
            raise CheckpointError(f"answer scorer: expected {len(_SIGNS)} weights, got {weights.shape}; train again")
        return cls(mean, scale, weights, offset, threshold)


def learn_scorer(
    answer: Answer,
    images: Sequence[ImageLike],
    points: Sequence[Array],
    *,
    unlabelled: Sequence[ImageLike] = (),
    most: int = 100,
    seed: int = 0,
) -> AnswerScorer:
    """Learn which answers are right, from training images alone.

    Right are the answers in annotated images that are closer to the truth than the mean shape in the true box is, and
    the best answers in the unlabelled images, unless what was learnt from the others speaks against them. Wrong are the
    others in annotated images, and all answers in the same images with the object painted over; in unlabelled images, which
    may show further objects, again unless what was learnt from the others speaks against it.

    Args:
        answer: locates objects in images and predicts their landmarks; a few answers per image, the surest first; none
            where it finds nothing, or is given no images.
        images: annotated ones.
        points: ``(N, 2)`` or ``(O, N, 2)`` landmarks of each, pixels.
        unlabelled: most of them with an object. Without any, the annotated images are all there is.
        most: of the unlabelled images that are used.
        seed: of the painting.

    Raises:
        DataError: there isn't a right answer, or not a wrong one.
    """
    truth = [np.asarray(one, dtype=np.float64).reshape(-1, *np.shape(one)[-2:]) for one in points]
    unlabelled = list(unlabelled)[:most]
    own, other = answer(images), answer(unlabelled)
    if not len(own.image):
        raise DataError("answer scorer: the locator finds nothing in any of the annotated images")
    tops = np.unique(other.image, return_index=True)[1]
    found_in = [unlabelled[int(k)] for k in other.image[tops]]
    hidden = _without_objects(answer, list(images), [_places(shapes) for shapes in truth], seed=seed)
    known = joined([own.features, *hidden])
    label = np.append(_near_truth(own, truth), np.zeros(len(known) - len(own.image), bool))
    presumed_right = other.features.chosen(tops)
    covers = [_places(shape[None]) for shape in other.points[tops]]
    nothing = presumed_right.chosen(np.zeros(len(presumed_right), bool))
    presumed_wrong = joined([nothing, *_without_objects(answer, found_in, covers, seed=seed + len(images))])
    scorer = _fitted(known, label, right=presumed_right, wrong=nothing)
    for _ in range(_TRIM_ROUNDS if len(tops) else 0):
        presumed_right = presumed_right.chosen(scorer.probability(presumed_right) >= _MIN_PROBABILITY)
        others = presumed_wrong.chosen(scorer.probability(presumed_wrong) < _LIKELY_OTHER)
        scorer = _fitted(known, label, right=presumed_right, wrong=others)
    return scorer


def _fitted(known: AnswerFeatures, label: Array, *, right: AnswerFeatures, wrong: AnswerFeatures) -> AnswerScorer:
    """The scorer of answers whose labels are known, of others taken for right, and of others taken for wrong."""
    labels = [label, np.ones(len(right), bool), np.zeros(len(wrong), bool)]
    return AnswerScorer.fit(joined([known, right, wrong]), np.concatenate(labels))


def _without_objects(answer: Answer, images: list[ImageLike], covers: list[Array], *, seed: int) -> list[AnswerFeatures]:
    """Answers in images whose objects are painted over, some images at a time."""
    parts = []
    for start in range(0, len(images), _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, len(images)))
        parts.append(answer([painted_over(images[k], covers[k], seed=seed + k) for k in some]).features)
    return parts


def joined(parts: Sequence[AnswerFeatures]) -> AnswerFeatures:
    """The answers of all parts, one after the other."""
    names = ("sure", "shift", "energy", "spread")
    return AnswerFeatures(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _near_truth(answers: Answers, truth: Sequence[Array]) -> Array:
    """Which answers beat the mean shape placed in the true box."""
    floor = floor_error([shape for shapes in truth for shape in shapes])
    right = np.zeros(len(answers.image), bool)
    for k, (points, image) in enumerate(zip(answers.points, answers.image, strict=True)):
        right[k] = any(_error(points, shape) < floor for shape in truth[int(image)])
    return right


def floor_error(shapes: Sequence[Array]) -> float:
    """Mean error of the mean shape placed in the boxes of shapes ``(N, 2)``, over their longer sides."""
    laid = []
    for shape in shapes:
        low, high = np.nanmin(shape, axis=0), np.nanmax(shape, axis=0)
        laid.append((shape - (low + high) / 2) / max(float((high - low).max()), 1e-9))
    mean = np.nanmean(laid, axis=0)
    return float(np.nanmean([np.linalg.norm(one - mean, axis=1) for one in laid]))


def _error(points: Array, shape: Array) -> float:
    return float(np.nanmean(np.linalg.norm(points - shape, axis=1)) / landmark_sides(shape[None])[0])


def _places(shapes: Array) -> Array:
    """Upright places ``(O, 5)`` around landmarks ``(O, N, 2)``."""
    low, high = np.nanmin(shapes, axis=1), np.nanmax(shapes, axis=1)
    return np.concatenate([(low + high) / 2, high - low, np.zeros((len(shapes), 1))], axis=1)
