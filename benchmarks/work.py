"""What is measured: a part of the library, at a size, with a batch and a number of landmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import Run
from brule.training.config import TrainingConfig, load_config

Axis = Literal["size", "batch", "points"]
AXES: tuple[Axis, ...] = ("size", "batch", "points")
_N_SHAPES = 10  # that a training learns from
_DEFAULT_POINTS = 68  # landmarks of the networks, where their number isn't varied


@dataclass(frozen=True)
class Plan:
    """What to measure, and how long.

    Attributes:
        sizes: sides of images, in pixels.
        batches: images at a time.
        points: landmarks.
        device: where to compute.
        preset: where the networks' settings come from.
        overrides: settings that differ, by their dotted keys.
        repeats: repetitions of a measurement, at most.
        seconds: after which no further repetition begins.
        quick: small matrices for the peaks, no warm-up: to see that everything runs.
    """

    sizes: tuple[int, ...] = (64, 128, 256)
    batches: tuple[int, ...] = (8,)
    points: tuple[int, ...] = (5, 68, 200)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    preset: str = "cpu"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    repeats: int = 20
    seconds: float = 5.0
    quick: bool = False

    def config(self, **changes: Any) -> TrainingConfig:
        """The settings of the networks; two underscores in a key stand for a dot."""
        return load_config(self.preset, {**self.overrides, **{key.replace("__", "."): v for key, v in changes.items()}})

    @property
    def usual_points(self) -> int:
        """Landmarks where their number isn't varied: 68 if it is among those asked for, else the first of these."""
        return _DEFAULT_POINTS if _DEFAULT_POINTS in self.points else self.points[0]


@dataclass(frozen=True)
class Case:
    """One point of the table.

    Attributes:
        part: its name.
        size: side of the images in pixels; ``None`` where there are none.
        batch: samples at a time.
        points: landmarks; ``None`` where there are none.
    """

    part: str
    size: int | None
    batch: int
    points: int | None

    @property
    def side(self) -> int:
        """The size, where the part has one."""
        assert self.size is not None
        return self.size

    @property
    def n(self) -> int:
        """The number of landmarks, where the part has one."""
        assert self.points is not None
        return self.points

    def __str__(self) -> str:
        axes = (("{} px", self.size), ("B={}", self.batch), ("N={}", self.points))
        return ", ".join([self.part, *(text.format(value) for text, value in axes if value is not None)])


@dataclass(frozen=True)
class Work:
    """Something that can be run and timed.

    Attributes:
        run: does it once.
        precision: of its matrix products, for the roofline.
        needs: an estimate of the bytes it takes, where that may be more than there are.
        per_run: iterations in one ``run``, where these are counted rather than runs.
        clock: takes repetitions and seconds, and gives the duration of each iteration, where it has a clock of its own.
        countable: what to count operations in, where that isn't ``run``.
        repeats: more repetitions than the plan has, where the tail of the distribution counts.
        roofline: whether PyTorch does most of it.
    """

    run: Run
    precision: str = "float32"
    needs: int = 0
    per_run: int = 1
    clock: Callable[[int, float], list[float]] | None = None
    countable: Run | None = None
    repeats: int = 0
    roofline: bool = True


@dataclass(frozen=True)
class Part:
    """A part of the library that is measured.

    Attributes:
        name: as in ``--only``.
        about: what is timed.
        axes: what it depends on; for the rest, one value is taken.
        build: makes the work ready.
        sizes: which sizes it is measured at, if not those of the plan.
        batches: likewise.
    """

    name: str
    about: str
    axes: tuple[Axis, ...]
    build: Callable[[Case, Plan], Work]
    sizes: Callable[[Plan], tuple[int, ...]] = lambda plan: plan.sizes
    batches: Callable[[Plan], tuple[int, ...]] = lambda plan: plan.batches

    def cases(self, plan: Plan) -> list[Case]:
        """Every combination of what it depends on."""
        sizes = self.sizes(plan) if "size" in self.axes else (None,)
        points = plan.points if "points" in self.axes else (plan.usual_points if "size" in self.axes else None,)
        return [Case(self.name, size, batch, n) for size in sizes for batch in self.batches(plan) for n in points]


def random_points(batch: int, n: int, plan: Plan, *, seed: int = 0) -> Tensor:
    """Landmarks ``(B, N, 2)`` of a ring that is a little different in every sample, in the unit square, on the device."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.linspace(0, 2 * torch.pi, n + 1)[:-1]
    ring = 0.5 + 0.35 * torch.stack([angle.sin(), -angle.cos()], -1)
    return (ring + 0.02 * torch.randn(batch, n, 2, generator=generator)).to(plan.device)


def random_images(batch: int, size: int, plan: Plan, *, seed: int = 0) -> Tensor:
    """Noise ``(B, 3, S, S)`` in ``[-1, 1]``, channels last, on the device."""
    generator = torch.Generator().manual_seed(seed)
    images = 2 * torch.rand(batch, 3, size, size, generator=generator) - 1
    return images.to(plan.device, memory_format=torch.channels_last)


@dataclass(frozen=True)
class Training:
    """What a training that is measured gets.

    Attributes:
        config: without clock and pictures, and with the decoder from the start.
        images: noise, ``(n, W, W, 3)`` bytes, four batches of it.
        shapes: ``(K, N, 2)``.
        cycle: iterations after which the decoder's turns come round.
    """

    config: TrainingConfig
    images: np.ndarray
    shapes: Tensor
    cycle: int

    @classmethod
    def of(cls, config: TrainingConfig, n: int, plan: Plan) -> Training:
        """The training of a configuration, for ``n`` landmarks."""
        gan = config.gan.model_copy(update={"start": 0.0, "teach": 0.0})
        config = config.model_copy(update={"time_limit": 0.0, "preview_every": 0, "gan": gan})
        size = round(config.crop.image_size * config.crop.context)
        images = np.random.default_rng(0).integers(0, 256, (4 * config.batch_size, size, size, 3), dtype=np.uint8)
        cycle = gan.every * gan.penalty_every if gan.enabled else 1
        return cls(config, images, random_points(_N_SHAPES, n, plan).cpu(), cycle)
