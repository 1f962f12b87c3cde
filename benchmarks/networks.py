"""The parts with networks: encoder, generator, discriminator, the penalty, a whole iteration, prediction."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.work import Case, Part, Plan, Training, Work, random_images, random_points
from brule import LandmarkDetector
from brule.detector.storage import Stored
from brule.errors import ConfigError
from brule.losses import gradient_penalty
from brule.model import Decoder
from brule.networks import Discriminator
from brule.training.config import TrainingConfig
from brule.training.loop import train
from brule.training.run import build_decoder, build_model
from brule.training.state import Progress, TrainingResult
from brule.training.steps.context import autocast, encode

_SINGLE_IMAGE_REPEATS = 200  # repetitions where a percentile is wanted


def _encoder(case: Case, plan: Plan) -> Work:
    config = plan.config(crop__image_size=case.side)
    model = _placed(build_model(random_points(1, case.n, plan)[0].cpu(), config), plan).train()
    images = random_images(case.batch, case.side, plan)

    def run() -> None:
        torch.stack([points.sum() for points in encode(model, images, config).stages]).sum().backward()
        model.zero_grad(set_to_none=True)

    return Work(run, config.precision)


def _decoder(case: Case, plan: Plan) -> tuple[Decoder, TrainingConfig]:
    config = plan.config(crop__image_size=case.side, decoder__image_size=case.side)
    return _placed(build_decoder(config), plan).train(), config


def _generator(case: Case, plan: Plan) -> Work:
    decoder, config = _decoder(case, plan)
    random = torch.Generator().manual_seed(0)
    points = random_points(case.batch, case.n, plan)
    with torch.no_grad():
        style = decoder.random_style(case.batch, random)

    def run() -> None:
        with autocast(points, config):
            drawn = decoder(points, style, generator=random)
        drawn.float().sum().backward()
        decoder.zero_grad(set_to_none=True)

    return Work(run, config.precision)


def _judge(case: Case, plan: Plan) -> tuple[Discriminator, Tensor, Tensor, TrainingConfig]:
    decoder, config = _decoder(case, plan)
    settings = config.decoder
    judge = Discriminator(case.side, width=settings.width, max_width=settings.max_width)
    heatmap = decoder.heatmap(random_points(case.batch, case.n, plan)).detach()
    return _placed(judge, plan).train(), random_images(case.batch, case.side, plan), heatmap, config


def _discriminator(case: Case, plan: Plan) -> Work:
    judge, images, heatmap, config = _judge(case, plan)

    def run() -> None:
        with autocast(images, config):
            logits = judge(images, heatmap)
        logits.sum().backward()
        judge.zero_grad(set_to_none=True)

    return Work(run, config.precision)


def _penalty(case: Case, plan: Plan) -> Work:
    judge, images, heatmap, config = _judge(case, plan)
    images = images.requires_grad_()

    def run() -> None:
        with autocast(images, config):
            logits = judge(images, heatmap)
        (gradient_penalty(logits, images).mean() + 0 * logits.sum()).backward()
        judge.zero_grad(set_to_none=True)
        images.grad = None

    return Work(run, config.precision)


class _ClockedImages:
    """Crops that note when they are asked for: the loop asks for the next batch when an iteration begins."""

    def __init__(self, images: np.ndarray) -> None:
        self.images, self.asked = images, list[float]()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        self.asked.append(time.perf_counter())
        return self.images[index]


def _iteration(case: Case, plan: Plan) -> Work:
    """The training loop itself on random images; the decoder's turns come round in a cycle, which counts as a whole."""
    training = Training.of(plan.config(crop__image_size=case.side, batch_size=case.batch), case.n, plan)
    config, shapes, cycle = training.config, training.shapes, training.cycle

    def asked(iterations: int, **changes: object) -> list[float]:
        images, settings = _ClockedImages(training.images), config.model_copy(update={"iterations": iterations, **changes})
        result = train(images, shapes.mean(0), settings, shapes=shapes, quiet=True, device=plan.device)
        if not result.finished:  # training takes a wish to stop for an end like any other
            raise KeyboardInterrupt
        return images.asked

    def clock(repeats: int, seconds: float) -> list[float]:
        # The first batch is asked for before the first iteration; the first cycle is the warm-up.
        first = np.diff(asked(cycle + 2))[1:].sum()
        count = int(max(1, min(repeats, seconds / max(first, 1e-9))))
        durations = np.diff(asked((count + 1) * cycle + 2))[1 + cycle :]
        return durations[: count * cycle].reshape(count, cycle).mean(1).tolist()

    return Work(
        lambda: asked(cycle),
        config.precision,
        per_run=cycle,
        clock=clock,
        countable=lambda: asked(cycle, compile=False, split=1),
    )


def _detector(case: Case, plan: Plan) -> LandmarkDetector:
    """An untrained one: it is as fast as a trained one."""
    config = plan.config(crop__image_size=case.side)
    model = build_model(random_points(1, case.n, plan)[0].cpu(), config).eval()
    return LandmarkDetector.of(Stored(config, TrainingResult(model, Progress(), True), None), device=str(plan.device))


def _prediction(case: Case, plan: Plan) -> Work:
    """From images in memory, twice as large as the crop, to landmarks."""
    detector = _detector(case, plan)
    images = np.random.default_rng(0).integers(0, 256, (case.batch, 2 * case.side, 2 * case.side, 3), dtype=np.uint8)
    return Work(lambda: detector.predict(images, batch_size=case.batch), roofline=False)


def _onnx(case: Case, plan: Plan) -> Work:
    from brule.export import check_packages, export_detector, open_session

    if plan.device.type != "cpu":
        raise ConfigError("onnxruntime is measured on the CPU only")
    check_packages()
    with tempfile.TemporaryDirectory(prefix="brule-bench-") as folder:
        path = export_detector(_detector(case, plan), Path(folder) / "model.onnx").path
        session = open_session(path, threads=torch.get_num_threads())
    image = np.random.default_rng(0).integers(0, 256, (case.batch, case.side, case.side, 3), dtype=np.uint8)
    return Work(lambda: session.run(None, {"images": image}), repeats=_SINGLE_IMAGE_REPEATS, roofline=False)


def _placed(module: nn.Module, plan: Plan):  # type: ignore[no-untyped-def]
    return module.to(plan.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _own_size(plan: Plan) -> tuple[int, ...]:
    return (plan.config().crop.image_size,)


def _own_batch(plan: Plan) -> tuple[int, ...]:
    return (plan.config().batch_size,)


PARTS = (
    Part("encoder", "the preset's encoder, forward and backward", ("size", "batch"), _encoder),
    Part("generator", "heatmap and generator, forward and backward", ("size", "batch"), _generator),
    Part("discriminator", "forward and backward", ("size", "batch"), _discriminator),
    Part("gradient_penalty", "the discriminator and its gradient's gradient", ("size", "batch"), _penalty),
    Part(
        "iteration",
        "Algorithms 1 and 2, at the preset's own size and batch",
        ("size", "batch"),
        _iteration,
        _own_size,
        _own_batch,
    ),
    Part("prediction", "LandmarkDetector.predict: images in memory to pixels", ("size", "batch"), _prediction),
    Part("onnxruntime", "one crop through the exported detector", ("size", "batch"), _onnx, batches=lambda plan: (1,)),
)
