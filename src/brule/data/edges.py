"""Edges, the landmarks that pictures join by lines, as users write them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from brule.errors import DataError
from brule.files import read_json

Edges = tuple[tuple[int, int], ...]

_CURVE = re.compile(r"(\d{1,6})\s*-\s*(\d{1,6})(\s+closed)?")
_LINE = re.compile(r"(\d{1,6})\s*:\s*(\d{1,6})")
_SYNTAX = "'0-43 closed, 44-93, 12:60' (a closed curve, an open one, a single line; indices from 0), or a JSON file [[0, 1], …]"


def read_edges(spec: str | os.PathLike[str], n_points: int | None = None) -> Edges:
    """Edges from a file, or from a text that spells them.

    Args:
        spec: the path of a JSON file ``[[0, 1], …]`` or ``{"edges": [[0, 1], …]}``; or parts with commas between: ``A-B`` is a
            curve through A, A + 1, …, B; ``A-B closed`` leads back to A; ``A:B`` is a single line. Indices count from 0.
        n_points: how many landmarks there are, if known.

    Raises:
        DataError: it can't be understood, or an edge leads to a landmark that isn't there.

    Example:
        >>> read_edges("0-2 closed, 3-4, 1:4")
        ((0, 1), (1, 2), (2, 0), (3, 4), (1, 4))
    """
    text = os.fspath(spec)
    if text.lower().endswith(".json") or (not _spelled(text) and Path(text).is_file()):
        return _of_file(Path(text), n_points)
    return checked_edges(_parsed(text), n_points, f"edges {text!r}")


def checked_edges(edges: Iterable[Iterable[int]], n_points: int | None, what: str = "edges") -> Edges:
    """Pairs of different indices that exist, each once.

    Raises:
        DataError: they aren't.
    """
    kept: dict[frozenset[int], tuple[int, int]] = {}
    for edge in edges:
        ends = tuple(edge) if isinstance(edge, Iterable) and not isinstance(edge, str) else (edge,)
        whole = len(ends) == 2 and all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
        if not whole or min(ends) < 0 or ends[0] == ends[1]:
            raise DataError(f"{what}: expected pairs of two different indices from 0, got {edge!r}; write {_SYNTAX}")
        if n_points is not None and max(ends) >= n_points:
            raise DataError(
                f"{what}: {ends[0]}:{ends[1]} leads to a landmark that isn't there; they count from 0 to {n_points - 1}"
            )
        kept.setdefault(frozenset(ends), (ends[0], ends[1]))
    return tuple(kept.values())


def _spelled(text: str) -> bool:
    return all(_CURVE.fullmatch(part.strip()) or _LINE.fullmatch(part.strip()) for part in text.split(","))


def _parsed(text: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for part in text.split(","):
        if line := _LINE.fullmatch(part.strip()):
            found.append((int(line[1]), int(line[2])))
        elif curve := _CURVE.fullmatch(part.strip()):
            first, last = int(curve[1]), int(curve[2])
            if first >= last:
                raise DataError(
                    f"edges {text!r}: {part.strip()!r} ends before it begins; write a single line as {first}:{last}"
                )
            found += [(i, i + 1) for i in range(first, last)]
            found += [(last, first)] if curve[3] and last > first + 1 else []
        else:
            raise DataError(f"edges {text!r}: {part.strip()!r} can't be understood, and there is no such file; write {_SYNTAX}")
    return found


def _of_file(path: Path, n_points: int | None) -> Edges:
    content = read_json(path, f"edges as {_SYNTAX}")
    edges = content.get("edges") if isinstance(content, dict) else content
    if not isinstance(edges, list) or not edges:
        raise DataError(f"{path}: expected edges as {_SYNTAX}")
    return checked_edges(edges, n_points, str(path))
