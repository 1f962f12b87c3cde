"""The log of a run: a JSONL file always, TensorBoard where it is installed, a progress bar on a terminal."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from brule.files import wrap_oserror, write_text


class RunLog:
    """Collects the terms of every iteration, averages them, and writes them out.

    Args:
        directory: of the run; ``None`` writes nothing.
        every: iterations between lines.
        start: the iteration to go on from; later lines of an older attempt are dropped.
        pending: terms of the iterations before it that no line has averaged yet.
        quiet: no progress bar.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        every: int,
        start: int = 0,
        pending: Mapping[str, list[float]] | None = None,
        quiet: bool = False,
    ) -> None:
        self._every, self._quiet = every, quiet
        self._sums: dict[str, list[float]] = defaultdict(list)
        for name, values in (pending or {}).items():
            self._sums[name] += values
        self._file = None
        self._board = None
        if directory is not None:
            path = directory / "metrics.jsonl"
            _drop_after(path, start)
            with wrap_oserror(path):
                self._file = path.open("a", encoding="utf-8")
            self._board = _tensorboard(directory)
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("[bold]training"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[terms]}"),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._plain = not quiet and not console.is_terminal
        self._console = console
        self._task = self._bar.add_task("training", total=1.0, terms="")
        self._last_plain = time.monotonic()

    @property
    def pending(self) -> dict[str, list[float]]:
        """The terms that the next line is to average."""
        return {name: list(values) for name, values in self._sums.items()}

    def __enter__(self) -> RunLog:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()
        if self._file:
            self._file.close()
        if self._board:
            self._board.close()

    def add(self, iteration: int, progress: float, terms: dict[str, float], **extra: float) -> None:
        """Take the terms of an iteration; write a line when enough have come.

        Args:
            iteration: counted from one.
            progress: share of the run that is done, 0 … 1.
            terms: named losses.
            extra: further figures that are written as they are (seconds, learning rate).
        """
        for name, value in terms.items():
            self._sums[name].append(value)
        if iteration % self._every and progress < 1:
            return
        means = {name: sum(values) / len(values) for name, values in self._sums.items()}
        self._sums.clear()
        if self._file:
            with wrap_oserror(Path(self._file.name)):
                self._file.write(json.dumps({"iteration": iteration, **means, **extra}) + "\n")
                self._file.flush()
        if self._board:
            for name, value in {**means, **extra}.items():
                self._board.add_scalar(name, value, iteration)
        self._show(iteration, progress, means)

    def measured(self, iteration: int, figures: Mapping[str, float], *, seconds: float) -> None:
        """Write a line of figures that were measured at an iteration.

        Args:
            iteration: counted from one.
            figures: by name.
            seconds: of training by then.
        """
        if self._file:
            with wrap_oserror(Path(self._file.name)):
                self._file.write(json.dumps({"iteration": iteration, **figures, "seconds": seconds}) + "\n")
                self._file.flush()
        if self._board:
            for name, value in figures.items():
                self._board.add_scalar(name, value, iteration)
        self.say(f"iteration {iteration}  " + "  ".join(f"{name} {value:.2f} %" for name, value in figures.items()))

    def picture(self, iteration: int, path: Path) -> None:
        """Show a preview, a picture in a file, on TensorBoard."""
        if self._board:
            import numpy as np
            from PIL import Image

            with Image.open(path) as image:
                self._board.add_image("preview", np.asarray(image), iteration, dataformats="HWC")

    def say(self, message: str) -> None:
        """Print a line above the progress bar."""
        if not self._quiet:
            self._bar.console.print(message, highlight=False, soft_wrap=True)

    def _show(self, iteration: int, progress: float, means: dict[str, float]) -> None:
        terms = "  ".join(f"{name} {value:.3g}" for name, value in means.items() if name != "gradient")
        self._bar.update(self._task, completed=min(progress, 1.0), terms=terms)
        now = time.monotonic()
        if self._plain and (now - self._last_plain > _PLAIN_SECONDS or progress >= 1):
            self._last_plain = now
            self._console.print(f"iteration {iteration}  {100 * progress:.0f} %  {terms}", highlight=False, soft_wrap=True)


_PLAIN_SECONDS = 30  # between lines where there is no terminal to draw a bar on


def _drop_after(path: Path, iteration: int) -> None:
    """Forget the lines that a resumed run is going to write again, and a last line that was cut short."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            wanted = json.loads(line)["iteration"] <= iteration
        except (ValueError, TypeError, KeyError, RecursionError):  # no line that a run wrote
            continue
        if wanted:
            kept.append(line + "\n")
    write_text(path, "".join(kept))


def _tensorboard(directory: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(directory / "tensorboard"))
