"""Learning a locator: max-margin filters from a few annotated images, then self-training on unlabelled ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from brule.arrays import Array
from brule.data.images import size_of
from brule.errors import DataError
from brule.geometry import mirror_permutation
from brule.locating.examples import Annotated, ExampleMaker, annotated_places, filter_shape, typical_box
from brule.locating.features import CHANNELS
from brule.locating.filters import Filter, max_margin
from brule.locating.framing import Framing, learn_framing
from brule.locating.locator import Locator, LocatorSettings, Peak, search_size
from brule.locating.logistic import fit_logistic, platt_targets
from brule.locating.places import moved, overlap, to_boxes, turned
from brule.locating.pyramid import GreyImage, ImageLike, grey_image

MIN_ANNOTATED = 3
_RANDOM_NEGATIVES = 30  # random windows of each annotated image, for the first filters
_HARD_NEGATIVES = 30  # strongest detections of an annotated image, of which the false ones become negatives
_HARD_NEGATIVE_ROUNDS = 2
_HARD_NEGATIVE_OVERLAP = 0.5  # from which the worse of two detections is suppressed; larger than usual, for more negatives
_MAX_DETECTIONS = 12  # of an image, in self-training and calibration
_MAX_NEGATIVE_OVERLAP = 0.2  # with every object; a window that overlaps more isn't background
_MIN_DRIFT_OVERLAP = 0.3  # of a detection with the object whose place it is compared with
_MIN_RIGHT_OVERLAP = 0.4  # of a detection with an object, from which it is right
_MARGIN = -1.0  # of background, once it is classified without a loss: such a window isn't a hard negative
_ANNOTATED_WEIGHT = 0.2  # of the annotated examples among the positives in self-training; the pseudo-labels have the rest
_SHARES = (0.4, 0.8)  # of the unlabelled images, those with the highest scores, that a round of self-training uses
Progress = Callable[[str], None]


def learn_locator(
    images: Sequence[ImageLike],
    annotations: Sequence[Array],
    unlabelled: Sequence[ImageLike] = (),
    *,
    any_rotation: bool | None = None,
    mirror: bool | None = None,
    settings: LocatorSettings | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Locator:
    """Learn to find objects from about ten annotated images, and from unlabelled ones.

    A linear filter on gradient histograms learns to separate the annotated objects from everything else in their images.
    Self-training follows: the filter searches the unlabelled images, and is learnt again with its most certain detections as
    further positives (pseudo-labels), and weaker ones in the same images as further negatives. A second round uses more images.

    Args:
        images: the annotated images, 3 or more: files, Pillow images or arrays.
        annotations: for each: landmarks ``(N, 2)``, or ``(O, N, 2)`` of several objects; or boxes ``(4,)`` or ``(O, 4)``: left,
            top, right, bottom; in pixels. All objects in these images should be annotated.
        unlabelled: further images, most of which show an object. Without any, there is no self-training.
        any_rotation: find objects at any angle (True), upright ones alone (False), or the angles of the annotated
            objects, if one of these is turned by more than 20° (None).
        mirror: whether a mirror image of the object is an object. By default it is, if the landmarks are symmetric.
        settings: see :class:`LocatorSettings`.
        seed: of the jitter, and of the choice among many images.
        device: where to search and to learn.
        progress: is called with a sentence per stage.

    Returns:
        The locator.

    Raises:
        DataError: fewer than 3 annotated images with a usable annotation, an annotation of another shape, or an image can't be
            read.
    """
    settings, report = settings or LocatorSettings(), progress or (lambda text: None)
    if len(images) != len(annotations):
        raise DataError(f"locator: expected one annotation per image, got {len(annotations)} for {len(images)} images")
    generator = np.random.default_rng(seed)
    found = _places(annotations, any_rotation)
    framing = _framing(images, found)
    box = typical_box(framing.aspect, cells=settings.cells, cell=settings.cell, context=settings.context)
    longest = search_size(framing, box, settings)
    annotated = [_annotated(images[k], found[k], longest) for k in _drawn(found, settings.annotated, generator)]
    chosen = generator.permutation(len(unlabelled))[: settings.unlabelled]
    others = [grey_image(unlabelled[k], longest, f"unlabelled image {k}") for k in chosen]
    symmetric = _symmetric(annotations) if mirror is None else mirror
    angles = _angles(np.concatenate(found)[:, 4], any_rotation, settings.angle_step)
    blank = [Filter(torch.zeros(CHANNELS, *_shape(box, angle, settings)), 0.0, angle) for angle in angles]
    learner = _Learner(ExampleMaker(box, settings.cell, symmetric), settings, generator, torch.device(device))
    locator = learner.first(Locator(tuple(blank), settings, framing, box), annotated)
    report(f"learnt {len(angles)} filter{'s' if len(angles) > 1 else ''} from {len(annotated)} annotated images")
    for share in _SHARES[: settings.rounds] if len(others) else ():
        locator = learner.self_trained(locator, annotated, others, share=share)
        report(f"trained again on the most certain detections in {share:.0%} of {len(others)} unlabelled images")
    return learner.calibrated(locator, annotated, others)


def _places(annotations: Sequence[Array], any_rotation: bool | None) -> list[Array]:
    """The places ``(O, 5)`` of the objects of each image, in pixels."""
    found = annotated_places(annotations, any_rotation=any_rotation)
    usable = sum(len(places) > 0 for places in found)
    if usable < MIN_ANNOTATED:
        raise DataError(
            f"locator: expected {MIN_ANNOTATED} or more images with a box or with two landmarks or more, got {usable}; "
            "annotate more images (ten are usual)"
        )
    return found


def _drawn(found: list[Array], most: int, generator: np.random.Generator) -> list[int]:
    """Indices of the annotated images that are used: all, or ``most`` of them, those with an object first.

    A linear filter gains little from the hundredth image on, and all of them are kept in memory.
    """
    if len(found) <= most:
        return list(range(len(found)))
    return sorted(generator.permutation(len(found)).tolist(), key=lambda k: len(found[k]) == 0)[:most]


def _framing(images: Sequence[ImageLike], found: list[Array]) -> Framing:
    sizes = [size_of(image) for image in images]
    repeated = [size for size, places in zip(sizes, found, strict=True) for _ in places]
    return learn_framing(to_boxes(np.concatenate(found)), repeated)


def _annotated(image: ImageLike, places: Array, longest: int) -> Annotated:
    grey = grey_image(image, longest, "annotated image")
    return Annotated(grey, grey.inner(places))


def _symmetric(annotations: Sequence[Array]) -> bool:
    """Whether the landmarks have a mirror permutation; boxes, and shapes with different numbers of landmarks, have none."""
    shaped = [np.asarray(one, dtype=np.float64) for one in annotations]
    shapes = [shape for one in shaped if one.shape[-1] == 2 for shape in one.reshape(-1, *one.shape[-2:])]
    whole = [shape for shape in shapes if np.isfinite(shape).all()]
    if len({len(shape) for shape in whole}) != 1:
        return False
    stack = np.array(whole)
    low, high = stack.min(axis=1, keepdims=True), stack.max(axis=1, keepdims=True)
    side = (high - low).max(axis=2, keepdims=True)
    unit = 0.5 + (stack - (low + high) / 2) / np.maximum(side, 1e-9) / 1.3
    return mirror_permutation(torch.from_numpy(unit)) is not None


def _angles(found: Array, any_rotation: bool | None, step: float) -> list[float]:
    """The angles of the filters, in degrees, the upright one first: all around, or those of the annotated objects."""
    if any_rotation:
        count = max(1, round(360 / step))
        return [(k * 360 / count + 180) % 360 - 180 for k in range(count)]
    if not np.abs(found).max() > 0:
        return [0.0]
    reach = min(180.0 - step / 2, float(np.abs(found).max()))
    each = int(np.ceil(reach / step - 0.5))
    return [0.0] + [sign * k * step for k in range(1, each + 1) for sign in (1, -1)]


def _shape(box: tuple[float, float], angle: float, settings: LocatorSettings) -> tuple[int, int]:
    return filter_shape(box, angle, cell=settings.cell, context=settings.context)


@dataclass
class _Learner:
    """The stages of learning, and what they share."""

    maker: ExampleMaker
    settings: LocatorSettings
    generator: np.random.Generator
    device: torch.device

    def __post_init__(self) -> None:
        self.positives: list[list[Tensor]] = []  # per filter: features (D,) of the annotated examples
        self.negatives: list[list[Tensor]] = []  # per filter: features (D,) of windows beside the annotated objects

    def first(self, locator: Locator, annotated: list[Annotated]) -> Locator:
        """Filters from the annotated images alone, with rounds of hard negatives from the same images."""
        self.positives = [self._examples(one, annotated, self.settings.copies) for one in locator.filters]
        self.negatives = [self._random_negatives(one, annotated) for one in locator.filters]
        locator = self._solved(locator, self.negatives)
        for _ in range(_HARD_NEGATIVE_ROUNDS):
            for f, windows in enumerate(self._hard_negatives(locator, annotated)):
                self.negatives[f] = self.negatives[f] + windows
            locator = self._solved(locator, self.negatives)
        return locator

    def self_trained(
        self, locator: Locator, annotated: list[Annotated], unlabelled: list[GreyImage], *, share: float
    ) -> Locator:
        """Filters learnt again, with the most certain detections in a share of the unlabelled images as pseudo-labels."""
        peaks = self._search(locator, unlabelled)
        best = np.array([found[0].score if found else -np.inf for found in peaks])
        kept = np.argsort(-best, kind="stable")[: round(share * np.isfinite(best).sum())]
        if not len(kept):
            return locator
        bounds = _bounds(annotated, best[kept])
        labelled, negatives = [], [list(windows) for windows in self.negatives]
        for k in kept:
            found = [peak.place for rank, peak in enumerate(peaks[k]) if rank == 0 or bounds.object <= peak.score]
            labelled.append(Annotated(unlabelled[k], np.array(found)))
            for peak in peaks[k][1:]:
                if peak.window is not None and _MARGIN < peak.score < bounds.background:
                    negatives[peak.filter].append(peak.window)
        # Filters that never saw the annotated objects measure the drift of the pseudo-labels.
        alone = [self._examples(one, labelled, 1) for one in locator.filters]
        drift = self._drift(self._solved(locator, negatives, positives=alone), annotated)
        labelled = [Annotated(one.image, moved(one.places, drift)) for one in labelled]
        pseudo_labels = [self._examples(one, labelled, 1) for one in locator.filters]
        return self._solved(locator, negatives, pseudo_labels=pseudo_labels)

    def _drift(self, locator: Locator, annotated: list[Annotated]) -> Array:
        """By how much filters that never saw the annotated objects miss them on average: ``(3,)``, see :func:`moved`.

        If it isn't corrected, boxes get a little smaller or larger in each round, as only the annotation shows where they end.
        """
        misses = []
        for one, peaks in zip(annotated, self._search(locator, [a.image for a in annotated]), strict=True):
            for place in one.places:
                near = [peak.place for peak in peaks if overlap(peak.place[None], place)[0] > _MIN_DRIFT_OVERLAP]
                if near:
                    side, true_side = near[0][2:4].max(), place[2:4].max()
                    shift = turned((place[:2] - near[0][:2]) / side, -near[0][4])
                    misses.append([*shift, np.log(true_side / side)])
        if len(misses) < MIN_ANNOTATED:
            return np.zeros(3)
        drift = np.median(misses, axis=0)
        return drift * (0, 1, 1) if self.maker.mirror else drift  # mirrored examples cancel it sideways

    def calibrated(self, locator: Locator, annotated: list[Annotated], unlabelled: list[GreyImage]) -> Locator:
        """The locator with a logistic curve from margins to probabilities, fitted to right and wrong detections."""
        right: list[float] = []
        wrong: list[float] = []
        for one, peaks in zip(annotated, self._search(locator, [a.image for a in annotated]), strict=True):
            for peak in peaks:
                shared = max((overlap(peak.place[None], place)[0] for place in one.places), default=0.0)
                (right if shared > _MIN_RIGHT_OVERLAP else wrong).append(peak.score)
        found = sorted((peaks for peaks in self._search(locator, unlabelled) if peaks), key=lambda peaks: -peaks[0].score)
        found = found[: round(_SHARES[-1] * len(found))]
        if found:
            bounds = _bounds(annotated, np.array([peaks[0].score for peaks in found]))
            for peaks in found:
                right += [peak.score for rank, peak in enumerate(peaks) if rank == 0 or peak.score >= bounds.object]
                wrong += [peak.score for peak in peaks[1:] if peak.score < bounds.background]
        return replace(locator, calibration=platt_curve(np.array(right), np.array(wrong)))

    def _examples(self, one: Filter, images: list[Annotated], copies: int) -> list[Tensor]:
        """Features ``(D,)`` of all objects under one filter."""
        rows: list[Tensor] = []
        for image in images:
            rows += self.maker.examples(image.image, image.places, one, copies=copies, generator=self.generator)
        return rows

    def _random_negatives(self, one: Filter, annotated: list[Annotated]) -> list[Tensor]:
        """Features ``(D,)`` of random windows of one filter beside the objects."""
        rows: list[Tensor] = []
        for image in annotated:
            places = self._random_places(image)
            rows += replace(self.maker, mirror=False).examples(image.image, places, one, copies=1, generator=self.generator)
        return rows

    def _random_places(self, image: Annotated) -> Array:
        """Places of all sizes beside the annotated ones, at most 30."""
        count, extent = 4 * _RANDOM_NEGATIVES, np.array(image.image.pixels.shape[::-1])
        centre = self.generator.uniform(0, 1, (count, 2)) * extent - 0.5
        largest = max(1.0, extent.max() / max(self.maker.box))
        size = np.exp(self.generator.uniform(0, np.log(largest), (count, 1))) * np.array(self.maker.box)
        places = np.concatenate([centre, size, np.zeros((count, 1))], axis=1)
        beside = np.ones(count, bool)
        for place in image.places:
            beside &= overlap(places, place) < _MAX_NEGATIVE_OVERLAP
        return places[beside][:_RANDOM_NEGATIVES]

    def _hard_negatives(self, locator: Locator, annotated: list[Annotated]) -> list[list[Tensor]]:
        """Per filter: features ``(D,)`` of its false detections in the annotated images."""
        rows: list[list[Tensor]] = [[] for _ in locator.filters]
        loose = replace(locator, settings=replace(locator.settings, share=_HARD_NEGATIVE_OVERLAP))
        for one, peaks in zip(annotated, self._search(loose, [a.image for a in annotated], _HARD_NEGATIVES), strict=True):
            for peak in peaks:
                beside = all(overlap(peak.place[None], place)[0] < _MAX_NEGATIVE_OVERLAP for place in one.places)
                if beside and peak.score > _MARGIN and peak.window is not None:
                    rows[peak.filter].append(peak.window)
        return rows

    def _search(self, locator: Locator, images: list[GreyImage], most: int = _MAX_DETECTIONS) -> list[list[Peak]]:
        return locator.search(images, most, 8, device=self.device, windows=True)

    def _solved(
        self,
        locator: Locator,
        negatives: list[list[Tensor]],
        *,
        positives: list[list[Tensor]] | None = None,
        pseudo_labels: list[list[Tensor]] | None = None,
    ) -> Locator:
        """The locator with filters that separate positives from negatives.

        Args:
            locator: its settings, and the shapes and angles of its filters.
            negatives: per filter: features ``(D,)``; if there are none, a flat window.
            positives: per filter: features ``(D,)``; by default those of the annotated objects.
            pseudo_labels: per filter: features ``(D,)`` of further positives, which together count four times as much.
        """
        filters = []
        for f, one in enumerate(locator.filters):
            own, more = (positives or self.positives)[f], pseudo_labels[f] if pseudo_labels else []
            stacked = torch.stack([*own, *more]).to(self.device)
            background = torch.stack(negatives[f] or [torch.zeros_like(stacked[0])]).to(self.device)
            shares = [1 / len(own)] * len(own)
            if more:
                shares = [_ANNOTATED_WEIGHT / len(own)] * len(own) + [(1 - _ANNOTATED_WEIGHT) / len(more)] * len(more)
            flat, bias = max_margin(
                stacked, background, weights=torch.tensor(shares), regularization=self.settings.regularization
            )
            filters.append(Filter(flat.view(one.weights.shape).cpu(), bias, one.angle))
        return replace(locator, filters=tuple(filters))


class _Bounds(NamedTuple):
    """Margins of detections other than the best one of an image: objects from ``object`` on, background below the other."""

    object: float
    background: float


def _bounds(annotated: list[Annotated], best: Array) -> _Bounds:
    """The bounds for further detections, given the margins ``(K,)`` of the best ones of the images that are learnt from.

    If an annotated image shows several objects, further detections may be objects. Otherwise none is used as one, and strong
    ones aren't used as background either, since they may be a second object.
    """
    if max(len(one.places) for one in annotated) == 1:
        return _Bounds(np.inf, float(np.median(best)))
    return _Bounds(float(best.min()), min(0.0, float(best.min())))


def platt_curve(right: Array, wrong: Array) -> tuple[float, float]:
    """Platt scaling: the logistic curve from the margin of a detection to the log odds that it is right.

    Both classes count half. The slope isn't negative, so that scores order detections as margins do.

    Args:
        right: ``(P,)`` margins of right detections.
        wrong: ``(Q,)`` margins of wrong ones.

    Returns:
        Slope and offset; 1 and 0 if one of the classes is empty.
    """
    if not len(right) or not len(wrong):
        return (1.0, 0.0)
    margins, positive = np.concatenate([right, wrong]), np.arange(len(right) + len(wrong)) < len(right)
    weights, offset = fit_logistic(margins[:, None], positive, signs=[1], targets=platt_targets(positive))
    return (float(weights[0]), offset)
