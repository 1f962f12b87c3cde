"""Polygons and polylines → evenly spaced points: landmarks along the outline of an object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brule.data.formats.record import Annotation, Annotations, NamedPoints, Outline, from_named
from brule.data.formats.values import counted, shown
from brule.errors import ConfigError, DataError

ADVICE = "`brule data convert --outline-points N` turns each into N evenly spaced points"


MAX_KINDS = 5  # of shapes that a remark names


class OtherShapes(Counter[str]):
    """How many shapes of each kind and label aren't read."""

    def note(self, kind: object, label: object = None) -> None:
        """Count a shape, by the name that the file gives its kind."""
        name = "" if label in (None, "") else f" {shown(label)}"
        self[f"{str(kind or 'of no kind')[:40]}{name}"] += 1


def outline_notes(objects: Sequence[NamedPoints], others: OtherShapes, kinds: str) -> list[str]:
    """Remarks on the shapes that aren't read.

    Args:
        objects: the objects with the polygons that were kept.
        others: the shapes of other kinds.
        kinds: what is read, as the remark calls it.
    """
    outlines = [outline for one in objects for outline in one.outlines]
    what = "polygon" if all(outline.closed for outline in outlines) else "outline"
    labels = _some([repr(label) for label in dict.fromkeys(outline.label[:40] for outline in outlines)])
    notes = [f"{counted(len(outlines), what)} passed over ({labels}); {ADVICE}"] if outlines else []
    if not others:
        return notes
    named = _some([f"{name} ({count})" for name, count in others.most_common()])
    return [*notes, f"{counted(others.total(), 'shape')} passed over, neither {kinds}: {named}"]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_KINDS} more kinds" if len(names) > MAX_KINDS else ""
    return ", ".join(names[:MAX_KINDS]) + more


def evenly_spaced(corners: np.ndarray, count: int, *, closed: bool = True) -> np.ndarray:
    """Points along an outline at equal distances, from its first corner on, in its direction.

    Args:
        corners: ``(M, 2)``, M ≥ 2.
        count: how many points.
        closed: whether the last corner is joined to the first; otherwise the points run from the first corner to the last.

    Returns:
        ``(count, 2)`` float32.

    Raises:
        DataError: all corners are in one place.
    """
    line = (np.concatenate([corners, corners[:1]]) if closed else corners).astype(np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    if not along[-1] > 0:
        raise DataError("an outline whose corners are all in one place; remove it")
    wanted = np.arange(count) / (count if closed else max(1, count - 1)) * along[-1]
    return np.stack([np.interp(wanted, along, line[:, i]) for i in (0, 1)], axis=1).astype(np.float32)


def with_outline_points(annotations: Annotations, count: int) -> Annotations:
    """The same records with evenly spaced points in the place of each outline, named ``label/0``, ``label/1`` and so on.

    Points that an object has beside its outlines keep their names and come first. Outlines of one label in an image are
    objects of their own, unless the file groups them.

    Raises:
        ConfigError: ``count`` is below 2.
        DataError: an outline has no length.
    """
    if count < 2:
        raise ConfigError(f"expected at least 2 points along an outline, got {count}")
    objects = [(item, one) for item in annotations.items for one in _objects(item, annotations, count)]
    records, layout = from_named([one for _, one in objects], annotations.layout.names, annotations.layout)
    items = [replace(record, spacing=item.spacing) for (item, _), record in zip(objects, records, strict=True)]
    notes = [note for note in annotations.notes if ADVICE not in note]
    return replace(annotations, items=items, layout=layout, notes=notes)


def _objects(item: Annotation, annotations: Annotations, count: int) -> list[NamedPoints]:
    first = NamedPoints(item.image, item.size, box=item.box)
    if item.points is not None:
        hidden = item.occluded if item.occluded is not None else np.zeros(len(item.points), dtype=bool)
        named = zip(annotations.names(len(item.points)), item.points.tolist(), hidden.tolist(), strict=True)
        for name, (x, y), behind in named:
            if np.isfinite((x, y)).all():
                first.add(name, (x, y), item.image, occluded=behind)
    groups: dict[str, list[Outline]] = {}
    for outline in item.outlines:
        groups.setdefault(outline.group, []).append(outline)
    own = groups.pop("", [])
    if not own and groups:
        found = [first] if first.points or first.box is not None else []
    else:
        found = _outlined(first, own, count)
    for outlines in groups.values():
        found += _outlined(NamedPoints(item.image, item.size), outlines, count)
    return found


def _outlined(first: NamedPoints, outlines: Sequence[Outline], count: int) -> list[NamedPoints]:
    """An object with the points along its outlines; where labels repeat, an object for each outline."""
    repeated = len({outline.label for outline in outlines}) < len(outlines)
    found = [first] if first.points or not outlines or not repeated else []
    for outline in outlines:
        if repeated:
            found.append(NamedPoints(first.image, first.size))
        for i, (x, y) in enumerate(evenly_spaced(outline.corners, count, closed=outline.closed).tolist()):
            found[-1].add(f"{outline.label}/{i}", (x, y), first.image)
    return found
