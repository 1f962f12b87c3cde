"""Features for guesses: how strong edges of each direction are around a place (a dense HOG; Dalal & Triggs 2005)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 8
_REST = 4.0  # grey values below which a gradient counts as noise


@dataclass(frozen=True, eq=False)
class GradientMaps:
    """Oriented gradients of a grey image, smoothed at several widths.

    Args:
        maps: one ``(BINS, H, W)`` float32 array per width.
        factor: pixels of the maps per pixel of the image.
    """

    maps: tuple[np.ndarray, ...]
    factor: float

    @classmethod
    def of(cls, grey: np.ndarray, *, widths: Sequence[float], factor: float) -> GradientMaps:
        """The maps of an image.

        Args:
            grey: ``(H, W)``, 0 to 255.
            widths: standard deviations of the smoothing, in pixels of ``grey``.
            factor: pixels of ``grey`` per pixel of the image that it was made from.
        """
        from scipy.ndimage import gaussian_filter

        values = np.pad(grey.astype(np.float32), 1, mode="edge")
        across, down = (values[1:-1, 2:] - values[1:-1, :-2]) / 2, (values[2:, 1:-1] - values[:-2, 1:-1]) / 2
        strength = np.hypot(across, down)
        place = (np.arctan2(down, across) / (2 * np.pi)) % 1.0 * BINS
        low = np.floor(place).astype(np.int64) % BINS
        share = (place - np.floor(place)).astype(np.float32)
        bins = np.zeros((BINS, grey.size), dtype=np.float32)
        flat = np.arange(grey.size)
        bins[low.ravel(), flat] = (strength * (1 - share)).ravel()
        bins[(low.ravel() + 1) % BINS, flat] = (strength * share).ravel()
        bins = bins.reshape(BINS, *grey.shape)
        maps = []
        for width in widths:
            smooth = np.stack([gaussian_filter(one, width, mode="nearest") for one in bins])
            energy = gaussian_filter(strength**2, 2 * width, mode="nearest")
            maps.append(smooth / np.sqrt(energy + _REST**2))
        return cls(tuple(maps), factor)

    def at(self, points: np.ndarray, level: int) -> np.ndarray:
        """The values at places of the image.

        Args:
            points: ``(..., 2)`` in pixels of the image; outside, its edge is repeated.
            level: which of the widths.

        Returns:
            ``(..., BINS)`` float32.
        """
        maps = self.maps[level]
        own = (points + 0.5) * self.factor - 0.5
        column = np.clip(np.rint(own[..., 0]), 0, maps.shape[2] - 1).astype(np.int64)
        row = np.clip(np.rint(own[..., 1]), 0, maps.shape[1] - 1).astype(np.int64)
        return np.moveaxis(maps[:, row, column], 0, -1)
