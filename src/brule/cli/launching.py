"""``--devices``, ``--nodes``: the same command once for each device, in processes that find each other and end together."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from brule.cli.output import ERROR_FILE, is_member, note
from brule.errors import ConfigError

COMMAND: ContextVar[Sequence[str]] = ContextVar("COMMAND", default=())  # the words after `brule`

_PORT = 29500  # what torchrun takes, too
_GRACE = 10.0  # seconds for the other processes to end by themselves when one has failed
_LINES = 15  # of what a process wrote before it broke down


@dataclass(frozen=True)
class Team:
    """The processes of one training on this machine.

    Attributes:
        devices: processes on this machine, and on every other one.
        nodes: machines.
        node_rank: which of them this is.
        host: where process 0 runs, as the others find it.
        port: likewise.
        cpu: whether they compute on the CPU.
    """

    devices: int
    nodes: int = 1
    node_rank: int = 0
    host: str = "127.0.0.1"
    port: int = _PORT
    cpu: bool = False

    def run(self, words: Sequence[str]) -> int:
        """Run a command in every process and wait for all of them.

        Args:
            words: after ``brule``.

        Returns:
            The exit code: that of process 0, or of the one that failed.
        """
        if self.nodes > 1:
            where = f"machine {self.node_rank} of 0 … {self.nodes - 1}: {self.devices} of {self.devices * self.nodes} processes"
            note(where if self.node_rank == 0 else f"{where}; machine 0, {self.host}, shows how far they are")
        with tempfile.TemporaryDirectory(prefix="brule-") as folder:
            members: list[_Member] = []
            with _signals_to(members):
                for local in range(self.devices):
                    members.append(_Member.start(self, local, words, Path(folder)))
                failed = _wait_for(members)
            for message in _untold(members):
                print(f"brule: {message}", file=sys.stderr)
        return 0 if failed is None else _exit_code(members, failed)

    def environment(self, local: int) -> dict[str, str]:
        """What a process is told, in the variables of ``torchrun``."""
        rank = self.node_rank * self.devices + local
        told = {
            "RANK": rank, "LOCAL_RANK": local, "WORLD_SIZE": self.devices * self.nodes, "LOCAL_WORLD_SIZE": self.devices,
            "MASTER_ADDR": self.host, "MASTER_PORT": self.port,
        }  # fmt: skip
        threads = {"OMP_NUM_THREADS": str(max(1, _cores() // self.devices))}
        on_cpu = {"ACCELERATE_USE_CPU": "true"} if self.cpu else {}
        return {**threads, **os.environ, **on_cpu, **{name: str(value) for name, value in told.items()}}


def team_of(
    devices: int | None, *, nodes: int | None, node_rank: int | None, main_address: str | None, device: str | None
) -> Team | None:
    """The processes to start; ``None`` where this one does the work, alone or as one that was started.

    Args:
        devices: on this machine; by default all GPUs if there are several machines, else one.
        nodes: machines, by default one.
        node_rank: which one this is, by default that of the variable ``NODE_RANK``.
        main_address: ``HOST:PORT`` of process 0, by default that of ``MASTER_ADDR`` and ``MASTER_PORT``.
        device: as ``--device`` names it.

    Raises:
        ConfigError: the options contradict each other, or the machine.
    """
    for name, value in (("--devices", devices), ("--nodes", nodes)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}: expected at least 1, got {value}")
    if is_member():
        started = int(os.environ["WORLD_SIZE"])
        if devices is not None and devices * (nodes or 1) != started:
            raise ConfigError(f"--devices {devices}: {started} processes were started already; leave --devices out")
        return None
    if (devices or 1) == (nodes or 1) == 1:
        return None
    if importlib.util.find_spec("accelerate") is None:
        raise ConfigError("--devices, --nodes: processes train together through accelerate: pip install 'brule[devices]'")
    cpu, count = _here(device, devices)
    if (nodes or 1) == 1:
        return None if count == 1 else Team(count, cpu=cpu, port=_free_port())
    host, port = _address(main_address)
    return Team(count, nodes or 1, _node_rank(node_rank, nodes or 1), host, port, cpu)


def _here(device: str | None, devices: int | None) -> tuple[bool, int]:
    """Whether to compute on the CPU, and in how many processes on this machine."""
    import torch

    from brule.cli.options import checked_device

    if device not in (None, "auto", "cpu", "cuda"):
        raise ConfigError(f"--device {device}: with several processes say cpu or cuda; CUDA_VISIBLE_DEVICES chooses among GPUs")
    if device == "cuda" and not torch.cuda.is_available():
        checked_device(device)
    cpu, gpus = device == "cpu" or not torch.cuda.is_available(), torch.cuda.device_count()
    if not cpu and devices is not None and devices > gpus:
        raise ConfigError(f"--devices {devices}: this machine has {gpus} GPU{'s' if gpus > 1 else ''} for brule")
    return cpu, devices or (1 if cpu else gpus)


def _address(given: str | None) -> tuple[str, int]:
    fallback = os.environ.get("MASTER_ADDR", "")
    host, _, port = given.rpartition(":") if given and ":" in given else (given or fallback, "", "")
    port = port or ("" if given else os.environ.get("MASTER_PORT", "")) or str(_PORT)
    if not host or not port.isdigit():
        raise ConfigError(
            f"--main-address: expected HOST:PORT of the machine with --node-rank 0, such as a:{_PORT}, got {given or 'none'}; "
            "give the same on every machine"
        )
    return host, int(port)


def _node_rank(given: int | None, nodes: int) -> int:
    told = os.environ.get("NODE_RANK", "")
    rank = given if given is not None else int(told) if told.isdigit() else None
    if rank is None or not 0 <= rank < nodes:
        raise ConfigError(f"--node-rank: expected which of the {nodes} machines this is, 0 to {nodes - 1}, got {rank}")
    return rank


@dataclass
class _Member:
    """A process that was started here."""

    rank: int
    shown: bool  # its output is on the terminal
    process: subprocess.Popen[bytes]
    message: Path  # where it writes what went wrong
    output: Path  # the end of everything else that it said
    ended_by_us: bool = False

    @classmethod
    def start(cls, team: Team, local: int, words: Sequence[str], folder: Path) -> _Member:
        environment = team.environment(local)
        rank, message, output = int(environment["RANK"]), folder / f"{local}.error", folder / f"{local}.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "brule", *words],
                env={**environment, ERROR_FILE: str(message)},
                stdout=None if rank == 0 else subprocess.DEVNULL,
                stderr=None if rank == 0 else log,
                start_new_session=True,  # Ctrl-C comes from here alone, once
            )
        return cls(rank, rank == 0, process, message, output)

    @property
    def failed(self) -> bool:
        return bool(self.process.poll())

    def told(self) -> str | None:
        """What it said when it failed; ``None`` if it could say nothing."""
        return self.message.read_text(encoding="utf-8") if self.message.exists() else None

    def last_words(self) -> str:
        code = self.process.returncode
        how = f"was ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with code {code}"
        lines = self.output.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:]
        return "\n".join([f"process {self.rank} {how}", *(f"  {line}" for line in lines)])


def _wait_for(members: list[_Member]) -> _Member | None:
    """Wait until all have ended; when one fails, the others get a while to notice. Returns the first that failed."""
    first: _Member | None = None
    deadline = 0.0
    how = signal.SIGTERM
    while any(member.process.poll() is None for member in members):
        if first is None:
            first = next((member for member in members if member.failed), None)
            deadline = time.monotonic() + _GRACE
        elif time.monotonic() > deadline:
            for member in members:
                if member.process.poll() is None:
                    member.ended_by_us = True
                    member.process.send_signal(how)
            how, deadline = signal.SIGKILL, time.monotonic() + _GRACE
        time.sleep(0.05)
    return first or next((member for member in members if member.failed), None)


def _untold(members: list[_Member]) -> list[str]:
    """What those that failed said and nobody has seen yet."""
    seen = {member.told() for member in members if member.shown}
    messages: list[str] = []
    for member in members:
        told = member.told()
        if not member.failed or member.ended_by_us or told == "" or (told is not None and told in seen):
            continue
        if member.shown and told is None and member.process.returncode > 0:
            continue  # it has written its own traceback
        seen.add(told)
        messages.append(member.last_words() if told is None else f"process {member.rank}: {told}")
    return messages


def _exit_code(members: list[_Member], failed: _Member) -> int:
    shown = next((member for member in members if member.shown and member.failed and not member.ended_by_us), failed)
    return shown.process.returncode if shown.process.returncode > 0 else 1


@contextmanager
def _signals_to(members: list[_Member]) -> Iterator[None]:
    """Hand Ctrl-C and the wish to end on to the processes, and go on waiting for them."""

    def handle(number: int, frame: FrameType | None) -> None:
        for member in members:
            if member.process.poll() is None:
                member.process.send_signal(number)

    wanted = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # with nohup it is ignored
        wanted.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
