"""Whether warps drawn from ten shapes already turn an object in depth, as a 3D warp would.

``python -m benchmarks.turns 300w RUN`` factorises the shapes that a detector finds in the training images (Tomasi & Kanade
1992): the third component of the centred shapes is each landmark's depth, up to scale. Turning it by a small angle about the
vertical axis moves landmarks sideways in proportion to their depth (yaw), about the horizontal one up and down (pitch). For
both, the table gives the standard deviation along this direction, in sides of the crop, of the images and of the warps drawn
from ten shapes (``warp.bends``), without what an affine map does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.active_learning import Crops
from benchmarks.whole_images import Annotations
from brule import LandmarkDetector
from brule.arrays import Array
from brule.geometry import ShapePrior, mirror_permutation

STRENGTH = 1.5  # the preset's warp.bends; the factor is drawn from 0 to this


def depth_of(shapes: Array) -> tuple[Array, Array]:
    """The depth ``(N,)`` of each landmark, at most 1, without its affine part; and the share of the components' variance."""
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    values, components = np.linalg.svd(centred.transpose(0, 2, 1).reshape(-1, shapes.shape[1]), full_matrices=False)[1:]
    depth = _without(_plane(shapes.mean(axis=0)), components[2])
    return depth / np.abs(depth).max(), values**2 / (values**2).sum()


def _plane(mean: Array) -> Array:
    return np.c_[mean - mean.mean(axis=0), np.ones(len(mean))]


def _without(basis: Array, values: Array) -> Array:
    rest: Array = values - basis @ np.linalg.lstsq(basis, values, rcond=None)[0]
    return rest


def spread_along(shapes: Array, mean: Array, depth: Array) -> Array:
    """``(2,)``: standard deviations of shapes ``(B, N, 2)`` along yaw and pitch, in sides of the crop over all landmarks."""
    apart = np.stack([_without(_plane(mean), one) for one in shapes - mean])
    spread: Array = (np.einsum("bnc,n->bc", apart, depth) / np.linalg.norm(depth)).std(axis=0)
    return spread


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="annotated images; those for validation are left out")
    parser.add_argument("detector", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the draws of ten shapes")
    asked = parser.parse_args()
    detector = LandmarkDetector.load(asked.detector)
    crops = Crops.cut(Annotations.read(asked.data, part="training").samples, detector.config_.crop.image_size)
    found = detector.predict_crops(crops.images).points.double().numpy()
    depth, share = depth_of(found)
    print(f"share of the variance of components 1 to 5, %: {', '.join(f'{100 * one:.2f}' for one in share[:5])}")
    print(f"depth of each landmark: {' '.join(f'{one:.2f}' for one in depth)}")
    print("| | yaw | pitch |\n|---|---|---|")
    mean = found.mean(axis=0)
    yaw, pitch = spread_along(found, mean, depth)
    print(f"| the images | {yaw:.3f} | {pitch:.3f} |")
    for seed in asked.seeds:
        chosen = np.random.default_rng(seed).choice(len(crops.points), 10, replace=False)
        ten = torch.as_tensor(crops.points[chosen]).float()
        prior = ShapePrior.fit(ten, mirror=mirror_permutation(ten.mean(0)))
        drawn = prior.sample(4000, strength=STRENGTH, generator=torch.Generator().manual_seed(0)).double().numpy()
        yaw, pitch = spread_along(mean + drawn, mean, depth)
        print(f"| warps from ten shapes, seed {seed} | {yaw:.3f} | {pitch:.3f} |")


if __name__ == "__main__":
    main()
