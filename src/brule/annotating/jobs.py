"""Commands that run by themselves: started by the page, they survive the page and its server, and can be stopped.

A command holds a lock as long as it runs, whoever started it. So a server that was restarted knows that it runs, and never
mistakes another process for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from brule.errors import ConfigError
from brule.files import json_object, make_folder, write_text

_TAIL = 4000  # bytes of the log that are looked at for what went wrong
_PREFIX = "brule: "


class Job:
    """One command at a time.

    Args:
        folder: where its state is kept.
        name: of the files there.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._file, self._lock, self._log = (folder / f"{name}.{suffix}" for suffix in ("json", "lock", "log"))
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()

    @property
    def facts(self) -> dict[str, Any]:
        """What was recorded when it was started; empty if it never was."""
        return json_object(self._file)

    @property
    def running(self) -> bool:
        """Whether the command runs."""
        with self._guard:
            return self._runs()

    def start(self, words: Sequence[str], **facts: Any) -> None:
        """Start ``brule`` with some words.

        Args:
            words: what follows ``brule``.
            facts: to be recorded.

        Raises:
            ConfigError: it is already running.
            OutputError: nothing can be written.
        """
        with self._guard:
            make_folder(self._file.parent)
            with self._lock.open("ab") as lock:
                if self._runs() or not _hold(lock):  # first: what is noted of a command that runs stays
                    raise ConfigError("training or prediction is already running")
                write_text(self._file, json.dumps({**facts, "command": ["brule", *words], "stopping": False}) + "\n")
                with self._log.open("wb") as log:
                    self._process = _started([sys.executable, "-m", "brule", *words], lock, log)
            write_text(self._file, json.dumps({**self.facts, "pid": self._process.pid}) + "\n")

    def stop(self) -> None:
        """Ask it to end: training then writes a checkpoint first, as after Ctrl-C."""
        with self._guard:
            if not self._runs():
                return
            facts = self.facts
            write_text(self._file, json.dumps({**facts, "stopping": True}) + "\n")
            pid = facts.get("pid")
            if isinstance(pid, int):
                # Not SIGINT: a page that was started in the background of a shell hands down that it is ignored.
                with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                    os.kill(pid, getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))

    def wait(self, seconds: float) -> None:
        """Wait for its end, if this process started it."""
        if self._process is not None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                return

    def problem(self) -> str | None:
        """Its error message before it failed; None if there is none."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, self._log.stat().st_size - _TAIL))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return None
        starts = [k for k, line in enumerate(lines) if line.startswith(_PREFIX)]
        if not starts:
            return None
        text = " ".join(lines[starts[-1] :])[len(_PREFIX) :].strip()
        return None if text == "stopped" else text

    def _runs(self) -> bool:
        if self._process is not None:
            if self._process.poll() is None:
                return True
            self._process = None
        if not self._lock.exists() or sys.platform == "win32":
            return False
        with self._lock.open("ab") as lock:
            return not _hold(lock)


def _hold(lock: IO[bytes]) -> bool:
    """Take a lock, released when the last process that has this file open closes it. Returns whether it was free."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _started(command: list[str], lock: IO[bytes], log: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    more: dict[str, Any] = {"start_new_session": True, "pass_fds": (lock.fileno(),)}
    if sys.platform == "win32":
        more = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, **more)
