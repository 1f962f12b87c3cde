"""Where in an image the object is, from a few annotated images: a linear filter on gradients, slid over places and sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from brule.annotating.gradients import BINS, GradientMaps
from brule.annotating.statistics import Pose

CELLS = 10  # across the window
CELL = 6.0  # pixels of the maps
MARGIN = 1.15  # side of the window, over the shape's longer side
_NEAR, _RATIO = 0.12, 1.15  # how far, in window sides and in sizes, a window is off that scores exp(-1/2)
_JITTERED, _ELSEWHERE = 30, 170  # windows of each image that teach
_RIDGE = 3e-3
_SIZES = 7  # tried
_TRUST = 0.04  # of the usual places and sizes, beside the filter's score

MapsAt = Callable[[float], GradientMaps]


@dataclass(frozen=True, eq=False)
class Window:
    """A square part of an image.

    Args:
        x: of its centre, in pixels.
        y: of its centre, in pixels.
        side: in pixels.
    """

    x: float
    y: float
    side: float


class ObjectFilter:
    """A filter that scores windows of an image: about 1 where the object is.

    Args:
        weights: ``(CELLS, CELLS, BINS)``.
        constant: is added.
        sides: of the objects' windows that it was learnt from, in pixels over the longer side of their images.
    """

    def __init__(self, weights: np.ndarray, constant: float, sides: np.ndarray) -> None:
        self._weights, self._constant = weights, constant
        self._middle = float(np.median(np.log(sides)))
        self._spread = float(max(np.log(sides).std(), 0.15))

    @classmethod
    def fit(
        cls, maps: Sequence[MapsAt], windows: Sequence[Window], sizes: Sequence[tuple[int, int]], *, seed: int = 0
    ) -> ObjectFilter:
        """Learn from windows about annotated objects.

        Args:
            maps: of each image, for a number of their pixels per pixel of the image.
            windows: of the objects.
            sizes: width and height of the images.
            seed: of the windows that are drawn.
        """
        rng = np.random.default_rng(seed)
        values, scores = [], []
        for own, window, size in zip(maps, windows, sizes, strict=True):
            for one in _drawn(window, size, rng):
                values.append(_values(own(CELLS * CELL / _stepped(one.side)), one))
                off = ((one.x - window.x) ** 2 + (one.y - window.y) ** 2) / (_NEAR * window.side) ** 2
                off += (np.log(one.side / window.side) / np.log(_RATIO)) ** 2
                scores.append(np.exp(-off / 2))
        data, wanted = np.stack(values).astype(np.float64), np.array(scores)
        mean, middle = data.mean(0), wanted.mean()
        data -= mean
        gram = data.T @ data
        gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram)  # of all, not of the mean: ten images are few
        weights = np.linalg.solve(gram, data.T @ (wanted - middle))
        sides = np.array([window.side / max(size) for window, size in zip(windows, sizes, strict=True)])
        return cls(weights.reshape(CELLS, CELLS, BINS), float(middle - mean @ weights), sides)

    def find(self, maps: MapsAt, size: tuple[int, int], usual: Window, usual_sd: float) -> list[tuple[float, Window]]:
        """The best windows of an image, the best one first, none near a better one.

        Args:
            maps: of the image.
            size: its width and height.
            usual: where objects usually are.
            usual_sd: how far from there they are, in pixels.
        """
        found: list[tuple[float, Window]] = []
        for step in np.linspace(-2, 2, _SIZES):
            side = float(np.exp(self._middle + step * self._spread) * max(size))
            own = maps(CELLS * CELL / side)
            score, x, y = self._scores(own, side)
            off = ((x - usual.x) ** 2 + (y - usual.y) ** 2) / usual_sd**2 + step**2
            total = score - _TRUST * off
            for place in np.argsort(-total, axis=None)[:3]:
                k = np.unravel_index(place, total.shape)
                found.append((float(total[k]), Window(float(x[k]), float(y[k]), side)))
        found.sort(key=lambda one: -one[0])
        kept: list[tuple[float, Window]] = []
        for score_, window in found:
            if all(np.hypot(window.x - other.x, window.y - other.y) > 0.15 * other.side for _, other in kept):
                kept.append((score_, window))
        return kept

    def _scores(self, maps: GradientMaps, side: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The scores of windows half a cell apart, and their centres ``(H, W)`` in pixels of the image."""
        half = CELL / 2
        reach = int(0.3 * CELLS)  # cells of a window that may be outside
        rows = np.arange(-2 * reach, int(maps.maps[0].shape[1] / half) + 2 * reach)
        columns = np.arange(-2 * reach, int(maps.maps[0].shape[2] / half) + 2 * reach)
        places = np.stack(np.meshgrid(columns * half, rows * half), -1) / maps.factor
        field = maps.at(places, 0)  # (rows, columns, BINS)
        height, width = len(rows) - 2 * (CELLS - 1), len(columns) - 2 * (CELLS - 1)
        if height < 1 or width < 1:
            return np.full((1, 1), -np.inf), np.zeros((1, 1)), np.zeros((1, 1))
        total = np.full((height, width), self._constant)
        for i in range(CELLS):
            for j in range(CELLS):
                total += field[2 * i : 2 * i + height, 2 * j : 2 * j + width] @ self._weights[i, j]
        shift = (CELLS - 1) * half / maps.factor
        return total, places[:height, :width, 0] + shift, places[:height, :width, 1] + shift


def window_about(points: np.ndarray) -> Window:
    """The window of an object: about the middle of its landmarks, ``(N, 2)``."""
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    x, y = (low + high) / 2
    return Window(float(x), float(y), float(MARGIN * (high - low).max()))


def pose_in(window: Window, mean: np.ndarray) -> Pose:
    """The pose in which a shape fills a window as its object would, upright."""
    own = window_about(mean)
    scale = window.side / own.side
    return Pose(np.eye(2) * scale, np.array([window.x, window.y]) - scale * np.array([own.x, own.y]))


def _values(maps: GradientMaps, window: Window) -> np.ndarray:
    steps = (np.arange(CELLS) - (CELLS - 1) / 2) * window.side / CELLS
    places = np.stack(np.meshgrid(window.x + steps, window.y + steps), -1)
    return maps.at(places, 0).ravel()


def _stepped(side: float) -> float:
    """A side, rounded to a third of a factor of two, so that few sizes of maps are needed."""
    return float(2.0 ** (np.round(3 * np.log2(side)) / 3))


def _drawn(window: Window, size: tuple[int, int], rng: np.random.Generator) -> list[Window]:
    """Windows near the object, and windows anywhere."""
    found = []
    for _ in range(_JITTERED):
        x, y, grown = rng.standard_normal(3)
        found.append(
            Window(
                window.x + 0.5 * _NEAR * x * window.side,
                window.y + 0.5 * _NEAR * y * window.side,
                window.side * float(np.exp(0.5 * np.log(_RATIO) * grown)),
            )
        )
    for _ in range(_ELSEWHERE):
        side = window.side * float(np.exp(rng.uniform(-0.5, 0.5)))
        found.append(Window(rng.uniform(0, size[0]), rng.uniform(0, size[1]), side))
    return found
