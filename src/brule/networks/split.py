"""The encoder on several parts of a batch at once, each part in a thread of its own.

On a CPU the maps of a small network are too small for two cores to share a convolution well. A part of the batch for each core
keeps both busy, and within a process that needs neither copies of the weights nor messages.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property

import torch
from torch import Tensor

from brule.networks.landmark_encoder import EncoderOutput, LandmarkEncoder

_Tensors = tuple[Tensor, ...]


@contextmanager
def split_batches(*encoders: LandmarkEncoder, parts: int, threads: int = 0) -> Iterator[None]:
    """Inside this context, these encoders process a batch in parts, in parallel.

    The gradient is that of the whole batch, summed in a fixed order. Batch norm has each part's own statistics, as it has on
    several devices, and its running ones become the mean over the parts: so ``parts`` changes what is learnt, but the number
    of threads doesn't. Inside the context no other thread may use these encoders.

    Args:
        encoders: they keep their weights; the gradient goes to these and not to the images.
        parts: of a batch, which differ by one image at most; 1 changes nothing, nor do batches of fewer than two images each.
        threads: CPU threads that the parts share; 0 = as many as PyTorch has.
    """
    if parts == 1:
        yield
        return
    before = torch.get_num_threads()
    threads = threads or before
    workers = min(parts, threads)
    with ExitStack() as stack:
        torch.set_num_threads(1)  # what is left to this thread is small: waking others costs more than they bring
        stack.callback(torch.set_num_threads, before)
        pool = stack.enter_context(
            ThreadPoolExecutor(workers, "brule-part", initializer=torch.set_num_threads, initargs=(threads // workers,))
        )
        for encoder in encoders:
            encoder.forward = _SideBySide(encoder, pool, parts)  # type: ignore[method-assign]
            stack.callback(delattr, encoder, "forward")
        yield


class _SideBySide:
    """The replacement of an encoder's ``forward``."""

    def __init__(self, encoder: LandmarkEncoder, pool: ThreadPoolExecutor, parts: int) -> None:
        self.encoder, self.parts, self._pool = encoder, parts, pool
        self.weights = list(encoder.parameters())

    def __call__(self, images: Tensor) -> EncoderOutput:
        if len(images) < 2 * self.parts:
            return LandmarkEncoder.forward(self.encoder, images)
        # Interleaved, since a batch may hold images of one kind after those of another.
        pieces = [images.detach()[first :: self.parts] for first in range(self.parts)]
        if not self.encoder.training:
            return self._output([self.encoder] * self.parts, pieces)
        first, *others = self._running
        for own in others:
            torch._foreach_copy_(own, first)
        output = self._output(self._networks, pieces)
        for own in others:
            torch._foreach_add_(first, own)
        torch._foreach_div_(first, self.parts)
        return output

    def _output(self, networks: list[LandmarkEncoder], pieces: list[Tensor]) -> EncoderOutput:
        if torch.is_grad_enabled():
            outputs: _Tensors = _Split.apply(self, networks, pieces, *self.weights)
        else:  # a Function doesn't know that, and would keep graphs that nobody walks back through
            outputs = _joined(self.run(networks, pieces, learns=False))
        return EncoderOutput(outputs[:-1], outputs[-1])

    def run(self, networks: list[LandmarkEncoder], pieces: list[Tensor], *, learns: bool) -> list[_Tensors]:
        """The stages' landmarks and the spread of every part, with a graph each if it learns."""

        def one(network: LandmarkEncoder, piece: Tensor) -> _Tensors:
            with torch.set_grad_enabled(learns):
                output = LandmarkEncoder.forward(network, piece)
                return *output.stages, output.spread

        return self.map(one, networks, pieces)

    @cached_property
    def _networks(self) -> list[LandmarkEncoder]:
        """The encoder, and one with the same weights and statistics of its own for every other part."""
        kept = {id(weight): weight for weight in self.weights} | {id(self): None}
        others = [copy.deepcopy(self.encoder, dict(kept)) for _ in range(self.parts - 1)]
        for other in others:
            del other.forward
        return [self.encoder, *others]

    @cached_property
    def _running(self) -> list[list[Tensor]]:
        """The running statistics of each. ``.data``, because the graphs hold on to them but don't need them as they were."""
        return [[one.data for one in own.buffers() if one.is_floating_point()] for own in self._networks]

    def map(self, function: Callable[..., _Tensors], *columns: Sequence[object]) -> list[_Tensors]:
        """``function`` of the parts, each in its own thread, in the precision of the thread that calls."""
        device = self.weights[0].device.type
        dtype, enabled = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)

        def call(*arguments: object) -> _Tensors:
            # Its cache of weights is the process's, and would tie the graphs of the parts together.
            with torch.autocast(device, dtype, enabled, cache_enabled=False):
                return function(*arguments)

        return list(self._pool.map(call, *columns))


class _Split(torch.autograd.Function):
    """One graph a part, through which the gradients go back side by side."""

    @staticmethod
    def forward(ctx, split, networks, pieces, *weights):  # type: ignore[no-untyped-def]
        ctx.split, ctx.outputs = split, split.run(networks, pieces, learns=True)
        joined = _joined(ctx.outputs)
        ctx.mark_non_differentiable(joined[-1])
        return joined

    @staticmethod
    def backward(ctx, *gradients: Tensor):  # type: ignore[no-untyped-def]
        split, outputs, ctx.outputs = ctx.split, ctx.outputs, None  # the graphs go as soon as they have served
        pieces = [tuple(gradient[first :: split.parts] for gradient in gradients[:-1]) for first in range(split.parts)]

        def walk(of: _Tensors, gradient: _Tensors) -> _Tensors:
            return torch.autograd.grad(of[:-1], split.weights, gradient)

        first, *others = split.map(walk, outputs, pieces)
        total = list(first)
        for other in others:
            torch._foreach_add_(total, other)
        return None, None, None, *total


def _joined(outputs: Sequence[_Tensors]) -> _Tensors:
    """The tensors of all parts as those of the whole batch, without gradient."""
    return tuple(_interleaved(parts) for parts in zip(*outputs, strict=True))


def _interleaved(parts: Sequence[Tensor]) -> Tensor:
    """The whole whose rows ``k``, ``k + K``, … are the ``k``-th of ``K`` parts, without gradient."""
    whole = parts[0].new_empty(sum(map(len, parts)), *parts[0].shape[1:])
    for first, part in enumerate(parts):
        whole[first :: len(parts)] = part.detach()
    return whole
