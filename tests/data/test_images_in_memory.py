"""What is an image in memory for Pillow or PyTorch, but has no pixels to look at."""

from __future__ import annotations

import warnings

import pytest
import torch
from PIL import Image

from brule.data import as_image
from brule.errors import DataError


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "I;16", "F"])
def test_an_image_without_pixels_is_refused(size: tuple[int, int], mode: str) -> None:
    with pytest.raises(DataError, match=f"image 3: expected an image with pixels, got one of {size[0]} × {size[1]}"):
        as_image(Image.new(mode, size), "image 3")


@pytest.mark.parametrize("kind", ["sparse", "meta", "quantised"])
def test_a_tensor_without_plain_values_is_refused(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch deprecates quantised tensors
        plain = torch.rand(3, 8, 8)
        made = {
            "sparse": plain.to_sparse,
            "meta": lambda: plain.to("meta"),
            "quantised": lambda: torch.quantize_per_tensor(plain, 0.1, 0, torch.quint8),
        }
        with pytest.raises(DataError, match="image 3: expected a dense tensor with values"):
            as_image(made[kind](), "image 3")
