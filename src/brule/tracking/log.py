"""The log of a run: a JSONL file, callbacks, progress."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from brule.errors import ConfigError
from brule.files import parse_json, wrap_oserror, write_text
from brule.tracking.callbacks import Callback, Report, TensorBoard
from brule.tracking.progress import display_for
from brule.tracking.run_files import LOG
from brule.tracking.term_labels import TERM_LABELS, term_label


class RunLog:
    """Collects the terms of every iteration, averages them, writes them out, and hands them to callbacks.

    Args:
        directory: of the run; ``None`` writes nothing.
        every: iterations between lines.
        start: the iteration to continue from; later lines of an older attempt are dropped.
        pending: terms of the iterations before it that no line has averaged yet.
        callbacks: are called after every iteration; TensorBoard joins them where it is installed and there is a directory.
        quiet: no progress bar.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        every: int,
        start: int = 0,
        pending: Mapping[str, list[float]] | None = None,
        callbacks: Sequence[Callback] = (),
        quiet: bool = False,
    ) -> None:
        from rich.console import Console

        self._every, self._start, self._quiet = every, start, quiet
        self._explained: set[str] = set()
        self._sums: dict[str, list[float]] = defaultdict(list)
        for name, values in (pending or {}).items():
            self._sums[name] += values
        self._file = None
        self._callbacks = list(callbacks)
        if directory is not None:
            path = directory / LOG
            _drop_after(path, start)
            with wrap_oserror(path):
                self._file = path.open("a", encoding="utf-8")
            board = _tensorboard(directory)
            self._callbacks += [] if board is None else [board]
        self._console = Console(stderr=True)
        self._display = display_for(self._console, quiet=quiet)

    @property
    def pending(self) -> dict[str, list[float]]:
        """The terms that the next line is to average."""
        return {name: list(values) for name, values in self._sums.items()}

    def __enter__(self) -> RunLog:
        self._display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with ExitStack() as ending:  # what fails keeps nothing else from ending; its error is raised then
            for one in reversed(self._callbacks):
                ending.callback(one.on_end)
            if self._file:
                ending.callback(self._file.close)
            ending.callback(self._display.stop)

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Notify the callbacks that training begins, with its settings by their dotted names."""
        for one in self._callbacks:
            one.on_start(settings, self._start)

    def add(self, iteration: int, progress: float, terms: dict[str, float], **extra: float) -> bool:
        """Take the terms of an iteration; write a line when enough have come.

        Args:
            iteration: counted from one.
            progress: share of the run that is done, 0 … 1.
            terms: named losses.
            extra: further figures that are written as they are (seconds, learning rate).

        Returns:
            Whether a callback wants the run to end.
        """
        for name, value in terms.items():
            self._sums[name].append(value)
        means: dict[str, float] = {}
        if not iteration % self._every or progress >= 1:
            means = {name: sum(values) / len(values) for name, values in self._sums.items()}
            self._sums.clear()
            self._write(iteration, {**means, **extra})
            shown = {name: value for name, value in means.items() if name != "gradient"}
            self._explain(shown)
            self._display.show(iteration, progress, "  ".join(f"{name} {value:.3g}" for name, value in shown.items()))
        report = Report(iteration, progress, terms, means, extra)
        wishes = [one.on_iteration(report) for one in self._callbacks]
        return any(wish is True for wish in wishes)

    def measured(self, iteration: int, figures: Mapping[str, float], *, seconds: float) -> None:
        """Write a line of figures that were measured at an iteration.

        Args:
            iteration: counted from one.
            figures: by name.
            seconds: of training by then.
        """
        self._write(iteration, {**figures, "seconds": seconds})
        for one in self._callbacks:
            one.on_measurement(iteration, figures)
        self.say(f"iteration {iteration}  " + "  ".join(f"{name} {value:.2f} %" for name, value in figures.items()))

    def picture(self, iteration: int, path: Path) -> None:
        """Hand a preview, a picture in a file, to the callbacks."""
        for one in self._callbacks:
            one.on_preview(iteration, path)

    def say(self, message: str) -> None:
        """Print a line above the progress bar."""
        if not self._quiet:
            self._console.print(message, highlight=False, soft_wrap=True)

    def _explain(self, names: Iterable[str]) -> None:
        """Say once what the short names of the progress bar mean."""
        new = [name for name in names if name in TERM_LABELS and name not in self._explained]
        self._explained.update(new)
        if new:
            self.say("terms of the loss, lower is better: " + ", ".join(term_label(name) for name in new))

    def _write(self, iteration: int, figures: dict[str, float]) -> None:
        if self._file:
            with wrap_oserror(Path(self._file.name)):
                self._file.write(json.dumps({"iteration": iteration, **figures}) + "\n")
                self._file.flush()


def _drop_after(path: Path, iteration: int) -> None:
    """Forget the lines that a resumed run is going to write again, and a last line that was cut short."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            wanted = parse_json(line)["iteration"] <= iteration
        except (ValueError, TypeError, KeyError):  # no line that a run wrote
            continue
        if wanted:
            kept.append(line + "\n")
    write_text(path, "".join(kept))


def _tensorboard(directory: Path) -> Callback | None:
    try:
        return TensorBoard(directory / "tensorboard")
    except ConfigError:  # not installed
        return None
