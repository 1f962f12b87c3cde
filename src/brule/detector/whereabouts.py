"""Where objects are in images without a box: learnt from the annotated images, used for training and prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from brule.arrays import Array
from brule.data import Box
from brule.data.images import size_of
from brule.detector.inputs import Annotated, Unlabelled
from brule.detector.refinement import CropFrame
from brule.detector.upright import ANY_ROTATION
from brule.errors import ConfigError, DataError
from brule.locating import (
    Detect,
    DetectionScorer,
    Framing,
    Locator,
    from_boxes,
    learn_framing,
    learn_locator,
    learn_scorer,
    place_of,
    to_boxes,
)

if TYPE_CHECKING:
    from brule.training.sections import Locating

Reporter = Callable[[str], None]

SCORED = 100  # unlabelled images that the scorer learns from
SURE = 0.5  # smallest score of the crops that training takes
_MIN_EXAMPLES = 3  # annotated images that a locator needs
_PRECISION = 2  # decimals of a pixel: found boxes name stored crops, and must come out the same again


@dataclass(frozen=True, eq=False)
class Whereabouts:
    """What a detector knows about places of objects.

    Attributes:
        framing: how large objects are and where, as the annotated images show; ``None`` without annotated images.
        locator: finds them; ``None`` where it wasn't needed, or couldn't be learnt.
        scorer: separates right detections from wrong ones; ``None`` where that couldn't be learnt.
        boxed: whether the landmarks were learnt from crops about the object, rather than from whole images.
    """

    framing: Framing | None = None
    locator: Locator | None = None
    scorer: DetectionScorer | None = None
    boxed: bool = False

    @property
    def refines(self) -> bool:
        """Whether cropping again by the prediction brings an image closer to what the landmarks were learnt from."""
        return self.boxed or self.framing is not None

    @property
    def turns(self) -> bool:
        """Whether objects are looked for at several angles, and shown upright in their crops."""
        return self.locator is not None and self.locator.turns

    def describe(self) -> str:
        """How objects are found in whole images, in words."""
        if self.locator is not None:
            return f"the object is found by a locator; {self.framing.describe() if self.framing else ''}".rstrip("; ")
        if self.framing is not None:
            return f"cut out as the annotated images are framed: {self.framing.describe()}"
        return "taken whole: no annotated image shows where the object is"


class Plan(NamedTuple):
    """How objects will be found in images without a box.

    Attributes:
        framing: as the annotated images show it; ``None`` without any.
        how: in words.
        locator: whether a locator is learnt.
    """

    framing: Framing | None
    how: str
    locator: bool = False


def plan_whereabouts(examples: Annotated | None, unlabelled: Unlabelled | None, settings: Locating) -> Plan:
    """Decide how objects will be found.

    Args:
        examples: annotated images; ``None`` where there are shapes alone.
        unlabelled: the images to learn landmarks from; ``None`` if there are none.
        settings: whether a locator is wanted.

    Raises:
        ConfigError: a locator is wanted by the settings, and there are too few annotated images for it.
    """
    named = {} if examples is None else _annotated_objects(examples)
    always = settings.enabled == "always"
    if always and len(named) < _MIN_EXAMPLES:
        raise ConfigError(
            f"locator.enabled=always: expected {_MIN_EXAMPLES} annotated images or more to learn a locator from, "
            f"got {len(named)}"
        )
    if not named:
        return Plan(None, "no annotated image shows where the object is, so whole images are used: it should fill most of them")
    objects = [(size_of(source), shape) for source, shapes in named.values() for shape in shapes]
    framing = learn_framing(to_boxes(np.array([place_of(shape) for _, shape in objects])), [size for size, _ in objects])
    framed = "they are cut out as the annotated images are framed"
    needed = unlabelled is None or len(unlabelled.boxless) > 0
    if always or (settings.enabled == "auto" and needed and not framing.fills and len(named) >= _MIN_EXAMPLES):
        return Plan(framing, f"a locator learns to find the object from {len(named)} annotated images", locator=True)
    if settings.enabled == "auto" and needed and not framing.fills:
        framed += f"; {len(named)} annotated images are too few for a locator (three is the least, ten are usual)"
    return Plan(framing, framed)


def learn_whereabouts(
    examples: Annotated | None, unlabelled: Unlabelled | None, settings: Locating, *, seed: int, device: str, report: Reporter
) -> Whereabouts:
    """Learn where objects are from annotated images.

    Args:
        examples: annotated images; ``None`` where there are shapes alone.
        unlabelled: the images to learn landmarks from; ``None`` if there are none.
        settings: whether a locator is wanted.
        seed: of the locator.
        device: where to learn.
        report: takes a sentence per stage.

    Raises:
        ConfigError: a locator is wanted by the settings, and there are too few annotated images for it.
    """
    plan = plan_whereabouts(examples, unlabelled, settings)
    boxless = np.empty(0, np.int64) if unlabelled is None else unlabelled.boxless
    if not plan.locator:
        if len(boxless):
            report(f"{len(boxless)} images have no box: {plan.how}")
        return Whereabouts(plan.framing)
    assert examples is not None
    named = _annotated_objects(examples)
    sources = [source for source, _ in named.values()]
    others = [] if unlabelled is None else [unlabelled.sources[k] for k in boxless]
    turned = ANY_ROTATION[settings.any_rotation]
    shapes = [np.stack(own) for _, own in named.values()]
    locator = learn_locator(sources, shapes, others, any_rotation=turned, seed=seed, device=device, progress=report)
    return Whereabouts(plan.framing, locator)


def with_boxes(
    unlabelled: Unlabelled, known: Whereabouts, frame: CropFrame, *, scale: float, device: str, report: Reporter
) -> Unlabelled:
    """Unlabelled images with boxes: the locator's where it is sure, else those of the framing, else none.

    Args:
        unlabelled: the images; those with a box keep it.
        known: where objects are.
        frame: how a crop is placed about the landmarks.
        scale: side of a crop over the longer side of a box.
        device: where to search.
        report: takes a sentence about the result.

    Raises:
        DataError: the locator is sure of no image.
    """
    boxless = unlabelled.boxless
    if not len(boxless) or (known.locator is None and known.framing is None):
        return unlabelled
    sources = unlabelled.sources
    if known.locator is None:
        assert known.framing is not None
        boxes = np.array([known.framing.box(*size_of(sources[k])) for k in boxless])
        framed = crop_boxes(boxes, np.zeros(len(boxes)), frame, scale=scale)
        return unlabelled.boxed(dict(zip(boxless.tolist(), framed, strict=True)), set())
    located = known.locator.locate([sources[k] for k in boxless], most=1, least=SURE, device=device)
    placed = crop_boxes(located.boxes, located.angle, frame, scale=scale)
    found = dict(zip(boxless[located.image].tolist(), placed, strict=True))
    unsure = set(boxless.tolist()) - set(found)
    report(f"the locator found the object in {len(found)} of {len(boxless)} images without a box; the others are left out")
    if len(unsure) == len(unlabelled.images):
        raise DataError(
            "images: the locator is sure of none of them; are they of the same kind as the annotated ones? Give boxes "
            "(--boxes, boxes=), or more annotated images"
        )
    return unlabelled.boxed(found, unsure)


def with_scorer(
    known: Whereabouts, examples: Annotated, unlabelled: Unlabelled | None, *, detect: Detect, seed: int, report: Reporter
) -> Whereabouts:
    """The same with a scorer, which chooses among detections and flags those that are probably wrong.

    Args:
        known: with a locator.
        examples: annotated images.
        unlabelled: unlabelled images of training.
        detect: from images to the refined detections of the trained detector.
        seed: of the choice of unlabelled images.
        report: called with a remark where nothing can be learnt.
    """
    named = _annotated_objects(examples)
    sources = [] if unlabelled is None else unlabelled.sources
    chosen = np.random.default_rng(seed).permutation(len(sources))[:SCORED]
    images, shapes = [source for source, _ in named.values()], [np.stack(own) for _, own in named.values()]
    try:
        return replace(known, scorer=learn_scorer(detect, images, shapes, unlabelled=[sources[k] for k in chosen], seed=seed))
    except DataError as error:
        report(f"detections aren't scored, so none is flagged: {error}")
        return known


def crop_boxes(boxes: Array, angles: Array, frame: CropFrame, *, scale: float) -> list[tuple[Box, float]]:
    """Boxes of landmarks ``(M, 4)`` → those by which the crop rule cuts out what belongs about them, and their angles."""
    squares = frame.squares(from_boxes(boxes, angles))
    half = squares[:, 2:3] / scale / 2
    edges = np.concatenate([squares[:, :2] - half, squares[:, :2] + half], axis=1).round(_PRECISION)
    rows = np.column_stack([edges, np.asarray(angles).round(_PRECISION)]).tolist()
    return [((left, top, right, bottom), angle) for left, top, right, bottom, angle in rows]


def _annotated_objects(examples: Annotated) -> dict[Any, tuple[Any, list[Array]]]:
    """Image and landmarks of its objects, for every annotated image whose landmarks show where they are."""
    if examples.points is not None:
        rows = [(k, image, points) for k, (image, points) in enumerate(zip(examples.images, examples.points, strict=True))]
    else:
        rows = [(one.path, one.path, one.points) for one in examples.images if one.points is not None]
    found: dict[Any, tuple[Any, list[Array]]] = {}
    for key, source, points in rows:
        if _spans(points):
            found.setdefault(key, (source, []))[1].append(np.asarray(points, dtype=np.float64))
    return found


def _spans(points: Array) -> bool:
    present = points[np.isfinite(points).all(axis=1)]
    return len(present) >= 2 and bool((present != present[0]).any())
