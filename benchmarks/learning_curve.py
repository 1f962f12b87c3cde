"""The error at equal time: every arm trained for every number of minutes, each run with a schedule that ends there.

    python -m benchmarks.learning_curve curves                                             # drawn faces, no data needed
    python -m benchmarks.learning_curve curves --data 300w --minutes 3 10 20
    python -m benchmarks.learning_curve curves --arms cpu "cpu optimizer.muon=0" gpu       # a preset, then its settings
    python -m benchmarks.learning_curve curves --before ../older/src                       # each arm with older code, too

Runs learn without labels, from ten annotated shapes, or from annotated images too (``--labelled 10``); they are measured in
the given boxes of the validation images. Minutes are wall time of training on the machine's cores, without measuring. Every run
is a process of its own, one after the other; what is in the folder already isn't trained again. The folder gets ``curve.md``
with a table, ``curve.json`` and ``curve.svg``.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from brule.data.synthetic import write_synthetic_faces
from brule.plots import save_picture
from brule.plots.svg import learning_curves_chart
from brule.tracking.run_files import CHECKPOINT
from brule.tracking.run_state import RunState

DRAWN, SIDE = 1500, 96  # faces and their side in pixels, where no data is given; a tenth is for validation
UNLIMITED = 1_000_000  # iterations: the minutes end a run


@dataclass(frozen=True)
class Arm:
    """What is compared: a preset, its settings, and the code that trains.

    Attributes:
        preset: its name.
        settings: ``name=value``.
        source: folder of the package; ``None`` for the one that is installed.
    """

    preset: str
    settings: tuple[str, ...] = ()
    source: str | None = None

    @property
    def name(self) -> str:
        """What tables call it."""
        return " ".join((self.preset, *self.settings)) + (", before" if self.source else "")

    @property
    def folder(self) -> str:
        """The name as a folder's."""
        return "".join(letter if letter.isalnum() or letter in ".=" else "-" for letter in self.name)


@dataclass(frozen=True)
class Result:
    """The end of a run.

    Attributes:
        arm: its name.
        minutes: of training that were allowed.
        seed: of the run.
        iterations: that it made.
        seconds: of training.
        error: NME on the validation images in their given boxes, in percent.
        floor: that of the constant prediction.
    """

    arm: str
    minutes: float
    seed: int
    iterations: int
    seconds: float
    error: float
    floor: float


def arms(written: Iterable[str], before: str | None) -> list[Arm]:
    """Arms as they are written on the command line; with another checkout's code, each of them twice."""
    here = [Arm(words[0], tuple(words[1:])) for words in map(shlex.split, written)]
    return here if before is None else [own for arm in here for own in (replace(arm, source=before), arm)]


def run_arm(arm: Arm, minutes: float, seed: int, *, data: Path, folder: Path, labelled: int) -> Result:
    """Train and measure, unless that has been done.

    Raises:
        SystemExit: if a command fails; its own message is on the terminal.
    """
    run = folder / f"{arm.folder}-{minutes:g}-minutes-seed-{seed}"
    report = run / "given-boxes.json"
    if not report.exists():
        annotated = ["--labelled", data, "--n-labelled", labelled] if labelled else ["--shapes", data, "--n-shapes", 10]
        settings = [f"iterations={UNLIMITED}", f"time_limit={minutes}", "locator.enabled=never", *arm.settings]
        new = ["--images", data, *annotated, "--preset", arm.preset, "--seed", seed, "--exclude-validation", "--set", *settings]
        begun = (run / CHECKPOINT).exists()
        _brule(arm, "train", *(["--resume"] if begun else new), "-o", run, "--quiet")
        _brule(arm, "evaluate", run, "--data", data, "--only-validation", "--boxes", "given", "--json", report)
    measured = json.loads(report.read_text(encoding="utf-8"))
    log = RunState.read(run)
    return Result(arm.name, minutes, seed, log.iteration, log.seconds, measured["nme"], measured["floor_nme"])


def _brule(arm: Arm, *arguments: object) -> None:
    """Run a command with the arm's code."""
    words = [str(own) for own in arguments]
    environment = dict(os.environ)
    if arm.source:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (arm.source, environment.get("PYTHONPATH"))))
    done = subprocess.run([sys.executable, "-m", "brule", *words], env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"brule {words[0]} ended with code {done.returncode}: brule {shlex.join(words)}")


def table(results: Sequence[Result]) -> str:
    """Arms by minutes: the median error over seeds, and the iterations behind it."""
    columns = sorted({own.minutes for own in results})
    lines = ["| trained by | " + " | ".join(f"{minutes:g} minutes" for minutes in columns) + " | s per iteration |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for name in dict.fromkeys(own.arm for own in results):
        runs = [own for own in results if own.arm == name]
        cells = [_cell([own for own in runs if own.minutes == minutes]) for minutes in columns]
        pace = median(own.seconds / own.iterations for own in runs)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {pace:.3f} |")
    floor = median(own.floor for own in results)
    return "\n".join(lines) + f"\n\nNME, median over seeds (iterations); constant prediction (floor): {floor:.2f} %.\n"


def _cell(runs: Sequence[Result]) -> str:
    if not runs:
        return ""
    return f"{median(own.error for own in runs):.2f} % ({median(own.iterations for own in runs):.0f})"


def chart(results: Sequence[Result]) -> str:
    """The same as a picture, SVG text: error over minutes, a curve per arm."""
    curves = {}
    for name in dict.fromkeys(own.arm for own in results):
        runs = [own for own in results if own.arm == name]
        seeds = sorted({own.seed for own in runs})
        curves[name] = [sorted((own.minutes, own.error) for own in runs if own.seed == seed) for seed in seeds]
    floor = median(own.floor for own in results)
    return learning_curves_chart(curves, parts=("NME",), floor=floor, x_title="minutes of training")


def write(results: Sequence[Result], folder: Path) -> None:
    """Figures, table and picture."""
    (folder / "curve.json").write_text(json.dumps([asdict(own) for own in results], indent=1), encoding="utf-8")
    (folder / "curve.md").write_text(table(results), encoding="utf-8")
    save_picture(chart(results), folder / "curve.svg")


def main() -> None:
    """Train, measure, and write what there is after every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where runs, table and picture are written")
    parser.add_argument("--data", type=Path, help="annotated images; without, 1,500 drawn faces")
    parser.add_argument("--labelled", type=int, default=0, help="annotated images to learn from, beside unlabelled ones")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 3, 10])
    parser.add_argument("--arms", nargs="+", default=["cpu"], help="a preset each, with settings name=value behind it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--before", help="the folder src of another checkout")
    asked = parser.parse_args()
    data = asked.data or asked.folder / "drawn"
    if asked.data is None and not data.exists():
        write_synthetic_faces(data, DRAWN, size=SIDE)
    results: list[Result] = []
    for minutes in sorted(asked.minutes):
        for seed in asked.seeds:
            for arm in arms(asked.arms, asked.before):
                results.append(run_arm(arm, minutes, seed, data=data, folder=asked.folder, labelled=asked.labelled))
                print(results[-1], flush=True)
                write(results, asked.folder)
    print(table(results))


if __name__ == "__main__":
    main()
