"""From whole images to landmarks: candidate places, predictions there, refinement passes, and the choice of the best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch

from brule.arrays import Array
from brule.data import Box, Picture, Sample, as_image, load_picture, whole_image_crop
from brule.detector.items import Item
from brule.detector.landmarks import Landmarks, joined, nothing_found
from brule.detector.refinement import CropFrame, PassPredictions, Read, read_crops, refinement_pass, square_of
from brule.detector.uncertainty import Reader, joined_crops, one_tta
from brule.errors import ConfigError
from brule.locating import DetectionFeatures, Detections, DetectionScorer, Framing, Locator, from_boxes, overlap, suppress
from brule.locating.framing import CERTAIN
from brule.locating.pyramid import ImageLike
from brule.model import CropLandmarks

Objects = Literal["best", "all"]
Flagged = Literal["auto", "keep", "drop"]
FOUND_PASSES = 2  # refinement passes where the box was found rather than given
CANDIDATES = 5  # places of an image that are read where the prediction at the surest of them is probably wrong
_SCORED_CANDIDATES = 3  # places of a training image that the scorer learns from
MAX_OBJECTS = 100  # of an image, where all are asked for
MIN_SCORE = 0.5  # of the locator, where all objects are asked for and no scorer judges the predictions
MIN_CANDIDATE_SCORE = 0.01  # of the locator, where all objects are asked for and a scorer judges the predictions
_SHARED = 0.4  # intersection over union from which two predictions are one object
_DECODED = 1.25  # pixels of the decoded image for one of the smallest crop that is expected
_MIN_MOVEMENT = 0.01  # of the crop: a prediction that moved by less in a refinement pass won't move further


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes:
        objects: ``"best"``: one prediction per image; ``"all"``: every object that is found.
        most: of ``"all"``: the largest number of objects per image, the surest ones.
        flagged: predictions that are probably wrong: ``"keep"`` marks them, ``"drop"`` leaves them out (of ``"best"`` a row of
            NaN stays in their place); ``"auto"`` keeps them of ``"best"`` and drops them of ``"all"``.
        refine: refinement passes, at most: they end once a prediction moves by less than 1 % of the crop. ``None``: two where
            the box was found, none where it was given.
        tta: test-time augmentation: how many views of each crop are averaged.
        batch_size: crops at a time.
    """

    objects: Objects = "best"
    refine: int | None = None
    tta: int = 1
    batch_size: int = 64
    most: int = MAX_OBJECTS
    flagged: Flagged = "auto"

    def __post_init__(self) -> None:
        if self.objects not in ("best", "all"):
            raise ConfigError(f"objects: expected 'best' or 'all', got {self.objects!r}")
        for name in ("refine", "tta", "batch_size", "most"):
            if not isinstance(value := getattr(self, name), Integral) and (value is not None or name != "refine"):
                raise ConfigError(f"{name}: expected a whole number, got {value!r}")
        if self.refine is not None and self.refine < 0:
            raise ConfigError(f"refine: expected 0 or more refinement passes, got {self.refine}")
        if self.most < 1:
            raise ConfigError(f"most: expected 1 or more objects per image, got {self.most}")
        if self.flagged not in ("auto", "keep", "drop"):
            raise ConfigError(f"flagged: expected 'auto', 'keep' or 'drop', got {self.flagged!r}")

    @property
    def drops(self) -> bool:
        """Whether predictions that are probably wrong are left out."""
        return self.flagged == "drop" or (self.flagged == "auto" and self.objects == "all")


class PredictKeywords(TypedDict, total=False):
    """The fields of :class:`PredictOptions` as keywords, for type checkers; ``views`` is another name of ``tta``."""

    objects: Objects
    most: int
    flagged: Flagged
    refine: int | None
    tta: int
    batch_size: int
    views: int | None


def options_of(keywords: PredictKeywords) -> PredictOptions:
    """Keywords as options."""
    given: dict[str, Any] = dict(keywords)
    return PredictOptions(**given | {"tta": one_tta(given.get("tta", 1), given.pop("views", None))})


@dataclass(frozen=True, eq=False)
class Starts:
    """The first crops: R of a batch of images.

    Attributes:
        item: ``(R,)`` index of the image in the batch; the crops of an image follow each other, the surest first.
        squares: ``(R, 4)`` the crops: centre x and y, side, angle.
        boxes: ``(R, 4)`` the boxes they are cut by.
        score: ``(R,)`` the locator's score; NaN without one.
    """

    item: Array
    squares: Array
    boxes: Array
    score: Array

    def __len__(self) -> int:
        """The number of crops."""
        return len(self.item)

    @property
    def rank(self) -> Array:
        """``(R,)``: how many crops of the same image come before each."""
        first, own = np.unique(self.item, return_index=True, return_inverse=True)[1:]
        return np.arange(len(self)) - first[own]

    def chosen(self, rows: Array) -> Starts:
        """Some of them: booleans ``(R,)`` or indices."""
        return Starts(self.item[rows], self.squares[rows], self.boxes[rows], self.score[rows])

    def joined(self, others: Starts) -> Starts:
        """These, then others."""
        return Starts(*(np.concatenate([getattr(part, one.name) for part in (self, others)]) for one in fields(Starts)))


@dataclass(frozen=True, eq=False)
class Finder:
    """A detector ready to predict on whole images.

    Attributes:
        reader: from crops to landmarks.
        size: side of the crops in pixels.
        scale: side of a crop over the longer side of a given box.
        frame: how a crop is placed about the landmarks.
        locator: finds objects; ``None`` if the detector has none.
        scorer: separates right predictions from wrong ones; ``None`` if the detector has none.
        framing: size and place of objects in images without a locator; ``None`` if nothing is known.
        passes: refinement passes where the box is found and nothing else is asked for.
        upright: ``(N, 2)``, the mean shape, if crops are to be turned upright.
    """

    reader: Reader
    size: int
    scale: float
    frame: CropFrame
    locator: Locator | None = None
    scorer: DetectionScorer | None = None
    framing: Framing | None = None
    passes: int = FOUND_PASSES
    upright: Array | None = None

    def decoding(self, sample: Sample, width: int, height: int) -> float:
        """The share of its size at which an image may be decoded, for :func:`brule.detector.items.items_one_by_one`."""
        square = sample.crop(self.scale)
        if square is not None:
            return 2 * self.size / (square[2] - square[0])
        smallest, longest = 1 / self.scale, 0
        if self.locator is not None:
            smallest, longest = self.locator.settings.reach * self.locator.framing.smallest, self.locator.longest
        elif self.framing is not None:
            smallest = self.framing.smallest
        return max(_DECODED * self.size / (self.scale * smallest), longest) / max(width, height)

    def find(self, items: Sequence[Item], options: PredictOptions) -> tuple[list[Item], Landmarks]:
        """Landmarks of a batch of images: in the order of the images, the surest first; and the image of each row."""
        boxed = np.array([item.sample.crop(self.scale) is not None for item in items])
        parts = [
            self._landmarks(items, *self._read_given(items, np.flatnonzero(boxed), options)),
            self._landmarks(items, *self._search(items, np.flatnonzero(~boxed), options)),
        ]
        rows = np.concatenate([rows for rows, _ in parts])
        if options.objects == "best":
            gone = np.setdiff1d(np.arange(len(items)), rows)
            rows = np.concatenate([rows, gone])
            empty = nothing_found([items[k].index for k in gone], len(self.reader.model.barycenter))
            parts.append((gone, empty))
        order = np.argsort(rows, kind="stable")
        return [items[k] for k in rows[order]], joined([found for _, found in parts]).chosen(order)

    def _read_given(self, items: Sequence[Item], rows: Array, options: PredictOptions) -> tuple[Starts, PassPredictions | None]:
        angles = self._angles(items, rows)
        squares = [square_of(_crop(items[k].sample, self.scale), angle) for k, angle in zip(rows, angles.tolist(), strict=True)]
        boxes = [_box(items[k].sample) for k in rows]
        starts = Starts(rows, np.reshape(squares, (-1, 4)), np.reshape(boxes, (-1, 4)), np.full(len(rows), np.nan))
        return starts, self._passes(items, starts, options.refine or 0, options=options)

    def _angles(self, items: Sequence[Item], rows: Array) -> Array:
        """The angles of objects in given boxes: the sample's, else that of the locator's surest place that overlaps the box."""
        angles = np.array([items[k].sample.angle for k in rows], dtype=np.float64)
        if self.upright is None or self.locator is None:
            return angles
        unknown = np.flatnonzero(angles == 0)
        if not len(unknown):
            return angles
        placed = self._located(items, rows[unknown], self.locator, options=PredictOptions(objects="all"))
        for place in unknown:
            own = np.flatnonzero(placed.item == rows[place])
            given = from_boxes(np.array(_box(items[rows[place]].sample)))[0]
            near = own[overlap(from_boxes(placed.boxes[own]), given) >= _SHARED]
            angles[place] = placed.squares[near[0], 3] if len(near) else 0.0
        return angles

    def _search(self, items: Sequence[Item], rows: Array, options: PredictOptions) -> tuple[Starts, PassPredictions | None]:
        starts = self._starts(items, rows, options)
        passes = self.passes if options.refine is None else options.refine
        if options.objects == "best":
            starts, predictions = self._surest(items, starts, passes, options=options)
        else:
            predictions = self._passes(items, starts, passes, options=options)
        if predictions is None:
            return starts, None
        if options.drops:
            good = ~self._flags(starts, predictions)
            starts, predictions = starts.chosen(good), predictions.chosen(good)
        return (starts, predictions) if options.objects == "best" else self._distinct(starts, predictions, options.most)

    def _surest(
        self, items: Sequence[Item], candidates: Starts, passes: int, *, options: PredictOptions
    ) -> tuple[Starts, PassPredictions | None]:
        """One prediction per image: that at the likeliest place or, if it is probably wrong, the likeliest of all."""
        first = self._likeliest(items, candidates, boxes=candidates.boxes, scores=candidates.score)
        starts = candidates.chosen(first)
        predictions = self._passes(items, starts, passes, options=options)
        if predictions is None:
            return starts, None
        uncertain = np.isin(candidates.item, starts.item[self._flags(starts, predictions)])
        uncertain[first] = False
        others = candidates.chosen(uncertain)
        more = self._passes(items, others, passes, options=options)
        if more is None:
            return starts, predictions
        starts, predictions = starts.joined(others), predictions.joined(more)
        best = self._likeliest(items, starts, boxes=predictions.boxes, scores=self._scores(starts, predictions))
        return starts.chosen(best), predictions.chosen(best)

    def _starts(self, items: Sequence[Item], rows: Array, options: PredictOptions) -> Starts:
        """First crops of images without a box: the locator's candidates, else the usual framing, else the whole image."""
        if self.locator is not None and len(rows):
            return self._located(items, rows, self.locator, options=options)
        squares, boxes = [], []
        for k in rows:
            width, height = items[k].picture.size
            if self.framing is not None:
                place = from_boxes(np.array(self.framing.box(width, height)))
                squares.append(self.frame.squares(place)[0])
                boxes.append(self.framing.box(width, height))
            else:
                boxes.append(whole_image_crop(width, height))
                squares.append(square_of(boxes[-1]))
        score = np.full(len(rows), np.nan)
        return Starts(rows, np.reshape(squares, (-1, 4)), np.reshape(boxes, (-1, 4)), score)

    def _located(self, items: Sequence[Item], rows: Array, locator: Locator, *, options: PredictOptions) -> Starts:
        most, least = CANDIDATES, 0.0
        if options.objects == "all":
            most, least = MAX_OBJECTS, MIN_SCORE if self.scorer is None else MIN_CANDIDATE_SCORE
        pictures = [items[k].picture for k in rows]
        device = self.reader.model.barycenter.device
        found = locator.locate([one.image for one in pictures], most=most, least=least, device=str(device))
        shrunk = np.array([one.shrunk for one in pictures])[found.image]
        boxes = (found.boxes + 0.5) * shrunk[:, None] - 0.5
        squares = self.frame.squares(from_boxes(boxes, found.angle))
        return Starts(rows[found.image], squares, boxes, found.score)

    def _passes(self, items: Sequence[Item], starts: Starts, passes: int, *, options: PredictOptions) -> PassPredictions | None:
        """A first pass, then refinement passes while predictions move; the last one uses test-time augmentation."""
        if not len(starts):
            return None
        pictures = [items[k].picture for k in starts.item]
        read = self._reading(1 if passes else options.tta, options)
        predictions = read_crops(pictures, starts.squares, starts.boxes, read=read, size=self.size)
        for done in range(1, passes + 1):
            # With test-time augmentation the last pass differs from those before, so none ends early.
            moving = np.flatnonzero(~(predictions.moved < _MIN_MOVEMENT) | (options.tta > 1))
            if not len(moving):
                break
            read, own = self._reading(options.tta if done == passes else 1, options), [pictures[k] for k in moving]
            last, upright = predictions.chosen(moving), self.upright
            again = refinement_pass(own, last, read, size=self.size, frame=self.frame, upright=upright)
            predictions = predictions.replaced(moving, again)
        return predictions

    def _reading(self, views: int, options: PredictOptions) -> Read:
        return partial(_in_batches, self.reader, views=views, batch_size=options.batch_size)

    def detections(self, images: Sequence[ImageLike], options: PredictOptions) -> Detections:
        """The refined candidates of whole images, to learn the scorer from; the locator's surest of each image first.

        Args:
            images: files, Pillow images or arrays.
            options: only the batch size counts.
        """
        assert self.locator is not None
        features = [DetectionFeatures(*(np.empty(0) for _ in fields(DetectionFeatures)))]
        points, owner = [np.empty((0, len(self.reader.model.barycenter), 2))], [np.empty(0, np.int64)]
        for start in range(0, len(images), options.batch_size):
            part = images[start : start + options.batch_size]
            items = [Item(start + k, Sample(Path(f"image {k}")), self._picture(image)) for k, image in enumerate(part)]
            starts = self._located(items, np.arange(len(items)), self.locator, options=PredictOptions())
            starts = starts.chosen(starts.rank < _SCORED_CANDIDATES)
            predictions = self._passes(items, starts, self.passes, options=options)
            if predictions is not None:
                features.append(self._features(starts, predictions))
                points.append(predictions.points)
                owner.append(start + starts.item)
        return Detections(DetectionFeatures.joined(features), np.concatenate(points), np.concatenate(owner))

    def _picture(self, image: ImageLike) -> Picture:
        if isinstance(image, (str, Path)):
            return load_picture(image, partial(self.decoding, Sample(Path(image))))
        rgb = as_image(image)
        return Picture(rgb, rgb.size)

    def _features(self, starts: Starts, predictions: PassPredictions) -> DetectionFeatures:
        longer = np.maximum((predictions.boxes[:, 2:] - predictions.boxes[:, :2]).max(axis=1), 1e-6)
        ratio = predictions.squares[:, 2] / longer
        prior = self.reader.shapes.prior
        energy = np.ones(len(predictions)) if prior is None else prior.energy(predictions.found.points).double().numpy()
        spread = predictions.found.spread.double().numpy().mean(axis=1)
        shift = predictions.moved * ratio
        if self.scorer is not None and np.isnan(shift).all():  # there was no refinement pass
            shift = np.full(len(predictions), self.scorer.usual_shift)
        return DetectionFeatures(starts.score, shift, energy, spread * ratio)

    def _scores(self, starts: Starts, predictions: PassPredictions) -> Array:
        """How sure each prediction is, 0 to 1: by the scorer, else by the locator, else by its uncertainty."""
        uncertainty = predictions.found.uncertainty
        assert uncertainty is not None
        located = ~np.isnan(starts.score)
        sure = starts.score if self.scorer is None else self.scorer.probability(self._features(starts, predictions))
        return np.where(located, sure, 1 / (1 + uncertainty.double().numpy()))

    def _flags(self, starts: Starts, predictions: PassPredictions) -> Array:
        """Which predictions are probably wrong: of those that were searched for."""
        if self.scorer is None:
            return np.zeros(len(predictions), dtype=bool)
        return ~np.isnan(starts.score) & self.scorer.flagged(self._features(starts, predictions))

    def _likeliest(self, items: Sequence[Item], starts: Starts, *, boxes: Array, scores: Array) -> Array:
        """One row per image: where an object is almost certain, and place and size are usual for the annotated ones."""
        from scipy.special import logit

        value = np.minimum(logit(scores), CERTAIN)
        if self.framing is not None:
            value += self.framing.usualness(boxes, np.array([items[k].picture.size for k in starts.item]))
        order = np.lexsort((-scores, -value, starts.item))
        return order[np.unique(starts.item[order], return_index=True)[1]]

    def _distinct(self, starts: Starts, predictions: PassPredictions, most: int) -> tuple[Starts, PassPredictions]:
        """Without predictions on the same object as a surer one; the surest of each image first."""
        places, scores, kept = from_boxes(predictions.boxes), self._scores(starts, predictions), []
        for k in np.unique(starts.item):
            own = np.flatnonzero(starts.item == k)
            kept.append(own[suppress(places[own], scores[own], most=most, share=_SHARED)])
        rows = np.concatenate(kept) if kept else np.empty(0, np.int64)
        return starts.chosen(rows), predictions.chosen(rows)

    def _landmarks(self, items: Sequence[Item], starts: Starts, predictions: PassPredictions | None) -> tuple[Array, Landmarks]:
        """The image of each row, and the result."""
        if predictions is None:
            return starts.item, nothing_found([], len(self.reader.model.barycenter))
        found = predictions.found
        assert found.uncertainty is not None
        sides = torch.from_numpy(predictions.squares[:, 2]).float()
        return starts.item, Landmarks(
            points=torch.from_numpy(predictions.points).float(),
            image=torch.tensor([items[k].index for k in starts.item], dtype=torch.int64),
            score=torch.from_numpy(self._scores(starts, predictions)).float(),
            flagged=torch.from_numpy(self._flags(starts, predictions) | ~np.isfinite(predictions.points).all((1, 2))),
            spread=found.spread * sides[:, None],
            uncertainty=found.uncertainty,
            box=torch.from_numpy(predictions.boxes).float(),
            angle=torch.from_numpy(predictions.squares[:, 3]).float(),
        )


def _crop(sample: Sample, scale: float) -> Box:
    square = sample.crop(scale)
    assert square is not None
    return square


def _box(sample: Sample) -> Box:
    box = sample.unlabelled().box
    assert box is not None
    return box


def _in_batches(reader: Reader, crops: Array, *, views: int, batch_size: int) -> CropLandmarks:
    parts = range(0, len(crops), batch_size)
    return joined_crops([reader.read(crops[start : start + batch_size], views=views) for start in parts])
