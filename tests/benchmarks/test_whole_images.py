"""The tools for trained detectors: what they count, by hand; the detectors themselves are measured elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.rejection import hidden_flat, judged, row
from benchmarks.whole_images import Annotations
from benchmarks.wrong_boxes import boxed, wrong_box
from brule.data import Sample, SampleList
from brule.detector.landmarks import nothing_found

SQUARE = np.array([[10.0, 10.0], [30.0, 10.0], [30.0, 30.0], [10.0, 30.0]])


def annotations(count: int = 2) -> Annotations:
    samples = SampleList([Sample(Path(f"{k}.png"), SQUARE + 5 * k) for k in range(count)])
    return Annotations(samples, np.array([SQUARE + 5 * k for k in range(count)]), np.full(count, 20.0))


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.2, 0.2)])
def test_boxes_are_wrong_by_what_was_asked_for(shift: float, scale: float) -> None:
    generator, factors = np.random.default_rng(0), set()
    for _ in range(20):
        left, top, right, bottom = wrong_box((0.0, 0.0, 40.0, 20.0), generator, shift=shift, scale=scale)
        assert np.hypot((left + right) / 2 - 20, (top + bottom) / 2 - 10) == pytest.approx(40 * shift)
        factors.add(round((right - left) / 40, 6))
        assert (right - left) / (bottom - top) == pytest.approx(2)
    assert factors == ({1.0} if not scale else {round(1 + scale, 6), round(1 / (1 + scale), 6)})


def test_every_image_keeps_its_landmarks_to_itself() -> None:
    for sample in [*annotations().bare, *boxed(annotations(), shift=0.1, scale=0.1, seed=0)]:
        assert sample.points is None


def test_errors_by_hand() -> None:
    """The first answer is off by 2 of 20 pixels everywhere, the second image has no answer."""
    found = nothing_found([0, 1], 4)
    points = found.points.clone()
    points[0] = torch.tensor(SQUARE + np.array([0, 2]))
    assert annotations().errors(replace(found, points=points)).tolist() == [pytest.approx(10.0), np.inf]


def test_what_is_wrong_and_what_is_flagged() -> None:
    """Two shapes differ by 1.2 pixels in one coordinate: the floor is off by 0.6 of 20 there, 0.75 % over the four corners."""
    bent = SQUARE.copy()
    bent[2, 1] -= 1.2
    found = nothing_found(range(3), 4)
    points = torch.tensor(np.array([SQUARE + np.array([0.1, 0]), bent + np.array([0.2, 0]), SQUARE]))
    found = replace(found, points=points, flagged=torch.tensor([False, False, True]))
    detector: Any = SimpleNamespace(predict=lambda images: found)
    wrong, flagged = judged(detector, ["a", "b", "c"], [SQUARE, bent, None])
    assert wrong.tolist() == [False, True, True] and flagged.tolist() == [False, False, True]
    assert row("both", wrong, flagged) == "| both | 50.0 % of 2 | 0.0 % of 1 |"


def test_a_rectangle_hides_the_object() -> None:
    pixels = np.full((60, 60, 3), 50, np.uint8)
    pixels[10:31, 10:31] = 250
    hidden = np.asarray(hidden_flat(Image.fromarray(pixels), SQUARE))
    assert hidden.max() < 250 and (hidden[:5] == 50).all()
