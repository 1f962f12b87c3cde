"""Drawn faces with exact landmarks, for the demo, for tests and for trying things out without any data.

Each picture is a parametric face: a linear 3-D model of 68 landmarks in the ibug (300-W) order, with a person, an
expression and a pose of its own, drawn with hair, glasses, a background, light, blur and noise. Landmarks are on what
is drawn: the outline of the jaw, the middle of the brow's stroke, the ridge and the base of the nose, the lids, the
contours of the lips. They are given where they are even if a hand, hair or glasses hide them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brule.coordinates import image_box, unit_to_pixels
from brule.data.synthetic.drawing import draw_face
from brule.data.synthetic.look import sample_look
from brule.data.synthetic.scenes import SyntheticScenes, synthetic_scenes
from brule.data.synthetic.shape import IBUG_MIRROR, N_LANDMARKS, sample_face
from brule.errors import DataError
from brule.files import make_folder, write_image

__all__ = [
    "IBUG_MIRROR",
    "SyntheticFaces",
    "SyntheticScenes",
    "synthetic_faces",
    "synthetic_scenes",
    "write_synthetic_faces",
]

MIN_SIZE = 16


@dataclass(frozen=True)
class SyntheticFaces:
    """Drawn faces and where their landmarks are.

    Attributes:
        images: ``(n, size, size, 3)`` uint8, RGB.
        points: ``(n, 68, 2)`` float32 in pixels, the centre of the first pixel at ``(0, 0)``.
    """

    images: NDArray[np.uint8]
    points: NDArray[np.float32]

    def __len__(self) -> int:
        """The number of faces."""
        return len(self.images)


def synthetic_faces(n: int, *, size: int = 64, seed: int = 0, start: int = 0) -> SyntheticFaces:
    """Draw faces number ``start`` to ``start + n`` of a seed.

    A face depends on the seed and its number only, so subsets are stable; its landmarks are the same at every size, up
    to the scale.

    Args:
        n: how many.
        size: side of the square images in pixels, 16 or more.
        seed: which endless series of faces, 0 or more.
        start: number of the first face, 0 or more. Disjoint ranges make a training and a test set.

    Returns:
        The images and the landmarks.

    Raises:
        DataError: for a negative number, seed or start, or a size below 16.
    """
    _check(n, size, seed, start=start)
    images = np.empty((n, size, size, 3), np.uint8)
    points = np.empty((n, N_LANDMARKS, 2), np.float32)
    for k in range(n):
        images[k], points[k] = _draw(size, seed, start + k)
    return SyntheticFaces(images, points)


def write_synthetic_faces(
    directory: str | Path, n: int, *, size: int = 96, seed: int = 0, start: int = 0, points: bool = True
) -> list[Path]:
    """Write drawn faces as PNG files, with an ibug ``.pts`` file beside each.

    Args:
        directory: where to; it is made if it doesn't exist.
        n: how many.
        size: side of the square images in pixels, 16 or more.
        seed: which endless series of faces, 0 or more.
        start: number of the first face; the files are named by their numbers.
        points: write the landmarks too; without, the folder is unlabelled data.

    Returns:
        The paths of the images, in order.

    Raises:
        DataError: for a negative number, seed or start, or a size below 16.
        OutputError: the directory can't be written.
    """
    from brule.data.formats.pts import write_pts

    _check(n, size, seed, start=start)
    directory = Path(directory)
    make_folder(directory)
    paths = []
    for number in range(start, start + n):  # one at a time: a large set needn't fit into memory
        image, landmarks = _draw(size, seed, number)
        path = directory / f"face_{number:06d}.png"
        write_image(path, Image.fromarray(image), compress_level=3)
        if points:
            write_pts(path.with_suffix(".pts"), landmarks)
        paths.append(path)
    return paths


def _draw(size: int, seed: int, number: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    rng = np.random.default_rng([seed, number])
    face, look = sample_face(rng), sample_look(rng)
    return draw_face(face, look, size), unit_to_pixels(face.landmarks, image_box(size, size)).astype(np.float32)


def _check(n: int, size: int, seed: int, *, start: int) -> None:
    for name, value, least in (("n", n, 0), ("size", size, MIN_SIZE), ("seed", seed, 0), ("start", start, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise DataError(f"synthetic faces: expected {name} to be an integer of {least} or more, got {value!r}. Raise it.")
