"""Everything that changes while training: networks, averages, optimizers, progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from brule.geometry import ShapeModel
from brule.model import BruleModel, Decoder
from brule.networks import Discriminator, LocalRegression
from brule.training.distributed import SINGLE, Distributed
from brule.training.ema import MeanPredictions

if TYPE_CHECKING:
    from brule.training.config import TrainingConfig


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        iteration: iterations done.
        elapsed: seconds spent in them, over all the times the run was resumed.
        pending: terms of the latest iterations, which the next line of the log is to average.
        regressions: number of the last occasion at which the local regressions were learnt, 0 before the first.
    """

    iteration: int = 0
    elapsed: float = 0.0
    pending: dict[str, list[float]] = field(default_factory=dict)
    regressions: int = field(default=0, compare=False)

    def fraction(self, config: TrainingConfig) -> float:
        """How much of the run is done, by iterations or by minutes, whichever is further."""
        by_count = self.iteration / config.iterations
        by_time = self.elapsed / (60 * config.time_limit) if config.time_limit else 0.0
        return max(by_count, by_time)


@dataclass
class TrainingState:
    """The state of a run, and what it is trained by.

    Attributes:
        config: the settings.
        shape_model: what is known of the shape.
        model: what is trained.
        ema: its averaged weights.
        means: running mean predictions.
        optimizers: by the names of what they move: ``encoder``, ``decoder``, ``discriminator``.
        decoder: generator and styles, where the configuration has a GAN.
        decoder_ema: the decoder's averaged weights.
        discriminator: where the GAN has one.
        regression: moves the teacher's landmarks, where the configuration asks for it.
        progress: iterations done and seconds spent.
        distributed: the processes that train together.
        run: the identifier of the run, written to its checkpoints; ``None`` if it has none.
    """

    config: TrainingConfig
    shape_model: ShapeModel
    model: BruleModel
    ema: BruleModel
    means: MeanPredictions
    optimizers: dict[str, torch.optim.Optimizer]
    decoder: Decoder | None = None
    decoder_ema: Decoder | None = None
    discriminator: Discriminator | None = None
    regression: LocalRegression | None = None
    progress: Progress = field(default_factory=Progress)
    distributed: Distributed = SINGLE
    run: str | None = None

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Every module with a state, by the name it has in a checkpoint."""
        names = ("model", "ema", "means", "decoder", "discriminator", "decoder_ema", "regression")
        return {name: module for name in names if (module := getattr(self, name)) is not None}


@dataclass
class TrainingResult:
    """The result of a run, final or so far.

    Attributes:
        model: the averaged model, its output in the barycenter's order.
        progress: iterations done and seconds spent.
        finished: whether the run has finished, or was stopped before.
        decoder: the averaged decoder, where there is one.
    """

    model: BruleModel
    progress: Progress
    finished: bool
    decoder: Decoder | None = None
