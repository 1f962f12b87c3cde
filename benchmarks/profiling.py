"""Where the time of an iteration goes: operation by operation, and what the device spends waiting."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.timing import synchronize
from benchmarks.work import Plan, Training
from brule.training.batches import BatchSource
from brule.training.loop import iterate
from brule.training.run import build_shape_model, start_run

_WARM_UP, _CYCLES = 3, 4
_KINDS = (  # the first part of a name that fits is the kind
    ("convolutions", ("conv",)),
    ("matrix products", ("mm", "aten::linear", "matmul", "einsum")),
    ("normalisation", ("norm",)),
    ("resampling", ("grid_sampl", "upsample", "interpolate", "affine_grid")),
    ("optimizer and averages", ("adam", "foreach", "lerp")),
    ("copies", ("copy", "memcpy", "memset", "_to_", "clone", "aten::cat", "contiguous", "fill", "zero_")),
    ("softmax and sums", ("softmax", "aten::sum", "aten::mean", "logsumexp", "amax", "amin")),
    ("linear algebra", ("linalg", "cholesky", "solve", "svd", "eigh", "inverse")),
)


@dataclass(frozen=True)
class Operation:
    """An operation of PyTorch in a mean iteration.

    Attributes:
        name: as PyTorch has it.
        kind: of work.
        calls: an iteration.
        seconds: an iteration, without the operations that it calls.
    """

    name: str
    kind: str
    calls: float
    seconds: float


@dataclass(frozen=True)
class Profile:
    """A mean iteration of training, taken apart.

    Attributes:
        wall: seconds an iteration took, the profiler's own work included.
        operations: by their time, the longest first.
    """

    wall: float
    operations: list[Operation]

    @property
    def busy(self) -> float:
        """Seconds of all operations."""
        return sum(operation.seconds for operation in self.operations)

    @property
    def kinds(self) -> dict[str, float]:
        """Seconds of each kind of work, the longest first."""
        total: dict[str, float] = {}
        for operation in self.operations:
            total[operation.kind] = total.get(operation.kind, 0.0) + operation.seconds
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    @classmethod
    def of(cls, content: dict[str, Any]) -> Profile:
        """From what :func:`dataclasses.asdict` made of one."""
        return cls(content["wall"], [Operation(**one) for one in content["operations"]])


def profile_iteration(plan: Plan) -> Profile:
    """Train for a few iterations on random images under PyTorch's profiler.

    On a GPU the time is that of its kernels; on the CPU that of the thread that trains, so the batch isn't split there, and the
    loader's work, done in another thread, doesn't show.

    Args:
        plan: device, preset and settings; the preset's own size and batch are taken.
    """
    training = Training.of(plan.config(split=1), plan.usual_points, plan)
    config, shapes = training.config, training.shapes
    shape_model = build_shape_model(shapes.mean(0), shapes, config).to(plan.device)
    state = start_run(shape_model, config, device=plan.device)
    with BatchSource(training.images, None, shape_model, config=config) as source:

        def go_on(iterations: int) -> None:
            for _ in range(iterations):
                iterate(state, source.batch(state.progress.iteration), progress=0.5)
                state.progress.iteration += 1
            synchronize(plan.device)

        go_on(1 if plan.quick else _WARM_UP * training.cycle)
        count = 1 if plan.quick else _CYCLES * training.cycle
        with torch.profiler.profile() as profiler:
            began = time.perf_counter()
            go_on(count)
            wall = time.perf_counter() - began
    on_device = plan.device.type == "cuda"
    # What isn't the CPU's are the kernels themselves, whose time the operations that started them have already.
    events = [event for event in profiler.key_averages() if event.device_type.name == "CPU"]
    operations = [_operation(event, count, on_device) for event in events]
    spent = sorted((one for one in operations if one.seconds > 0), key=lambda one: -one.seconds)
    return Profile(wall / count, spent)


def _operation(event: Any, iterations: int, on_device: bool) -> Operation:
    microseconds = event.self_device_time_total if on_device else event.self_cpu_time_total
    return Operation(event.key, _kind(event.key), event.count / iterations, 1e-6 * microseconds / iterations)


def _kind(name: str) -> str:
    lower = name.lower()
    return next((kind for kind, parts in _KINDS if any(part in lower for part in parts)), "element by element, and the rest")
