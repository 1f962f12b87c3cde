"""How near the mean of ten shapes comes to that of all by edges and corners in the images.

``python -m benchmarks.alignment 300w`` draws sets of annotated shapes at random, puts the true landmarks of other training
images, with noise, about the mean of each set, and moves them to where they fit the images best, as
``brule.training.alignment`` does with those that a detector finds. It prints how far the mean shape is from that of all
training images before and after, in % of the crop's side, a mean over landmarks. The mirror symmetry is that of the mean of
all shapes. ``--landmarks`` chooses some, by index.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from brule.data import build_cache
from brule.data.training_data import labelled_images
from brule.geometry import ShapePrior, mirror_permutation, mirrored
from brule.tensors import to_input
from brule.training.alignment import STRICTNESS, Contours, Corners, best_shift, principal_directions


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="annotated images; those for validation are left out")
    options.add_argument("--landmarks", type=int, nargs="+", help="0-based indices; default: all")
    options.add_argument("-n", type=int, default=10, help="annotated shapes in a set")
    options.add_argument("--draws", type=int, default=24)
    options.add_argument("--images", type=int, default=300)
    options.add_argument("--noise", type=float, default=0.008, help="of the landmarks, in sides of the crop")
    options.add_argument(
        "--strictness", type=float, default=STRICTNESS, help="weight of a shift by one standard deviation, for each shape"
    )
    asked = options.parse_args()
    samples = labelled_images([asked.data], n_labelled=None, seed=0, exclude_validation=True, skip_bad=True)
    crops = build_cache(samples, 64)
    shapes = torch.as_tensor(np.asarray(crops.points)).float()
    shapes = shapes if asked.landmarks is None else shapes[:, asked.landmarks]
    complete = shapes.isfinite().all(-1).all(-1).nonzero()[:, 0]
    shapes = shapes[complete]
    mirror = mirror_permutation(shapes.mean(0))
    goal = shapes.mean(0) if mirror is None else (shapes.mean(0) + mirrored(shapes.mean(0), mirror)) / 2

    chosen = torch.from_numpy(np.random.default_rng(0).permutation(len(shapes))[: asked.images])
    images = to_input(torch.from_numpy(np.array(crops.images)[complete[chosen].numpy()]))
    found = shapes[chosen]
    found = found + asked.noise * torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    off, on_contours, on_corners = np.zeros((asked.draws, 2)), 0, []
    for draw in range(asked.draws):
        own = shapes[np.random.default_rng(draw).choice(len(shapes), asked.n, replace=False)]
        prior = ShapePrior.fit(own, mirror=mirror)
        points = found - found.mean(0) + prior.mean
        evidence = Contours.of(prior.mean, images, 128) or Corners.of(points, images, 128)
        on_contours += isinstance(evidence, Contours)
        on_corners += [int(evidence.chosen.sum())] if isinstance(evidence, Corners) else []
        directions = principal_directions(prior, mirror)
        shift = best_shift(evidence, points, directions, strictness=asked.strictness * prior.count)
        off[draw] = [float((mean - goal).norm(dim=-1).mean()) for mean in (prior.mean, prior.mean + shift)]
    before, after = 100 * off.mean(0)
    better = np.count_nonzero(off[:, 1] < off[:, 0])
    print(
        f"mean shape {before:.2f} % of the crop from that of all images; moved: {after:.2f} %, nearer in {better} of {len(off)}"
    )
    print(
        f"edges in {on_contours} draws, corners in {len(on_corners)}, at {np.mean(on_corners or [0]):.1f} of {found.shape[1]}"
    )


if __name__ == "__main__":
    main()
