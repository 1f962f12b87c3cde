"""Changes of colour, light and what is hidden: each image its own, nothing else touched."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from brule.training.augmentation import augment
from brule.training.sections import Augmentation


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_no_augmentation_is_no_change() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert augment(images, Augmentation(), generator=torch.Generator()) is images


@pytest.mark.parametrize("name", sorted(Augmentation.model_fields))
def test_each_augmentation_changes_each_image_in_its_own_way(name: str) -> None:
    images = torch.rand(1, 3, 8, 8).expand(3, -1, -1, -1)
    changed = augment(images, Augmentation(**{name: 0.5}), generator=torch.Generator().manual_seed(0))
    assert changed.shape == images.shape
    assert not torch.allclose(changed[0], changed[1], atol=1e-3)
    assert not torch.allclose(changed[1], changed[2], atol=1e-3)


def test_grey_pictures_have_no_saturation() -> None:
    grey = torch.rand(2, 1, 8, 8).expand(-1, 3, -1, -1)
    changed = augment(grey, Augmentation(saturation=0.5), generator=torch.Generator())
    assert torch.allclose(changed, grey, atol=1e-6)


def test_light_leaves_black_black_and_differs_over_an_image() -> None:
    black = torch.full((4, 3, 32, 32), -1.0)
    assert torch.equal(augment(black, Augmentation(shading=0.5), generator=seeded()), black)
    light = (augment(torch.zeros_like(black), Augmentation(shading=0.5), generator=seeded()) + 1)[:, 0]
    assert float((light - 1).abs().max()) < 0.75  # bicubic interpolation goes a little over
    assert bool((light.amax((1, 2)) - light.amin((1, 2)) > 0.2).all())
    # and changes gradually: at most by 1 over the 8 pixels between two nodes, at most 1.5 times as steep on the way
    assert float((light[:, 1:] - light[:, :-1]).abs().max()) < 1.5 / 8 + 1e-6


def test_a_rectangle_hides_a_part_and_the_rest_is_as_it_was() -> None:
    images = torch.rand(400, 3, 32, 32, generator=seeded())
    hidden = (augment(images, Augmentation(erasing=0.5), generator=seeded()) != images).any(1)
    assert _is_filled_rectangles(hidden)
    assert int(hidden.any(1).sum(1).max()) <= 17  # of 32 pixels
    # Sides uniform in 0 … 1/2 with the centre anywhere: E[side] = 1/4, less what the border cuts off, E[side²]/4 = 1/48.
    expected = (1 / 4 - 1 / 48) ** 2
    assert float(hidden.float().mean()) == pytest.approx(expected, rel=0.1)


def test_an_image_is_hidden_by_one_colour() -> None:
    images = torch.rand(20, 3, 32, 32, generator=seeded())
    changed = augment(images, Augmentation(erasing=1.0), generator=seeded())
    for before, after in zip(images, changed, strict=True):
        colours = after[:, (after != before).any(0)]  # (C, pixels)
        assert bool((colours == colours[:, :1]).all())


def _is_filled_rectangles(masks: Tensor) -> bool:
    return bool((masks == (masks.any(2, keepdim=True) & masks.any(1, keepdim=True))).all())
