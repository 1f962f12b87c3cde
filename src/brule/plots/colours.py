"""Colours that show a landmark's index."""

from __future__ import annotations

import numpy as np

from brule.arrays import Array


def index_colours(n: int) -> Array:
    """The colours of landmarks 0 … n-1: the hue runs evenly from violet over blue and green to red.

    The path lies in OKLCH, where equal steps look equally large; chroma is as high as the screen shows, up to 0.2.

    Args:
        n: how many.

    Returns:
        ``(n, 3)`` uint8, RGB.
    """
    t = np.linspace(0.0, 1.0, n) if n > 1 else np.zeros(n)
    hue = np.deg2rad(305.0 - 285.0 * t)
    # Yellow is vivid only when light, blue only when dark: lightness follows the hue, so that none turns to mud or pastel.
    lightness = np.interp(t, (0.0, 0.15, 0.38, 0.57, 0.73, 0.86, 1.0), (0.60, 0.60, 0.80, 0.83, 0.87, 0.75, 0.64))
    chroma = np.full(n, 0.2)
    for _ in range(40):
        linear = _oklch_to_linear(lightness, chroma, hue)
        off_screen = ((linear < 0) | (linear > 1)).any(axis=1)
        chroma = np.where(off_screen, 0.96 * chroma, chroma)
    linear = np.clip(_oklch_to_linear(lightness, chroma, hue), 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * encoded).astype(np.uint8)


def _oklch_to_linear(lightness: Array, chroma: Array, hue: Array) -> Array:
    """OKLCH → linear sRGB ``(n, 3)``, with Ottosson's matrices (2020)."""
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)
    to_lms = np.array([[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]])
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    return (lab @ to_lms.T) ** 3 @ to_rgb.T
