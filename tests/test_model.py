"""The model: what it predicts, in which order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from brule.errors import BruleError
from brule.model import BruleModel, CropLandmarks
from brule.networks import FinalRegression

BARYCENTER = torch.tensor([[0.2, 0.3], [0.8, 0.3], [0.5, 0.7]])


def model(**changes: object) -> BruleModel:
    torch.manual_seed(0)
    settings = {"image_size": 16, "width": 8, "stacks": 1, "depth": 2, "stem_stride": 2} | changes
    built = BruleModel(BARYCENTER, **settings).eval()
    with torch.no_grad():  # away from the barycenter, so that images matter
        for parameter in built.encoder.heads.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return built


def images(n: int = 2) -> Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_encoding_is_the_encoders_last_stage_without_gradient() -> None:
    built = model()
    found = built.encode(images())
    assert isinstance(found, CropLandmarks)
    assert torch.equal(found.points, built(images()).points)
    assert torch.equal(found.spread, built(images()).spread)
    assert not found.points.requires_grad
    assert len(found) == 2


def test_order_names_the_output_of_each_landmark() -> None:
    built = model()
    before = built.encode(images())
    built.set_order(torch.tensor([2, 0, 1]))
    after = built.encode(images())
    assert torch.equal(after.points, before.points[:, [2, 0, 1]])
    assert torch.equal(after.spread, before.spread[:, [2, 0, 1]])
    assert torch.equal(built(images()).points, before.points)  # training sees the encoder's own order


@pytest.mark.parametrize("order", [[0, 1], [0, 0, 1], [1, 2, 3]])
def test_what_is_no_permutation_is_refused(order: list[int]) -> None:
    built = model()
    with pytest.raises(BruleError, match="permutation"):
        built.set_order(torch.tensor(order))
    assert built.order.tolist() == [0, 1, 2]


def test_barycenter_and_order_are_part_of_the_state() -> None:
    first, second = model(), BruleModel(torch.rand(3, 2), image_size=16, width=8, stacks=1, depth=2, stem_stride=2).eval()
    first.set_order(torch.tensor([1, 2, 0]))
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.barycenter, BARYCENTER)
    assert torch.equal(second.encode(images()).points, first.encode(images()).points)


def test_an_image_is_encoded_on_its_own() -> None:
    built = model()
    together = built.encode(images(3)).points
    alone = torch.cat([built.encode(one[None]).points for one in images(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_regressions_that_end_predictions_are_in_the_new_model_alone() -> None:
    """The first one is what training and its checkpoints continue from."""
    built = model()
    before = built.encode(images()).points
    final = FinalRegression(3, share=0.5)
    final.regression.mean.copy_(BARYCENTER)
    final.regression.weights.fill_(0.01)
    other = built.ending_with(final)
    assert built.final is None
    assert not any(name.startswith("final") for name in built.state_dict())
    assert torch.equal(built.encode(images()).points, before)
    assert torch.equal(other.encode(images()).points, final(before, images()))
    assert not torch.allclose(other.encode(images()).points, before, atol=1e-3)
    assert other.encoder is built.encoder
