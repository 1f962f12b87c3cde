"""Whether a detector flags its wrong detections: on photographs, on the same with the object hidden, and on drawn scenes.

``python -m benchmarks.rejection RUN DATA`` takes a run that learnt from images like DATA, one object each. A detection is
wrong if its error is no smaller than the floor's (the mean shape placed in the true box); in a picture without an object every
detection is wrong. The objects are hidden by :func:`brule.locating.painted_over`, with other random numbers than in training,
and by a flat rectangle. Half of the drawn scenes are empty; the others show one face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.whole_images import Annotations, options
from brule import LandmarkDetector
from brule.arrays import Array
from brule.data import landmark_box, load_image
from brule.data.synthetic import synthetic_scenes
from brule.locating import floor_error, from_boxes, painted_over

SCENES = 100  # of each kind
_SEED = 1_000_000  # far from those of training
_AROUND = 1.3  # side of the flat rectangle over that of the box


def hidden_flat(image: Image.Image, points: Array) -> Image.Image:
    """An image whose object is covered by a rectangle of the image's mean colour."""
    left, top, right, bottom = landmark_box(points)
    x, y, half = (left + right) / 2, (top + bottom) / 2, _AROUND * max(right - left, bottom - top) / 2
    covered = image.copy()
    mean = tuple(int(value) for value in np.asarray(image).reshape(-1, 3).mean(axis=0))
    covered.paste(mean, (round(x - half), round(y - half), round(x + half), round(y + half)))
    return covered


def judged(detector: LandmarkDetector, images: Sequence[Any], truth: Sequence[Array | None]) -> tuple[Array, Array]:
    """Which detections are wrong, and which are flagged, one per image.

    Args:
        detector: a trained one.
        images: paths, or images in memory.
        truth: the landmarks ``(N, 2)`` of each image in pixels; ``None`` if it has no object.

    Returns:
        Two arrays ``(B,)`` of booleans.
    """
    found = detector.predict(list(images))
    shapes = [shape for shape in truth if shape is not None]
    floor = floor_error(shapes) if shapes else 0.0
    wrong = []
    for points, shape in zip(found.points.double().numpy(), truth, strict=True):
        if shape is None:
            wrong.append(True)
            continue
        low, high = shape.min(axis=0), shape.max(axis=0)
        error = np.linalg.norm(points - shape, axis=1).mean() / (high - low).max()
        wrong.append(not error < floor)
    return np.array(wrong), found.flagged.numpy()


def row(name: str, wrong: Array, flagged: Array) -> str:
    """A row of the table."""
    caught = f"{100 * flagged[wrong].mean():.1f} % of {wrong.sum()}" if wrong.any() else "-"
    alarms = f"{100 * flagged[~wrong].mean():.1f} % of {(~wrong).sum()}" if (~wrong).any() else "-"
    return f"| {name} | {caught} | {alarms} |"


def main() -> None:
    """Measure and print."""
    asked = options(__doc__).parse_args()
    torch.set_num_threads(asked.threads)
    detector, data = LandmarkDetector.load(asked.run), Annotations.read(asked.data, part=asked.part)
    # In memory: beside files, the annotation would give the box.
    whole, shapes = [load_image(sample.path) for sample in data.samples], list(data.points)
    places = [from_boxes(np.array([landmark_box(shape)])) for shape in shapes]
    painted = [painted_over(image, place, seed=_SEED + k) for k, (image, place) in enumerate(zip(whole, places, strict=True))]
    flat = [hidden_flat(image, shape) for image, shape in zip(whole, shapes, strict=True)]
    nothing: list[Array | None] = [None] * len(whole)
    parts: dict[str, tuple[Sequence[Any], Sequence[Array | None]]] = {
        "photographs": (whole, shapes),
        "object painted over": (painted, nothing),
        "object under a rectangle": (flat, nothing),
    }
    if len(data.points[0]) == 68:
        faces, clutter = (synthetic_scenes(SCENES, objects=count, seed=7) for count in (1, 0))
        parts["drawn scenes with a face"] = (list(faces.images), [np.asarray(one[0], np.float64) for one in faces.points])
        parts["drawn scenes without"] = (list(clutter.images), [None] * SCENES)
    print("| images | wrong detections flagged | false alarms |\n|---|---|---|")
    results = {name: judged(detector, images, truth) for name, (images, truth) in parts.items()}
    for name, result in results.items():
        print(row(name, *result), flush=True)
    print(row("all", *(np.concatenate(column) for column in zip(*results.values(), strict=True))))


if __name__ == "__main__":
    main()
