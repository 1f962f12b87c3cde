"""A guess from ImageNet features: ridge regression to a heatmap per landmark, read under the annotated shapes' prior.

Needs the package of weights (:mod:`brule.annotating.imagenet`). What is learnt of an image are sums over its pixels, so
they are worked out once per image, and a model of any set of images follows from them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brule.annotating.examples import Example, mirrored
from brule.annotating.statistics import Pose, ShapeStatistics, similarity
from brule.coordinates import from_corner, to_corner

if TYPE_CHECKING:
    from brule.annotating.imagenet import Features

SIDE = 128  # pixels of the part of an image that the network sees
CELLS = SIDE // 4
_WIDE = 5.0  # its side, in root-mean-square radii of the shape
_CROPS = 6  # of each annotated image, and as many of its mirror image
_JITTER = np.array([0.2, 0.2, 0.12])  # standard deviations of a crop's place, in radii, and of the logarithm of its side
_BLOB = 1.3  # cells: standard deviation of a landmark's blob in the heatmap
_RIDGE = 3e-3  # of the features, each of variance 1
_WINDOWS = (6.0, 4.5, 3.5, 2.5, 2.0, 1.6)  # cells about a landmark in which its heatmap is read, one after the other
_NOISE = 0.05  # radii: standard deviation of a reading where the heatmap has one peak
_MIN_CERTAINTY = 0.02  # of a reading


@dataclass(frozen=True, eq=False)
class Window:
    """A square part of an image, upright.

    Args:
        centre: ``(2,)`` in pixels of the image.
        side: in pixels of the image.
    """

    centre: np.ndarray
    side: float

    @classmethod
    def about(cls, points: np.ndarray, radius: float, offset: np.ndarray | None = None) -> Window:
        """The part about a shape: ``offset`` moves it, in radii, and scales it."""
        x, y, grown = np.zeros(3) if offset is None else offset
        centre = (np.nanmin(points, axis=0) + np.nanmax(points, axis=0)) / 2
        return cls(centre + radius * np.array([x, y]), _WIDE * radius * float(np.exp(grown)))

    def cells(self, points: np.ndarray) -> np.ndarray:
        """Pixels of the image → cells of the heatmap."""
        return from_corner(((points - self.centre) / self.side + 0.5) * CELLS)

    def pixels(self, cells: np.ndarray) -> np.ndarray:
        """Cells of the heatmap → pixels of the image."""
        return (to_corner(cells) / CELLS - 0.5) * self.side + self.centre


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over the cells of an image's crops, with D features and N landmarks.

    Args:
        count: cells.
        values: ``(D,)`` of the features.
        heat: ``(N,)`` of the heatmaps.
        squares: ``(D, D)`` of products of features.
        products: ``(D, N)`` of products of features and heatmaps.
    """

    count: int
    values: np.ndarray
    heat: np.ndarray
    squares: np.ndarray
    products: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        """The sums over both."""
        parts = zip(self._parts(), other._parts(), strict=True)
        return Sums(self.count + other.count, *(a + b for a, b in parts))

    def _parts(self) -> tuple[np.ndarray, ...]:
        return self.values, self.heat, self.squares, self.products


def learn_image(network: Features, example: Example, *, seed: int = 0) -> Sums:
    """What an annotated image teaches.

    Args:
        network: the features.
        example: annotated.
        seed: of the places of the crops.
    """
    points = example.annotated()
    centred = points - np.nanmean(points, axis=0)
    radius = float(np.sqrt(np.nanmean((centred**2).sum(1))))
    offsets = np.random.default_rng(seed).standard_normal((_CROPS, 3)) * _JITTER
    parts = [Window.about(points, radius, offset) for offset in offsets]
    values = features(network, example, parts)
    heat = np.concatenate([blobs(part.cells(points)) for part in parts])
    return Sums(len(values), values.sum(0), heat.sum(0), values.T @ values, values.T @ heat)


class LearntFeatures:
    """What features show of annotated images, kept from one fit to the next.

    Args:
        network: the features.
    """

    def __init__(self, network: Features) -> None:
        self._network = network
        self._known: dict[Hashable, Sums] = {}
        self._order: list[Hashable] = []

    def learn(self, examples: Sequence[Example], keys: Sequence[Hashable], pairs: Sequence[tuple[int, int]] | None) -> None:
        """Take the annotated images; those that are known already cost nothing.

        Args:
            examples: annotated.
            keys: one per image, another one after every change of its annotation.
            pairs: landmarks that change places in a mirror image, which then teaches, too.
        """
        self._order = [(key, pairs) for key in keys]
        known = {}
        for key, one in zip(self._order, examples, strict=True):
            known[key] = self._known.get(key) or self._learnt(one, pairs)
        self._known = known

    def model(self, statistics: ShapeStatistics, which: Sequence[int] | None = None) -> FeatureModel | None:
        """A model of some of the images, by default of all; None of images of several numbers of landmarks, or of none."""
        order = self._order if which is None else [self._order[k] for k in which]
        sums = [self._known[key] for key in order]
        if {len(one.heat) for one in sums} != {len(statistics.mean)}:
            return None
        return FeatureModel(self._network, sums, statistics)

    def _learnt(self, example: Example, pairs: Sequence[tuple[int, int]] | None) -> Sums:
        found = learn_image(self._network, example)
        return found + learn_image(self._network, mirrored(example, pairs), seed=1) if pairs else found


class FeatureModel:
    """Heatmaps by ridge regression on frozen features.

    Args:
        network: the features.
        sums: of the annotated images.
        statistics: of their shapes.
    """

    def __init__(self, network: Features, sums: Sequence[Sums], statistics: ShapeStatistics) -> None:
        self._network, self._statistics = network, statistics
        total = sum(sums[1:], start=sums[0])
        self._mean = total.values / total.count
        covariance = total.squares / total.count - np.outer(self._mean, self._mean)
        shared = total.products / total.count - np.outer(self._mean, total.heat / total.count)
        sd = np.sqrt(np.maximum(np.diag(covariance), 1e-9))
        scaled = covariance / np.outer(sd, sd) + _RIDGE * np.eye(len(sd))
        self._weights = np.linalg.solve(scaled, shared / sd[:, None]) / sd[:, None]

    def guess(self, example: Example, poses: Sequence[Pose]) -> np.ndarray:
        """Find the landmarks of an image.

        Args:
            example: the image.
            poses: where a locator sees objects; that one is taken at which the heatmaps are highest.

        Returns:
            ``(N, 2)`` in pixels.
        """
        tried = [self._at(example, pose(self._statistics.mean), pose.scale) for pose in poses]
        points, _ = max(tried, key=lambda one: one[1])
        found = similarity(self._statistics.mean, points) or poses[0]
        return self._at(example, points, found.scale, windows=_WINDOWS[2:])[0]  # in a part about what was found

    def _at(
        self, example: Example, start: np.ndarray, radius: float, *, windows: Sequence[float] = _WINDOWS
    ) -> tuple[np.ndarray, float]:
        """The landmarks about a start, and how high the heatmaps are there."""
        part = Window.about(start, radius)
        heat = self._heat(example, part)
        points = self._read(heat, part, start, windows=windows)
        return points, float((heat * blobs(part.cells(points))).sum(0).mean())

    def _heat(self, example: Example, part: Window) -> np.ndarray:
        """``(CELLS², N)``, at least 0."""
        values = features(self._network, example, [part]) - self._mean
        return np.maximum(values @ self._weights, 0.0)

    def _read(self, heat: np.ndarray, part: Window, points: np.ndarray, *, windows: Sequence[float]) -> np.ndarray:
        """The shape that fits the heatmaps best: places about the shape so far and the prior take turns."""
        power = heat**2
        total, peak = np.maximum(power.sum(0), 1e-12), heat.max(0)
        height = np.clip(peak / max(float(np.median(peak)), 1e-12), 0.1, 1.0)
        for window in windows:
            mass = power * blobs(part.cells(points), window)
            weight = mass.sum(0)
            places = (mass[..., None] * _grid()[:, None]).sum(0) / np.maximum(weight, 1e-12)[:, None]
            sure = np.clip(weight / total, _MIN_CERTAINTY, 1.0) * height
            points = most_probable(part.pixels(places), sure, self._statistics)
        return points


def most_probable(places: np.ndarray, sure: np.ndarray, statistics: ShapeStatistics) -> np.ndarray:
    """The shape that is most probable, given readings of its landmarks.

    Args:
        places: ``(N, 2)`` in pixels.
        sure: ``(N,)``, 0 to 1: a reading's variance is inversely proportional to it.
        statistics: the prior.

    Returns:
        ``(N, 2)`` in pixels.
    """
    pose = similarity(statistics.mean, places, weights=sure)
    if pose is None:
        return places
    covariance = statistics.covariance()
    noise = np.repeat(_NOISE**2 / sure, 2)
    left = (pose.back(places) - statistics.mean).ravel()
    moved = covariance @ np.linalg.solve(covariance + np.diag(noise), left)
    return pose(statistics.mean + moved.reshape(-1, 2))


def blobs(cells: np.ndarray, sd: float = _BLOB) -> np.ndarray:
    """A Gaussian of height 1 about each point: ``(N, 2)`` in cells → ``(CELLS², N)``; 0 about a missing point."""
    line = np.arange(CELLS)[:, None]
    across, down = (np.exp(-((line - cells[None, :, axis]) ** 2) / (2 * sd**2)) for axis in (0, 1))
    return np.nan_to_num((down[:, None] * across[None]).reshape(CELLS**2, -1))


def features(network: Features, example: Example, parts: Sequence[Window]) -> np.ndarray:
    """The features of parts of an image, and the place in the part: ``(len(parts) · CELLS², D)``."""
    import torch

    crops = np.stack([_crop(example, part) for part in parts])
    images = torch.from_numpy(crops).float().div(127.5).sub(1)[:, None].expand(-1, 3, -1, -1)
    values = network(images.contiguous()).permute(0, 2, 3, 1).flatten(0, 2).numpy()
    unit = to_corner(_grid()) / CELLS - 0.5
    place = np.concatenate([unit, unit**2, unit[:, :1] * unit[:, 1:]], axis=1)
    return np.concatenate([values, np.tile(place, (len(parts), 1))], axis=1).astype(np.float32)


def _crop(example: Example, part: Window) -> np.ndarray:
    """``(SIDE, SIDE)`` uint8; beyond the image, its edge is repeated."""
    from PIL import Image

    corner = (to_corner(part.centre) - part.side / 2) * example.factor
    side = part.side * example.factor
    height, width = example.grey.shape
    beyond = int(max(0, *-corner, corner[0] + side - width, corner[1] + side - height)) + 2
    left, top = corner + beyond
    padded = Image.fromarray(np.pad(example.grey, beyond, mode="edge"))
    return np.asarray(padded.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)))


def _grid() -> np.ndarray:
    """The cells' columns and rows: ``(CELLS², 2)``."""
    return np.stack(np.meshgrid(np.arange(CELLS), np.arange(CELLS)), -1).reshape(-1, 2).astype(np.float64)
