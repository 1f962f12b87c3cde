"""WFLW: 98 points on 10,000 faces in the wild, with boxes and attributes. An image may hold several faces."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from brule.data.datasets.layout import checked_split, expect, first_there, lines_of, note_counts, numbers_of
from brule.data.formats.values import box, shown
from brule.data.samples import BadFiles, Sample, SampleList
from brule.errors import DataError

N_POINTS = 98
LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test"
# The attributes in the order of the lists, and the subsets of the test faces that they make.
ATTRIBUTES = ("pose", "expression", "illumination", "makeup", "occlusion", "blur")
RELEASE_COUNTS = {
    **{"train": 7500, "test": 2500},
    **{"test-pose": 326, "test-expression": 314, "test-illumination": 698},
    **{"test-makeup": 206, "test-occlusion": 736, "test-blur": 773},
}
SPLITS = tuple(RELEASE_COUNTS)
TREE = f"""
WFLW_images/                                                (61 folders of images)
{LISTS}/list_98pt_rect_attr_train.txt
{LISTS}/list_98pt_rect_attr_test.txt
"""
_FIELDS = 2 * N_POINTS + 4 + len(ATTRIBUTES) + 1


def read_wflw(root: Path | str, split: str = "train", *, skip_bad: bool = False) -> SampleList:
    """Read one split of WFLW.

    Args:
        root: the folder that holds ``WFLW_images`` and ``WFLW_annotations``.
        split: ``train`` (7,500 faces), ``test`` (2,500), or a subset of the latter: ``test-pose`` (326),
            ``test-expression`` (314), ``test-illumination`` (698), ``test-makeup`` (206), ``test-occlusion`` (736),
            ``test-blur`` (773).
        skip_bad: leave bad lines and missing images out and list them in ``bad`` of the result.

    Returns:
        A sample a face, with the box of the release. Coordinates are taken as they are, from the first pixel's centre.

    Raises:
        ConfigError: no such split.
        DataError: the release isn't there, or something in it is bad.
    """
    checked_split("wflw", split, SPLITS)
    root = Path(root)
    part, _, attribute = split.partition("-")
    name = f"{LISTS}/list_98pt_rect_attr_{part}.txt"
    images, listing = first_there(root, "WFLW_images"), first_there(root, name)
    expect(root, "WFLW", TREE, found={"WFLW_images": images, name: listing})
    assert images is not None and listing is not None  # for the type checker
    result = SampleList(bad=BadFiles(skip=skip_bad))
    for number, line in enumerate(lines_of(listing), 1):
        try:
            sample = _sample(f"{listing}: line {number}", line, images, attribute=attribute)
        except DataError as error:
            result.bad.reject_error(listing, error)
        else:
            result.extend([] if sample is None else [sample])
    if not result:
        raise DataError(f"{listing}: none of its faces can be used" + (f"; the first: {result.bad[0]}" if result.bad else ""))
    result.counts[split] = len(result)
    return note_counts(result, "wflw", RELEASE_COUNTS)


def _sample(where: str, line: str, images: Path, *, attribute: str) -> Sample | None:
    fields = line.split(maxsplit=_FIELDS - 1)
    if len(fields) != _FIELDS:
        raise DataError(f"{where}: expected {_FIELDS} fields (points, box, attributes, image), got {len(fields)}")
    values = numbers_of(fields[:-1], where)
    flags = dict(zip(ATTRIBUTES, values[-len(ATTRIBUTES) :], strict=True))
    if attribute and not flags[attribute]:
        return None
    path = images / fields[-1]
    if not os.path.isfile(path):  # of a name of any length
        raise DataError(f"{where}: the image {shown(fields[-1])} isn't in {images}")
    left, top, right, bottom = values[2 * N_POINTS : 2 * N_POINTS + 4]
    points = np.array(values[: 2 * N_POINTS], dtype=np.float32).reshape(N_POINTS, 2)
    return Sample(path, points, box((left, top, right, bottom), where))
