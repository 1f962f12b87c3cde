"""Drawn scenes: any number of drawn faces anywhere in a cluttered picture, upright or turned."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from brule.arrays import Array
from brule.coordinates import image_box, unit_to_pixels
from brule.data.samples import landmark_box
from brule.data.synthetic.camera import photograph
from brule.data.synthetic.drawing import Sketch
from brule.data.synthetic.look import sample_look
from brule.data.synthetic.shape import N_LANDMARKS, lay_face, sample_pose, sample_shape
from brule.errors import DataError

MIN_SIZE = 32
MAX_OBJECTS = 12
_TRIES = 40  # places that are tried for a face before it is drawn smaller


@dataclass(frozen=True)
class SyntheticScenes:
    """Drawn scenes, and where the faces and their landmarks are.

    Attributes:
        images: ``(n, size, size, 3)`` uint8, RGB.
        points: per scene: ``(O, 68, 2)`` float32 in pixels; O is 0 for an empty scene.
        boxes: per scene: ``(O, 4)`` float32, the smallest upright boxes around the landmarks, in pixels.
        angles: per scene: ``(O,)`` float32, by how many degrees each person is turned, clockwise.
    """

    images: NDArray[np.uint8]
    points: list[NDArray[np.float32]]
    boxes: list[NDArray[np.float32]]
    angles: list[NDArray[np.float32]]

    def __len__(self) -> int:
        """The number of scenes."""
        return len(self.images)


def synthetic_scenes(
    n: int,
    *,
    size: int = 256,
    objects: int | tuple[int, int] = 1,
    side: tuple[float, float] = (0.2, 0.8),
    rotation: float = 30.0,
    seed: int = 0,
    start: int = 0,
) -> SyntheticScenes:
    """Draw scenes number ``start`` to ``start + n`` of a seed.

    A scene depends on the arguments and its number alone, so subsets are stable. Faces don't overlap.

    Args:
        n: how many scenes.
        size: side of the square pictures in pixels, 32 or more.
        objects: how many faces each scene has; or the fewest and the most, drawn evenly between. 0 is a scene of clutter.
        side: smallest and largest longer side of a face's landmark box, over the picture's side. Where several don't find
            room, they are drawn smaller.
        rotation: largest turn of a person to either side, in degrees; 180 is any. Heads are tilted a little besides.
        seed: which endless series of scenes, 0 or more.
        start: number of the first scene. Disjoint ranges make a training and a test set.

    Raises:
        DataError: an argument is out of its range.
    """
    fewest, most = (objects, objects) if isinstance(objects, int) else objects
    _check(n, size, seed, start=start)
    if not 0 <= fewest <= most <= MAX_OBJECTS:
        raise DataError(f"synthetic scenes: expected objects from 0 to {MAX_OBJECTS}, the fewest first, got {objects!r}")
    if not 0 < side[0] <= side[1] <= 1 or not 0 <= rotation <= 180:
        raise DataError(f"synthetic scenes: expected 0 < side ≤ 1 and 0 ≤ rotation ≤ 180, got {side!r} and {rotation!r}")
    images = np.empty((n, size, size, 3), np.uint8)
    points, boxes, angles = [], [], []
    for k in range(n):
        rng = np.random.default_rng([seed, start + k, 1])
        count = int(rng.integers(fewest, most + 1))
        turns = rng.uniform(-rotation, rotation, count)
        images[k], shapes = _draw(rng, size, _places(rng, count, side), turns=np.deg2rad(turns))
        points.append(shapes)
        boxes.append(np.array([landmark_box(shape) for shape in shapes], np.float32).reshape(-1, 4))
        angles.append(turns.astype(np.float32))
    return SyntheticScenes(images, points, boxes, angles)


def _places(rng: np.random.Generator, count: int, side: tuple[float, float]) -> Array:
    """Centres and sides ``(count, 3)`` in units of the picture, apart from each other."""
    most = min(side[1], 0.9 / math.ceil(math.sqrt(max(count, 1))))
    placed: list[tuple[float, float, float]] = []
    for share in sorted(rng.uniform(min(side[0], most / 2) if count > 1 else side[0], most, count), reverse=True):
        while True:
            for x, y in (1 - 0.9 * share) * (rng.random((_TRIES, 2)) - 0.5) + 0.5:
                if all(math.hypot(x - a, y - b) > 0.6 * (share + other) for a, b, other in placed):
                    break
            else:
                share *= 0.9
                continue
            placed.append((x, y, share))
            break
    return np.array(placed).reshape(-1, 3)


def _draw(rng: np.random.Generator, size: int, places: Array, *, turns: Array) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    canvas = clutter(rng, 2 * size)
    sketches, shapes = [], np.empty((len(places), N_LANDMARKS, 2), np.float32)
    for k, ((x, y, share), turn) in enumerate(zip(places, turns, strict=True)):
        face = lay_face(sample_shape(rng), sample_pose(rng), share, centre=np.array([x, y]), turn=float(turn))
        shapes[k] = unit_to_pixels(face.landmarks, image_box(size, size))
        sketches.append(Sketch(face, sample_look(rng), 2 * size, canvas=canvas, turn=float(turn)))
    for sketch in sketches:
        sketch.body()
    for sketch in sketches:  # later, so that nobody's body hides a face
        sketch.person()
    camera = sample_look(rng)
    return photograph(canvas, replace(camera, blur=0.4 * camera.blur), size, rng=rng), shapes


def clutter(rng: np.random.Generator, size: int) -> Image.Image:
    """A picture of nothing in particular: clouds of colour, and shapes of all sizes, some of them round with holes."""
    cells = int(rng.integers(1, 7))
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
    canvas = coarse.resize((size, size), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(5, 40))):
        kind, (x, y), extent = int(rng.integers(4)), size * rng.random(2), size * 0.25 * float(rng.random()) ** 2 + 2
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        around = [x - extent, y - extent, x + extent, y + extent * float(rng.uniform(0.4, 1.6))]
        around = [around[0], min(around[1], around[3]), around[2], max(around[1], around[3])]
        if kind == 0:
            pen.rectangle(around, fill=colour)
        elif kind == 1:
            pen.ellipse(around, fill=colour)
            for hole in rng.uniform(-0.5, 0.5, (int(rng.integers(0, 5)), 2)):
                middle, r = np.array([x, y]) + extent * hole, 0.12 * extent
                pen.ellipse([*(middle - r), *(middle + r)], fill=tuple(255 - v for v in colour))
        elif kind == 2:
            corners = np.array([x, y]) + extent * rng.uniform(-1.5, 1.5, (int(rng.integers(3, 7)), 2))
            pen.polygon([tuple(corner) for corner in corners], fill=colour)
        else:
            end = np.array([x, y]) + 4 * extent * rng.uniform(-1, 1, 2)
            pen.line([x, y, *end], fill=colour, width=max(1, round(0.15 * extent)))
    return canvas


def _check(n: int, size: int, seed: int, *, start: int) -> None:
    for name, value, least in (("n", n, 0), ("size", size, MIN_SIZE), ("seed", seed, 0), ("start", start, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise DataError(f"synthetic scenes: expected {name} to be an integer of {least} or more, got {value!r}")
