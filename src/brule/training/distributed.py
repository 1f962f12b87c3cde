"""Several processes that train one model together: what each of them sees, and what they agree on.

Devices, process groups and collective operations are those of ``accelerate``; a single process needs none of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from brule.errors import ConfigError, ProcessLostError
from brule.networks.sync_norm import SynchronizedBatchNorm

if TYPE_CHECKING:
    from brule.training.config import TrainingConfig

_PATIENCE = timedelta(hours=2)  # of a process for the others: one of a machine decodes the images of all of them
_BROKEN = ("gloo", "nccl", "socket", "connection", "store", "timed out")  # in what PyTorch says when another process is gone

Rows = TypeVar("Rows", bound=Any)


@dataclass(frozen=True)
class Distributed:
    """The processes that train one model, each on its share of every batch.

    What an iteration needs is drawn for the whole batch, from (seed, iteration); process ``r`` of ``R`` has the rows ``r``,
    ``r + R``, …. So nothing depends on how many there are: the first rows of all shares are the first rows of the batch, and
    the groups of the minibatch statistics are the same ones.

    Attributes:
        rank: index of this process; process 0 writes files and prints.
        count: how many there are.
        device: where this one computes; ``None`` where there is one alone.
    """

    rank: int = 0
    count: int = 1
    device: torch.device | None = None

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def rows(self, batch: Rows) -> Rows:
        """This process's rows of a tensor, an array or warps, ``(R·b, …) → (b, …)``."""
        return batch if self.count == 1 else batch[self.rank :: self.count]

    def draw_for_batch(self, draw: Callable[[int], Rows], rows: int) -> Rows:
        """This process's rows of what is drawn for the whole batch.

        Args:
            draw: from a number of rows to that many random ones.
            rows: of this process, b.
        """
        return self.rows(draw(rows * self.count))

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over the processes.

        It is differentiable: with the mean of all processes' losses as the objective, and gradients averaged, a term of this
        mean counts as it would in one process.
        """
        if self.count == 1:
            return tensor
        from torch.distributed.nn.functional import all_reduce

        return all_reduce(tensor / self.count)

    def average_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Put the mean over the processes into the gradients of an optimizer's parameters.

        They are averaged here, once the step's backward pass has ended, rather than by a wrapper around the networks while
        it runs: the steps call parts of networks, freeze them, and differentiate twice.
        """
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if self.count == 1 or not gradients:
            return
        means = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, mean in zip(gradients, means.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def any(self, wish: bool) -> bool:
        """Whether the value is true in any of them."""
        if self.count == 1:
            return wish
        return bool(self.mean(torch.tensor(float(wish), device=self.device)) > 0)

    def broadcast(self, value: Tensor) -> Tensor:
        """The tensor of process 0."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast

        return broadcast(value.detach().to(self.device).contiguous().clone()).to(value.device)

    def clock(self, seconds: float) -> float:
        """The seconds of process 0: schedules and time limits go by its clock."""
        return seconds if self.count == 1 else float(self.broadcast(torch.tensor(seconds, dtype=torch.float64)))

    @torch.no_grad()
    def share(self, modules: Iterable[nn.Module]) -> None:
        """Give every process the weights and buffers of process 0."""
        if self.count == 1:
            return
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                tensor.copy_(self.broadcast(tensor))

    def expect_same(self, facts: dict[str, Any]) -> None:
        """Compare what should be the same everywhere.

        Raises:
            ConfigError: in every process, naming the first difference.
        """
        if self.count == 1:
            return
        from accelerate.utils import gather_object

        first, *others = gather_object([facts])
        for rank, other in enumerate(others, 1):
            for name, value in first.items():
                if other[name] != value:
                    raise ConfigError(
                        f"training: {name} is {value} for process 0 and {other[name]} for process {rank}; start every process "
                        "with the same command, and the same files under the same paths"
                    )

    def wait(self) -> None:
        """Wait for all processes."""
        if self.count > 1:
            _accelerate_state().wait_for_everyone()

    def local_main_first(self) -> AbstractContextManager[None]:
        """Let one process of each machine go through a block, then the others: they find its files."""
        return nullcontext() if self.count == 1 else _accelerate_state().local_main_process_first()

    @contextmanager
    def explaining_losses(self) -> Iterator[None]:
        """Explain in plain words when another process has gone.

        Raises:
            ProcessLostError: in the place of what PyTorch raises then.
        """
        try:
            yield
        except RuntimeError as error:
            lost = self.count > 1 and not isinstance(error, torch.OutOfMemoryError)
            if not lost or not any(word in str(error).lower() for word in _BROKEN):
                raise
            raise ProcessLostError(
                "training stopped: another process ended, or can't be reached; its own message shows why. "
                "The last checkpoint is intact"
            ) from error


SINGLE = Distributed()


def _accelerate_state() -> Any:
    from accelerate import PartialState

    return PartialState()


def join_distributed(device: torch.device | str) -> Distributed:
    """The processes that this one was started with: by ``brule train --devices``, ``accelerate launch`` or ``torchrun``.

    Args:
        device: ``cpu``, or ``cuda`` for a GPU a process.

    Raises:
        ConfigError: if accelerate is missing, or the processes can't compute there.
    """
    device, count = torch.device(device), _world_size()
    if count == 1:
        return SINGLE
    try:
        from accelerate import PartialState
    except ImportError:
        raise ConfigError("several processes need accelerate: pip install 'brule-landmarks[devices]'") from None
    local = int(os.environ.setdefault("LOCAL_RANK", "0"))
    if device.index is not None:
        raise ConfigError(f"device: {device} for {count} processes; give {device.type}: each process takes a GPU of its own")
    if device.type == "cuda" and local >= torch.cuda.device_count():
        gpus = torch.cuda.device_count()
        raise ConfigError(f"devices: more processes than the {gpus} GPUs of this machine; start one process per GPU")
    try:
        state = PartialState(cpu=device.type == "cpu", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"devices: the {count} processes can't reach each other ({reason}); see docs/cluster.md") from None
    if state.num_processes != count or state.device.type != device.type:
        raise ConfigError(
            f"device: expected {count} processes on {device.type}, found {state.num_processes} on {state.device.type}; start "
            "them with accelerate launch or torchrun, and give the same device"
        )
    return Distributed(state.process_index, count, state.device)


def leave_distributed() -> None:
    """End the process group, if there is one: nothing more is to be done together."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def check_shares(config: TrainingConfig, distributed: Distributed) -> None:
    """See to it that every batch can be shared out evenly.

    Raises:
        ConfigError: naming the setting that can't.
    """
    for key, size in (("batch_size", config.batch_size), ("labelled.batch_size", config.labelled.batch_size)):
        if size % distributed.count:
            raise ConfigError(
                f"{key}={size} can't be shared out evenly among {distributed.count} processes; it counts for all of them "
                "together: make it a multiple of their number"
            )


def synchronize_norms(model: nn.Module, distributed: Distributed) -> None:
    """Let the batch norms of a model see the images of all processes; names and weights stay, so that checkpoints fit."""
    if distributed.count == 1:
        return
    on_gpu = distributed.device is not None and distributed.device.type == "cuda"
    norm = (
        nn.SyncBatchNorm.convert_sync_batchnorm
        if on_gpu
        else partial(SynchronizedBatchNorm, mean=distributed.mean, count=distributed.count)
    )
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, norm(child))


def _world_size() -> int:
    """How many processes there are, by the group that is there or by the variables that a launcher sets."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    count, rank = os.environ.get("WORLD_SIZE", "1"), os.environ.get("RANK")
    return int(count) if rank is not None and count.isdigit() else 1
