"""Eq. (2): values by hand, the fast version against the plain one, gradients, memory and time."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from brule.coordinates import image_box, pixels_to_unit
from brule.data.synthetic import synthetic_faces
from brule.errors import BruleError
from brule.geometry import nearest_neighbour_edges, skeleton_heatmap, skeleton_heatmap_plain

both = pytest.mark.parametrize("draw", [skeleton_heatmap, skeleton_heatmap_plain])
ONE_EDGE = torch.tensor([[0, 1]])


def at_pixels(points: list[list[float]], size: int) -> Tensor:
    return pixels_to_unit(torch.tensor(points, dtype=torch.float64), image_box(size, size))[None]


def cloud(n: int, batch: int = 2, seed: int = 0, *, low: float = 0.1, high: float = 0.9) -> Tensor:
    raw = torch.rand(batch, n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return low + (high - low) * raw


@both
def test_an_edge_is_one_on_it_and_falls_as_a_gaussian_beside_it(draw: Callable[..., Tensor]) -> None:
    sigma, points = 3.0, at_pixels([[8.0, 20.0], [30.0, 20.0]], 40)
    shown = draw(points, size=40, sigma=sigma, edges=ONE_EDGE, normalize=False)[0, 0]
    assert torch.allclose(shown[20, 8:31], torch.ones(23).double())
    assert torch.allclose(shown[23, 8:31], torch.full((23,), math.exp(-0.5)).double())
    assert torch.allclose(shown[14, 8:31], torch.full((23,), math.exp(-2)).double())
    # Past the end it is the distance to the end point that counts: 3-4-5.
    assert float(shown[20 + 4, 30 + 3]) == pytest.approx(math.exp(-25 / 18))


@both
def test_a_slanted_edge_by_hand(draw: Callable[..., Tensor]) -> None:
    """The diagonal y = x: pixel (12, 8) is √8 from it."""
    shown = draw(at_pixels([[2.0, 2.0], [18.0, 18.0]], 24), size=24, sigma=2.0, edges=ONE_EDGE, normalize=False)[0, 0]
    assert float(shown[10, 10]) == pytest.approx(1.0)
    assert float(shown[8, 12]) == pytest.approx(math.exp(-8 / 8))


@both
def test_edges_add_up(draw: Callable[..., Tensor]) -> None:
    points, edges = cloud(4), torch.tensor([[0, 1], [2, 3], [0, 1]])
    together = draw(points, size=32, sigma=2.0, edges=edges, normalize=False)
    alone = sum(draw(points, size=32, sigma=2.0, edges=edge[None], normalize=False) for edge in edges)
    assert torch.allclose(together, alone)


@both
def test_the_normalised_map_sums_to_one_and_is_proportional(draw: Callable[..., Tensor]) -> None:
    points = cloud(10)
    shown, raw = (draw(points, size=32, sigma=2.0, normalize=normalize) for normalize in (True, False))
    assert shown.shape == (2, 1, 32, 32)
    assert torch.allclose(shown.sum((1, 2, 3)), torch.ones(2).double())
    assert torch.allclose(shown * raw.sum((1, 2, 3), keepdim=True), raw)


def test_two_nearest_neighbours_by_hand() -> None:
    """On a line at 0, 1, 3, 7: 0 and 1 choose each other and 3; 3 chooses 1 and 0; 7 chooses 3 and 1."""
    line = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [7.0, 0.0]]])
    edges, kept = nearest_neighbour_edges(line, k=2)
    found = [tuple(sorted(edge)) for edge, keep in zip(edges[0].tolist(), kept[0].tolist(), strict=True) if keep]
    assert sorted(found) == [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize(("n", "k"), [(30, 2), (68, 3), (3, 5)])
def test_the_graph_is_the_union_of_choices_each_edge_once(n: int, k: int) -> None:
    points = cloud(n, batch=3)
    edges, kept = nearest_neighbour_edges(points, k=k)
    for own, own_edges, own_kept in zip(points, edges, kept, strict=True):
        apart = (own[:, None] - own).norm(dim=-1)
        choices = apart.argsort(1)[:, 1 : k + 1]
        expected = {tuple(sorted((i, j))) for i, row in enumerate(choices.tolist()) for j in row}
        found = [tuple(sorted(edge)) for edge in own_edges[own_kept].tolist()]
        assert len(found) == len(set(found))
        assert set(found) == expected


def test_the_graph_is_the_default() -> None:
    points = cloud(9, batch=1)
    edges, kept = nearest_neighbour_edges(points)
    explicit = skeleton_heatmap(points, size=32, sigma=2.0, edges=edges[0][kept[0]])
    assert torch.allclose(skeleton_heatmap(points, size=32, sigma=2.0), explicit)


CASES = {
    "faces": (torch.as_tensor(synthetic_faces(2, size=64).points / 64).double(), 64, 1.0, None),
    "odd size": (cloud(20), 37, 1.5, None),
    "tiny map": (cloud(6), 5, 0.7, None),
    "single pixel": (cloud(6), 1, 0.7, None),
    "broad lines": (cloud(12), 48, 12.0, None),
    "narrow lines": (cloud(12), 48, 0.3, None),
    "explicit edges": (cloud(6), 33, 2.0, torch.tensor([[0, 5], [5, 0], [1, 1], [2, 3]])),
    "partly outside": (cloud(20, low=-0.4, high=1.4), 40, 2.0, None),
    "three points": (cloud(3), 40, 2.0, None),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("normalize", [False, True])
def test_fast_is_plain_in_value_and_gradient(case: str, normalize: bool) -> None:
    points, size, sigma, edges = CASES[case]
    results = []
    mix = torch.rand(size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for draw in (skeleton_heatmap, skeleton_heatmap_plain):
        own = points.clone().requires_grad_()
        shown = draw(own, size=size, sigma=sigma, edges=edges, normalize=normalize)
        (shown * mix).sum().backward()
        results.append((shown.detach(), own.grad))
    (fast, fast_grad), (plain, plain_grad) = results
    assert torch.allclose(fast, plain, atol=1e-5 * float(plain.max()), rtol=0)
    assert torch.allclose(fast_grad, plain_grad, atol=1e-5 * float(plain_grad.abs().max()), rtol=0)
    assert float(plain_grad.abs().max()) > 0


def test_coincident_points_give_finite_values_and_gradients() -> None:
    """All points in one place: a round blob, the same in both versions; no edge has a direction."""
    points = torch.full((1, 5, 2), 0.5).double().requires_grad_()
    for draw in (skeleton_heatmap, skeleton_heatmap_plain):
        shown = draw(points, size=21, sigma=2.0, normalize=False)
        (slope,) = torch.autograd.grad((shown * torch.rand(21, 21)).sum(), points)
        assert torch.isfinite(slope).all()
        falloff = shown[0, 0, 10] / shown[0, 0, 10, 10]
        assert torch.allclose(falloff, torch.exp(-((torch.arange(21) - 10.0) ** 2) / 8).double(), atol=1e-6)


@both
def test_points_far_outside_draw_nothing(draw: Callable[..., Tensor]) -> None:
    points = (cloud(5) + 40).requires_grad_()
    shown = draw(points, size=16, sigma=1.0)
    shown.sum().backward()
    assert torch.equal(shown, torch.zeros(2, 1, 16, 16).double())
    assert torch.isfinite(points.grad).all()


@both
def test_gradients(draw: Callable[..., Tensor]) -> None:
    points, edges = cloud(4).requires_grad_(), torch.tensor([[0, 1], [1, 2], [2, 3]])
    for normalize in (False, True):
        assert torch.autograd.gradcheck(
            lambda x, normalize=normalize: draw(x, size=9, sigma=1.5, edges=edges, normalize=normalize), (points,)
        )


def test_each_set_is_drawn_on_its_own() -> None:
    points = cloud(12, batch=3)
    together = skeleton_heatmap(points, size=30, sigma=1.5)
    assert torch.allclose(together, torch.cat([skeleton_heatmap(own[None], size=30, sigma=1.5) for own in points]))


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"size": 0, "sigma": 1.0}, "size"),
        ({"size": 8, "sigma": 0.0}, "sigma"),
        ({"size": 8, "sigma": float("nan")}, "sigma"),
        ({"size": 8, "sigma": 1.0, "edges": torch.tensor([[0, 4]])}, "edges"),
        ({"size": 8, "sigma": 1.0, "edges": torch.tensor([[-1, 0]])}, "edges"),
        ({"size": 8, "sigma": 1.0, "edges": torch.tensor([0, 1])}, "edges"),
    ],
)
@both
def test_bad_arguments_are_refused(draw: Callable[..., Tensor], keywords: dict, said: str) -> None:
    with pytest.raises(BruleError, match=said):
        draw(cloud(4), **keywords)


_MEMORY = """
import resource, torch
torch.set_num_threads(1)
from brule.geometry import skeleton_heatmap
def forward_and_backward(points, size):
    skeleton_heatmap(points, size=size, sigma=4.0).square().sum().backward()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
forward_and_backward(torch.rand(1, 5, 2, requires_grad=True), 32)
before = peak()
forward_and_backward(torch.rand(8, 68, 2, generator=torch.Generator().manual_seed(0)).requires_grad_(), 256)
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in other units elsewhere")
def test_memory_stays_below_a_gigabyte() -> None:
    """Eight sets of 68 points at 256 px, with the gradient; the dense tensor alone would be 270 MB a copy."""
    done = subprocess.run([sys.executable, "-c", _MEMORY], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1_000_000  # KiB


def test_fast_is_ten_times_as_fast_as_plain() -> None:
    points = torch.as_tensor(synthetic_faces(16, size=64).points / 64)

    def seconds(draw: Callable[..., Tensor], times: int) -> float:
        taken = []
        for _ in range(times):
            own = points.clone().requires_grad_()
            began = time.perf_counter()
            draw(own, size=64, sigma=1.0).square().sum().backward()
            taken.append(time.perf_counter() - began)
        return min(taken)

    assert 10 * seconds(skeleton_heatmap, 5) < seconds(skeleton_heatmap_plain, 2)
