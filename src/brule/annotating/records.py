"""The annotation of one image: its file and its history, changed together."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brule.annotating.files import read_marks, write_marks
from brule.annotating.folders import ImageEntry
from brule.annotating.history import REDO, UNDO, History, append, read_history
from brule.annotating.marks import Marks, change
from brule.annotating.template import Template
from brule.data.annotations import relative_name
from brule.data.images import image_size
from brule.errors import BruleError, ConfigError, DataError
from brule.files import sync, wrap_oserror

OUTSIDE = "changed outside the page"


class Conflict(BruleError):
    """A change was based on a version that isn't the current one.

    Args:
        record: the current one.
    """

    def __init__(self, record: Record) -> None:
        super().__init__(f"{record.entry.shown} was changed in the meantime (version {record.version}); choose which to keep")
        self.record = record


@dataclass
class Record:
    """One image's annotation, as stored on disk.

    Args:
        entry: the image.
        file: the annotation file.
        log: the file of the history.
        history: what happened so far.
        length: bytes of whole lines in ``log``.
        pending: lines that are not in ``log`` yet: what was changed outside the page.
        stamp: of ``file``, when it was read.
        behind: whether ``file`` lacks the last step of the history.
        size: width and height of the image, once known.
    """

    entry: ImageEntry
    file: Path
    log: Path
    history: History = field(default_factory=History)
    length: int = 0
    pending: list[dict[str, Any]] = field(default_factory=list)
    stamp: tuple[int, int] | None = None
    behind: bool = False
    size: tuple[int, int] | None = None

    @classmethod
    def read(cls, entry: ImageEntry, file: Path, log: Path, *, template: int) -> Record:
        """Read file and history.

        Where the two differ, the file was changed by another program: that becomes one more step, which can be undone.
        Where the history is one step ahead, the program ended between the two writes: :meth:`catch_up` repairs that.

        Args:
            entry: the image.
            file: the annotation file.
            log: the file of the history.
            template: the version of the template that the landmarks are of, where no history says so.

        Raises:
            DataError: one of them is damaged.
        """
        record = cls(entry, file, log)
        record.history, record.length = read_history(log)
        record.stamp = _stamp(file)
        there = read_marks(file) if record.stamp is not None else Marks()
        history = record.history
        if not change(history.marks, there):
            return record
        if history.version and not change(history.before, there) and not _newer(record.stamp, _stamp(log)):
            record.behind = True
            return record
        line = history.set(there, OUTSIDE) if history.version else history.base(there) | {"template": template}
        history.apply(line)
        record.pending.append(line)
        return record

    @property
    def marks(self) -> Marks:
        """What is annotated."""
        return self.history.marks

    @property
    def version(self) -> int:
        """Goes up with every change."""
        return self.history.version

    @property
    def current(self) -> bool:
        """Whether the file is the one that was read."""
        return _stamp(self.file) == self.stamp

    def image_size(self) -> tuple[int, int]:
        """Width and height of the upright image.

        Raises:
            DataError: it is missing or broken.
        """
        if self.size is None:
            self.size = image_size(self.entry.path)
        return self.size

    def changed(self, marks: Marks, action: str, template: Template, *, version: int) -> None:
        """Set the marks, and have them on the disk before this returns.

        Args:
            marks: the new ones.
            action: what the person did, in words.
            template: the landmarks.
            version: of the template.

        Raises:
            OutputError: that failed; all is as it was.
        """
        if change(self.marks, marks):
            self._write(self.history.set(marks, action), template, version)

    def step(self, template: Template, *, version: int, redo: bool = False) -> None:
        """Take the last step back, or make the one again that was taken back last; as :meth:`changed`.

        Raises:
            ConfigError: there is none.
        """
        if not (self.history.undone if redo else self.history.done):
            raise ConfigError(f"there is nothing to {'redo' if redo else 'undo'}")
        self._write(self.history.step(REDO if redo else UNDO), template, version)

    def rename(self, names: Mapping[str, str], template: Template, *, version: int, added: Collection[str] = ()) -> None:
        """Give landmarks other names; those that have none any more are dropped. Where new ones are missing, it is unfinished.

        Args:
            names: from old to new.
            template: the new landmarks.
            version: of the template.
            added: the names of new landmarks.
        """
        self._write(self.history.rename(names, template.names, added=added), template, version)

    def _write(self, line: dict[str, Any], template: Template, version: int) -> None:
        """History first, then the file; if the file can't be written, the history is cut back."""
        line = line | {"template": version}
        size, name = self.image_size(), self.entry.name
        if name.encode("utf-8", "replace") != name.encode("utf-8", "surrogateescape"):
            raise DataError(f"{self.entry.shown}: the file's name isn't UTF-8, so it can't be annotated; rename it")
        marks = self.history.after(line)
        longer = append(self.log, [*self.pending, line], length=self.length)
        try:
            self._write_file(marks, template, size)
        except BaseException:
            append(self.log, [], length=self.length)
            raise
        self.history.apply(line)
        self.length, self.pending, self.stamp = longer, [], _stamp(self.file)

    def catch_up(self, template: Template) -> None:
        """Bring the file up to the history, where the program ended between the two.

        Raises:
            OutputError: that failed.
        """
        if self.behind:
            self._write_file(self.marks, template, self.image_size())
            self.behind, self.stamp = False, _stamp(self.file)

    def _write_file(self, marks: Marks, template: Template, size: tuple[int, int]) -> None:
        if change(marks, Marks(annotator=marks.annotator)):
            name = relative_name(self.entry.path, self.file.parent)
            write_marks(self.file, marks, template, image=name, size=size)
        elif self.file.exists():  # nothing is annotated any more
            with wrap_oserror(self.file):
                self.file.unlink()
                sync(self.file.parent)


def _newer(one: tuple[int, int] | None, other: tuple[int, int] | None) -> bool:
    """Whether a file was written after another one."""
    return one is not None and other is not None and one[0] > other[0]


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
