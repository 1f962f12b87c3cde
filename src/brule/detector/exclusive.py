"""One process at a time trains into a folder, and a training that fails leaves the detector as it was."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from brule.errors import CheckpointError, OutputError
from brule.files import file_lock, make_folder, wrap_oserror

LOCK = ".lock"
Arguments = ParamSpec("Arguments")
Fitted = TypeVar("Fitted")

_log = logging.getLogger("brule")  # the command line prints it
_held: dict[Path, int] = {}  # folders of this process, and the threads that hold them
_guard = threading.Lock()


@contextmanager
def sole_use(directory: Path) -> Iterator[None]:
    """Hold a run's folder; the system lets go of it when the process ends, however it ends.

    The thread that holds it may enter again. A folder that was made for this and stays empty is removed again.

    Args:
        directory: of the run.

    Raises:
        CheckpointError: another process, or another thread, holds it.
        OutputError: the folder can't be made.
    """
    place, own = directory.resolve(), threading.get_ident()
    with _guard:
        holder = _held.get(place)
        if holder not in (None, own):
            raise _taken(directory)
        _held[place] = own
    if holder == own:
        yield
        return
    again = False
    try:
        made = [path for path in (place, *place.parents) if not path.exists()]
        make_folder(place)
        with _locked(directory, place / LOCK):
            try:
                yield
            finally:
                again = not _removed_if_unused(place, made)
    finally:
        if again:  # Windows keeps an open file; if somebody else has opened it meanwhile, it stays
            _removed_if_unused(place, made)
        with _guard:
            del _held[place]


@contextmanager
def _locked(directory: Path, file: Path) -> Iterator[None]:
    """Hold the lock, or go on with a warning where there can be none.

    Raises:
        CheckpointError: another process holds it.
        OutputError: its file can't be made.
    """

    def refuse() -> None:
        raise _taken(directory) from None

    with contextlib.ExitStack() as stack:
        try:
            with wrap_oserror(file):
                held = stack.enter_context(file_lock(file, waiting=refuse))
        except OutputError as error:
            if not (isinstance(error.__cause__, PermissionError) and file.exists()):  # it is another user's
                raise
            held = False
        if not held:
            _log.warning(f"{directory}: can't be locked here; make sure that no other training writes into this folder")
        yield


def _removed_if_unused(place: Path, made: list[Path]) -> bool:
    """Remove the folders that were made for a run that never began; false if the system doesn't let go of its lock yet."""
    if place in made and place.is_dir() and all(path.name == LOCK for path in place.iterdir()):
        try:
            (place / LOCK).unlink(missing_ok=True)
        except PermissionError:
            return False
        with contextlib.suppress(OSError):  # somebody else has put something there
            for folder in made:
                folder.rmdir()
    return True


def _taken(directory: Path) -> CheckpointError:
    return CheckpointError(f"{directory}: another training writes into this folder; wait for its end, or choose another folder")


def guarded(fit: Callable[Concatenate[Fitted, Arguments], Fitted]) -> Callable[Concatenate[Fitted, Arguments], Fitted]:
    """Let ``fit`` hold its ``directory`` alone, and restore the object's attributes if it raises."""

    @functools.wraps(fit)
    def guarded_fit(self: Fitted, /, *args: Arguments.args, **keywords: Arguments.kwargs) -> Fitted:
        directory, before = keywords.get("directory"), dict(vars(self))
        leads = int(os.environ.get("RANK") or 0) == 0  # of several processes that train together, the first one writes
        holding = sole_use(Path(str(directory))) if directory is not None and leads else contextlib.nullcontext()
        try:
            with holding:
                return fit(self, *args, **keywords)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return guarded_fit
