"""Parts of a batch side by side: what is the same as in one go, and what isn't."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from brule.networks import LandmarkEncoder
from brule.networks.split import split_batches


@pytest.fixture
def encoder() -> LandmarkEncoder:
    torch.manual_seed(0)
    made = LandmarkEncoder(
        torch.rand(5, 2), image_size=32, head="softmax", backbone="compact", width=8, stacks=1, depth=2, stem_stride=2
    )
    nn.init.normal_(made.hourglass.maps[0].weight)  # zero at first, and then no gradient would get past it
    return made.double().train()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(7, 3, 32, 32, dtype=torch.float64)


def _gradients(encoder: LandmarkEncoder, images: Tensor) -> list[Tensor]:
    encoder.zero_grad(set_to_none=True)
    (encoder(images).points.square() * torch.arange(1.0, len(images) + 1)[:, None, None]).sum().backward()
    return [weight.grad.clone() for weight in encoder.parameters() if weight.grad is not None]


@pytest.mark.parametrize("parts", [2, 3])
def test_landmarks_spread_and_gradients_are_those_of_the_whole_batch(
    encoder: LandmarkEncoder, images: Tensor, parts: int
) -> None:
    # With the statistics that batch norm has, whatever the batch, the parts are to differ in nothing.
    for module in encoder.modules():
        module.training = isinstance(module, LandmarkEncoder)
    whole, wanted = encoder(images), _gradients(encoder, images)
    with split_batches(encoder, parts=parts, threads=2):
        split, found = encoder(images), _gradients(encoder, images)
    torch.testing.assert_close(split.points, whole.points)
    torch.testing.assert_close(split.spread, whole.spread)
    assert len(found) == len(list(encoder.parameters()))
    torch.testing.assert_close(found, wanted)


def test_each_part_has_its_own_statistics_and_the_running_ones_are_their_mean(encoder: LandmarkEncoder, images: Tensor) -> None:
    first = encoder.hourglass.stem[0]
    before = first[1].running_mean.clone()
    means = torch.stack([first[0](images[start::2]).mean((0, 2, 3)) for start in range(2)])
    with split_batches(encoder, parts=2, threads=2):
        encoder(images)
    momentum = first[1].momentum
    torch.testing.assert_close(first[1].running_mean, (1 - momentum) * before + momentum * means.mean(0))
    assert first[1].num_batches_tracked == 1


def test_the_number_of_threads_changes_nothing(encoder: LandmarkEncoder, images: Tensor) -> None:
    found = []
    for threads in (1, 2, 4):
        with split_batches(encoder, parts=2, threads=threads):
            found.append(_gradients(encoder, images))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)
    torch.testing.assert_close(found[2], found[0])  # two threads inside a part add in another order


def test_parts_run_in_threads_of_their_own_in_the_callers_precision(encoder: LandmarkEncoder, images: Tensor) -> None:
    pseudo_labels: set[tuple[str, torch.dtype]] = set()

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        pseudo_labels.add((threading.current_thread().name, output.dtype))

    encoder.float().hourglass.maps[0].register_forward_hook(note)
    with split_batches(encoder, parts=2, threads=2), torch.autocast("cpu", torch.bfloat16):
        encoder(images.float())
    assert {dtype for _, dtype in pseudo_labels} == {torch.bfloat16}
    assert all(name.startswith("brule-part") for name, _ in pseudo_labels)


def test_without_gradient_there_is_none(encoder: LandmarkEncoder, images: Tensor) -> None:
    with split_batches(encoder, parts=2), torch.no_grad():
        assert not encoder(images).points.requires_grad
    with split_batches(encoder, parts=2):
        output = encoder(images)
    assert output.points.requires_grad
    assert not output.spread.requires_grad


def test_without_gradient_no_part_keeps_a_graph(encoder: LandmarkEncoder, images: Tensor) -> None:
    kept: list[bool] = []
    encoder.hourglass.maps[0].register_forward_hook(lambda module, inputs, output: kept.append(output.requires_grad))
    for training in (True, False):
        with split_batches(encoder.train(training), parts=2), torch.no_grad():
            encoder(images)
    assert kept == [False] * 4


def test_afterwards_all_is_as_it_was(encoder: LandmarkEncoder, images: Tensor) -> None:
    state, threads = list(encoder.state_dict()), torch.get_num_threads()
    with split_batches(encoder, parts=2, threads=2):
        assert list(encoder.state_dict()) == state
    assert "forward" not in vars(encoder)
    assert torch.get_num_threads() == threads


def test_a_batch_too_small_to_split_goes_through_whole(encoder: LandmarkEncoder, images: Tensor) -> None:
    wanted = encoder.eval()(images[:3]).points
    with split_batches(encoder, parts=2, threads=2):
        torch.testing.assert_close(encoder(images[:3]).points, wanted)


def test_an_error_in_a_part_comes_through(encoder: LandmarkEncoder) -> None:
    with split_batches(encoder, parts=2, threads=2), pytest.raises(RuntimeError):
        encoder(torch.rand(4, 3, 32, 32))  # not double
