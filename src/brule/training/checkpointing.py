"""Checkpoints and previews of a run, written when they are due."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from brule.errors import OutputError
from brule.model import BruleModel, Decoder
from brule.networks import FinalRegression
from brule.tensors import Images, resized, to_bytes, to_input
from brule.tracking.log import RunLog
from brule.tracking.run_files import CHECKPOINT
from brule.training.checkpoint import save_checkpoint
from brule.training.config import TrainingConfig
from brule.training.prediction import predict_crops
from brule.training.stages import run_stage
from brule.training.state import TrainingResult, TrainingState
from brule.training.steps.context import not_finite
from brule.transport import transport_plan

_PREVIEW_IMAGES = 12
_ORDER_IMAGES = 512
_PROBED_IMAGES = 4


# The averaged model, its output in the barycenter's order → figures by name. It must not change the model.
Measure = Callable[[BruleModel], dict[str, float]]

# Draws crops (B, S, S, C) bytes with landmarks (B, N, 2) in the unit square, and beside them the same redrawn from those
# landmarks, where there is a decoder.
Preview = Callable[[np.ndarray, np.ndarray, np.ndarray | None], Image.Image]


@dataclass
class Checkpointer:
    """Writes checkpoints and previews when they are due.

    Attributes:
        state: of the run.
        images: those that previews show.
        directory: of the run; ``None`` writes nothing.
        log: of the run.
        on_checkpoint: called before a checkpoint is written and at the end, with the averages.
        preview: draws the previews.
        measure: measures the averages on validation images.
        measure_every: iterations between two measurements; the last iteration is measured in any case, unless a signal ends
            the run before its time.
        ended: whether a callback has ended the run, as if its schedule were over.
        final: ends the predictions of the result, once training has ended.
    """

    state: TrainingState
    images: Images
    directory: Path | None
    log: RunLog
    on_checkpoint: Callable[[TrainingResult], object] | None = None
    preview: Preview | None = None
    measure: Measure | None = None
    measure_every: int = 1
    ended: bool = False
    final: FinalRegression | None = None

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return self.ended or self.state.progress.fraction(self.state.config) >= 1

    def after_iteration(self, *, last: bool = False) -> float:
        """Save, draw and measure if the iteration's number says so, or if it is the last; the seconds that measuring took."""
        iteration, config = self.state.progress.iteration, self.state.config
        if iteration % config.log_every == 0:
            self._expect_folder()
        last = last or self.state.progress.fraction(config) >= 1
        # Before the checkpoint: a run that is killed in between measures again, and no measurement is ever left out.
        spent = self._measure(last=last) if iteration % self.measure_every == 0 or last else 0.0
        # A run that is killed in between draws the preview again; the other way round it would never be drawn.
        if config.preview_every and iteration % config.preview_every == 0:
            self._draw()
        if iteration % config.checkpoint_every == 0:
            self.save()
        return spent

    def save(self) -> None:
        """Hand the averages on, then write a checkpoint: where there is a checkpoint, its detector is there too."""
        state = self.state
        self._expect_folder()
        self._expect_finite()
        # Untrained outputs have no order yet, and a run that starts from another has that one's.
        if not state.shape_model.indexed and state.progress.iteration:
            main = state.distributed.main
            order = _barycenter_order(state.ema, self.images, state.config) if main else state.ema.order
            order = state.distributed.broadcast(order)
            for model in (state.ema, state.model):  # in both, since the average takes over the model's
                model.set_order(order.to(model.order.device))
        if self.on_checkpoint is not None and (state.progress.iteration or self.directory is not None):
            self.on_checkpoint(self.result())
        if self.directory is not None:
            self._expect_folder()
            path = self.directory / CHECKPOINT
            state.progress.pending = self.log.pending
            save_checkpoint(path, progress=state.progress, modules=state.modules, optimizers=state.optimizers, run=state.run)

    def _expect_finite(self) -> None:
        """Stop before a checkpoint is replaced by one whose weights are finite and whose landmarks aren't.

        Raises:
            TrainingError: in every process.
        """
        state, bad = self.state, False
        if state.progress.iteration and state.distributed.main:
            _, points = _predict_some(state.ema, self.images, state.config, count=_PROBED_IMAGES)
            bad = not np.isfinite(points).all()
        if state.distributed.any(bad):
            raise not_finite("landmarks of the averaged encoder aren't finite")

    def _expect_folder(self) -> None:
        """Stop if the folder is gone instead of making it again: its lock is gone too, so another run may use the name.

        Raises:
            OutputError: it was removed, or moved.
        """
        if self.directory is not None and not self.directory.is_dir():
            raise OutputError(
                f"{self.directory}: the run's folder was removed or moved during training; if it was moved, continue from "
                f"the last checkpoint there with --resume"
            )

    def result(self) -> TrainingResult:
        """The averages of the moment."""
        state = self.state
        model = state.ema if self.final is None else state.ema.ending_with(self.final)
        return TrainingResult(model, state.progress, self.finished, state.decoder_ema)

    def _measure(self, *, last: bool) -> float:
        if self.measure is None:
            return 0.0
        if last:  # a bar that shows 100 % is no reason to wait
            with run_stage("measuring the detector on validation images", self.directory, say=self.log.say):
                return self._measure(last=False)
        began, state = time.monotonic(), self.state
        before = state.ema.order.clone()
        try:
            if not state.shape_model.indexed:
                state.ema.set_order(_barycenter_order(state.ema, self.images, state.config).to(before.device))
            figures = self.measure(state.ema)
        finally:
            state.ema.set_order(before)  # training continues as if nothing had been measured
        self.log.measured(state.progress.iteration, figures, seconds=round(state.progress.elapsed, 1))
        return time.monotonic() - began

    def _draw(self) -> None:
        if self.preview is None or self.directory is None:
            return
        from brule.plots import save_picture

        state = self.state
        crops, points = _predict_some(state.ema, self.images, state.config, count=_PREVIEW_IMAGES)
        redrawn = None if state.decoder_ema is None else _redrawn(state.decoder_ema, crops, points)
        path = self.directory / "previews" / f"{state.progress.iteration:06d}.png"
        save_picture(self.preview(crops, points, redrawn), path)
        self.log.picture(state.progress.iteration, path)


@torch.no_grad()
def _barycenter_order(model: BruleModel, images: Images, config: TrainingConfig) -> Tensor:
    """The outputs in the barycenter's order, ``(N,)``: the assignment that the mean plan to the barycenter favours."""
    from scipy.optimize import linear_sum_assignment

    _, points = _predict_some(model, images, config, count=_ORDER_IMAGES)
    points = points[:, np.argsort(model.order.cpu().numpy())]  # in the encoder's own order
    centred = torch.from_numpy(points - points.mean(1, keepdims=True))
    target = model.barycenter.cpu() - model.barycenter.cpu().mean(0)
    plan = transport_plan(centred, target[None]).mean(0)  # (outputs, landmarks)
    output, landmark = linear_sum_assignment(plan.numpy(), maximize=True)
    order = torch.empty(len(output), dtype=torch.long)
    order[torch.as_tensor(landmark)] = torch.as_tensor(output)
    return order


def _predict_some(model: BruleModel, images: Images, config: TrainingConfig, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first crops with their landmarks: bytes ``(n, S, S, C)`` and unit-square points ``(n, N, 2)``."""
    predictions = predict_crops(model, images, config, chosen=np.arange(min(count, len(images))))
    crops, points = zip(*((to_bytes(crop), found.cpu().numpy()) for crop, found in predictions), strict=True)
    return np.concatenate(crops), np.concatenate(points)


@torch.no_grad()
def _redrawn(decoder: Decoder, crops: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Crops redrawn from their landmarks and their own style, ``(n, S, S, C)`` bytes."""
    device = decoder.generator.start.device
    images = resized(to_input(torch.from_numpy(crops)).to(device), decoder.image_size)
    return to_bytes(decoder(torch.from_numpy(points).to(device), decoder.style_of(images)))
