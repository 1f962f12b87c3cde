"""The command line.

One file per command. Nothing heavy is imported before a command runs, so that ``brule --help`` answers at once.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cyclopts import App, CycloptsError, Parameter

from brule import __version__
from brule.cli.annotate import annotate
from brule.cli.barycenter import barycenter
from brule.cli.calibrate import calibrate
from brule.cli.choose import choose
from brule.cli.compare import compare
from brule.cli.data import data
from brule.cli.demo import demo
from brule.cli.evaluate import evaluate
from brule.cli.export import export
from brule.cli.info import info
from brule.cli.launching import COMMAND
from brule.cli.output import INTERRUPTED, note, print_error
from brule.cli.predict import predict
from brule.cli.redrawing.generate import generate
from brule.cli.serve import serve
from brule.cli.study import study
from brule.cli.train import train
from brule.cli.watch import watch
from brule.errors import BruleError, ProcessLostError, SettingsWarning

_DEBUG = "--debug"
_python_showwarning = warnings.showwarning
_OF_STREAMS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

app = App(
    name="brule",
    help=(
        "Learn a landmark detector from unlabelled images and about ten annotated shapes.\n\n"
        "`brule demo` shows every step on drawn faces. With images of your own, annotate ten of them, then run "
        "`brule train`, `brule evaluate`, `brule predict`. `brule COMMAND --help` explains each with examples."
    ),
    help_format="markdown",
    help_epilogue=f"`{_DEBUG}` with any command shows where in the program an error arose.",
    version=__version__,
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
_IN_ORDER_OF_WORK: tuple[App | Callable[..., object], ...] = (
    demo, choose, annotate, data, barycenter, train, watch, evaluate, compare, predict, serve, calibrate, info, export,
    generate, study,
)  # fmt: skip
for _place, _command in enumerate(_IN_ORDER_OF_WORK):
    if isinstance(_command, App):
        _command.sort_key = _place
        app.command(_command)
    else:
        app.command(_command, sort_key=_place)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: what follows ``brule`` on the command line; by default that of this process.

    Returns:
        The exit code: 0, 2 for what the user can fix, 130 after Ctrl-C, 1 for anything unexpected.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    COMMAND.set(tuple(words))
    return run_app(app, words)


def run_app(app: App, words: Sequence[str]) -> int:
    """Run a command of an app with plain error messages.

    Args:
        app: the app; its commands return their exit codes.
        words: the command's words. ``--debug`` among them shows the traceback of an error.

    Returns:
        The exit code, as in :func:`main`.
    """
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by who started this, as some services do
            setattr(sys, stream, open(os.devnull, "w"))  # noqa: SIM115  # for as long as the process lives
    debug = _DEBUG in words
    words = [word for word in words if word != _DEBUG]
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files needn't be what the terminal can show
        sys.stdout.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        with _remarks_printed():
            return _run(app, words, debug=debug)


@contextmanager
def _remarks_printed() -> Iterator[None]:
    """Print what the library logs as remarks."""
    logger, handler = logging.getLogger("brule"), logging.Handler()
    handler.emit = lambda record: note(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def _run(app: App, words: list[str], *, debug: bool) -> int:
    if (wrong := _wrong_from_the_start(words)) is not None:
        return _failed(wrong, 2)
    try:
        code = app(words, exit_on_error=False)
        sys.stdout.flush()  # while what goes wrong can still be said
    except KeyboardInterrupt:
        return _failed("stopped", INTERRUPTED)
    except CycloptsError:  # cyclopts has printed it
        note(f"{_help_of(app, words)} shows examples")
        return 2
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        if debug:
            raise
        return _explained(error)
    return code if isinstance(code, int) else 0


def _wrong_from_the_start(words: Sequence[str]) -> str | None:
    """What no command can work with."""
    try:
        os.getcwd()
    except OSError as error:
        return f"the working directory can't be used ({error.strerror}): it was removed, perhaps; change to another (cd)"
    for before, word in zip(["", *words], words, strict=False):
        if not word or (word.startswith("--") and word.endswith("=")):  # as a path it would be the working directory
            return f"{word or before}: expected a value, got an empty one; is a variable of your script unset?"
    return None


def _help_of(app: App, words: Sequence[str]) -> str:
    """The command that explains the one that was meant."""
    known = []
    for word in words:
        if word.startswith("-") or word not in app:
            break
        app = app[word]
        known.append(word)
    return f"`{' '.join(['brule', *known, '--help'])}`"


def _show_warning(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
    """Print a warning that is meant for the user as a remark, and any other as Python does."""
    if issubclass(category, SettingsWarning):
        note(str(message))
    else:
        _python_showwarning(message, category, *place, **more)  # type: ignore[arg-type]


def _explained(error: Exception) -> int:
    if isinstance(error, BruleError):
        return _failed(str(error), 2, lost=isinstance(error, ProcessLostError))
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error) or type(error).__name__ == "OutOfMemoryError":
        return _failed(f"not enough memory; smaller batches, images or networks take less ({_first(error)})", 2)
    if isinstance(error, OSError) and error.errno in _OF_STREAMS and error.filename is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in it mustn't fail again when Python ends
        return _failed(f"the output can't be written: {error.strerror}", 2)
    if isinstance(error, OSError) and error.filename is not None:
        return _failed(f"{error.filename}: {error.strerror}", 2)
    return _failed(
        f"unexpected {type(error).__name__}: {error}\nThis is a mistake in brule. The same command with {_DEBUG} shows "
        "where it arose; please report that.",
        1,
    )


def _first(error: Exception) -> str:
    """The beginning of a message that may be long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def _failed(message: str, code: int, *, lost: bool = False) -> int:
    print_error(message, lost=lost)
    return code
