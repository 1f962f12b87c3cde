"""The figures of a decoder, from arrays."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from brule.data.synthetic import synthetic_faces
from brule.errors import DataError
from brule.redrawing.scores import HEADER, Drawn, mean_image, score_decoder

FACES = synthetic_faces(9, size=32)
POINTS = np.stack(FACES.points).astype(np.float64) / 32


def drawn(**changes: object) -> Drawn:
    perfect = Drawn(FACES.images, FACES.images, FACES.images, POINTS, POINTS, "own")
    return replace(perfect, **changes)  # type: ignore[arg-type]


def test_a_perfect_decoder() -> None:
    scores = score_decoder(drawn(), distance=0.5, normaliser="given distance")
    assert (scores.l1, scores.consistency, scores.patches) == (0, 0, 0)
    assert scores.ssim == pytest.approx(1)
    assert scores.floor_l1 > 1 and scores.floor_ssim < 0.95 and scores.floor_consistency > 0.1
    assert scores.floor_patches > scores.real_patches > 0
    assert (scores.n, scores.image_size, scores.normaliser, scores.styles) == (9, 32, "given distance", "own")


def test_a_decoder_that_draws_the_mean_image_is_at_its_floor() -> None:
    constant = np.broadcast_to(mean_image(FACES.images), FACES.images.shape)
    mean = np.broadcast_to(POINTS.mean(0), POINTS.shape)
    scores = score_decoder(drawn(redrawn=constant, fakes=constant, found=mean), distance=0.5, normaliser="x")
    assert scores.l1 == scores.floor_l1 and scores.ssim == scores.floor_ssim
    assert scores.patches == scores.floor_patches
    assert scores.consistency == pytest.approx(scores.floor_consistency)


def test_consistency_by_hand() -> None:
    found = POINTS + np.array([0.03, 0.04])
    distance = np.linspace(0.2, 0.6, 9)
    scores = score_decoder(drawn(found=found), distance=distance, normaliser="x")
    assert scores.consistency == pytest.approx((100 * 0.05 / distance).mean())


def test_the_real_halves_are_compared_both_ways() -> None:
    """Fakes that are the neighbours' images are as far as real images are from each other."""
    order = [1, 0, 3, 2, 5, 4, 7, 6, 8]
    scores = score_decoder(drawn(fakes=FACES.images[order]), distance=0.5, normaliser="x")
    assert scores.patches == scores.real_patches and scores.patch_levels == scores.real_patch_levels
    assert set(scores.patch_levels) == {32, 16}


def test_the_mean_image_by_hand() -> None:
    images = np.zeros((2, 2, 2, 3), np.uint8)
    images[1] = 101
    assert (mean_image(images) == 50).all() and mean_image(images).dtype == np.uint8  # 50.5 rounds to even


def test_a_single_image_has_no_halves() -> None:
    one = Drawn(FACES.images[:1], FACES.images[:1], FACES.images[:1], POINTS[:1], POINTS[:1], "own")
    scores = score_decoder(one, distance=0.5, normaliser="x")
    assert scores.patches is scores.real_patches is scores.floor_patches is None
    assert scores.rows()[-1][1:] == ("", "", "")


def test_rows_and_dictionary() -> None:
    scores = score_decoder(drawn(), distance=0.5, normaliser="x", seed=4)
    assert all(len(row) == len(HEADER) for row in scores.rows())
    assert scores.rows()[0][1:] == ("0.00 %", f"{scores.floor_l1:.2f} %", "0")
    content = json.loads(json.dumps(scores.to_dict()))
    assert content["ssim"] == scores.ssim and content["seed"] == 4 and content["patch_levels"] == {"32": 0.0, "16": 0.0}


def test_arrays_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="of one shape"):
        score_decoder(drawn(fakes=FACES.images[:3]), distance=0.5, normaliser="x")
    with pytest.raises(DataError, match="for each of 9 images, got 4"):
        score_decoder(drawn(points=POINTS[:4], found=POINTS[:4]), distance=0.5, normaliser="x")
