"""Missing points that a file gives a place: exactly (0, 0) or (-1, -1), which nobody clicks."""

from __future__ import annotations

from collections import Counter

from brule.data.formats.values import counted

_MARKS = ((0.0, 0.0), (-1.0, -1.0))


class MissingMarks:
    """Recognises missing points by the place that tools write for them, and remarks on them.

    The place is meant as the file writes it, before any change of frame. A landmark in the very corner of an image is lost by
    this, and the remark shows it.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[float, float]] = Counter()
        self._first: dict[tuple[float, float], str] = {}

    def missing(self, x: float, y: float, what: str) -> bool:
        """Whether a point is marked as missing.

        Args:
            x: as the file writes it.
            y: the same, whichever way it counts.
            what: the landmark and its image, for the remark.
        """
        if (x, y) not in _MARKS:
            return False
        self._counts[x, y] += 1
        self._first.setdefault((x, y), what)
        return True

    def notes(self) -> list[str]:
        """What was found, one sentence for each place."""
        return [
            f"{_points(self._first[x, y], count)} at exactly ({x:g}, {y:g}), as tools write missing points: read as missing"
            for (x, y), count in sorted(self._counts.items())
        ]


def _points(first: str, count: int) -> str:
    return f"{first} is" if count == 1 else f"{first} and {counted(count - 1, 'more point')} are"
