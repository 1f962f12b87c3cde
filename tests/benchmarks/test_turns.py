"""Depth from shapes: a turned object of known depth."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.turns import depth_of, spread_along


@pytest.fixture
def turned() -> tuple[np.ndarray, np.ndarray]:
    """Shapes ``(300, 12, 2)`` of a solid object, turned by 12° and 4° (standard deviations), and its depth."""
    rng = np.random.default_rng(0)
    flat, depth = rng.normal(0.5, 0.15, (12, 2)), rng.normal(0, 0.1, 12)
    yaw, pitch = rng.normal(0, np.radians(12), 300), rng.normal(0, np.radians(4), 300)
    shapes = np.repeat(flat[None], 300, axis=0)
    shapes[..., 0] = 0.5 + (flat[:, 0] - 0.5) * np.cos(yaw)[:, None] + depth * np.sin(yaw)[:, None]
    shapes[..., 1] += depth * np.sin(pitch)[:, None]
    return shapes, depth


def test_depth_is_found_up_to_scale_and_an_affine_map(turned: tuple[np.ndarray, np.ndarray]) -> None:
    shapes, depth = turned
    found, share = depth_of(shapes)
    basis = np.c_[shapes.mean(0), np.ones(12)]
    rest = depth - basis @ np.linalg.lstsq(basis, depth, rcond=None)[0]
    assert abs(np.corrcoef(found, rest)[0, 1]) > 0.99
    assert share[2] > 20 * share[3]


def test_the_spread_is_that_of_the_turns(turned: tuple[np.ndarray, np.ndarray]) -> None:
    shapes, _ = turned
    yaw, pitch = spread_along(shapes, shapes.mean(0), depth_of(shapes)[0])
    assert yaw / pitch == pytest.approx(np.sin(np.radians(12)) / np.sin(np.radians(4)), rel=0.15)
