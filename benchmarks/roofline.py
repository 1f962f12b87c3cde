"""The roofline: how long the machine must take for the operations and bytes of a piece of work, against how long it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.timing import Run, time_call


@dataclass(frozen=True)
class Peaks:
    """What a machine reaches at its best.

    Attributes:
        float32: operations a second in the product of two large matrices.
        bfloat16: likewise.
        bandwidth: bytes a second, read and written, in the copy of a large tensor.
    """

    float32: float
    bfloat16: float
    bandwidth: float


@dataclass(frozen=True)
class Counts:
    """What a piece of work asks for.

    Attributes:
        flops: operations of matrix products and convolutions, as :mod:`torch.utils.flop_counter` counts them.
        bytes: of all inputs and outputs of all of PyTorch's operations: what moves where nothing is fused or stays in a cache.
    """

    flops: int
    bytes: int


@dataclass(frozen=True)
class Roofline:
    """A piece of work beside the machine's peaks.

    Attributes:
        share: of the nearer peak that was reached; more than one where caches spare the memory.
        bound: which one that is, ``operations`` or ``bytes``.
    """

    share: float
    bound: str


def measure_peaks(device: torch.device, *, quick: bool = False) -> Peaks:
    """Measure a machine's peaks; takes seconds.

    Args:
        device: where.
        quick: with small matrices: for trying things out, not for figures.
    """
    large = device.type != "cpu"
    side = 256 if quick else (8192 if large else 2048)
    length = 2**20 if quick else (2**30 if large else 2**27)
    rates = [_product_rate(side, dtype, device) for dtype in (torch.float32, torch.bfloat16)]
    source = torch.ones(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copying = time_call(lambda: target.copy_(source), device, repeats=10, seconds=2.0)
    return Peaks(rates[0], rates[1], 2 * length / copying.median)


def _product_rate(side: int, dtype: torch.dtype, device: torch.device) -> float:
    a = torch.ones(side, side, dtype=dtype, device=device)
    return 2 * side**3 / time_call(lambda: a @ a, device, repeats=10, seconds=4.0).median


def count(run: Run) -> Counts:
    """Run once and count; what other threads and NumPy do isn't counted."""
    with _Counter() as counter:
        run()
    return Counts(counter.flops, counter.bytes)


def roofline(counts: Counts, seconds: float, peaks: Peaks, *, precision: str) -> Roofline | None:
    """The share of the nearer peak that was reached; ``None`` where PyTorch had nothing to do."""
    computing = counts.flops / (peaks.bfloat16 if precision == "bfloat16" else peaks.float32)
    moving = counts.bytes / peaks.bandwidth
    if not max(computing, moving):
        return None
    return Roofline(max(computing, moving) / seconds, "operations" if computing > moving else "bytes")


class _Counter(TorchDispatchMode):
    """Adds up operations, and the bytes in and out of everything that isn't just another view of its input.

    PyTorch's own ``FlopCounterMode`` follows modules with hooks that refuse ``autograd.grad``, and with it the penalty.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        given, made = _tensors((args, kwargs)), _tensors(out)
        old = {tensor.untyped_storage()._cdata for tensor in given}
        new = [tensor for tensor in made if tensor.untyped_storage()._cdata not in old]
        if new or func._schema.is_mutable:
            written = new or made
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in [*given, *written])
        if func._overloadpacket in flop_registry:
            self.flops += int(flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out))
        return out


def _tensors(values: Any) -> list[Tensor]:
    leaves: Iterable[Any] = tree_leaves(values)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]
