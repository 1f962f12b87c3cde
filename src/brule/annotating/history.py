"""The changes of one image, kept for undo and redo: a line of JSON per change, added to the end of a file."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brule.annotating.marks import Marks, change, changed
from brule.errors import DataError
from brule.files import make_folder, parse_json, sync, wrap_oserror

SET, UNDO, REDO, RENAME, BASE = "set", "undo", "redo", "rename", "base"


@dataclass(frozen=True)
class Step:
    """One change, forwards and backwards.

    Args:
        action: what the person did, in words.
        there: the :func:`brule.annotating.marks.change` that it made.
        back: the change that takes it back.
    """

    action: str
    there: Mapping[str, Any]
    back: Mapping[str, Any]


@dataclass
class History:
    """What happened to one image.

    Args:
        marks: the state after the last line.
        before: the state before it.
        version: the number of the last line.
        template: the version of the template whose landmarks these are.
        done: the steps that can be undone, oldest first.
        undone: the steps that can be redone, the next one last.
        reopened: whether it was finished until landmarks were added, and nobody has changed it since.
    """

    marks: Marks = field(default_factory=Marks)
    before: Marks = field(default_factory=Marks)
    version: int = 0
    template: int = 0
    done: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)
    reopened: bool = False

    def apply(self, line: Mapping[str, Any]) -> None:
        """Go on by one line.

        Raises:
            DataError: the line is damaged.
        """
        try:
            kind = line.get("op", SET)
            self.before = self.marks
            self.marks = self.after(line)
            if kind == SET:
                self.done.append(Step(str(line["action"]), line["there"], line["back"]))
                self.undone.clear()
            elif kind == UNDO:
                self.undone.append(self.done.pop())
            elif kind == REDO:
                self.done.append(self.undone.pop())
            elif kind == RENAME:
                self.done = [_renamed(step, line) for step in self.done]
                self.undone = [_renamed(step, line) for step in self.undone]
            status = line.get("there", {}).get("status")
            self.reopened = kind == RENAME and (status == "draft" or (self.reopened and status is None))
            self.template = int(line.get("template", self.template))  # earlier versions of brule only said it when renaming
            self.version = int(line["version"])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"a line of the history is damaged ({error})") from error

    def set(self, marks: Marks, action: str) -> dict[str, Any]:
        """The line for a change to other marks."""
        there, back = change(self.marks, marks), change(marks, self.marks)
        return {"version": self.version + 1, "action": action, "there": there, "back": back}

    def base(self, marks: Marks) -> dict[str, Any]:
        """The line for marks that were there before the history began; it can't be undone."""
        return {"version": self.version + 1, "op": BASE, "there": change(self.marks, marks)}

    def step(self, kind: str) -> dict[str, Any]:
        """The line that undoes or redoes a step."""
        return {"version": self.version + 1, "op": kind}

    def rename(self, names: Mapping[str, str], present: Sequence[str], *, added: Collection[str] = ()) -> dict[str, Any]:
        """The line for landmarks that got other names.

        A finished image isn't finished any more where it lacks landmarks that were added, and is again once these are gone.

        Args:
            names: from old to new.
            present: all names now.
            added: those of new landmarks.
        """
        line = {"version": self.version + 1, "op": RENAME, "names": dict(names)}
        renamed = self.marks.renamed(names)
        if not renamed.completed([*added]):
            line |= {"added": True} | ({"there": {"status": "draft"}} if self.marks.status == "accepted" else {})
        elif self.reopened and renamed.completed(present):
            line["there"] = {"status": "accepted"}
        return line

    def after(self, line: Mapping[str, Any]) -> Marks:
        """The marks after a line of :meth:`set`, :meth:`base`, :meth:`step` or :meth:`rename`; nothing changes yet."""
        kind = line.get("op", SET)
        if kind == UNDO:
            return changed(self.marks, self.done[-1].back)
        if kind == REDO:
            return changed(self.marks, self.undone[-1].there)
        if kind == RENAME:
            return changed(self.marks.renamed(line["names"]), line.get("there", {}))
        if kind not in (SET, BASE):
            raise DataError(f"a line of the history has the unknown kind {kind!r}")
        return changed(self.marks, line["there"])


def read_history(path: Path) -> tuple[History, int]:
    """Read a history; a last line that was cut short by a power cut or a kill is not counted.

    Returns:
        The history, and how many bytes of the file are whole lines.

    Raises:
        DataError: the file can't be read, or a line before the last is damaged.
    """
    history = History()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return history, 0
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    whole = content[: content.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            history.apply(parse_json(line))
        except (ValueError, DataError) as error:
            raise DataError(f"{path}: line {number} is damaged ({error}); remove the file to continue without undo") from error
    return history, len(whole)


def append(path: Path, lines: Iterable[Mapping[str, Any]], *, length: int) -> int:
    """Add lines, and have them on the disk before this returns.

    Args:
        path: the file; it is made where it isn't there.
        lines: as JSON.
        length: of the whole lines before them; what follows those, a line that was cut short, is overwritten.

    Returns:
        The new length.

    Raises:
        OutputError: it can't be written; the file is as it was.
    """
    text = b"".join(json.dumps(line, allow_nan=False, separators=(",", ":")).encode() + b"\n" for line in lines)
    make_folder(path.parent)
    with wrap_oserror(path):
        new = not path.exists()
        with path.open("r+b" if not new else "xb", buffering=0) as file:
            try:
                file.truncate(length)
                file.seek(length)
                if file.write(text) != len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(length)
                raise
        if new:
            sync(path.parent)
    return length + len(text)


def _renamed(step: Step, line: Mapping[str, Any]) -> Step:
    return Step(step.action, _renamed_change(step.there, line), _renamed_change(step.back, line))


def _renamed_change(made: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    """A change with the names of a line of :meth:`History.rename`; it finishes no image if landmarks were added since."""
    names = line["names"]
    points = {names[name]: packed for name, packed in made.get("points", {}).items() if name in names}
    others = {key: value for key, value in made.items() if key != "points"}
    if line.get("added") and others.get("status") == "accepted":
        others["status"] = "draft"
    return others | ({"points": points} if points else {})
