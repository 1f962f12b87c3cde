"""Learning a locator: max-margin filters from a few annotated images, then self-training on unlabelled ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from brule.arrays import Array
from brule.data.images import size_of
from brule.errors import DataError
from brule.geometry import mirror_permutation
from brule.locating.examples import Annotated, ExampleMaker, annotated_places, filter_shape, typical_box
from brule.locating.filters import Filter, max_margin
from brule.locating.framing import Framing, learn_framing
from brule.locating.locator import Locator, LocatorSettings, Peak, search_size
from brule.locating.places import moved, overlap, to_boxes, turned
from brule.locating.pyramid import GreyImage, ImageLike, grey_image

MIN_ANNOTATED = 3
_RANDOM = 30  # windows of each image that the first filter learns to reject
_HARD = 12  # strongest wrong answers of an image per round
_ASIDE = 0.2  # overlap below which an answer counts as wrong
_OWN = 0.2  # how much the annotated examples count in self-training; the found ones share the rest
_SHARES = (0.4, 0.8)  # of the unlabelled images, the surest, that a round learns from
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

    A linear filter on gradient histograms is learnt to answer to the annotated objects and to nothing else in their images.
    It then looks for objects in the unlabelled images, and is learnt again with its surest answers as further examples, and
    with its wrong answers beside them as counterexamples; a second round takes more of them.

    Args:
        images: the annotated images, 3 or more: files, Pillow images or arrays.
        annotations: for each: landmarks ``(N, 2)``, or ``(O, N, 2)`` of several objects; or boxes ``(4,)`` or ``(O, 4)``;
            in pixels. All objects in these images should be annotated.
        unlabelled: further images, most of which show an object. Without any, the annotated images are all there is.
        any_rotation: find objects at any angle (True), upright ones alone (False), or the angles of the annotated
            objects, if these are turned by more than 20° (None).
        mirror: whether a mirror image of the object is an object; read off the landmarks by default.
        settings: see :class:`LocatorSettings`.
        seed: of the jitter, and of the choice among many unlabelled images.
        device: where to search and to learn.
        progress: is called with a sentence per stage.

    Returns:
        The locator.

    Raises:
        DataError: fewer than 3 annotated images with a usable annotation, or an image can't be read.
    """
    settings, report = settings or LocatorSettings(), progress or (lambda text: None)
    if len(images) != len(annotations):
        raise DataError(f"locator: expected one annotation per image, got {len(annotations)} for {len(images)} images")
    generator = np.random.default_rng(seed)
    found = _places(annotations, any_rotation)
    framing = _framing(images, found)
    box = typical_box(framing.aspect, cells=settings.cells, cell=settings.cell, context=settings.context)
    longest = search_size(framing, box, settings)
    # A linear filter gains little from the hundredth image on, and all of them are kept in memory.
    drawn = range(len(found)) if len(found) <= settings.annotated else generator.permutation(len(found))[: settings.annotated]
    ten = [_annotated(images[k], found[k], longest) for k in drawn]
    chosen = generator.permutation(len(unlabelled))[: settings.unlabelled]
    others = [grey_image(unlabelled[k], longest, f"unlabelled image {k}") for k in chosen]
    symmetric = _symmetric(annotations) if mirror is None else mirror
    angles = _angles(np.concatenate(found)[:, 4], any_rotation, settings.angle_step)
    blank = [Filter(torch.zeros(31, *_shape(box, angle, settings)), 0.0, angle) for angle in angles]
    learner = _Learner(ExampleMaker(box, settings.cell, symmetric), settings, generator, torch.device(device))
    locator = learner.first(Locator(tuple(blank), settings, framing, box), ten)
    report(f"learnt {len(angles)} filter{'s' if len(angles) > 1 else ''} from {len(ten)} annotated images")
    for share in _SHARES[: settings.rounds] if len(others) else ():
        locator = learner.again(locator, ten, others, share=share)
        report(f"trained again on the most certain answers in {share:.0%} of {len(others)} unlabelled images")
    return learner.calibrated(locator, ten, others)


def _places(annotations: Sequence[Array], any_rotation: bool | None) -> list[Array]:
    found = annotated_places(annotations, any_rotation=any_rotation)
    usable = sum(len(places) > 0 for places in found)
    if usable < MIN_ANNOTATED:
        raise DataError(
            f"locator: expected {MIN_ANNOTATED} or more images with a box or with two landmarks or more, got {usable}; "
            "annotate more images (ten are usual)"
        )
    return found


def _framing(images: Sequence[ImageLike], found: list[Array]) -> Framing:
    sizes = [size_of(image) for image in images]
    repeated = [size for size, places in zip(sizes, found, strict=True) for _ in places]
    return learn_framing(to_boxes(np.concatenate(found)), repeated)


def _annotated(image: ImageLike, places: Array, longest: int) -> Annotated:
    grey = grey_image(image, longest, "annotated image")
    return Annotated(grey, grey.inner(places))


def _symmetric(annotations: Sequence[Array]) -> bool:
    shapes = [shape for one in annotations if one.shape[-1] == 2 for shape in one.reshape(-1, *one.shape[-2:])]
    whole = [shape for shape in shapes if np.isfinite(shape).all()]
    if not whole:
        return False
    stack = np.array(whole, dtype=np.float64)
    low, high = stack.min(axis=1, keepdims=True), stack.max(axis=1, keepdims=True)
    side = (high - low).max(axis=2, keepdims=True)
    unit = 0.5 + (stack - (low + high) / 2) / np.maximum(side, 1e-9) / 1.3
    return mirror_permutation(torch.from_numpy(unit)) is not None


def _angles(found: Array, any_rotation: bool | None, step: float) -> list[float]:
    """The angles of the filters, in degrees: the upright one first."""
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
    """What the stages of learning share."""

    maker: ExampleMaker
    settings: LocatorSettings
    generator: np.random.Generator
    device: torch.device

    def __post_init__(self) -> None:
        self.own: list[list[Tensor]] = []  # per filter: features of the annotated examples
        self.wrong: list[list[Tensor]] = []  # per filter: features of windows beside the annotated objects

    def first(self, locator: Locator, ten: list[Annotated]) -> Locator:
        """Filters from the annotated images alone, with two rounds of counterexamples from the same images."""
        self.own = [self._examples(one, ten, self.settings.copies) for one in locator.filters]
        self.wrong = [self._random_windows(one, ten) for one in locator.filters]
        locator = self._solved(locator, self.own, self.wrong)
        for _ in range(2):
            for f, windows in enumerate(self._wrong_answers(locator, ten)):
                self.wrong[f] = self.wrong[f] + windows
            locator = self._solved(locator, self.own, self.wrong)
        return locator

    def again(self, locator: Locator, ten: list[Annotated], others: list[GreyImage], *, share: float) -> Locator:
        """Filters learnt again, with the surest answers in a share of the unlabelled images."""
        peaks = self._search(locator, others, _HARD)
        best = np.array([answers[0].score if answers else -np.inf for answers in peaks])
        kept = np.argsort(-best, kind="stable")[: round(share * np.isfinite(best).sum())]
        if not len(kept):
            return locator
        bar = _bar(ten, best[kept])
        sure, wrong = [], [list(windows) for windows in self.wrong]
        for k in kept:
            # Beside the best answer there may be more objects: taken along where the annotated images show several.
            found = [peak.place for rank, peak in enumerate(peaks[k]) if rank == 0 or (bar.taken <= peak.score)]
            sure.append(Annotated(others[k], np.array(found)))
            for peak in peaks[k][1:]:
                if peak.window is not None and -1 < peak.score < bar.rejected:
                    wrong[peak.filter].append(peak.window)
        alone = self._solved(locator, [self._examples(one, sure, 1) for one in locator.filters], wrong)
        drift = self._drift(alone, ten)
        sure = [Annotated(one.image, moved(one.places, drift)) for one in sure]
        return self._solved(locator, self.own, wrong, found=[self._examples(one, sure, 1) for one in locator.filters])

    def _drift(self, locator: Locator, ten: list[Annotated]) -> Array:
        """By how much filters that never saw the annotated objects miss them on average: ``(3,)``, see :func:`moved`.

        Without it, boxes get a little smaller or larger with each round, as only the annotation shows where they end.
        """
        misses = []
        for one, peaks in zip(ten, self._search(locator, [a.image for a in ten], _HARD), strict=True):
            for place in one.places:
                near = [peak.place for peak in peaks if overlap(peak.place[None], place)[0] > 0.3]
                if near:
                    side, true_side = near[0][2:4].max(), place[2:4].max()
                    shift = turned((place[:2] - near[0][:2]) / side, -near[0][4])
                    misses.append([*shift, np.log(true_side / side)])
        if len(misses) < MIN_ANNOTATED:
            return np.zeros(3)
        drift = np.median(misses, axis=0)
        return drift * (0, 1, 1) if self.maker.mirror else drift  # mirrored examples cancel it sideways

    def calibrated(self, locator: Locator, ten: list[Annotated], others: list[GreyImage]) -> Locator:
        """The locator with margins turned into probabilities: a logistic curve between right and wrong answers."""
        right: list[float] = []
        wrong: list[float] = []
        for one, peaks in zip(ten, self._search(locator, [a.image for a in ten], _HARD), strict=True):
            for peak in peaks:
                shared = np.array([overlap(peak.place[None], place)[0] for place in one.places])
                (right if shared.size and shared.max() > 0.4 else wrong).append(peak.score)
        tops = [peaks for peaks in self._search(locator, others, _HARD) if peaks]
        tops = sorted(tops, key=lambda peaks: -peaks[0].score)[: round(_SHARES[-1] * len(tops))]
        bar = _bar(ten, np.array([peaks[0].score for peaks in tops])) if tops else None
        for peaks in tops:
            assert bar is not None
            right += [peak.score for rank, peak in enumerate(peaks) if rank == 0 or peak.score >= bar.taken]
            wrong += [peak.score for peak in peaks[1:] if peak.score < bar.rejected]
        return replace(locator, calibration=_logistic(np.array(right), np.array(wrong)))

    def _examples(self, one: Filter, images: list[Annotated], copies: int) -> list[Tensor]:
        rows: list[Tensor] = []
        for image in images:
            rows += self.maker.examples(image.image, image.places, one, copies=copies, generator=self.generator)
        return rows

    def _random_windows(self, one: Filter, ten: list[Annotated]) -> list[Tensor]:
        rows: list[Tensor] = []
        for image in ten:
            places = self._random_places(image)
            rows += replace(self.maker, mirror=False).examples(image.image, places, one, copies=1, generator=self.generator)
        return rows

    def _random_places(self, image: Annotated) -> Array:
        """Places of all sizes beside the annotated ones."""
        extent = np.array(image.image.pixels.shape[::-1])
        centre = self.generator.uniform(0, 1, (4 * _RANDOM, 2)) * extent - 0.5
        largest = max(1.0, extent.max() / max(self.maker.box))
        size = np.exp(self.generator.uniform(0, np.log(largest), (4 * _RANDOM, 1))) * np.array(self.maker.box)
        places = np.concatenate([centre, size, np.zeros((4 * _RANDOM, 1))], axis=1)
        aside = np.ones(len(places), bool)
        for place in image.places:
            aside &= overlap(places, place) < _ASIDE
        return places[aside][:_RANDOM]

    def _wrong_answers(self, locator: Locator, ten: list[Annotated]) -> list[list[Tensor]]:
        rows: list[list[Tensor]] = [[] for _ in locator.filters]
        for one, peaks in zip(ten, self._search(locator, [a.image for a in ten], 30, share=0.5), strict=True):
            for peak in peaks:
                beside = all(overlap(peak.place[None], place)[0] < _ASIDE for place in one.places)
                if beside and peak.score > -1 and peak.window is not None:
                    rows[peak.filter].append(peak.window)
        return rows

    def _search(self, locator: Locator, images: list[GreyImage], most: int, *, share: float | None = None) -> list[list[Peak]]:
        loose = locator if share is None else replace(locator, settings=replace(locator.settings, share=share))
        return loose.search(images, most, 8, device=self.device, windows=True)

    def _solved(
        self, locator: Locator, own: list[list[Tensor]], wrong: list[list[Tensor]], *, found: list[list[Tensor]] | None = None
    ) -> Locator:
        filters = []
        for f, one in enumerate(locator.filters):
            more = found[f] if found else []
            positives = torch.stack([*own[f], *more]).to(self.device)
            shares = [1.0 / len(own[f])] * len(own[f])
            if more:
                shares = [_OWN / len(own[f])] * len(own[f]) + [(1 - _OWN) / len(more)] * len(more)
            # If there is no background beside the objects, a flat window is the negative example.
            negatives = torch.stack(wrong[f] or [torch.zeros_like(positives[0])]).to(self.device)
            flat, bias = max_margin(
                positives, negatives, weights=torch.tensor(shares), regularization=self.settings.regularization
            )
            filters.append(Filter(flat.view(one.weights.shape).cpu(), bias, one.angle))
        return replace(locator, filters=tuple(filters))


@dataclass(frozen=True)
class _Bar:
    """Margins of answers beside the best one of an image: from ``taken`` on objects, below ``rejected`` background."""

    taken: float
    rejected: float


def _bar(ten: list[Annotated], best: Array) -> _Bar:
    """What to make of further answers, given the best ones ``(K,)`` of the images that are learnt from."""
    if max(len(one.places) for one in ten) == 1:
        return _Bar(np.inf, float(np.median(best)))  # a stronger answer may still be a second object: left out
    return _Bar(float(best.min()), min(0.0, float(best.min())))


def _logistic(right: Array, wrong: Array) -> tuple[float, float]:
    """Platt's slope and offset: log odds of an answer being right, by its margin; both sides count half.

    Platt 1999, §2.2, with his targets, which keep separable scores finite.
    """
    if not len(right) or not len(wrong):
        return (1.0, 0.0)
    margins = torch.from_numpy(np.concatenate([right, wrong])).double()
    counts = [len(right)] * len(right) + [len(wrong)] * len(wrong)
    share = 0.5 / torch.tensor(counts, dtype=torch.float64)
    goal = torch.tensor([(n + 1) / (n + 2) for n in counts[: len(right)]] + [1 / (n + 2) for n in counts[len(right) :]])
    curve = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([curve], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        odds = curve[0] * margins + curve[1]
        value = F.binary_cross_entropy_with_logits(odds, goal.double(), share, reduction="sum")
        value.backward()
        return value

    optimizer.step(loss)
    slope, offset = curve.detach().tolist()
    return (slope, offset)
