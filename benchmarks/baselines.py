"""What people would run instead, side by side: the same inputs, in the same process, one right after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.geometry import dense_bytes, sigma_of, warp_of
from benchmarks.work import Axis, Case, Plan, random_images, random_points
from brule.coordinates import image_box, pixel_centres, unit_to_pixels
from brule.geometry import skeleton_heatmap, skeleton_heatmap_plain
from brule.losses import barycenter_regularizer
from brule.transport import affine_from_plan, translation_to

_BLUR, _SCALING = 0.01, 0.8  # of geomloss, as the paper's authors set them


@dataclass(frozen=True)
class Comparison:
    """Two ways to one result.

    Attributes:
        ours: gives a value, or value and gradient.
        theirs: gives the same, or ``None`` instead of a value that can't be compared.
        needs: an estimate of the bytes that the larger of both takes.
    """

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    needs: int = 0


@dataclass(frozen=True)
class Baseline:
    """Another way to do what a part does.

    Attributes:
        part: the part.
        name: of the other way.
        packages: it needs, by the names that they are imported by.
        axes: what it depends on.
        build: makes both ready.
    """

    part: str
    name: str
    packages: tuple[str, ...]
    axes: tuple[Axis, ...]
    build: Callable[[Case, Plan], Comparison]


def _regularizers(distance: Callable[[], Callable[[Tensor, Tensor], Tensor]]) -> Callable[[Case, Plan], Comparison]:
    def build(case: Case, plan: Plan) -> Comparison:
        points = random_points(case.batch, case.n, plan).requires_grad_()
        barycenter = random_points(1, case.n, plan, seed=1)
        squared = distance()

        def theirs() -> tuple[Tensor, Tensor]:
            return _with_gradient(_regularizer_by(squared, points, barycenter), points)

        return Comparison(lambda: _with_gradient(barycenter_regularizer(points, barycenter), points), theirs)

    return build


def _with_gradient(values: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    return values.detach(), torch.autograd.grad(values.sum(), points)[0]


def _regularizer_by(squared: Callable[[Tensor, Tensor], Tensor], points: Tensor, barycenter: Tensor) -> Tensor:
    """``R_b`` with its default weights, plan by plan on the CPU, and another ``W₂²``."""
    target = (barycenter - barycenter.mean(1, keepdim=True)).expand(len(points), -1, -1)
    centred = points - points.mean(1, keepdim=True)
    plans = torch.stack([_plan(x, y) for x, y in zip(centred.detach(), target, strict=True)])
    image = centred @ affine_from_plan(centred.detach(), target, plans)
    moved = points.detach() + translation_to(points.detach(), barycenter)[:, None]
    shift = (points - moved).square().sum(-1).mean(-1)
    return shift + 2 * squared(centred, image.detach()) + 4 * squared(image, target)


def _plan(x: Tensor, y: Tensor) -> Tensor:
    ot: Any = import_module("ot")
    plan = ot.emd([], [], ot.dist(x.cpu().double().numpy(), y.cpu().double().numpy()))
    return torch.as_tensor(plan, dtype=x.dtype, device=x.device)


def _by_ot() -> Callable[[Tensor, Tensor], Tensor]:
    ot: Any = import_module("ot")

    def squared(x: Tensor, y: Tensor) -> Tensor:
        mass = x.new_full((x.shape[1],), 1 / x.shape[1])
        return torch.stack([ot.emd2(mass, mass, ot.dist(one, other)) for one, other in zip(x, y, strict=True)])

    return squared


def _by_geomloss() -> Callable[[Tensor, Tensor], Tensor]:
    loss: Any = import_module("geomloss").SamplesLoss("sinkhorn", p=2, blur=_BLUR, scaling=_SCALING)
    # Its cost is |x - y|² / 2, and it wants memory in one piece.
    return lambda x, y: 2 * loss(x.contiguous(), y.contiguous())


def _heatmaps(case: Case, plan: Plan) -> Comparison:
    points = random_points(case.batch, case.n, plan).requires_grad_()
    pull = torch.randn(case.batch, 1, case.side, case.side, device=plan.device)

    def run(draw: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
        maps = draw(points, size=case.side, sigma=sigma_of(case, plan))
        return maps.detach(), torch.autograd.grad(maps, points, pull)[0]

    return Comparison(partial(run, skeleton_heatmap), partial(run, skeleton_heatmap_plain), dense_bytes(case))


def _sources(case: Case, plan: Plan, warp: Any) -> np.ndarray:
    """Where every pixel of the moved images comes from, in pixels: ``(B, H, W, 2)``."""
    centres = pixel_centres(case.side, case.side, device=plan.device).view(1, -1, 2).expand(case.batch, -1, -1)
    places = unit_to_pixels(warp.inverse_points(centres), image_box(case.side, case.side))
    return places.view(case.batch, case.side, case.side, 2).cpu().numpy()


def _warps(remap: Callable[[], Callable[[np.ndarray, np.ndarray], np.ndarray]]) -> Callable[[Case, Plan], Comparison]:
    """An image at a time on the CPU; both ways compute where pixels come from, and end on the device."""

    def build(case: Case, plan: Plan) -> Comparison:
        images, warp, move = random_images(case.batch, case.side, plan), warp_of(case, plan), remap()
        as_bytes = [np.ascontiguousarray(image) for image in images.permute(0, 2, 3, 1).cpu().numpy()]

        def theirs() -> Tensor:
            places = _sources(case, plan, warp)
            moved = np.stack([move(image, place) for image, place in zip(as_bytes, places, strict=True)])
            return torch.from_numpy(moved).permute(0, 3, 1, 2).to(plan.device)

        return Comparison(lambda: warp.image(images), theirs)

    return build


def _by_scipy() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    from scipy.ndimage import map_coordinates

    def move(image: np.ndarray, places: np.ndarray) -> np.ndarray:
        rows_columns = places[..., ::-1].transpose(2, 0, 1)
        channels = [map_coordinates(image[..., c], rows_columns, order=1, mode="nearest") for c in range(image.shape[-1])]
        return np.stack(channels, -1)

    return move


def _by_opencv() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    cv2: Any = import_module("cv2")
    # OpenCV rounds places to 1/32 of a pixel.
    return lambda image, places: cv2.remap(image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _augmented(case: Case, plan: Plan) -> Comparison:
    """Drawn anew each time, images and points: the library has a randomness of its own, so no values are compared."""
    library: Any = import_module("albumentations")
    bend = library.ElasticTransform(alpha=case.side * 0.6, sigma=case.side * 0.04, p=1.0)
    turn = library.Affine(rotate=(-15, 15), scale=(0.9, 1.1), translate_percent=(-0.06, 0.06), p=1.0)
    pipeline = library.Compose([turn, bend], keypoint_params=library.KeypointParams("xy", remove_invisible=False))
    images, points = random_images(case.batch, case.side, plan), random_points(case.batch, case.n, plan)
    pictures = list(((images + 1) * 127.5).byte().permute(0, 2, 3, 1).contiguous().cpu().numpy())  # as it is mostly used
    places = unit_to_pixels(points, image_box(case.side, case.side)).cpu().numpy()

    def theirs() -> None:
        for picture, place in zip(pictures, places, strict=True):
            pipeline(image=picture, keypoints=place)

    def ours() -> None:
        warp = warp_of(case, plan)
        warp.image(images), warp.points(points)

    return Comparison(ours, theirs)


BASELINES = (
    Baseline(
        "barycenter_regularizer",
        "geomloss, blur 0.01, scaling 0.8, and ot.emd a sample",
        ("geomloss", "ot"),
        ("batch", "points"),
        _regularizers(_by_geomloss),
    ),
    Baseline("barycenter_regularizer", "ot.emd2 a sample", ("ot",), ("batch", "points"), _regularizers(_by_ot)),
    Baseline("warp_images", "SciPy's map_coordinates an image", (), ("size", "batch"), _warps(_by_scipy)),
    Baseline("warp_images", "OpenCV's remap an image", ("cv2",), ("size", "batch"), _warps(_by_opencv)),
    Baseline("warp_images", "albumentations an image, with points", ("albumentations",), ("size", "batch"), _augmented),
    Baseline("skeleton_heatmap", "dense B×E×H×W with autograd", (), ("size", "batch", "points"), _heatmaps),
)


def largest_relative_difference(ours: Any, theirs: Any) -> float | None:
    """The largest difference of two results over the largest of ours, tensor by tensor; ``None`` without values."""
    if ours is None or theirs is None:
        return None
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple) else ((ours, theirs),)
    return max(float((a - b).abs().max() / a.abs().max().clamp_min(1e-12)) for a, b in pairs)
