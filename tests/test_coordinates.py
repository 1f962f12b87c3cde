"""The three frames agree with each other, with Pillow's boxes and with ``grid_sample``."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brule.coordinates import (
    box_edges,
    check_points,
    image_box,
    pixel_centres,
    pixels_to_unit,
    resize,
    sample_at,
    unit_to_pixels,
)
from brule.errors import BruleError

BOX = (3.0, -2.0, 13.0, 38.0)


def test_edges_and_centres_by_hand() -> None:
    box = image_box(4, 2)
    assert box == (-0.5, -0.5, 3.5, 1.5)
    corners = np.array([[-0.5, -0.5], [3.5, 1.5], [0.0, 0.0], [1.5, 0.5]])
    expected = np.array([[0.0, 0.0], [1.0, 1.0], [0.125, 0.25], [0.5, 0.5]])
    np.testing.assert_allclose(pixels_to_unit(corners, box), expected)
    np.testing.assert_allclose(unit_to_pixels(expected, box), corners)


def test_a_box_counted_from_the_corner_is_half_a_pixel_further() -> None:
    assert box_edges(image_box(4, 2)) == (0.0, 0.0, 4.0, 2.0)


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_there_and_back_for_arrays_and_tensors(kind: str) -> None:
    points = np.random.default_rng(0).normal(size=(2, 5, 2)) * 20
    given = torch.as_tensor(points) if kind == "tensor" else points
    back = unit_to_pixels(pixels_to_unit(given, BOX), BOX)
    assert type(back) is type(given)
    np.testing.assert_allclose(np.asarray(back), points, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_keep_their_type(dtype: torch.dtype) -> None:
    assert pixels_to_unit(torch.zeros(1, 2, dtype=dtype), BOX).dtype == dtype
    assert unit_to_pixels(torch.zeros(1, 2, dtype=dtype), BOX).dtype == dtype


def test_pixel_centres_are_the_pixels_of_the_image_box() -> None:
    centres = pixel_centres(2, 4, dtype=torch.float64)
    assert centres.shape == (2, 4, 2)
    pixels = unit_to_pixels(centres, image_box(4, 2))
    assert torch.allclose(pixels[..., 0], torch.arange(4.0).double().expand(2, 4))
    assert torch.allclose(pixels[..., 1], torch.arange(2.0).double()[:, None].expand(2, 4))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_sampling_at_the_pixel_centres_changes_nothing(mode: str) -> None:
    maps = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centres = pixel_centres(5, 7, dtype=torch.float64).expand(2, -1, -1, -1)
    assert torch.allclose(sample_at(maps, centres, mode=mode), maps, atol=1e-12)


def test_sampling_reads_x_along_the_width() -> None:
    """A map of ``x`` says ``x`` wherever it is read, and likewise ``y``: neither is swapped or shifted."""
    maps = pixel_centres(9, 5, dtype=torch.float64).permute(2, 0, 1)[None]
    points = torch.tensor([[[[0.3, 0.6], [0.7, 0.2]]]], dtype=torch.float64)
    assert torch.allclose(sample_at(maps, points).permute(0, 2, 3, 1), points)


def test_resize_keeps_places() -> None:
    """A linear ramp keeps its values away from the border, larger and smaller, so nothing has moved."""
    for size in (8, 31, 64):
        shown = resize(pixel_centres(16, 16, dtype=torch.float64).permute(2, 0, 1)[None], size)
        wanted = pixel_centres(size, size, dtype=torch.float64).permute(2, 0, 1)[None]
        inner = slice(size // 4, -(size // 4))
        assert torch.allclose(shown[..., inner, inner], wanted[..., inner, inner], atol=2e-3), size
    same = torch.rand(1, 1, 6, 6)
    assert resize(same, 6) is same


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (np.zeros((1, 3, 2)), "tensor"),
        (torch.zeros(3, 2), r"\(B, N, 2\)"),
        (torch.zeros(1, 3, 3), r"\(B, N, 2\)"),
        (torch.zeros(1, 0, 2), r"\(B, N, 2\)"),
        (torch.zeros(1, 3, 2, dtype=torch.long), "floating"),
    ],
)
def test_what_is_no_batch_of_points_is_refused_with_its_name(points: object, said: str) -> None:
    with pytest.raises(BruleError, match=f"predictions: .*{said}"):
        check_points(points, "predictions")  # type: ignore[arg-type]


def test_a_batch_of_points_passes() -> None:
    points = torch.zeros(1, 3, 2)
    assert check_points(points) is points
