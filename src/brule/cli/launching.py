"""``--devices``, ``--nodes``: run the same command once per device, through PyTorch's elastic launcher (``torchrun``)."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brule.cli.output import LAUNCHED, is_distributed, note
from brule.errors import ConfigError
from brule.threads import usable_cores

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

COMMAND: ContextVar[Sequence[str]] = ContextVar("COMMAND", default=())  # the words after `brule`

_DEFAULT_PORT = 29500  # torchrun's
_SHUTDOWN_SECONDS = "120"  # for the processes to save a checkpoint after Ctrl-C
_LOG_LINES = 15  # quoted from the output of a process that failed without a message


@dataclass(frozen=True)
class LaunchPlan:
    """The processes of one training run.

    Attributes:
        devices: processes per machine.
        nodes: machines.
        node_rank: index of this machine.
        host: address of machine 0, as the others see it.
        port: a free port of machine 0; not used with one machine.
        cpu: compute on the CPU.
    """

    devices: int
    nodes: int = 1
    node_rank: int = 0
    host: str = "127.0.0.1"
    port: int = _DEFAULT_PORT
    cpu: bool = False

    def environment(self) -> dict[str, str]:
        """The variables that the processes get beside those of the launcher; what is set already stays."""
        on_cpu = {"ACCELERATE_USE_CPU": "true"} if self.cpu else {}
        threads = {"OMP_NUM_THREADS": str(max(1, usable_cores() // self.devices))}
        shutdown = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": _SHUTDOWN_SECONDS}
        return threads | shutdown | {name: os.environ[name] for name in (*threads, *shutdown) if name in os.environ} | on_cpu


def launch(plan: LaunchPlan, command: Sequence[str]) -> int:
    """Run a command in every process of this machine and wait for all of them.

    Args:
        plan: how many processes, and where they meet.
        command: arguments of the Python interpreter, such as ``-m brule train …``.

    Returns:
        0; the exit code of the process that failed; or 128 + n if signal n (Ctrl-C: 2) ended all of them.

    Raises:
        ConfigError: the machines can't reach each other.
    """
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import elastic_launch

    if plan.nodes > 1:
        note(_position(plan))
    _silence_launcher()
    os.environ.update(plan.environment())
    with tempfile.TemporaryDirectory(prefix="brule-") as folder:
        try:
            elastic_launch(_launch_config(plan, folder), sys.executable)(*command)
        except ChildFailedError as error:
            return _report_failure(error.failures, Path(folder))
        except SignalException as error:
            return 128 + int(error.sigval)
        except (RendezvousError, DistError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError(f"--nodes: the machines can't reach each other ({reason}); see docs/cluster.md") from None
    return 0


def launch_plan(
    devices: int | None, *, nodes: int | None, node_rank: int | None, main_address: str | None, device: str | None
) -> LaunchPlan | None:
    """The processes to start; ``None`` if this process does the work itself, alone or as one that was launched.

    Args:
        devices: processes on this machine; by default one, or with several machines one per GPU.
        nodes: machines, by default one.
        node_rank: index of this machine; by default the variable ``NODE_RANK``.
        main_address: ``HOST:PORT`` of machine 0; by default ``MASTER_ADDR`` and ``MASTER_PORT``.
        device: the value of ``--device``.

    Raises:
        ConfigError: the options contradict each other, or this machine lacks the devices.
    """
    for name, value in (("--devices", devices), ("--nodes", nodes)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}: expected at least 1, got {value}")
    if is_distributed():
        started = int(os.environ["WORLD_SIZE"])
        if devices is not None and devices * (nodes or 1) != started:
            raise ConfigError(f"--devices {devices}: {started} processes were started already; leave --devices out")
        return None
    if (devices or 1) == (nodes or 1) == 1:
        return None
    if importlib.util.find_spec("accelerate") is None:
        raise ConfigError("--devices, --nodes: several processes need accelerate: pip install 'brule-landmarks[devices]'")
    cpu, count = _local_devices(device, devices)
    if (nodes or 1) == 1:
        return None if count == 1 else LaunchPlan(count, cpu=cpu)
    host, port = _address(main_address)
    return LaunchPlan(
        devices=count, nodes=nodes or 1, node_rank=_node_rank(node_rank, nodes or 1), host=host, port=port, cpu=cpu
    )


def _silence_launcher() -> None:
    """Keep PyTorch's own words about signals and failures off the terminal: each of its modules has a logger and a level."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed."):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _launch_config(plan: LaunchPlan, folder: str) -> Any:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.launcher.api import LaunchConfig

    hidden = range(1 if plan.node_rank == 0 else 0, plan.devices)  # process 0 alone writes to the terminal
    alone = plan.nodes == 1
    options: dict[str, Any] = {}
    if "signals_to_handle" in {one.name for one in fields(LaunchConfig)}:  # newer than PyTorch 2.6
        wanted = [name for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
        handled = (name for name in wanted if signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN)  # nohup
        options["signals_to_handle"] = ",".join(handled)
    return LaunchConfig(
        min_nodes=plan.nodes,
        max_nodes=plan.nodes,
        nproc_per_node=plan.devices,
        run_id=f"{LAUNCHED}-{plan.port}" if plan.nodes > 1 else f"{LAUNCHED}-{os.getpid()}",
        rdzv_backend="c10d" if alone else "static",
        rdzv_endpoint="127.0.0.1:0" if alone else f"{plan.host}:{plan.port}",
        rdzv_configs={} if alone else {"rank": plan.node_rank},
        local_addr="127.0.0.1" if alone else None,
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=folder, redirects=dict.fromkeys(hidden, Std.ALL)),
        **options,
    )


def _position(plan: LaunchPlan) -> str:
    total = plan.devices * plan.nodes
    text = f"machine {plan.node_rank} of 0 … {plan.nodes - 1}: {plan.devices} of {total} processes"
    return text if plan.node_rank == 0 else f"{text}; machine 0, {plan.host}, shows the progress"


def _report_failure(failures: Mapping[int, ProcessFailure], folder: Path) -> int:
    """Print once why the processes ended; returns the exit code."""
    rank, failure = min(failures.items(), key=_likely_cause)
    if message := _written(failure).get("message"):
        print(f"brule: {message}" if rank == 0 else f"brule: process {rank}: {message}", file=sys.stderr)
    elif rank != 0 or failure.exitcode < 0:  # process 0 has printed its own traceback
        print(f"brule: process {rank} {_how_it_ended(failure.exitcode)}", file=sys.stderr)
        for log in folder.rglob(f"{failure.local_rank}/stderr.log"):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
            print("\n".join(f"  {line}" for line in lines), file=sys.stderr)
    # A process that has reported its failure may be ended before it exits; another one's code then says the same.
    codes = [code for code in (failure.exitcode, *(one.exitcode for one in failures.values())) if code > 0]
    return codes[0] if codes else 1


def _likely_cause(item: tuple[int, ProcessFailure]) -> tuple[int, int]:
    """Sort key: own messages, then sudden ends, then processes that lost another one, then those that were stopped for it."""
    rank, failure = item
    written = _written(failure)
    if written:
        return 2 if written.get("lost") else 0, rank
    return 3 if failure.exitcode == -signal.SIGTERM else 1, rank


def _written(failure: ProcessFailure) -> dict[str, Any]:
    """What :func:`brule.cli.output.print_error` wrote in a process; empty if nothing."""
    return failure.error_file_data if Path(failure.error_file).is_file() else {}


def _how_it_ended(code: int) -> str:
    return f"was ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with code {code}"


def _local_devices(device: str | None, devices: int | None) -> tuple[bool, int]:
    """Whether to compute on the CPU, and the number of processes on this machine."""
    import torch

    from brule.cli.options import checked_device

    if device not in (None, "auto", "cpu", "cuda"):
        raise ConfigError(
            f"--device {device}: several processes take cpu or cuda; choose among the GPUs with CUDA_VISIBLE_DEVICES"
        )
    if device == "cuda" and not torch.cuda.is_available():
        checked_device(device)
    cpu, gpus = device == "cpu" or not torch.cuda.is_available(), torch.cuda.device_count()
    if not cpu and devices is not None and devices > gpus:
        raise ConfigError(f"--devices {devices}: this machine has {gpus} GPU{'s' if gpus > 1 else ''} for brule")
    return cpu, devices or (1 if cpu else gpus)


def _address(given: str | None) -> tuple[str, int]:
    fallback = os.environ.get("MASTER_ADDR", "")
    host, _, port = given.rpartition(":") if given and ":" in given else (given or fallback, "", "")
    port = port or ("" if given else os.environ.get("MASTER_PORT", "")) or str(_DEFAULT_PORT)
    if not host or not port.isdigit():
        raise ConfigError(
            f"--main-address: expected HOST:PORT of the machine with --node-rank 0, such as a:{_DEFAULT_PORT}, "
            f"got {given or 'none'}; give the same on every machine"
        )
    return host, int(port)


def _node_rank(given: int | None, nodes: int) -> int:
    variable = os.environ.get("NODE_RANK", "")
    rank = given if given is not None else int(variable) if variable.isdigit() else None
    if rank is None or not 0 <= rank < nodes:
        raise ConfigError(f"--node-rank: expected which of the {nodes} machines this is, 0 to {nodes - 1}, got {rank}")
    return rank
