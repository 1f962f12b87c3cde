"""The locator: its filters and settings, and the search for objects in whole images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from numbers import Real
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from brule.arrays import Array
from brule.errors import ConfigError
from brule.locating.filters import Filter, filter_responses
from brule.locating.framing import Framing
from brule.locating.places import suppress, to_boxes, voted
from brule.locating.pyramid import GreyImage, ImageLike, Level, batches, grey_image, pyramid
from brule.locating.stored import damage_reported, finite_numbers, named_values, stored_filters

PEAKS = 40  # kept of each filter at each level, before those that overlap are suppressed
_IMAGES_IN_MEMORY = 64  # read at a time


@dataclass(frozen=True)
class LocatorSettings:
    """How a locator sees and learns. The defaults were chosen on training photographs of faces.

    Attributes:
        cell: side of a feature cell in pixels.
        cells: area of the filter for upright objects, in cells.
        context: side of the filter's window over that of the object's box.
        step: ratio of successive pyramid levels.
        reach: the smallest object that is searched for, over the smallest annotated one.
        longest: largest longer side of the shrunk images in pixels; small objects need large images.
        share: intersection over union from which the worse of two detections is suppressed.
        regularization: ``λ`` of :func:`brule.locating.filters.max_margin`.
        copies: examples made of each annotated object (twice as many if it is mirrored); all but the first are jittered.
        rounds: rounds of self-training: 0, 1 or 2; a larger number counts as 2.
        annotated: largest number of annotated images that are used, drawn with the seed.
        unlabelled: largest number of unlabelled images that are used.
        angle_step: degrees between the filters for turned objects.

    Raises:
        ConfigError: a value isn't a finite number, or is out of range.
    """

    cell: int = 6
    cells: int = 80
    context: float = 1.25
    step: float = 1.2
    reach: float = 0.7
    longest: int = 480
    share: float = 0.3
    regularization: float = 0.03
    copies: int = 4
    rounds: int = 2
    annotated: int = 100
    unlabelled: int = 300
    angle_step: float = 20.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value, whole = getattr(self, one.name), isinstance(one.default, int)
            number = isinstance(value, Real)
            if not number or not abs(value) < math.inf or (whole and value != int(value)):
                kind = "whole" if whole else "finite"
                raise ConfigError(f"locator: expected {one.name} to be a {kind} number, got {value!r:.60}")
        if self.cell < 2 or self.cell % 2:
            raise ConfigError(f"locator: expected cell to be an even number of pixels, got {self.cell}")
        positive = ("cells", "context", "reach", "longest", "copies", "annotated", "angle_step")
        if self.step <= 1 or not 0 < self.share <= 1 or any(getattr(self, name) <= 0 for name in positive):
            raise ConfigError(f"locator: expected step > 1, 0 < share ≤ 1, and {', '.join(positive)} > 0, got {self}")
        if min(self.regularization, self.rounds, self.unlabelled) < 0:
            raise ConfigError(f"locator: expected regularization, rounds and unlabelled ≥ 0, got {self}")


@dataclass(frozen=True, eq=False)
class Located:
    """M located objects (bounding boxes with scores), ordered by image and falling score.

    Attributes:
        boxes: ``(M, 4)``: left, top, right, bottom in pixels of the image, in the object's upright frame: rotated about its
            centre by ``angle``, the box covers the object.
        angle: ``(M,)`` degrees, clockwise on the screen; 0 for an upright object.
        score: ``(M,)`` between 0 and 1: how likely it is that the box is about right.
        image: ``(M,)``: index of the image.
    """

    boxes: Array
    angle: Array
    score: Array
    image: Array

    def __len__(self) -> int:
        """The number of located objects."""
        return len(self.boxes)

    def of(self, image: int) -> Located:
        """Those of one image."""
        return self.chosen(self.image == image)

    def chosen(self, rows: Array) -> Located:
        """Some of them: booleans ``(M,)`` or indices."""
        return Located(self.boxes[rows], self.angle[rows], self.score[rows], self.image[rows])

    def best(self) -> Located:
        """The one with the highest score in each image that has any."""
        return self.chosen(np.unique(self.image, return_index=True)[1])


@dataclass(frozen=True, eq=False)
class Peak:
    """One local maximum of a filter's response map.

    Attributes:
        place: ``(5,)`` in pixels of the grey image.
        score: margin of the filter: at least 1 for examples, at most -1 for background.
        filter: index of the filter.
        window: ``(D,)`` the features under the filter, D = 31 · h · w; None if they weren't asked for.
    """

    place: Array
    score: float
    filter: int
    window: Tensor | None


@dataclass(frozen=True, eq=False)
class Locator:
    """Finds objects in whole images; made by :func:`brule.locating.learn_locator`.

    Attributes:
        filters: one, or one per angle.
        settings: how the images are seen.
        framing: size and position of the annotated objects.
        box: width and height of an object at the filters' resolution, in pixels.
        calibration: slope and offset from margin to log odds.
    """

    filters: tuple[Filter, ...]
    settings: LocatorSettings
    framing: Framing
    box: tuple[float, float]
    calibration: tuple[float, float] = (1.0, 0.0)

    @property
    def longest(self) -> int:
        """Longer side, in pixels, of the grey images that are searched."""
        return search_size(self.framing, self.box, self.settings)

    @property
    def turns(self) -> bool:
        """Whether it finds objects at other angles than upright."""
        return any(one.angle for one in self.filters)

    def locate(
        self, images: Iterable[ImageLike], *, most: int = 3, least: float = 0.0, batch_size: int = 8, device: str = "cpu"
    ) -> Located:
        """Find objects.

        Args:
            images: files, Pillow images or arrays; a generator is read a few at a time.
            most: largest number of objects per image.
            least: smallest score of an object, from 0 to 1.
            batch_size: images that are searched at once.
            device: where to compute.

        Returns:
            The objects by image and falling score; an image may have none.

        Raises:
            DataError: an image can't be read.
        """
        rest = iter(enumerate(images))
        found: list[tuple[int, Peak]] = []
        while some := list(islice(rest, _IMAGES_IN_MEMORY)):
            grey = [grey_image(image, self.longest, f"image {k}") for k, image in some]
            for (k, _), one, peaks in zip(some, grey, self.search(grey, most, batch_size, device=device), strict=True):
                found += [(k, Peak(one.outer(peak.place[None])[0], peak.score, peak.filter, None)) for peak in peaks]
        places = np.array([peak.place for _, peak in found]).reshape(-1, 5)
        score = self.calibrated(np.array([peak.score for _, peak in found]))
        located = Located(to_boxes(places), places[:, 4], score, np.array([k for k, _ in found], dtype=np.int64))
        return located.chosen(score >= least)

    def calibrated(self, margins: Array) -> Array:
        """Margins of filters ``(M,)`` → probabilities ``(M,)``."""
        slope, offset = self.calibration
        return 1 / (1 + np.exp(-np.clip(slope * margins + offset, -50, 50)))

    def search(
        self, images: Sequence[GreyImage], most: int, batch_size: int, *, device: str | torch.device, windows: bool = False
    ) -> list[list[Peak]]:
        """The strongest peaks of each grey image, after non-maximum suppression.

        Args:
            images: grey images of any shapes.
            most: largest number of peaks per image.
            batch_size: images that are searched at once.
            device: where to compute.
            windows: whether the features under each peak are returned, too.

        Returns:
            One list per image, by falling score.
        """
        result: list[list[Peak]] = [[] for _ in images]
        for part in batches(images, batch_size):
            chosen = [images[i] for i in part]
            for i, peaks in zip(part, self._peaks(chosen, torch.device(device), most, windows=windows), strict=True):
                result[i] = peaks
        return result

    def _peaks(self, images: list[GreyImage], device: torch.device, most: int, *, windows: bool) -> list[list[Peak]]:
        levels: list[Level] = []
        tables: list[Array] = []
        for level in self._levels(images, device):
            for f, responses in enumerate(filter_responses(self.filters, level.maps)):
                tables.append(self._table(images, level, responses, origin=np.array([len(levels), f])))
            levels.append(level)
        result = []
        for k in range(len(images)):
            table = np.concatenate([table[k] for table in tables])
            table = table[np.isfinite(table[:, 5])]
            kept = suppress(table[:, :5], table[:, 5], most=most, share=self.settings.share)
            peaks = [self._peak(row, levels, k, windows=windows) for row in table[kept]]
            result.append(
                [replace(peak, place=voted(table[:, :5], table[:, 5], i)) for peak, i in zip(peaks, kept, strict=True)]
            )
        return result

    def _levels(self, images: list[GreyImage], device: torch.device) -> Iterator[Level]:
        smallest = math.floor(0.8 * min(self.box))
        yield from pyramid(images, cell=self.settings.cell, step=self.settings.step, smallest=smallest, device=device)

    def _table(self, images: list[GreyImage], level: Level, responses: Tensor, *, origin: Array) -> Array:
        """Local maxima of a filter: ``(B, K, 10)``, columns place (5), score, level, filter, row, column."""
        one = self.filters[int(origin[1])]
        local = responses == F.max_pool2d(responses, 3, stride=1, padding=1)
        maxima = torch.where(local, responses, -torch.inf)
        best, where = maxima.flatten(1).topk(min(PEAKS, maxima[0].numel()))
        score, index = best.cpu().numpy().astype(np.float64), where.cpu().numpy()
        row, column = np.divmod(index, responses.shape[2])
        (h, w), cell, scale = one.shape, self.settings.cell, np.array(level.scale)
        x = (column - (w - 1) + w / 2) * cell / scale[0] - 0.5
        y = (row - (h - 1) + h / 2) * cell / scale[1] - 0.5
        extent = np.array([image.pixels.shape for image in images])
        outside = (x < -0.5) | (y < -0.5) | (x > extent[:, 1:] - 0.5) | (y > extent[:, :1] - 0.5)
        size = np.array(self.box) / np.sqrt(scale.prod())
        constant = [np.full_like(score, value) for value in (*size, one.angle)]
        origins = [np.full_like(score, value) for value in origin]
        return np.stack([x, y, *constant, np.where(outside, -np.inf, score), *origins, row, column], axis=-1)

    def _peak(self, row: Array, levels: list[Level], image: int, *, windows: bool) -> Peak:
        level, f, i, j = row[6:].astype(int)
        window = self.filters[f].window(levels[level].maps[image], i, j).flatten() if windows else None
        return Peak(row[:5], float(row[5]), int(f), window)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights for a safetensors file, and everything else as JSON values; :meth:`from_state` reads them."""
        tensors = {f"filter/{k}": one.weights.detach().cpu() for k, one in enumerate(self.filters)}
        return tensors, {
            "filters": [{"bias": one.bias, "angle": one.angle} for one in self.filters],
            "settings": asdict(self.settings),
            "framing": self.framing.facts(),
            "box": list(self.box),
            "calibration": list(self.calibration),
        }

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], facts: dict[str, Any]) -> Locator:
        """The locator that :meth:`state` described.

        Raises:
            CheckpointError: something is missing, of another kind or shape, not finite, or out of range.
        """
        with damage_reported("locator"):
            facts = dict(named_values(facts, "description"))
            filters = stored_filters(tensors, facts["filters"])
            known = {one.name for one in fields(LocatorSettings)}
            stored = named_values(facts["settings"], "settings")
            settings = LocatorSettings(**{name: value for name, value in stored.items() if name in known})
            framing = Framing(**named_values(facts["framing"], "framing"))
            width, height = finite_numbers(facts["box"], "box", shape=(2,)).tolist()
            if min(width, height) <= 0:
                raise ValueError(f"box: expected a width and a height above 0, got {[width, height]}")
            slope, offset = finite_numbers(facts["calibration"], "calibration", shape=(2,)).tolist()
            return cls(filters, settings, framing, (width, height), (slope, offset))


def search_size(framing: Framing, box: tuple[float, float], settings: LocatorSettings) -> int:
    """Longer side, in pixels, of the grey images in which the smallest object that is searched for just fills a filter."""
    wanted = max(box) / (settings.reach * max(framing.smallest, 1e-3))
    return int(min(max(wanted, 3 * max(box) / 2), settings.longest))
