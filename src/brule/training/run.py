"""All that changes while training: networks, averages, optimizers, progress; and how they begin."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from brule.errors import CheckpointError, ConfigError
from brule.geometry import ShapePrior
from brule.model import BruleModel, Decoder
from brule.networks import Discriminator
from brule.training.checkpoint import Progress, load_checkpoint
from brule.training.config import TrainingConfig
from brule.training.distributed import ALONE, Distributed
from brule.training.ema import MeanPredictions
from brule.training.mirror import mirror_of
from brule.training.steps import GanNetworks, ShapeModel

CHECKPOINT = "checkpoint.safetensors"
_OWN_STREAM = 1  # of the seed: the decoder's weights must not depend on how many numbers the encoder's took


@dataclass
class Run:
    """The state of a run.

    Attributes:
        model: what is trained.
        ema: its averaged weights.
        means: running mean predictions.
        optimizers: by the names of what they move: ``encoder``, ``decoder``, ``discriminator``.
        networks: decoder and discriminator, where the configuration has them.
        decoder_ema: the decoder's averaged weights.
        progress: iterations done and seconds spent.
        distributed: that train it together.
    """

    model: BruleModel
    ema: BruleModel
    means: MeanPredictions
    optimizers: dict[str, torch.optim.Optimizer]
    networks: GanNetworks | None = None
    decoder_ema: Decoder | None = None
    progress: Progress = field(default_factory=Progress)
    distributed: Distributed = ALONE

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Every module with a state, by the name it has in a checkpoint."""
        named: dict[str, nn.Module | None] = {"model": self.model, "ema": self.ema, "means": self.means}
        if self.networks is not None:
            named |= {"decoder": self.networks.decoder, "discriminator": self.networks.discriminator}
            named["decoder_ema"] = self.decoder_ema
        return {name: module for name, module in named.items() if module is not None}


def build_model(barycenter: Tensor, config: TrainingConfig) -> BruleModel:
    """The untrained model of a configuration, its weights drawn from the configuration's seed.

    Args:
        barycenter: ``(N, 2)`` in the unit square of the crop.
        config: its sections ``crop`` and ``encoder`` are read.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return BruleModel(barycenter, image_size=config.crop.image_size, **config.encoder.model_dump())


def build_decoder(config: TrainingConfig) -> Decoder:
    """The untrained decoder of a configuration, its weights drawn from the configuration's seed.

    Args:
        config: its sections ``crop`` and ``decoder`` are read, and the width of the skeleton's lines.

    Raises:
        ConfigError: if the images' size is no power of two.
    """
    settings = config.decoder.model_dump()
    size = settings.pop("image_size") or config.crop.image_size
    sigma = config.loss.sigma * size / config.crop.image_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + _OWN_STREAM)
        return Decoder(image_size=size, sigma=sigma, **settings)


def build_gan(config: TrainingConfig) -> GanNetworks | None:
    """Decoder and discriminator of a configuration, where it has them.

    Raises:
        ConfigError: if the images' size is no power of two.
    """
    if not config.gan.enabled:
        return None
    decoder = build_decoder(config)
    if not config.gan.adversarial:
        return GanNetworks(decoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 2 * _OWN_STREAM)
        settings = config.decoder
        return GanNetworks(decoder, Discriminator(decoder.image_size, width=settings.width, max_width=settings.max_width))


def build_shape_model(
    barycenter: Tensor, shapes: Tensor | None, config: TrainingConfig, *, indexed: bool = False
) -> ShapeModel:
    """What the annotated shapes teach: the prior and the symmetry, as far as the configuration asks for them.

    Args:
        barycenter: ``(N, 2)``.
        shapes: ``(K, N, 2)`` in one index order, or ``None`` where only a barycenter is at hand.
        config: its section ``loss`` is read.
        indexed: whether annotated images say which landmark is which.

    Raises:
        ConfigError: if nothing is left that ties the landmarks to the shape, or the pairs of mirroring don't fit.
    """
    loss, teacher = config.loss, config.teacher
    mirror = mirror_of(barycenter, shapes, config)
    wanted = loss.shape_prior or loss.population or loss.fake_bends or config.warp.bends
    wanted = wanted or (teacher.enabled and (teacher.centre or teacher.noise))
    prior = ShapePrior.fit(shapes, mirror=mirror) if wanted and shapes is not None else None
    held = loss.barycenter or (prior is not None and loss.shape_prior)
    if loss.tied and not held and not indexed:
        raise ConfigError(
            "nothing ties the landmarks to the shape: the shape prior (loss.shape_prior) needs annotated shapes that all have "
            "the same points, and loss.barycenter is 0; give shapes of one number of points, or take the preset paper, which "
            "does without an index"
        )
    known = indexed or (prior is not None and loss.shape_prior > 0)
    return ShapeModel(barycenter[None].float(), prior, mirror, known)


def shape_model_to(shape_model: ShapeModel, device: torch.device) -> ShapeModel:
    """The shape model on another device."""
    prior = shape_model.prior.to(device) if shape_model.prior else None
    mirror = shape_model.mirror.to(device) if shape_model.mirror is not None else None
    return replace(shape_model, barycenter=shape_model.barycenter.to(device), prior=prior, mirror=mirror)


def start_run(barycenter: Tensor, config: TrainingConfig, device: torch.device, directory: Path | None, resume: bool) -> Run:
    """The state at the beginning, or that of the directory's checkpoint.

    Raises:
        CheckpointError: if there is nothing to resume from, or it is of other networks.
        ConfigError: if the networks can't be built so.
    """
    settings = config.optimizer
    model = _placed(build_model(barycenter, config), device)
    adam = {"betas": (settings.beta1, settings.beta2), "weight_decay": settings.weight_decay}
    optimizers = {"encoder": _adam([{"params": model.encoder.parameters(), "lr": settings.learning_rate}], device, **adam)}
    run = Run(model, copy.deepcopy(model).eval(), MeanPredictions(barycenter).to(device), optimizers)
    networks = build_gan(config)
    if networks is not None:
        run.networks = _placed_painter(networks, device)
        run.decoder_ema = copy.deepcopy(run.networks.decoder).eval()
        optimizers |= _painters_optimizers(run.networks, config, device)
    if config.compile:
        _compile(run)
    if resume:
        if directory is None:
            raise CheckpointError("resume: expected the directory of a run")
        run.progress = load_checkpoint(directory / CHECKPOINT, modules=run.modules, optimizers=run.optimizers)
    return run


def _compile(run: Run) -> None:
    """Compile in place what runs most: names and places of the weights stay as they are.

    The discriminator stays out: its penalty needs second derivatives, which compiled code doesn't give.
    """
    parts: list[nn.Module] = [run.model.encoder, run.ema.encoder]
    if run.networks is not None:
        parts += [run.networks.decoder.generator, run.networks.decoder.style_encoder]
    for part in parts:
        part.compile()


def _painters_optimizers(
    networks: GanNetworks, config: TrainingConfig, device: torch.device
) -> dict[str, torch.optim.Optimizer]:
    gan, decoder = config.gan, networks.decoder
    betas = {"betas": (gan.beta1, gan.beta2), "weight_decay": 0.0}
    drawing = [*decoder.generator.parameters(), *decoder.style_mapping.parameters()]
    groups = [
        {"params": drawing, "lr": gan.generator_rate},
        {"params": decoder.style_encoder.parameters(), "lr": gan.style_rate},
    ]
    optimizers = {"decoder": _adam(groups, device, **betas)}
    if networks.discriminator is not None:
        judge = [{"params": networks.discriminator.parameters(), "lr": gan.discriminator_rate}]
        optimizers["discriminator"] = _adam(judge, device, **betas)
    return optimizers


def _adam(groups: Iterable[dict[str, object]], device: torch.device, **options: object) -> torch.optim.Optimizer:
    """AdamW whose groups remember the learning rate that a schedule multiplies."""
    optimizer = torch.optim.AdamW(groups, fused=device.type in ("cpu", "cuda"), **options)  # type: ignore[arg-type]
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def _placed(module: nn.Module, device: torch.device):  # type: ignore[no-untyped-def]
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _placed_painter(networks: GanNetworks, device: torch.device) -> GanNetworks:
    judge = networks.discriminator
    return GanNetworks(_placed(networks.decoder, device), None if judge is None else _placed(judge, device))
