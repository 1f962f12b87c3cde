"""What a run is busy with outside its iterations, for those who follow it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from brule.errors import OutputError
from brule.files import write_text
from brule.tracking.run_files import STAGE


@contextmanager
def run_stage(name: str, run: Path | None, *, say: Callable[[str], object] | None = None) -> Iterator[None]:
    """Show a stage before or after the iterations that takes a while.

    While it lasts, the run's folder has a file ``stage.json``, ``{"stage": name, "since": seconds}``, since the epoch. A run
    that is killed leaves it there, so it counts only while the run is at work. Where it can't be written, the run continues.

    Args:
        name: what is being done, for users: "learning the last correction of the landmarks".
        run: the folder of the run; ``None`` writes nothing.
        say: takes a line about it, for a terminal.
    """
    if say is not None:
        say(f"{name} …")
    file = None if run is None or not run.is_dir() else run / STAGE  # a folder that was removed isn't made again
    if file is not None:
        with contextlib.suppress(OutputError):
            write_text(file, json.dumps({"stage": name, "since": round(time.time(), 1)}) + "\n")
    try:
        yield
    finally:
        if file is not None:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
