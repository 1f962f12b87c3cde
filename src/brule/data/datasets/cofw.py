"""COFW: 29 points on 1,852 faces with occlusions, in two MATLAB files that hold the images themselves.

The files are MATLAB v7.3, which is HDF5: the extra ``cofw`` (h5py) reads them. The images are written out once, to the folder
of decoded images. Points and boxes count from 1, as MATLAB does.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from brule.data.crops import cache_directory
from brule.data.datasets.layout import checked_split, expect, first_there, note_counts
from brule.data.formats.pts import FIRST_PIXEL
from brule.data.samples import BadFiles, Sample, SampleList
from brule.errors import DataError
from brule.files import temporary_folder, write_image

N_POINTS = 29
RELEASE_COUNTS = {"train": 1345, "test": 507}
# The variables of each file: images, points, boxes.
_VARIABLES = {"train": ("IsTr", "phisTr", "bboxesTr"), "test": ("IsT", "phisT", "bboxesT")}
TREE = """
COFW_train_color.mat
COFW_test_color.mat
"""


def read_cofw(root: Path | str, split: str = "train", *, skip_bad: bool = False) -> SampleList:
    """Read one split of COFW.

    Args:
        root: the folder that holds ``COFW_train_color.mat`` and ``COFW_test_color.mat``.
        split: ``train`` (1,345 faces: 845 of LFPW and 500 with occlusions) or ``test`` (507).
        skip_bad: leave bad faces out and list them in ``bad`` of the result.

    Returns:
        A sample a face, with the box of the release; its image is in the folder of decoded images (``BRULE_CACHE``).

    Raises:
        ConfigError: no such split.
        DataError: the release isn't there, h5py isn't installed, or something is bad.
    """
    checked_split("cofw", split, RELEASE_COUNTS)
    root = Path(root)
    name = f"COFW_{split}_color.mat"
    path = first_there(root, name)
    expect(root, "COFW", TREE, found={name: path})
    assert path is not None  # for the type checker
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{path}: reading it needs h5py: pip install 'brule-landmarks[cofw]'") from error
    try:
        with h5py.File(path, "r") as file:
            samples = _samples(path, file, split, bad=BadFiles(skip=skip_bad))
    except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not the file of the release, or damaged ({error})") from error
    samples.counts[split] = len(samples)
    return note_counts(samples, "cofw", RELEASE_COUNTS)


def _samples(path: Path, file: Any, split: str, *, bad: BadFiles) -> SampleList:
    images, points, boxes = (file[name] for name in _VARIABLES[split])
    points, boxes = np.asarray(points, dtype=np.float64), np.asarray(boxes, dtype=np.float64)  # (87, n), (4, n)
    count = points.shape[1] if points.ndim == 2 else 0
    references = np.asarray(images).reshape(-1)
    if points.shape != (3 * N_POINTS, count) or boxes.shape != (4, count) or len(references) != count:
        raise DataError(
            f"{path}: expected {3 * N_POINTS} values, a box and an image per face, got {points.shape}, {boxes.shape}"
        )
    folder = _written(path, split, file, references=references)
    result = SampleList(bad=bad)
    for i in range(count):
        image = folder / f"{split}_{i + 1:04d}.png"
        try:
            xy = points[: 2 * N_POINTS, i].reshape(2, N_POINTS).T - FIRST_PIXEL
            left, top, width, height = (boxes[:, i] - [FIRST_PIXEL, FIRST_PIXEL, 0, 0]).tolist()
            result.append(Sample(image, xy, (left, top, left + width, top + height)))
        except DataError as error:
            bad.reject_error(image, error)
    if not result:
        raise DataError(f"{path}: none of its {count} faces can be used")
    return result


def _written(path: Path, split: str, file: Any, *, references: np.ndarray) -> Path:
    """The folder with the images of a file; they are written out if they aren't yet."""
    status = path.stat()
    key = hashlib.sha256(f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()
    folder = cache_directory() / f"cofw-{split}-{key[:16]}"
    if folder.is_dir():
        return folder
    with temporary_folder(folder.parent) as building:
        for i, reference in enumerate(references, 1):
            write_image(building / f"{split}_{i:04d}.png", Image.fromarray(_upright(np.asarray(file[reference]))))
        try:
            os.replace(building, folder)
        except OSError:
            if not folder.is_dir():  # else another process was quicker, with the same images
                raise
    return folder


def _upright(image: np.ndarray) -> np.ndarray:
    """MATLAB writes columns first: ``(W, H)`` or ``(3, W, H)`` → ``(H, W)`` or ``(H, W, 3)``."""
    return np.ascontiguousarray(image.transpose(), dtype=np.uint8)
