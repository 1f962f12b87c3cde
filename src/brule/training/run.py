"""How a run begins: networks, averages and optimizers of a configuration, or those of a checkpoint."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from brule.errors import CheckpointError, ConfigError
from brule.geometry import ShapeModel, ShapePrior
from brule.model import BruleModel, Decoder
from brule.networks import Discriminator, FinalRegression, LandmarkEncoder, LocalRegression
from brule.tensors import load_module
from brule.tracking.run_files import CHECKPOINT
from brule.training.checkpoint import load_checkpoint
from brule.training.ema import MeanPredictions
from brule.training.mirror import mirror_of
from brule.training.muon import Muon, dense_convolutions
from brule.training.state import TrainingState
from brule.transport import grouped_barycenters

if TYPE_CHECKING:
    from brule.training.config import TrainingConfig
    from brule.training.sections import Optimizer

_OWN_STREAM = 1  # of the seed: the decoder's weights must not depend on how many numbers the encoder's took

_drawing = threading.Lock()  # PyTorch initialises weights from one generator for all threads


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw initial weights on the CPU from a seed, in one thread at a time; all generators are left as they were.

    ``torch.manual_seed`` would also seed those of the GPUs.
    """
    with _drawing, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def build_model(barycenter: Tensor, config: TrainingConfig, *, final: bool = False) -> BruleModel:
    """The untrained model of a configuration, its weights drawn from the configuration's seed.

    Args:
        barycenter: ``(N, 2)`` in the unit square of the crop.
        config: its sections ``crop``, ``encoder`` and, with ``final``, ``teacher`` are read.
        final: with room for the regressions that end a prediction, which training learns last.
    """
    with _seeded(config.seed):
        model = BruleModel(barycenter, image_size=config.crop.image_size, **config.encoder.model_dump())
    if final:
        model.final = FinalRegression(len(barycenter), share=config.teacher.regress_final)
    return model


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
    with _seeded(config.seed + _OWN_STREAM):
        return Decoder(image_size=size, sigma=sigma, **settings)


def build_gan(config: TrainingConfig) -> tuple[Decoder | None, Discriminator | None]:
    """Decoder and discriminator of a configuration, where it has them.

    Raises:
        ConfigError: if the images' size is no power of two.
    """
    if not config.gan.enabled:
        return None, None
    decoder, settings = build_decoder(config), config.decoder
    if not config.gan.adversarial:
        return decoder, None
    with _seeded(config.seed + 2 * _OWN_STREAM):
        return decoder, Discriminator(decoder.image_size, width=settings.width, max_width=settings.max_width)


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
        ConfigError: no term keeps the landmarks in the object's shape, or the pairs of mirroring don't fit.
    """
    from brule.training.terms import needed_by  # pydantic, which loading a detector does without

    loss, teacher = config.loss, config.teacher
    mirror = mirror_of(barycenter, shapes, config)
    wanted = "prior" in needed_by(config) or config.warp.bends
    wanted = wanted or (teacher.enabled and (teacher.centre or teacher.noise or teacher.regress))
    prior = ShapePrior.fit(shapes, mirror=mirror) if wanted and shapes is not None else None
    held = loss.barycenter or (prior is not None and loss.shape_prior)
    if loss.tied and not held and not indexed:
        raise ConfigError(
            "no term keeps the landmarks in the object's shape: the shape prior (loss.shape_prior) needs annotated shapes that "
            "all have the same points, and loss.barycenter is 0; give shapes with the same number of points, or use the preset "
            "paper, which doesn't need matching points"
        )
    known = indexed or (prior is not None and loss.shape_prior > 0)
    return ShapeModel(barycenter[None].float(), prior, mirror, known, _references(barycenter, shapes, config))


def _references(barycenter: Tensor, shapes: Tensor | None, config: TrainingConfig) -> Tensor | None:
    """The barycenters ``(k, M, 2)`` of ``R_b`` if the settings want several, or one of another number of points."""
    points, count = config.loss.barycenter_points or len(barycenter), config.loss.barycenters
    if not config.loss.barycenter or (points == len(barycenter) and count == 1):
        return None
    sets = [barycenter] if shapes is None else list(shapes)
    if count > len(sets):
        raise ConfigError(f"loss.barycenters: expected at most as many as annotated shapes, {len(sets)}, got {count}")
    found, _ = grouped_barycenters(sets, count, n_points=points, seed=config.seed)
    return torch.stack([one.points for one in found]).float()


def start_run(
    shape_model: ShapeModel,
    config: TrainingConfig,
    *,
    device: torch.device | str = "cpu",
    directory: Path | None = None,
    resume: bool = False,
    run: str | None = None,
) -> TrainingState:
    """The state at the beginning, or that of the directory's checkpoint.

    Args:
        shape_model: what is known of the shape.
        config: the settings.
        device: where to train.
        directory: of the run.
        resume: take up its checkpoint.
        run: the identifier of the run; a checkpoint with another one is refused.

    Raises:
        CheckpointError: if there is nothing to resume from, or it is of another run.
        ConfigError: if the networks can't be built so.
    """
    settings, barycenter = config.optimizer, shape_model.barycenter[0].cpu()
    model = _placed(build_model(barycenter, config), device)
    decoder, discriminator = (None if network is None else _placed(network, device) for network in build_gan(config))
    optimizers = {"encoder": _encoder_optimizer(model.encoder, settings)}
    means = MeanPredictions(barycenter).to(device)
    state = TrainingState(config, shape_model, model, copy.deepcopy(model).eval(), means, optimizers, run=run)
    if decoder is not None:
        state.decoder, state.decoder_ema, state.discriminator = decoder, copy.deepcopy(decoder).eval(), discriminator
        optimizers |= _gan_optimizers(decoder, discriminator, config)
    if config.teacher.enabled and config.teacher.regress and shape_model.prior is not None and shape_model.indexed:
        from brule.training.local_regression import STAGES  # pydantic, which loading a detector does without

        state.regression = LocalRegression(len(barycenter), stages=STAGES).to(device)
    if config.compile:
        _compile(state)
    if resume:
        if directory is None:
            raise CheckpointError("resume: expected the directory of a run")
        path = directory / CHECKPOINT
        state.progress = load_checkpoint(path, modules=state.modules, optimizers=state.optimizers, run=run)
    return state


def take_weights(state: TrainingState, model: BruleModel, decoder: Decoder | None, *, source: Path) -> None:
    """Begin with the weights of another run's detector; schedule, optimizers and progress are those of a new run.

    Args:
        state: at its beginning.
        model: the averaged model of the other run.
        decoder: its averaged decoder; taken over where both runs have one.
        source: the other run's folder, for messages.

    Raises:
        ConfigError: the other detector finds another number of landmarks.
        CheckpointError: its networks are others than those of the settings.
    """
    ours, theirs = len(state.model.barycenter), len(model.barycenter)
    if ours != theirs:
        raise ConfigError(
            f"start_from: the detector in {source} finds {theirs} landmarks, and the shapes have {ours}; give shapes of the "
            "same landmarks, or train without it"
        )
    advice = "start from a run with the same encoder (and decoder) settings"
    for own in (state.model, state.ema):
        load_module(own.encoder, model.encoder.state_dict(), source, advice=advice)
        # Outputs of a detector that was trained without an index come in an order of their own; labels know one order alone.
        own.encoder.reorder(model.order.to(own.order.device))
        own.set_order(torch.arange(ours))
    for drawing in (state.decoder, state.decoder_ema) if decoder is not None else ():
        if drawing is not None and decoder is not None:
            load_module(drawing, decoder.state_dict(), source, advice=advice)


def _compile(state: TrainingState) -> None:
    """Compile in place what runs most: names and places of the weights stay as they are.

    The discriminator stays out: its penalty needs second derivatives, which compiled code doesn't give.
    """
    parts: list[nn.Module] = [state.model.encoder, state.ema.encoder]
    if state.decoder is not None:
        parts += [state.decoder.generator, state.decoder.style_encoder]
    for part in parts:
        part.compile()


def _encoder_optimizer(encoder: LandmarkEncoder, settings: Optimizer) -> torch.optim.Optimizer:
    options: dict[str, Any] = {"betas": (settings.beta1, settings.beta2), "weight_decay": settings.weight_decay}
    if not settings.muon:
        return _adam((encoder.parameters(), settings.learning_rate), **options)
    matrices = dense_convolutions(encoder.hourglass)
    known = set(map(id, matrices))
    others = [own for own in encoder.parameters() if id(own) not in known]
    adam = _adam((others, settings.learning_rate), **options)
    return Muon(matrices, adam, lr=settings.muon, weight_decay=settings.weight_decay)


def _gan_optimizers(
    decoder: Decoder, discriminator: Discriminator | None, config: TrainingConfig
) -> dict[str, torch.optim.Optimizer]:
    gan = config.gan
    betas = {"betas": (gan.beta1, gan.beta2), "weight_decay": 0.0}
    drawing = [*decoder.generator.parameters(), *decoder.style_mapping.parameters()]
    styles = decoder.style_encoder.parameters()
    optimizers: dict[str, torch.optim.Optimizer] = {
        "decoder": _adam((drawing, gan.generator_rate), (styles, gan.style_rate), **betas)
    }
    if discriminator is not None:
        optimizers["discriminator"] = _adam((discriminator.parameters(), gan.discriminator_rate), **betas)
    return optimizers


def _adam(*rates: tuple[Iterable[nn.Parameter], float], **options: Any) -> torch.optim.AdamW:
    """AdamW of parameters and their learning rates, which it remembers so that a schedule can multiply them."""
    groups = [{"params": list(parameters), "lr": rate, "initial_lr": rate} for parameters, rate in rates]
    return torch.optim.AdamW(groups, fused=groups[0]["params"][0].device.type in ("cpu", "cuda"), **options)  # type: ignore[index]


def _placed(module: nn.Module, device: torch.device | str):  # type: ignore[no-untyped-def]
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
