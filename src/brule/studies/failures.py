"""Runs of a study that can't be trained: kept in their folders and listed below its table, while the others are made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from brule.data import SampleList
from brule.data.images import check_image
from brule.errors import ConfigError, DataError, ProcessLostError, TrainingError
from brule.files import write_text
from brule.tracking.run_state import RunState

FAILURE = "failure.json"  # in the folder of a run
_T = TypeVar("_T")


@dataclass(frozen=True)
class Failure:
    """Why a run has no score.

    Attributes:
        arm: the arm's name.
        seed: of the run.
        iteration: the last one in its log.
        reason: the error.
    """

    arm: str
    seed: int
    iteration: int
    reason: str

    @property
    def what(self) -> str:
        """In words, without the run."""
        return f"failed after iteration {self.iteration}: {self.reason}" if self.iteration else f"failed: {self.reason}"

    def line(self) -> str:
        """What a study prints when it happens."""
        return f"{self.arm}, seed {self.seed}: {self.what}"


class Results(list[_T]):
    """The results of a study's runs, in order; ``failed`` holds the runs that have none."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: list[Failure] = []

    @contextmanager
    def or_failure(self, folder: Path, arm: str, seed: int, *, say: Callable[[str], object]) -> Iterator[None]:
        """Keep in the run's folder why it can't be trained, and go on with the next one.

        A result that can't be written, or that is another study's, still ends the study.

        Args:
            folder: of the run.
            arm: its arm's name.
            seed: its seed.
            say: called with a line about the failure.
        """
        (folder / FAILURE).unlink(missing_ok=True)
        try:
            yield
        except ProcessLostError:
            raise
        except (TrainingError, ConfigError) as error:
            reason = str(error).removeprefix("training stopped: ").split("; the last checkpoint")[0]
            failure = Failure(arm=arm, seed=seed, iteration=_last_iteration(folder), reason=reason)
            write_text(folder / FAILURE, json.dumps(asdict(failure), indent=1) + "\n")
            self.failed.append(failure)
            say(failure.line())

    def checked(self) -> Results[_T]:
        """The same.

        Raises:
            TrainingError: every run failed, so there is nothing to report.
        """
        if self.failed and not self:
            raise TrainingError(_summary(self.failed, len(self.failed)))
        return self

    def check_complete(self) -> None:
        """Check, once the others are reported, that no run failed.

        Raises:
            TrainingError: one did.
        """
        if self.failed:
            raise TrainingError(_summary(self.failed, len(self) + len(self.failed)))


def failed_table(failed: Sequence[Failure]) -> str:
    """The runs that failed, as Markdown below the table of a study; empty if there are none."""
    if not failed:
        return ""
    lines = ["", "| run without a result | |", "|---|---|"]
    lines += [f"| {one.arm}, seed {one.seed} | {' '.join(one.what.split())} |" for one in failed]
    return "\n".join(lines) + "\n"


def failed_content(failed: Sequence[Failure]) -> dict[str, Any]:
    """The same for JSON."""
    return {"failed": [asdict(one) for one in failed]} if failed else {}


def check_readable(lists: Iterable[SampleList | None]) -> None:
    """Decode images before hours of training depend on them.

    Raises:
        DataError: one can't be read; the message names the first, and counts them.
    """
    bad: list[DataError] = []
    paths = dict.fromkeys(sample.path for samples in lists for sample in samples or ())
    for path in paths:
        try:
            check_image(path)
        except DataError as error:
            bad.append(error)
    if bad:
        more = f" ({len(bad)} of {len(paths)} images can't be read)" if len(bad) > 1 else ""
        raise DataError(f"{str(bad[0]).rstrip('.')}{more}. Mend the file, or remove it with its annotation")


def _summary(failed: Sequence[Failure], runs: int) -> str:
    return f"{len(failed)} of {runs} runs failed, the first is {failed[0].line()}; the same command tries them again"


def _last_iteration(folder: Path) -> int:
    try:
        return RunState.read(folder).iteration
    except DataError:
        return 0
