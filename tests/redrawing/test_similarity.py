"""Mean difference and structural similarity."""

from __future__ import annotations

import numpy as np
import pytest

from brule.errors import DataError
from brule.redrawing.similarity import C_1, mean_absolute_difference, structural_similarity


def noise(seed: int, *size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size or (3, 20, 24, 3), dtype=np.uint8)


def constant(value: int, *size: int) -> np.ndarray:
    return np.full(size or (1, 16, 16, 3), value, dtype=np.uint8)


def degraded(images: np.ndarray, strength: float) -> np.ndarray:
    added = strength * np.random.default_rng(9).standard_normal(images.shape)
    return np.clip(images + added, 0, 255).astype(np.uint8)


def smooth() -> np.ndarray:
    y, x = np.mgrid[:32, :32]
    return (127 + 60 * np.sin(x / 5) + 60 * np.cos(y / 7))[None, :, :, None].astype(np.uint8)


def test_the_mean_difference_in_percent_of_black_to_white() -> None:
    assert mean_absolute_difference(constant(0), constant(255)) == pytest.approx([100])
    half = constant(10)
    half[0, :8] += 51  # half of the pixels differ by a fifth
    assert mean_absolute_difference(half, constant(10)) == pytest.approx([10])
    assert mean_absolute_difference(constant(10), half) == pytest.approx([10])


def test_equal_images_are_as_alike_as_can_be() -> None:
    images = noise(0)
    assert structural_similarity(images, images) == pytest.approx(1)
    assert mean_absolute_difference(images, images) == pytest.approx(0)


def test_similarity_is_symmetric_and_of_each_pair() -> None:
    x, y = noise(1), noise(2)
    both = structural_similarity(x, y)
    assert both.shape == (3,) and both == pytest.approx(structural_similarity(y, x))
    assert both[1] == pytest.approx(structural_similarity(x[1:2], y[1:2])[0])


def test_more_noise_means_less_similarity() -> None:
    values = [structural_similarity(smooth(), degraded(smooth(), strength))[0] for strength in (0, 5, 20, 60)]
    assert values == sorted(values, reverse=True) and values[0] > values[1] + 0.01


def test_of_constants_the_luminance_alone_counts() -> None:
    a, b = 51 / 255, 153 / 255
    expected = (2 * a * b + C_1) / (a * a + b * b + C_1)  # variances and covariance are zero
    assert structural_similarity(constant(51), constant(153)) == pytest.approx([expected])


def test_a_negative_is_the_opposite() -> None:
    image = smooth()
    assert structural_similarity(image, 254 - image)[0] < 0


def test_one_pair_of_windows_by_hand() -> None:
    """11 × 11 pixels hold one window: means, variances and covariance by the sums of the definition."""
    x, y = noise(3, 1, 11, 11), noise(4, 1, 11, 11)
    places = np.arange(-5, 6)
    line = np.exp(-(places**2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    a, b = x[0] / 255, y[0] / 255
    mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
    variance_a, variance_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
    covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
    upper = (2 * mean_a * mean_b + 0.01**2) * (2 * covariance + 0.03**2)
    lower = (mean_a**2 + mean_b**2 + 0.01**2) * (variance_a + variance_b + 0.03**2)
    assert structural_similarity(x, y) == pytest.approx([upper / lower])


def test_many_images_are_taken_in_parts() -> None:
    x, y = noise(5, 130, 12, 12), noise(6, 130, 12, 12)
    for measure in (structural_similarity, mean_absolute_difference):
        apart = np.concatenate([measure(x[i : i + 1], y[i : i + 1]) for i in range(130)])
        assert measure(x, y) == pytest.approx(apart)


@pytest.mark.parametrize("measure", [structural_similarity, mean_absolute_difference])
def test_images_that_do_not_fit(measure) -> None:
    with pytest.raises(DataError, match="of one shape"):
        measure(noise(0, 2, 16, 16), noise(0, 3, 16, 16))
    with pytest.raises(DataError, match="expected uint8"):
        measure(noise(0, 2, 16, 16), noise(0, 2, 16, 16) / 255)


def test_too_small_for_the_window() -> None:
    with pytest.raises(DataError, match="at least 11"):
        structural_similarity(noise(0, 2, 10, 16), noise(1, 2, 10, 16))
