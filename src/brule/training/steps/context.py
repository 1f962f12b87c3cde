"""The context of a training step, and the code that all steps share."""

from __future__ import annotations

import functools
import math
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from brule.errors import ConfigError, TrainingError
from brule.geometry import AugmentedPair, ShapeModel
from brule.model import BruleModel, Decoder
from brule.networks import EncoderOutput
from brule.tensors import resized
from brule.training.batches import Batch, mixed_seed
from brule.training.config import TrainingConfig
from brule.training.distributed import Distributed
from brule.training.local_regression import regressed
from brule.training.state import TrainingState

_STYLES = 1  # the stream of the seed that random styles are drawn from; that of the warps has none


@dataclass(frozen=True)
class Step:
    """One iteration: the state of the run, its batch, and how far the run has come.

    Attributes:
        state: networks, optimizers, averages.
        batch: images.
        progress: fraction of the run that is done.
    """

    state: TrainingState
    batch: Batch
    progress: float = 0.0

    @property
    def config(self) -> TrainingConfig:
        """The settings."""
        return self.state.config

    @property
    def distributed(self) -> Distributed:
        """The processes that train together, each with its share of the batch."""
        return self.state.distributed

    @cached_property
    def shape_model(self) -> ShapeModel:
        """The shape model, with the current estimate of its mean."""
        return self.state.shape_model.moved(self.state.means.shift)

    @property
    def views(self) -> AugmentedPair:
        """The unlabelled images ``I`` and ``gI``."""
        assert self.batch.views is not None
        return self.batch.views

    @property
    def labelled(self) -> tuple[Tensor, Tensor] | None:
        """Annotated images and landmarks, from the moment on when they teach."""
        teach = self.batch.views is None or self.progress >= self.config.labelled.start
        return self.batch.labelled if teach else None

    @property
    def joint(self) -> bool:
        """Whether annotated images share a batch with the unlabelled ones."""
        return self.config.labelled.together and self.batch.views is not None

    @cached_property
    def generator(self) -> torch.Generator:
        """The source of styles and pixel noise."""
        return torch.Generator().manual_seed(mixed_seed(self.config.seed, self.state.progress.iteration, _STYLES))

    @cached_property
    def pseudo_labels(self) -> Tensor:
        """The landmarks ``E(I)`` that the steps take as given, ``(B, N, 2)`` without gradient; see :func:`pseudo_label`."""
        return pseudo_label(self)

    @cached_property
    def moved_labels(self) -> Tensor:
        """``g E(I)`` of the pseudo-labels, in the unit square of ``gI``."""
        return self.views.move(self.pseudo_labels)

    @property
    def gan_images(self) -> Tensor:
        """The images that the decoder redraws, ``(B, C, S, S)`` at its size: ``I``, or ``gI`` with a teacher."""
        return self._gan_views[0]

    @property
    def style_images(self) -> Tensor:
        """Where the style of a redrawn image is read: off the same images, or off the other view of each."""
        return self._gan_views[self.config.gan.style_from != "image"]

    @property
    def gan_points(self) -> Tensor:
        """The landmarks of :attr:`gan_images`, ``(B, N, 2)`` without gradient."""
        return self.moved_labels if self.config.teacher.enabled else self.pseudo_labels

    @cached_property
    def _gan_views(self) -> tuple[Tensor, Tensor]:
        size = self.config.decoder.image_size or self.config.crop.image_size
        pair = resized(self.views.clean1, size), resized(self.views.clean2, size)
        return pair[::-1] if self.config.teacher.enabled else pair


@torch.no_grad()
def pseudo_label(step: Step) -> Tensor:
    """The landmarks ``E(I)`` of a batch, ``(B, N, 2)`` in the unit square of ``I``; those of a teacher are cleaned first.

    The teacher is the averaged model; its running mean prediction is brought up to date.
    """
    state, teacher = step.state, step.config.teacher
    if not teacher.enabled:
        with unmoved_statistics(state.model):
            return encode(state.model, step.views.view1, step.config).points
    points = encode(state.ema, step.views.view1, step.config).points
    return clean(points, step)


def clean(points: Tensor, step: Step) -> Tensor:
    """The teacher's landmarks ``(B, N, 2)`` without what the shapes show to be wrong with them.

    Their mean over the images drifts, since an equivariance doesn't fix *which* points are followed: it is moved onto the
    prior's mean. What is unlikely in a single shape is taken for noise. Later in the run each landmark is moved to where its
    surroundings look as in other images (:func:`brule.training.local_regression.regressed`).
    """
    means, prior, teacher = step.state.means, step.shape_model.prior, step.config.teacher
    means.ema.lerp_(step.distributed.mean(points.mean(0)), means.SHARE)
    if prior is None:
        return points
    apart = means.ema - prior.mean
    if step.state.regression is not None and step.state.progress.regressions:
        moved = regressed(step.state.regression, points - apart, step.views.clean1, prior=prior)
        return moved if teacher.centre else moved + apart
    if teacher.centre:
        points = points - apart
    return prior.denoise(points, noise=teacher.noise) if teacher.noise else points


def encode(model: BruleModel, images: Tensor, config: TrainingConfig) -> EncoderOutput:
    """Run the encoder in the configuration's precision."""
    with autocast(images, config):
        output: EncoderOutput = model(images.contiguous(memory_format=torch.channels_last))
    return output


def autocast(like: Tensor, config: TrainingConfig) -> torch.autocast:
    """The precision of the networks' activations, on a tensor's device."""
    wanted = config.precision == "bfloat16"
    return torch.autocast(like.device.type, torch.bfloat16, enabled=wanted and has_bfloat16(like.device.type))


@functools.cache
def has_bfloat16(device: str) -> bool:
    """Whether a kind of device has instructions for bfloat16; without, float32 is quicker, and no worse.

    Args:
        device: ``cpu``, ``cuda``, ….
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # PyTorch knows this of x86 alone, and not in its public interface.
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device != "cpu" or platform.machine() not in ("x86_64", "AMD64") or (probe is not None and bool(probe()))


def pixel_noise(decoder: Decoder, rows: int, step: Step) -> list[Tensor]:
    """The pixel noise of this process's images, for a generator's blocks.

    On a CPU every image has a seed of its own, so that no process needs to draw the noise of the others' images: most of what
    an iteration draws is pixel noise. A GPU draws that of the whole batch itself, which is quicker than to bring it there.
    """
    if decoder.generator.start.device.type != "cpu":
        return noise_there(decoder, rows, step)
    seeds = step.distributed.draw_for_batch(lambda n: torch.randint(2**31, (n,), generator=step.generator), rows)
    drawn = [decoder.generator.draw_noise(1, torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return [torch.cat(maps) for maps in zip(*drawn, strict=True)]


def noise_there(decoder: Decoder, rows: int, step: Step) -> list[Tensor]:
    """The pixel noise of this process's images, drawn for the whole batch on the decoder's device."""
    seed = int(torch.randint(2**31, (), generator=step.generator))
    there = torch.Generator(decoder.generator.start.device).manual_seed(seed)
    return [step.distributed.rows(maps) for maps in decoder.pixel_noise(rows * step.distributed.count, there)]


@contextmanager
def frozen(*modules: nn.Module | None) -> Iterator[None]:
    """Let gradients pass through these modules, but not into their weights."""
    parameters = [p for module in modules if module is not None for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@contextmanager
def unmoved_statistics(module: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch norm as they are, though it normalises by the batch's own."""
    before = [buffer.clone() for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, kept in zip(module.buffers(), before, strict=True):
            buffer.copy_(kept)


def finite(terms: dict[str, Tensor], distributed: Distributed) -> dict[str, float]:
    """The terms as numbers, their means over the processes.

    Raises:
        TrainingError: if one is NaN or infinite, with its name; in every process, since so is the mean.
    """
    values = distributed.mean(
        torch.stack([term.detach().float() for term in terms.values()])
    ).tolist()  # one wait for the device
    for name, value in zip(terms, values, strict=True):
        if not math.isfinite(value):
            raise not_finite(f"{name} is {value}")
    return dict(zip(terms, values, strict=True))


def not_finite(what: str) -> TrainingError:
    """The error of a run with numbers that are no longer finite."""
    return TrainingError(
        f"training stopped: {what}; the last checkpoint is intact. Train again with a lower optimizer.learning_rate "
        "(and optimizer.muon, if that isn't 0), or with optimizer.clip=5"
    )


def descend(step: Step, network: str, terms: dict[str, Tensor], *, weights: dict[str, float]) -> dict[str, float]:
    """The tail of every step: check the terms, back up their weighted sum, average over the processes, clip, step.

    Args:
        step: of the iteration.
        network: whose optimizer moves; the gradient of the encoder alone is clipped.
        terms: by name, numbers with a graph.
        weights: ``c_k`` by name.

    Returns:
        Every term before weighting, with the total ``loss`` and the norm of the ``gradient``.

    Raises:
        ConfigError: there is no term.
        TrainingError: if a term, the total or the gradient is NaN or infinite; the weights are left as they were.
    """
    if not terms:
        raise ConfigError(f"the {network} has nothing to learn: every term of its loss has the weight 0; set one above 0")
    optimizer, distributed = step.state.optimizers[network], step.distributed
    values = finite(terms, distributed)
    total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()  # Σ c_k · term_k
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    distributed.average_gradients(optimizer)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    largest = step.config.optimizer.clip if network == "encoder" else 0
    norm = torch.nn.utils.clip_grad_norm_(parameters, largest or float("inf"))
    ends = finite({"the gradient": norm, "loss": total}, distributed)
    optimizer.step()
    return values | {"loss": ends["loss"], "gradient": ends["the gradient"]}
