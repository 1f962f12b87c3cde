"""Data from any source: folders, annotation files, and data sets by name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from brule.data.datasets import DATASETS, read_dataset
from brule.data.discovery import Paths, as_paths
from brule.data.folder import read_folder
from brule.data.samples import BadFiles, SampleList, reject_odd_counts


def dataset_of(path: str | os.PathLike[str]) -> tuple[str, str, Path] | None:
    """Name, split and root of a data set, where a path spells one: ``300w:train:/path/to/300w``; else None."""
    name, _, rest = os.fspath(path).partition(":")
    split, colon, root = rest.partition(":")
    return (name, split, Path(root or ".")) if name in DATASETS and colon else None


def read_samples(
    paths: Paths,
    *,
    also: Iterable[Path] = (),
    require_points: bool = False,
    check_images: bool = True,
    skip_bad: bool = False,
) -> SampleList:
    """Read images and their annotations from folders, annotation files and data sets.

    Args:
        paths: one path or several, as for :func:`~brule.data.read_folder`; also data sets, spelled ``NAME:SPLIT:ROOT``.
        also: further annotation files, such as boxes, which count for these images only; not of data sets.
        require_points: return labelled images only.
        check_images: read the headers of images without annotation, too, as for :func:`~brule.data.read_folder`.
        skip_bad: leave bad files out and list them in ``bad`` of the result.

    Raises:
        ConfigError: a data set has no such split.
        DataError: as for :func:`~brule.data.read_folder` and :func:`~brule.data.read_dataset`.
    """
    files: list[str] = []
    parts: list[SampleList] = []
    for path in _texts(paths):
        spelled = dataset_of(path)
        if spelled is None:
            files.append(path)
        else:
            name, split, root = spelled
            parts.append(read_dataset(name, root, split, skip_bad=skip_bad))
    if files or not parts:
        reading = {"require_points": require_points, "check_images": check_images, "skip_bad": skip_bad}
        parts.append(read_folder(files, also=also, **reading))
    return parts[0] if len(parts) == 1 else _joined(parts, BadFiles(skip=skip_bad), one_count=require_points)


def plain_paths(paths: Paths) -> list[Path]:
    """The paths that don't spell a data set."""
    return [path for path in as_paths(paths) if dataset_of(path) is None]


def _texts(paths: Paths) -> list[str]:
    # Not Path, which would take the slashes of NAME:SPLIT:ROOT apart.
    return [os.fspath(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]


def _joined(parts: list[SampleList], bad: BadFiles, *, one_count: bool) -> SampleList:
    samples = [sample for part in parts for sample in part]
    if one_count:  # where landmarks are learnt from; where they only give boxes, data sets of five and of 68 go together
        samples = reject_odd_counts(samples, bad)
    bad.extend(one for part in parts for one in part.bad)
    counts = {name: count for part in parts for name, count in part.counts.items()}
    notes = [note for part in parts for note in part.notes]
    return SampleList(samples, bad=bad, counts=counts, layout=parts[0].layout, notes=notes)
