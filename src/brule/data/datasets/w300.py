"""The 300-W faces in the layout of their release: 68 landmarks in the ibug order, ``.pts`` beside each image."""

from __future__ import annotations

from pathlib import Path

from brule.data.datasets.layout import checked_split, expect, first_there, note_counts
from brule.data.folder import read_folder
from brule.data.samples import BadFiles, SampleList
from brule.errors import DataError

N_POINTS = 68

SPLITS: dict[str, tuple[str, ...]] = {
    "train": ("afw", "helen/trainset", "lfpw/trainset"),
    "common": ("helen/testset", "lfpw/testset"),
    "challenging": ("ibug",),
    "full": ("helen/testset", "lfpw/testset", "ibug"),
}
# What the release holds; a copy with fewer faces gives figures that can't be compared with the literature.
RELEASE_COUNTS: dict[str, int] = {
    "afw": 337,
    "helen/trainset": 2000,
    "lfpw/trainset": 811,
    "helen/testset": 330,
    "lfpw/testset": 224,
    "ibug": 135,
}
TREE = """
afw/          (337 images, and a .pts file of the same name beside each)
helen/        (trainset: 2,000; testset: 330)
ibug/         (135)
lfpw/         (trainset: 811; testset: 224)
"""


def read_300w(root: Path | str, split: str = "train", *, skip_bad: bool = False) -> SampleList:
    """Read one split of 300-W.

    Args:
        root: the folder that holds ``afw``, ``helen``, ``ibug`` and ``lfpw`` (those that the split needs).
        split: ``train`` (3,148 faces in the release), ``common`` (554), ``challenging`` (135) or ``full`` (689).
        skip_bad: leave bad files out and list them in ``bad`` of the result, rather than raise at the first.

    Returns:
        The samples, folder by folder; ``counts`` has the number from each, and ``notes`` where the release has more.

    Raises:
        ConfigError: no such split.
        DataError: a folder is missing, a file is bad, or a face hasn't 68 landmarks.
    """
    checked_split("300-W", split, SPLITS)
    root = Path(root)
    expect(root, "300-W", TREE, found={part: first_there(root, part) for part in SPLITS[split]})
    result = SampleList(bad=BadFiles(skip=skip_bad))
    for part in SPLITS[split]:
        _add_part(result, root, part, skip_bad=skip_bad)
    return note_counts(result, "300-W", RELEASE_COUNTS)


def _add_part(result: SampleList, root: Path, part: str, *, skip_bad: bool) -> None:
    samples = read_folder(root / part, require_points=True, skip_bad=skip_bad)
    if samples.n_points != N_POINTS:
        raise DataError(f"{samples[0].path}: expected {N_POINTS} landmarks in 300-W, got {samples.n_points}")
    result.extend(samples)
    result.bad.extend(samples.bad)
    result.counts[part] = len(samples)
