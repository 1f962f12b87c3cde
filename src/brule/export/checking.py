"""Does onnxruntime compute what PyTorch does?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import nn

from brule.data.synthetic import synthetic_faces
from brule.export.graph import ImageDetector
from brule.export.running import open_session

if TYPE_CHECKING:
    from brule.detector import LandmarkDetector

Inputs = tuple[np.ndarray, ...]  # of one call: (images,) or (image, box)

_SEED = 0


def example_inputs(size: int, whole_image: bool) -> list[Inputs]:
    """Random and drawn images, in batches or at sizes that differ.

    Args:
        size: side of the detector's crops.
        whole_image: images with boxes (inside the image, reaching out of it, none) rather than batches of crops.
    """
    random = np.random.default_rng(_SEED)

    def noise(*shape: int) -> np.ndarray:
        return random.integers(0, 256, (*shape, 3), dtype=np.uint8)

    if not whole_image:
        return [(synthetic_faces(3, size=size).images,), (noise(1, size, size),), (noise(5, size, size),)]
    drawn, side = synthetic_faces(2, size=2 * size + 10).images, 2 * size + 10
    wide = noise(size + 7, 3 * size)
    inside, outside = (0.2 * side, 0.25 * side, 0.8 * side, 0.7 * side), (-0.3 * size, 0.4 * size, 0.9 * size, 1.5 * size)
    boxes = [(drawn[0], inside), (drawn[1], outside), (wide, outside), (wide, (0.0, 0.0, 0.0, 0.0))]
    return [(image, np.array(box, np.float32)) for image, box in boxes]


def largest_difference(path: Path, wanted: nn.Module, examples: list[Inputs]) -> float:
    """The largest difference of a point's coordinate or of a spread, in crops' sides.

    Args:
        path: of the ``.onnx`` file.
        wanted: what it should compute.
        examples: what to compare on.

    Raises:
        ExportError: onnxruntime can't run the file.
    """
    session, differences = open_session(path, threads=1), []
    names = [one.name for one in session.get_inputs()]
    for example in examples:
        tensors = [torch.from_numpy(value) for value in example]
        side = float(wanted.crop(*tensors)[1]) if isinstance(wanted, ImageDetector) else 1.0
        got = session.run(None, dict(zip(names, example, strict=True)))
        for mine, theirs in zip(wanted(*tensors), got, strict=True):
            differences.append(float(np.abs(mine.numpy() - theirs).max()) / side)
    return float(np.max(differences))  # NaN, if there is one


def difference_to_predict(path: Path, detector: LandmarkDetector) -> float:
    """How far a file that takes whole images is from what ``predict`` gives inside the same boxes, in crops' sides.

    Images much larger than the crop are among those it is tried on, since there the two ways of shrinking differ.

    Args:
        path: of the ``.onnx`` file.
        detector: on the CPU.
    """
    session, worst = open_session(path, threads=1), 0.0
    size, scale = detector.config_.crop.image_size, detector.config_.crop.scale
    drawn = synthetic_faces(2, size=4 * size).images
    for image, enlarged in zip(drawn, (1, 3), strict=True):
        picture = Image.fromarray(image).resize((4 * size * enlarged,) * 2, Image.Resampling.BICUBIC)
        side = float(picture.width)
        box = (0.2 * side, 0.25 * side, 0.8 * side, 0.8 * side)
        points, _ = session.run(None, {"image": np.asarray(picture), "box": np.array(box, np.float32)})
        wanted = detector.predict(picture, boxes=box, refine=0).points[0].cpu().numpy()
        worst = max(worst, float(np.abs(points - wanted).max()) / (scale * 0.6 * side))
    return worst
