"""Drawing the first weights leaves every global generator as it was, on the CPU and on GPUs."""

from __future__ import annotations

import pytest
import torch

from brule.training.run import build_gan, build_model
from tests.training.tiny import DECODER, ONE_STACK, RUN, settings_from

CONFIG = settings_from({**ONE_STACK, **DECODER, **RUN, "gan.enabled": True, "gan.adversarial": 1.0})()
BARYCENTER = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))


def test_no_gpu_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that is used for the first time afterwards: ``torch.manual_seed`` leaves it a note."""
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    before = torch.get_rng_state()
    build_model(BARYCENTER, CONFIG)
    build_gan(CONFIG)
    assert not seeded and torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_generator_of_a_gpu_is_left_as_it_was() -> None:
    torch.cuda.manual_seed(123)
    before = torch.cuda.get_rng_state()
    build_model(BARYCENTER, CONFIG)
    build_gan(CONFIG)
    assert torch.equal(torch.cuda.get_rng_state(), before)
