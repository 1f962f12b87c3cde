"""Background work: one thread per subject, which works on the newest state only."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger("brule.web")


class Latest:
    """Runs a function in a background thread on request. Requests that arrive while it runs are merged into one further run.

    Args:
        work: is given nothing and returns nothing.
        name: of the thread.
        pause: seconds to wait before each run, in which further requests are taken together.
    """

    def __init__(self, work: Callable[[], object], *, name: str, pause: float = 0.2) -> None:
        self._work, self._name, self._pause = work, name, pause
        self._asked = threading.Event()
        self._ending = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def ask(self) -> None:
        """Have the function run soon."""
        with self._guard:
            if self._ending.is_set():
                return
            self._idle.clear()
            self._asked.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    @property
    def ending(self) -> bool:
        """Whether a long run had better stop."""
        return self._ending.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is to be done; returns whether that is so."""
        return self._idle.wait(seconds)

    def end(self) -> None:
        """Begin nothing more."""
        with self._guard:
            self._ending.set()
            self._asked.set()

    def close(self, wait: float = 5.0) -> None:
        """Begin nothing more, and wait for the current run: a thread that is inside a library when Python exits may crash it.

        Args:
            wait: seconds, at most.
        """
        self.end()
        if self._thread is not None:
            self._thread.join(wait)

    def _run(self) -> None:
        while True:
            self._asked.wait()
            if self._ending.wait(self._pause):
                return
            self._asked.clear()
            started = time.monotonic()
            try:
                self._work()
            except Exception:  # the page goes on without it
                _log.exception("%s failed after %.1f s", self._name, time.monotonic() - started)
            with self._guard:
                if not self._asked.is_set():
                    self._idle.set()
