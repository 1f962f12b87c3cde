"""The errors that brule raises for its user: each states what was expected, what was found, and what to do."""

import re

# What a terminal would obey, and what changes the order of letters; a line end and a tab are text.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str, *, one_line: bool = False) -> str:
    """Text that a terminal shows and doesn't obey: names of files and landmarks may come from strangers.

    Args:
        text: the text.
        one_line: escape line ends, too.
    """
    text = _OBEYED.sub(lambda found: f"\\x{ord(found[0]):02x}" if found[0] < "\xff" else f"\\u{ord(found[0]):04x}", text)
    return text.replace("\n", "\\n") if one_line else text


class BruleError(ValueError):
    """Something the user can fix. The command line prints the message alone, without a traceback."""


class DataError(BruleError):
    """A file, a folder or an array isn't what it should be."""


class ImageTooLarge(DataError):
    """An image has more pixels than are taken."""


class SettingsWarning(FutureWarning):
    """A setting has a former name, or was removed: a remark to the user rather than to the developer."""


class ConfigError(BruleError):
    """A setting is unknown, out of range, or at odds with another."""


class CheckpointError(BruleError):
    """A saved run or detector is missing, incomplete, or of another kind."""


class OutputError(BruleError):
    """Something can't be written: no room, no permission, no such place. Nothing half-written is left."""


class TrainingError(BruleError):
    """Training can't continue: a loss became NaN or infinite, for example."""


class ProcessLostError(TrainingError):
    """Another of the processes that train together has ended."""


class ExportError(BruleError):
    """A detector can't be exported: a package is missing, or the exported file doesn't compute the same."""
