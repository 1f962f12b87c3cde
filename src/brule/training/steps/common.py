"""What the steps share: what they know of the shape, how they look at images, and when they give up."""

from __future__ import annotations

import functools
import math
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from brule.errors import TrainingError
from brule.geometry import ShapePrior
from brule.model import BruleModel, Decoder
from brule.networks import EncoderOutput
from brule.training.augmented_pair import AugmentedPair
from brule.training.config import TrainingConfig
from brule.training.distributed import ALONE, Distributed
from brule.training.ema import MeanPredictions

SOFTENING = 0.01  # of the crop: nearer than a pixel of 64 a landmark distance is rounded off


@dataclass(frozen=True)
class ShapeModel:
    """What training knows of the object's shape.

    Attributes:
        barycenter: ``(1, N, 2)`` in the unit square of the crop.
        prior: the Gaussian over shapes, where the annotated shapes allowed one.
        mirror: the index permutation under mirroring, where the shape has a symmetry.
        indexed: whether the encoder learns which landmark is which, from the prior or from annotated images; transport to
            the barycenter doesn't say so.
    """

    barycenter: Tensor
    prior: ShapePrior | None = None
    mirror: Tensor | None = None
    indexed: bool = False

    def moved(self, shift: Tensor) -> ShapeModel:
        """The same with another mean of the prior, ``shift`` ``(N, 2)`` away."""
        return self if self.prior is None else replace(self, prior=self.prior.moved(shift))


@dataclass(frozen=True)
class PseudoLabels:
    """Landmarks of a batch, without gradient.

    Attributes:
        source: ``X``, ``(B, N, 2)`` in the unit square of ``I``.
        target: ``gX``, in that of ``gI``.
        sure: ``(B, N)``, which of them the encoder is to learn from; ``None``: all.
    """

    source: Tensor
    target: Tensor
    sure: Tensor | None = None


@torch.no_grad()
def pseudo_label(
    model: BruleModel,
    views: AugmentedPair,
    shape_model: ShapeModel,
    config: TrainingConfig,
    *,
    means: MeanPredictions,
    distributed: Distributed = ALONE,
) -> PseudoLabels:
    """The landmarks ``E(I)`` that the steps take as given; those of a teacher are cleaned first.

    Args:
        model: the averaged model where the configuration has a teacher, else the model that is trained.
        views: the images.
        shape_model: what is known of the shape.
        config: its section ``teacher`` says how targets are cleaned.
        means: the running mean predictions; the teacher's is brought up to date.
        distributed: that train together; a mean over the images is one over all of theirs.
    """
    found = encode(model, views.plain, config)
    if not config.teacher.enabled:
        return PseudoLabels(found.points, views.move(found.points))
    source = _cleaned(found.points, shape_model, means, config, distributed)
    sure = _sure(found.spread, config.teacher.gate) if config.teacher.gate else None
    return PseudoLabels(source, views.move(source), views.reorder(sure) if sure is not None else None)


def _sure(spread: Tensor, gate: float) -> Tensor:
    """Which landmarks of a batch ``(B, N)`` aren't among the share ``gate`` that is least sure, each beside its like.

    A landmark on a contour is always less sure than the corner of an eye, so each is compared with its own mean.
    """
    relative = spread / spread.mean(0, keepdim=True).clamp_min(1e-6)
    return relative <= relative.flatten().quantile(1 - gate)


def _cleaned(
    points: Tensor, shape_model: ShapeModel, means: MeanPredictions, config: TrainingConfig, distributed: Distributed = ALONE
) -> Tensor:
    """The teacher's landmarks without what the shapes say must be wrong with them.

    Their mean over the images drifts, since nothing in an equivariance says *which* points are followed; it is laid on the
    prior's mean. What is unlikely in a single shape is taken for noise.
    """
    means.ema.lerp_(distributed.mean(points.mean(0)), means.SHARE)
    if shape_model.prior is None:
        return points
    if config.teacher.centre:
        points = points - (means.ema - shape_model.prior.mean)
    return shape_model.prior.denoise(points, noise=config.teacher.noise) if config.teacher.noise else points


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
    # PyTorch tells this of x86 alone, and not in its public interface.
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device != "cpu" or platform.machine() not in ("x86_64", "AMD64") or (probe is not None and bool(probe()))


def pixel_noise(decoder: Decoder, rows: int, generator: torch.Generator, distributed: Distributed = ALONE) -> list[Tensor]:
    """The pixel noise of this process's images, for a generator's blocks.

    Every image has a seed of its own, so that no process needs to draw the noise of the others' images: it is by far the
    most of what an iteration draws.
    """
    seeds = distributed.drawn(lambda n: torch.randint(2**31, (n,), generator=generator), rows)
    drawn = [decoder.generator.draw_noise(1, torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return [torch.cat(maps).to(decoder.generator.start.device) for maps in zip(*drawn, strict=True)]


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


def finite(terms: dict[str, Tensor], distributed: Distributed = ALONE) -> dict[str, float]:
    """The terms as numbers, their means over the processes.

    Raises:
        TrainingError: if one is NaN or infinite, with its name; in every process, since so is the mean.
    """
    values = distributed.mean(
        torch.stack([term.detach().float() for term in terms.values()])
    ).tolist()  # one wait for the device
    for name, value in zip(terms, values, strict=True):
        if not math.isfinite(value):
            raise TrainingError(
                f"training stopped: {name} is {value}; the last checkpoint is intact. Train anew with a lower "
                "optimizer.learning_rate, or with optimizer.clip=5"
            )
    return dict(zip(terms, values, strict=True))


def weighted_sum(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """``Σ c_k · term_k``."""
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def take_step(
    model: BruleModel,
    optimizer: torch.optim.Optimizer,
    total: Tensor,
    config: TrainingConfig,
    distributed: Distributed = ALONE,
) -> dict[str, float]:
    """Move the encoder down the gradient, that of all processes' images, which is clipped first.

    Returns:
        The total, and the norm of the gradient.

    Raises:
        TrainingError: if either is NaN or infinite; the weights are left as they were.
    """
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    distributed.average_gradients(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(model.encoder.parameters(), config.optimizer.clip or float("inf"))
    values = finite({"the gradient": norm, "loss": total}, distributed)
    optimizer.step()
    return {"loss": values["loss"], "gradient": values["the gradient"]}
