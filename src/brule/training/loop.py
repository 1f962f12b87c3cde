"""The training loop: draws batches, steps, averages, logs, saves; can be stopped with Ctrl-C and taken up again."""

from __future__ import annotations

import copy
import math
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from brule.errors import CheckpointError, ConfigError, DataError
from brule.geometry import ShapePrior, mirror_permutation
from brule.model import BruleModel
from brule.training.averaging import MeanPredictions, accumulate_weights, warmed_decay
from brule.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from brule.training.config import TrainingConfig
from brule.training.logging import RunLog
from brule.training.steps import Guide, encoder_step
from brule.training.views import TwoViews, central_crop, draw_views, to_input
from brule.transport import transport_plan

CHECKPOINT = "checkpoint.safetensors"


class Images(Protocol):
    """What the loop needs of a store of crops: ``(n, W, W, C)`` bytes, indexable by an array."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: np.ndarray) -> np.ndarray: ...


@dataclass
class Trained:
    """How a run ended.

    Attributes:
        model: the averaged model, its output in the barycenter's order.
        progress: iterations done and seconds spent.
        finished: whether the run came to its end, or was stopped before.
    """

    model: BruleModel
    progress: Progress
    finished: bool


@dataclass
class _Run:
    """All that changes while training."""

    model: BruleModel
    average: BruleModel
    means: MeanPredictions
    optimizer: torch.optim.Optimizer
    progress: Progress = field(default_factory=Progress)

    @property
    def modules(self) -> dict[str, torch.nn.Module]:
        return {"model": self.model, "average": self.average, "means": self.means}


def build_model(barycenter: Tensor, config: TrainingConfig) -> BruleModel:
    """The untrained model of a configuration, its weights drawn from the configuration's seed.

    Args:
        barycenter: ``(N, 2)`` in the unit square of the crop.
        config: its sections ``crop`` and ``encoder`` are read.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return BruleModel(barycenter, image_size=config.crop.image_size, **config.encoder.model_dump())


def build_guide(barycenter: Tensor, shapes: Tensor | None, config: TrainingConfig) -> Guide:
    """What the annotated shapes teach: the prior and the symmetry, as far as the configuration asks for them.

    Args:
        barycenter: ``(N, 2)``.
        shapes: ``(K, N, 2)`` in one index order, or ``None`` where only a barycenter is at hand.
        config: its section ``loss`` is read.

    Raises:
        ConfigError: if no term is left that ties the landmarks to the shape.
    """
    loss = config.loss
    mirror = mirror_permutation(barycenter if shapes is None else shapes.mean(0)) if loss.mirror else None
    prior = ShapePrior.fit(shapes, mirror=mirror) if loss.shape_prior and shapes is not None else None
    if prior is None and not loss.barycenter:
        raise ConfigError(
            "nothing ties the landmarks to the shape: the shape prior (loss.shape_prior) needs annotated shapes that all have "
            "the same points, and loss.barycenter is 0; give shapes of one number of points, or take the preset paper, which "
            "does without an index"
        )
    return Guide(barycenter[None].float(), prior, mirror)


def train(
    images: Images,
    barycenter: Tensor,
    config: TrainingConfig,
    *,
    shapes: Tensor | None = None,
    directory: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    device: torch.device | str = "cpu",
    on_checkpoint: Callable[[Trained], None] | None = None,
    preview: Callable[[Path, np.ndarray, np.ndarray], object] | None = None,
) -> Trained:
    """Train an encoder on unlabelled crops.

    Args:
        images: crops, ``crop.context`` times as wide as the encoder's input.
        barycenter: ``(N, 2)`` in the unit square of the crop.
        config: the settings.
        shapes: ``(K, N, 2)`` annotated shapes in the same frame and order, where there are.
        directory: of the run: log, checkpoints and previews go there; ``None`` keeps all in memory.
        resume: go on from the directory's checkpoint.
        quiet: no progress bar and no lines.
        device: where to train.
        on_checkpoint: called before a checkpoint is written and at the end, with the averaged model of the moment.
        preview: draws crops ``(B, S, S, C)`` bytes with landmarks ``(B, N, 2)`` in the unit square into a file.

    Returns:
        The averaged model. Ctrl-C ends the run early, with a checkpoint.

    Raises:
        DataError: if there are fewer images than a batch holds.
        CheckpointError: if there is nothing to resume from.
        TrainingError: if a loss isn't finite; the last checkpoint stays.
    """
    if len(images) < config.batch_size:
        raise DataError(f"training: expected at least batch_size = {config.batch_size} images, got {len(images)}")
    if config.threads:
        torch.set_num_threads(config.threads)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    run = _start(barycenter, config, torch.device(device), directory, resume)
    guide = _guide_to(build_guide(barycenter, shapes, config), torch.device(device))
    with (
        RunLog(directory, every=config.log_every, start=run.progress.iteration, quiet=quiet) as log,
        _ViewSource(images, guide, config) as source,
        _stop_signal() as stop,
    ):
        saver = _Saver(run, images, guide, config, directory, log, on_checkpoint, preview)
        began = time.monotonic() - run.progress.elapsed
        while (share := _share_done(run.progress, config)) < 1 and not stop.wanted:
            terms = _iterate(run, source.views(run.progress.iteration), guide, config, share)
            run.progress.iteration += 1
            run.progress.elapsed = time.monotonic() - began
            share = _share_done(run.progress, config)
            log.add(run.progress.iteration, share, terms, seconds=round(run.progress.elapsed, 1))
            saver.after_iteration()
        finished = share >= 1
        saver.save()
        if stop.wanted and not finished:
            kept = "all is saved, resume goes on from here" if directory else "nothing was saved: no directory was given"
            log.say(f"stopped at iteration {run.progress.iteration}; {kept}")
    return Trained(run.average, run.progress, finished)


def _iterate(run: _Run, views: TwoViews, guide: Guide, config: TrainingConfig, share: float) -> dict[str, float]:
    """One iteration: step, then average."""
    iteration = run.progress.iteration
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(iteration, share, config)
    factor = shape_factor(share, config)
    teacher = run.average if config.teacher.enabled else None
    terms = encoder_step(run.model, run.optimizer, views, guide, config, means=run.means, teacher=teacher, shape_factor=factor)
    accumulate_weights(run.average, run.model, decay=warmed_decay(config.averaging.decay, iteration))
    every = config.averaging.write_back_every
    if every and (iteration + 1) % every == 0:
        run.model.load_state_dict(run.average.state_dict())
    return terms


class _ViewSource:
    """Draws the views of an iteration, in a thread of its own while the iteration before it is computed.

    All randomness comes from (seed, iteration), so that a run that is taken up again sees what it would have seen.
    """

    def __init__(self, images: Images, guide: Guide, config: TrainingConfig) -> None:
        self._images, self._guide, self._config = images, guide, config
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="brule-views")
        self._next: tuple[int, Future[TwoViews]] | None = None

    def __enter__(self) -> _ViewSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(cancel_futures=True)

    def views(self, iteration: int) -> TwoViews:
        """The views of an iteration; those of the next one are begun."""
        if self._next is None or self._next[0] != iteration:
            self._next = (iteration, self._worker.submit(self._draw, iteration))
        drawn = self._next[1].result()
        self._next = (iteration + 1, self._worker.submit(self._draw, iteration + 1))
        return drawn

    def _draw(self, iteration: int) -> TwoViews:
        config, guide = self._config, self._guide
        generator = torch.Generator().manual_seed(_mixed_seed(config.seed, iteration))
        crops = self._images[batch_indices(len(self._images), iteration, config)]
        batch = to_input(torch.from_numpy(crops)).to(guide.barycenter.device)
        return draw_views(batch, config, generator=generator, mirror=guide.mirror, prior=guide.prior)


def _mixed_seed(seed: int, iteration: int) -> int:
    # PyTorch's CPU generator looks at 32 bits of a seed only, so the two numbers have to be mixed into these.
    return int(np.random.SeedSequence([seed, iteration]).generate_state(1, np.uint32)[0])


def batch_indices(count: int, iteration: int, config: TrainingConfig) -> np.ndarray:
    """Which images make the batch of an iteration: every epoch a new order, the remainder left out."""
    per_epoch = count // config.batch_size
    epoch, place = divmod(iteration, per_epoch)
    order = np.random.default_rng([config.seed, epoch]).permutation(count)
    return np.sort(order[place * config.batch_size : (place + 1) * config.batch_size])


def learning_rate(iteration: int, share: float, config: TrainingConfig) -> float:
    """The learning rate: a linear rise over ``warmup`` iterations, then as the schedule says."""
    settings = config.optimizer
    rise = min(1.0, (iteration + 1) / settings.warmup) if settings.warmup else 1.0
    fall = 0.5 + 0.5 * math.cos(math.pi * min(share, 1.0)) if settings.schedule == "cosine" else 1.0
    return settings.learning_rate * rise * fall


def shape_factor(share: float, config: TrainingConfig) -> float:
    """How much stronger than at the end the terms are that tie landmarks to the shape; falls geometrically to one."""
    loss = config.loss
    if not loss.anneal_until or share >= loss.anneal_until:
        return 1.0
    return float(loss.anneal_from ** (1 - share / loss.anneal_until))


def _start(barycenter: Tensor, config: TrainingConfig, device: torch.device, directory: Path | None, resume: bool) -> _Run:
    model = build_model(barycenter, config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = config.optimizer
    optimizer = torch.optim.AdamW(
        model.encoder.parameters(),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
        fused=device.type in ("cpu", "cuda"),
    )
    run = _Run(model, copy.deepcopy(model).eval(), MeanPredictions(barycenter).to(device), optimizer)
    if resume:
        if directory is None:
            raise CheckpointError("resume: expected the directory of a run")
        run.progress = load_checkpoint(directory / CHECKPOINT, modules=run.modules, optimizers={"optimizer": run.optimizer})
    return run


def _guide_to(guide: Guide, device: torch.device) -> Guide:
    prior = guide.prior.to(device) if guide.prior else None
    mirror = guide.mirror.to(device) if guide.mirror is not None else None
    return Guide(guide.barycenter.to(device), prior, mirror)


def _share_done(progress: Progress, config: TrainingConfig) -> float:
    by_count = progress.iteration / config.iterations
    by_time = progress.elapsed / (60 * config.time_limit) if config.time_limit else 0.0
    return max(by_count, by_time)


class _Saver:
    """Writes checkpoints and previews when they are due."""

    def __init__(
        self,
        run: _Run,
        images: Images,
        guide: Guide,
        config: TrainingConfig,
        directory: Path | None,
        log: RunLog,
        on_checkpoint: Callable[[Trained], None] | None,
        preview: Callable[[Path, np.ndarray, np.ndarray], object] | None,
    ) -> None:
        self._run, self._config, self._directory, self._log = run, config, directory, log
        self._on_checkpoint, self._preview = on_checkpoint, preview
        self._images, self._guide = images, guide

    def after_iteration(self) -> None:
        """Save and draw if the iteration's number says so."""
        iteration = self._run.progress.iteration
        if iteration % self._config.checkpoint_every == 0:
            self.save()
        if self._config.preview_every and iteration % self._config.preview_every == 0:
            self._draw()

    def save(self) -> None:
        """Hand the average on, then write a checkpoint: where there is a checkpoint, its detector is there too."""
        run = self._run
        if self._guide.prior is None:  # the prior knows the index, transport doesn't
            order = _barycenter_order(run.average, self._images, self._config)
            for model in (run.average, run.model):  # in both, since the average takes over the model's
                model.set_order(order.to(model.order.device))
        if self._on_checkpoint is not None:
            self._on_checkpoint(Trained(run.average, run.progress, _share_done(run.progress, self._config) >= 1))
        if self._directory is not None:
            save_checkpoint(
                self._directory / CHECKPOINT,
                progress=run.progress,
                modules=run.modules,
                optimizers={"optimizer": run.optimizer},
            )

    def _draw(self) -> None:
        if self._preview is None or self._directory is None:
            return
        crops, points = _predict_some(self._run.average, self._images, self._config, _PREVIEW_COUNT)
        path = self._directory / "previews" / f"{self._run.progress.iteration:06d}.png"
        path.parent.mkdir(exist_ok=True)
        self._preview(path, crops, points)
        self._log.picture(self._run.progress.iteration, path)


_PREVIEW_COUNT = 12
_ORDER_COUNT = 512


@torch.no_grad()
def _barycenter_order(model: BruleModel, images: Images, config: TrainingConfig) -> Tensor:
    """The outputs in the barycenter's order, ``(N,)``: the assignment that the mean plan to the barycenter favours."""
    from scipy.optimize import linear_sum_assignment

    _, points = _predict_some(model, images, config, _ORDER_COUNT)
    points = points[:, np.argsort(model.order.cpu().numpy())]  # in the encoder's own order
    centred = torch.from_numpy(points - points.mean(1, keepdims=True))
    target = model.barycenter.cpu() - model.barycenter.cpu().mean(0)
    plan = transport_plan(centred, target[None]).mean(0)  # (outputs, landmarks)
    output, landmark = linear_sum_assignment(plan.numpy(), maximize=True)
    order = torch.empty(len(output), dtype=torch.long)
    order[torch.as_tensor(landmark)] = torch.as_tensor(output)
    return order


@torch.no_grad()
def _predict_some(model: BruleModel, images: Images, config: TrainingConfig, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first crops with their landmarks: bytes ``(n, S, S, C)`` and unit-square points ``(n, N, 2)``."""
    device, crops, points = model.barycenter.device, [], []
    for start in range(0, min(count, len(images)), 64):
        chosen = np.arange(start, min(start + 64, count, len(images)))
        crop = central_crop(to_input(torch.from_numpy(images[chosen])).to(device), config)
        points.append(model.encode(crop).points.float().cpu().numpy())
        crops.append(((crop + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(crops), np.concatenate(points)


class _Stop:
    wanted = False


@contextmanager
def _stop_signal() -> Iterator[_Stop]:
    """Turn the first Ctrl-C into a wish to stop after the iteration; a second one interrupts at once."""
    stop = _Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.wanted = True
        signal.signal(signal.SIGINT, before)

    try:
        before = signal.signal(signal.SIGINT, handle)
    except ValueError:  # not the main thread: there Ctrl-C isn't ours
        yield stop
        return
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
