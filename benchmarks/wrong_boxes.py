"""What refinement passes make of wrong boxes: a table of errors for boxes that are off in place and size.

``python -m benchmarks.wrong_boxes RUN DATA`` moves each true box by 10, 20 and 30 % of its longer side in a random direction,
or makes it larger or smaller by as much, or both, and predicts inside with 0 to 3 refinement passes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from benchmarks.whole_images import Annotations, options
from brule import LandmarkDetector
from brule.data import Box, SampleList, landmark_box

PASSES = (0, 1, 2, 3)
WRONG = (("exact", 0.0, 0.0), *((name, s * moved, s * scaled) for name, moved, scaled in (
    ("shift {:.0%}", 1, 0), ("scale {:.0%}", 0, 1), ("both {:.0%}", 1, 1),
) for s in (0.1, 0.2, 0.3)))  # fmt: skip


def wrong_box(box: Box, generator: np.random.Generator, *, shift: float, scale: float) -> Box:
    """A box moved in a random direction, and made larger or smaller.

    Args:
        box: the true one.
        generator: of direction and sign.
        shift: over the longer side.
        scale: the factor on the sides is ``1 + scale`` or its inverse.
    """
    left, top, right, bottom = box
    angle, sign = generator.uniform(0, 2 * np.pi), generator.choice([-1, 1])
    away = shift * max(right - left, bottom - top)
    x, y = (left + right) / 2 + away * np.cos(angle), (top + bottom) / 2 + away * np.sin(angle)
    width, height = ((side / 2) * (1 + scale) ** sign for side in (right - left, bottom - top))
    return (x - width, y - height, x + width, y + height)


def boxed(data: Annotations, *, shift: float, scale: float, seed: int) -> SampleList:
    """The images with boxes that are wrong by as much."""
    generator = np.random.default_rng(seed)
    samples = []
    for bare, points in zip(data.bare, data.points, strict=True):
        samples.append(replace(bare, box=wrong_box(landmark_box(points), generator, shift=shift, scale=scale)))
    return data.samples.replaced(samples)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    detector, data = LandmarkDetector.load(asked.run), Annotations.read(asked.data, part=asked.part)
    print("| box | " + " | ".join(f"{count} passes" for count in PASSES) + " |")
    print("|---" * (len(PASSES) + 1) + "|")
    for name, shift, scale in WRONG:
        samples = boxed(data, shift=shift, scale=scale, seed=asked.seed)
        errors = [data.errors(detector.predict(samples, refine=count)).mean() for count in PASSES]
        label = name.format(max(shift, scale))
        print(f"| {label} | " + " | ".join(f"{error:.2f} %" for error in errors) + " |", flush=True)


if __name__ == "__main__":
    main()
