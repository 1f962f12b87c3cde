"""Which landmark is which: names decide, not the order in a file.

Landmarks of two sources are matched by name if both have names. If one of them has none, their order has to be the same, which
nothing can check: a remark says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from brule.data.samples import Layout, Sample, SampleList
from brule.errors import DataError

Names = tuple[str, ...]

MAX_COMPARED = 500  # names: the table of all pairs grows with their square
MIN_OBJECTS = 5  # below, a name in one object only isn't rare
RARE = 0.2  # share of the objects
_MAX_LISTED = 4


@dataclass(frozen=True)
class NameMatch:
    """Where the landmarks of one order are in another.

    Args:
        order: for each wanted landmark, its index in the own order, -1 where it is missing there; None if nothing moves.
        remark: what the user should know, "" as a rule.
    """

    order: tuple[int, ...] | None = None
    remark: str = ""

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points ``(N, 2)`` in the own order → in the wanted order, NaN where one is missing."""
        if self.order is None:
            return points
        moved = np.full((len(self.order), 2), np.nan, dtype=points.dtype)
        there = [i for i, own in enumerate(self.order) if own >= 0]
        moved[there] = points[[self.order[i] for i in there]]
        return moved

    def edges(self, edges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        """Edges between own landmarks → between wanted ones; those that lose an end are dropped."""
        if self.order is None:
            return tuple(edges)
        place = {own: i for i, own in enumerate(self.order)}
        return tuple((place[a], place[b]) for a, b in edges if a in place and b in place)


def match_names(own: Names | None, wanted: Names | None, *, what: str, reference: str) -> NameMatch:
    """Match landmarks by name.

    Args:
        own: the names of the landmarks that are to be brought into the wanted order; None without names.
        wanted: the names in the wanted order; None without names.
        what: the source of ``own``, for messages.
        reference: the same of ``wanted``.

    Returns:
        The match. Without names on both sides nothing moves, with names on one side there is a remark. Landmarks that only
        ``own`` has are dropped with a remark, those that it lacks are missing.

    Raises:
        DataError: no name is the same, or names are missing on both sides, so that some are spelt otherwise.
    """
    if own == wanted or not own or not wanted:
        if bool(own) == bool(wanted):
            return NameMatch()
        bare, named = (reference, what) if own else (what, reference)
        names = _listed(own or wanted or ())
        return NameMatch(None, f"{bare} has no landmark names, {named} has ({names}): their order can't be checked")
    extra, missing = [name for name in own if name not in wanted], [name for name in wanted if name not in own]
    if len(missing) == len(wanted) or (extra and missing):
        raise DataError(
            f"{what}: expected the landmarks {_listed(missing)} of {reference}, got {_listed(extra)}{_alike(extra, missing)}; "
            "give landmarks the same names"
        )
    remark = f"{what}: landmarks that {reference} doesn't have are left out: {_listed(extra)}" if extra else ""
    if missing:
        remark = f"{what}: landmarks of {reference} that are missing here: {_listed(missing)}"
    index = {name: i for i, name in enumerate(own)}
    return NameMatch(tuple(index.get(name, -1) for name in wanted), remark)


def checked_name(name: object, where: str) -> str:
    """A landmark's name: not empty, no control characters.

    Raises:
        DataError: it isn't.
    """
    from brule.data.formats.values import text  # with it come the readers of all formats

    return text(name, where, "a landmark's name")


def samples_in_order(samples: SampleList, names: Names | None, *, reference: str = "the detector") -> SampleList:
    """Samples with their landmarks in the order of these names; remarks are added to ``notes``.

    Raises:
        DataError: as for :func:`match_names`.
    """
    if samples.n_points is None:
        return samples
    match = match_names(samples.layout.names, names, what="the annotated images", reference=reference)
    moved = samples if match.order is None else samples.replaced(_moved(sample, match) for sample in samples)
    if match.order is not None:
        moved.layout = Layout(names, match.edges(samples.layout.edges), kind=samples.layout.kind)
    moved.notes = [*moved.notes, *([match.remark] if match.remark else [])]
    return moved


def _moved(sample: Sample, match: NameMatch) -> Sample:
    if sample.points is None:
        return sample
    points = match.points(sample.points)
    # The crop stays that of all landmarks that were annotated.
    box = sample.box or (sample.unlabelled().box if match.order is not None and -1 in match.order else None)
    return replace(sample, points=points if np.isfinite(points).any() else None, box=box)


def name_remarks(names: Sequence[str], present: np.ndarray) -> list[str]:
    """Names that are almost the same, or in one object only in the place of another name.

    Args:
        names: N names.
        present: ``(K, N)`` bool, which landmarks each object has.
    """
    if not 1 < len(names) <= MAX_COMPARED or not len(present):
        return []
    counts = present.sum(axis=0)
    together = present.astype(np.float32).T @ present.astype(np.float32) > 0
    same: list[str] = []
    by_form: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        by_form.setdefault(_form(name), []).append(i)
    for group in by_form.values():
        apart = all(not together[a, b] for a in group for b in group if a != b)
        if len(group) > 1 and apart:
            same.append(" and ".join(f"{names[i]!r} (in {counts[i]} of {len(present)})" for i in group))
    listed = "; ".join(same)
    remarks = [f"landmark names that differ in case, blanks or signs only: {listed}; one landmark each?"] if same else []
    twins = {i for group in by_form.values() if len(group) > 1 for i in group}
    if len(present) >= MIN_OBJECTS:
        rare = [i for i in np.flatnonzero((counts > 0) & (counts <= RARE * len(present))).tolist() if i not in twins]
        for i in rare:
            others = [j for j in range(len(names)) if j != i and bool((present[:, i] ^ present[:, j]).all())]
            if others:
                usual = max(others, key=lambda j: _likeness(names[i], names[j]))
                few = f"{counts[i]} of {len(present)} objects"
                remarks.append(f"the landmark {names[i]!r} is in {few} only, where {names[usual]!r} is missing: one landmark?")
    return remarks


def _form(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold()) or name


def _likeness(a: str, b: str) -> float:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, a.casefold(), b.casefold()).ratio()


def _alike(extra: Sequence[str], missing: Sequence[str]) -> str:
    """A hint on names that are spelt almost the same."""
    if len(extra) > MAX_COMPARED or len(missing) > MAX_COMPARED:
        return ""
    pairs = [(a, b) for a in extra for b in missing if _form(a) == _form(b)]
    pairs = pairs or [(a, b) for a in extra[:20] for b in missing[:20] if _likeness(a, b) > 0.7]
    return f" ({', '.join(f'{a!r} is almost {b!r}' for a, b in pairs[:_MAX_LISTED])})" if pairs else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return (", ".join(repr(name) for name in names[:_MAX_LISTED]) + more) or "none"
