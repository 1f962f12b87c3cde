"""What all commands share: help, exit codes, errors in plain words, a quick start."""

from __future__ import annotations

import io
import re
import resource
import subprocess
import sys

import pytest
from cyclopts import App

import brule.cli


def commands_of(app: App, words: tuple[str, ...] = ()) -> list[str]:
    """All commands, ``study ablation`` for one within another."""
    names = [name for name in app if not name.startswith("-")]
    return [found for name in names for found in commands_of(app[name], (*words, name))] or [" ".join(words)]


COMMANDS = sorted(commands_of(brule.cli.app))
# These write no files of their own, or (data convert) name them by position.
NO_OUTPUT = {"calibrate", "data cache", "data convert", "info", "serve", "watch"}


def test_help_lists_every_command_with_what_it_does(brule) -> None:
    found = brule("--help")
    assert found.code == 0
    for command in COMMANDS:
        line = next(line for line in found.out.splitlines() if f" {command.split()[0]} " in line)
        assert len(line.replace("│", "").split()) > 4


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_teaches(brule, command: str) -> None:
    text = brule(*command.split(), "--help").out
    assert "Examples" in text and f"brule {command} " in text and ("--output" in text or command in NO_OUTPUT)
    options = [line for line in text.splitlines() if line.lstrip("│ *").startswith("--")]
    assert options and all(len(line.replace("│", "").split()) > 3 for line in options), options


OPTIONS = {  # what scripts rely on
    "train": "images shapes n-shapes labelled n-labelled boxes data measure-every exclude-validation skip-bad output resume "
    "start-from edges dry-run json quiet preset set time-limit seed mirror-pairs any-rotation list-settings device devices "
    "nodes node-rank main-address",
    "evaluate": "data images output json pictures only-validation boxes normaliser regions decoder no-decoder batch-size "
    "refine tta views pixel-size device skip-bad",
    "predict": "images every engine part-size workers gpus-per-worker output format overlays no-overlays heatmaps boxes "
    "batch-size objects most flagged refine tta views rank device skip-bad",
    "study ablation": "images shapes data output n-shapes seeds arms preset set exclude-validation quiet",
    "study sweep": "values images shapes data output n-shapes seeds preset set exclude-validation quiet",
    "study regularizer": "labelled images data output n-labelled shapes n-shapes seeds preset set start-from "
    "exclude-validation quiet",
    "study labels": "labelled images data output shares shapes n-shapes seeds preset set start-from exclude-validation quiet",
}


@pytest.mark.parametrize("command", OPTIONS)
def test_the_options_of_a_command(brule, command: str) -> None:
    rows = [line.lstrip("│ *") for line in brule(*command.split(), "--help").out.splitlines() if line.startswith("│")]
    rows = [row.split("  ")[0] for row in rows if row.startswith(("--", "DATA", "TERM", "RUN"))]  # names alone
    assert sorted(re.findall(r"--([a-z-]+)", " ".join(rows))) == sorted(OPTIONS[command].split())


def test_version(brule) -> None:
    assert brule("--version").out.strip() == brule_version()


def brule_version() -> str:
    import brule

    return brule.__version__


def test_unknown_command_and_option(brule) -> None:
    assert brule("trian").code == 2
    found = brule("train", "--imagse", "x")
    assert found.code == 2 and "--images" in found.err


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("averaging.decay=0.9", "settings were renamed: averaging.decay is now"),
        ("gan.teach=0", "settings were removed: gan.teach"),
    ],
)
def test_remarks_on_settings_of_earlier_versions_are_remarks(brule, setting: str, said: str) -> None:
    """No Python warning with the name of a file and its line."""
    found = brule("train", "--list-settings", "--set", setting)
    assert found.code == 0 and said in found.err and "Warning" not in found.err


def test_unexpected_error_hints_at_debug(brule, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(brule_cli(), "app", broken)
    found = brule("train")
    assert (found.code, "boom" in found.err, "--debug" in found.err) == (1, True, True)
    with pytest.raises(RuntimeError):
        brule("train", "--debug")


def test_interrupt(brule, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(brule_cli(), "app", stopped)
    assert brule("train").code == 130


def test_file_that_cannot_be_written(brule, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "x.json")

    monkeypatch.setattr(brule_cli(), "app", full)
    found = brule("train")
    assert found.code == 2 and found.err.strip() == "brule: x.json: No space left on device"


def brule_cli():
    return brule.cli


def test_help_starts_at_once() -> None:
    """In processor time, which other work on the machine hardly changes; PyTorch alone would take three times as long."""

    def children() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    times = []
    for _ in range(3):
        began = children()
        subprocess.run([sys.executable, "-m", "brule", "--help"], check=True, capture_output=True)
        times.append(children() - began)
    assert min(times) < 0.8


HEADER = ("part", "size", "what it is", "seconds it takes", "share of the whole")
ROWS = [("first part of it", "64", "a description", "12.5 s", "25 %"), ("second", "128", "", "37.5 s", "75 %")]


@pytest.mark.parametrize("width", [200, 80, 60, 40])
def test_tables_fit_every_terminal_and_lose_nothing(width: int, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Whole, with headings of two lines, or a block for each row: every cell is there, and nothing is cut."""
    from brule.cli.output import say_rows

    monkeypatch.setenv("COLUMNS", str(width))
    say_rows(HEADER, ROWS, keys=2)
    lines = capsys.readouterr().out.splitlines()
    text = " ".join(lines)
    assert all(len(line.rstrip()) <= width for line in lines) and "…" not in text
    assert all(cell in text for row in ROWS for cell in row)
    assert all(word in text for heading in HEADER[2:] for word in heading.split())


@pytest.mark.parametrize("width", [80, 60])
def test_the_progress_bar_keeps_percent_and_time_left(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import rich.progress

    from brule.cli import output

    shown: list[rich.progress.Progress] = []
    genuine = rich.progress.Progress

    def spy(*columns: object, **options: object) -> rich.progress.Progress:
        shown.append(genuine(*columns, **options))
        return shown[-1]

    console = output.Console(file=io.StringIO(), force_terminal=True, width=width)
    monkeypatch.setattr(rich.progress, "Progress", spy)
    monkeypatch.setattr(output, "Console", lambda **_: console)
    with output.progress_bar("a title that is much longer than a terminal is wide, or nearly so") as update:
        update(2500, 10_000)
        with console.capture() as drawn:
            console.print(shown[0].get_renderable())
    line = next(line for line in drawn.get().splitlines() if "25%" in line)
    assert "2500/10000" in line and "--:--" in line
