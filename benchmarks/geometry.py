"""The parts without networks: transport, heatmaps, warps, reading images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.work import Case, Part, Plan, Work, random_images, random_points
from brule.geometry import ShapeModel, SynchronizedWarp, skeleton_heatmap, skeleton_heatmap_plain
from brule.losses import barycenter_regularizer
from brule.tensors import to_input
from brule.training.views import draw_augmented_pair
from brule.transport import transport_plan

_STORED_IMAGES = 512  # images of the store that is read from, so that batches don't come from one page
_DENSE_MAPS = 24  # dense maps (B, E, H, W) of float32 that the plain heatmap and its gradient hold at their peak, about


def warp_of(case: Case, plan: Plan, *, seed: int = 0) -> SynchronizedWarp:
    """A random warp of the plan's settings, for images of the case."""
    strength = plan.config().warp.strengths()
    generator = torch.Generator().manual_seed(seed)
    return SynchronizedWarp.sample(case.batch, size=case.size or 64, generator=generator, **strength).to(plan.device)


def sigma_of(case: Case, plan: Plan) -> float:
    """The width of the skeleton's lines at the size of the case, in pixels."""
    config = plan.config()
    return config.loss.sigma * case.side / config.crop.image_size


def dense_bytes(case: Case) -> int:
    """What the plain heatmap takes with its gradient, about."""
    return 4 * _DENSE_MAPS * case.batch * 2 * case.n * case.side**2


def _transport(case: Case, plan: Plan) -> Work:
    x, y = (random_points(case.batch, case.n, plan, seed=seed) for seed in (0, 1))
    return Work(lambda: transport_plan(x, y), roofline=False)


def _regularizer(case: Case, plan: Plan) -> Work:
    points = random_points(case.batch, case.n, plan).requires_grad_()
    barycenter = random_points(1, case.n, plan, seed=1)
    return Work(lambda: torch.autograd.grad(barycenter_regularizer(points, barycenter).sum(), points), roofline=False)


def _heatmap(draw: Callable[..., Tensor], dense: bool) -> Callable[[Case, Plan], Work]:
    def build(case: Case, plan: Plan) -> Work:
        points = random_points(case.batch, case.n, plan).requires_grad_()
        pull = torch.randn(case.batch, 1, case.side, case.side, device=plan.device)
        sigma = sigma_of(case, plan)

        def run() -> object:
            return torch.autograd.grad(draw(points, size=case.side, sigma=sigma), points, pull)

        return Work(run, needs=dense_bytes(case) if dense else 0)

    return build


def _drawn_warp(case: Case, plan: Plan) -> Work:
    return Work(lambda: warp_of(case, plan))


def _warped_images(case: Case, plan: Plan) -> Work:
    images, warp = random_images(case.batch, case.side, plan), warp_of(case, plan)
    return Work(lambda: warp.image(images))


def _warped_points(case: Case, plan: Plan) -> Work:
    points, warp = random_points(case.batch, case.n, plan), warp_of(case, plan)
    return Work(lambda: warp.points(points))


def _reading(case: Case, plan: Plan) -> Work:
    """As the loop reads: rows of a memory-mapped store in a random order, to floats on the device."""
    folder = tempfile.TemporaryDirectory(prefix="brule-bench-")
    count = max(_STORED_IMAGES, case.batch)
    path, random = Path(folder.name) / "images.npy", np.random.default_rng(0)
    np.save(path, random.integers(0, 256, (count, case.side, case.side, 3), dtype=np.uint8))
    images = np.load(path, mmap_mode="r")

    def run() -> object:
        assert folder is not None  # it lives as long as this function
        rows = np.sort(random.choice(count, case.batch, replace=False))
        return to_input(torch.from_numpy(images[rows])).to(plan.device)

    return Work(run)


def _views(case: Case, plan: Plan) -> Work:
    config = plan.config(crop__image_size=case.side)
    images = random_images(case.batch, round(case.side * config.crop.context), plan)
    generator, shape_model = torch.Generator().manual_seed(0), ShapeModel(random_points(1, case.n, plan))
    return Work(lambda: draw_augmented_pair(images, shape_model, config, generator=generator))


PARTS = (
    Part("transport_plan", "the exact plan between two sets", ("batch", "points"), _transport),
    Part("barycenter_regularizer", "R_b, forward and backward", ("batch", "points"), _regularizer),
    Part(
        "skeleton_heatmap",
        "the fast version, forward and backward",
        ("size", "batch", "points"),
        _heatmap(skeleton_heatmap, False),
    ),
    Part(
        "skeleton_heatmap_plain",
        "the dense one with autograd, likewise",
        ("size", "batch", "points"),
        _heatmap(skeleton_heatmap_plain, True),
    ),
    Part("warp_drawn", "drawing random maps", ("size", "batch"), _drawn_warp),
    Part("warp_images", "moving images", ("size", "batch"), _warped_images),
    Part("warp_points", "moving points", ("batch", "points"), _warped_points),
    Part("data_loading", "a batch from the crop store to the device", ("size", "batch"), _reading),
    Part("views", "both views of a batch: warp and colours", ("size", "batch"), _views),
)
