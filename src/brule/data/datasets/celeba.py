"""CelebA and MAFL: five points on 202,599 faces of celebrities, aligned or in the wild. MAFL is a part of CelebA.

The lists may be in the root, or in the folders ``Anno``, ``Eval`` and ``Img`` of the release; those of MAFL in ``MAFL``.
Coordinates are taken as they are, from the first pixel's centre.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from brule.data.datasets.layout import checked_split, expect, first_there, lines_of, note_counts, numbers_of
from brule.data.samples import BadFiles, Box, Sample, SampleList
from brule.errors import DataError

N_POINTS = 5
PARTITIONS = {"train": "0", "validation": "1", "test": "2"}
CELEBA_COUNTS = {"train": 162_770, "validation": 19_867, "test": 19_962}
MAFL_COUNTS = {"train": 19_000, "test": 1000}
_FOLDERS = ("", "Anno", "Eval", "Img", "MAFL")
_LANDMARKS = {False: "list_landmarks_align_celeba.txt", True: "list_landmarks_celeba.txt"}
_IMAGES = {False: "img_align_celeba", True: "img_celeba"}
_BOXES = "list_bbox_celeba.txt"
TREE = """
img_align_celeba/000001.jpg …            (or Img/img_align_celeba; in the wild: img_celeba)
list_landmarks_align_celeba.txt          (or Anno/…; in the wild: list_landmarks_celeba.txt, list_bbox_celeba.txt)
list_eval_partition.txt                  (or Eval/…; for celeba)
MAFL/training.txt, MAFL/testing.txt      (for mafl; testing.txt also keeps its images out of celeba's training)
"""


def read_celeba(root: Path | str, split: str = "train", *, wild: bool = False, skip_bad: bool = False) -> SampleList:
    """Read one split of CelebA; the test images of MAFL are kept out of ``train`` and ``validation``.

    Args:
        root: the folder of the release.
        split: ``train`` (162,770 faces, those of MAFL's test not taken off), ``validation`` (19,867) or ``test`` (19,962).
        wild: the images as they were found, with their boxes, rather than the aligned ones.
        skip_bad: leave bad lines and missing images out and list them in ``bad`` of the result.

    Raises:
        ConfigError: no such split.
        DataError: the release isn't there, or something in it is bad.
    """
    checked_split("celeba", split, PARTITIONS)
    root = Path(root)
    partition = first_there(root, "list_eval_partition.txt", _FOLDERS)
    expect(root, "CelebA", TREE, found={**_parts(root, wild), "list_eval_partition.txt": partition})
    assert partition is not None  # for the type checker
    wanted = {name: None for name, group in _pairs(partition) if group == PARTITIONS[split]}
    in_partition = len(wanted)
    held_out = first_there(root, "testing.txt", _FOLDERS)
    notes = []
    if split != "test" and held_out is not None:
        for name in lines_of(held_out):
            wanted.pop(name, None)
        notes = [f"celeba: {in_partition - len(wanted):,} test images of MAFL are kept out of {split}"]
    elif split != "test":
        notes = [
            f"celeba: {root / 'MAFL/testing.txt'} isn't there, so MAFL's test images are not kept out of {split}: don't "
            "measure on MAFL what you train on this"
        ]
    result = _read(root, list(wanted), wild, skip_bad=skip_bad)
    result.counts[split] = in_partition
    result.notes += notes
    return note_counts(result, "celeba", CELEBA_COUNTS)


def read_mafl(root: Path | str, split: str = "train", *, wild: bool = False, skip_bad: bool = False) -> SampleList:
    """Read one split of MAFL.

    Args:
        root: the folder of CelebA, with MAFL's two lists.
        split: ``train`` (19,000 faces) or ``test`` (1,000).
        wild: the images as they were found, with their boxes, rather than the aligned ones.
        skip_bad: leave bad lines and missing images out and list them in ``bad`` of the result.

    Raises:
        ConfigError: no such split.
        DataError: the release isn't there, something in it is bad, or an image is in both splits.
    """
    checked_split("mafl", split, MAFL_COUNTS)
    root = Path(root)
    lists = {name: first_there(root, name, _FOLDERS) for name in ("training.txt", "testing.txt")}
    expect(root, "MAFL", TREE, found={**_parts(root, wild), **lists})
    names = {name: lines_of(path) for name, path in lists.items() if path is not None}
    if both := set(names["training.txt"]) & set(names["testing.txt"]):
        raise DataError(f"{lists['training.txt']}: {min(both)} is in testing.txt too; no image may be in both")
    result = _read(root, names["training.txt" if split == "train" else "testing.txt"], wild, skip_bad=skip_bad)
    result.counts[split] = len(result)
    return note_counts(result, "mafl", MAFL_COUNTS)


def _parts(root: Path, wild: bool) -> dict[str, Path | None]:
    names = [_LANDMARKS[wild], _IMAGES[wild], *([_BOXES] if wild else [])]
    return {name: first_there(root, name, _FOLDERS) for name in names}


def _read(root: Path, names: list[str], wild: bool, *, skip_bad: bool) -> SampleList:
    parts = _parts(root, wild)
    listing, folder = parts[_LANDMARKS[wild]], parts[_IMAGES[wild]]
    assert listing is not None and folder is not None  # for the type checker
    points = _table(listing, 2 * N_POINTS, set(names))
    boxes = _table(path, 4, set(names)) if (path := parts.get(_BOXES)) is not None else {}
    there = set(os.listdir(folder))
    result = SampleList(bad=BadFiles(skip=skip_bad))
    for name in names:
        if name not in points:
            result.bad.reject(listing, f"has no landmarks of {name}")
        elif name not in there:
            result.bad.reject(folder / name, f"isn't there, though {listing.name} lists it")
        else:
            array = np.array(points[name], dtype=np.float32).reshape(N_POINTS, 2)
            result.append(Sample(folder / name, array, _box(boxes.get(name))))
    if not result:
        raise DataError(f"{root}: none of the {len(names)} images of this split can be used")
    return result


def _table(path: Path, columns: int, wanted: set[str]) -> dict[str, list[float]]:
    """The values of each image; the first two lines are a count and names of columns."""
    found = {}
    for number, line in enumerate(lines_of(path)[2:], 3):
        name, *fields = line.split()
        if name not in wanted:
            continue
        if len(fields) != columns:
            raise DataError(f"{path}: line {number}: expected an image and {columns} values, got {len(fields)}")
        found[name] = numbers_of(fields, f"{path}: line {number}")
    return found


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines_of(path), 1):
        fields = line.split()
        if len(fields) != 2 or fields[1] not in PARTITIONS.values():
            raise DataError(f"{path}: line {number}: expected an image and its part, 0, 1 or 2; got {line[:60]!r}")
        yield fields[0], fields[1]


def _box(values: list[float] | None) -> Box | None:
    """Left, top, width, height of the release → a box; some there have none."""
    if values is None or values[2] <= 0 or values[3] <= 0:
        return None
    left, top, width, height = values
    return (left, top, left + width, top + height)
