"""What the tests of training share: logs without TensorBoard, and a Ctrl-C in the middle of a run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import brule.tracking.log as run_logging
import brule.training.loop as loop


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_logging, "_tensorboard", lambda directory: None)  # importing it takes seconds


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell starts what it sends into the background with Ctrl-C switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def interrupt_after(interruptible: None) -> Callable[..., None]:
    """A Ctrl-C, or several, in the middle of that step of the encoder, as long as the patch holds."""

    def interrupt(monkeypatch: pytest.MonkeyPatch, steps: int, times: int = 1) -> None:
        genuine, done = loop.encoder_step, []

        def step(*given: Any) -> dict[str, float]:
            done.append(1)
            if len(done) == steps:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
            return genuine(*given)

        monkeypatch.setattr(loop, "encoder_step", step)

    return interrupt
