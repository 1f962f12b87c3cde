"""The mean shape from edges and corners in unlabelled images, where ten shapes alone leave it open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from brule.data.synthetic import synthetic_faces
from brule.geometry import ShapeModel, mirrored
from brule.tensors import read_safetensors, to_input
from brule.tracking.run_files import CHECKPOINT
from brule.training import alignment, loop
from brule.training.alignment import Contours, Corners, align_mean, derivatives, principal_directions, traces_contours
from brule.training.batches import LabelledImages
from brule.training.config import load_config
from brule.training.ema import MeanPredictions
from brule.training.loop import train
from brule.training.run import build_model, build_shape_model
from tests.training.tiny import ENCODER, RUN, shapes_of

FACES = synthetic_faces(200, size=64)
SHAPES = (torch.from_numpy(FACES.points) + 0.5) / 64  # in the unit square of the whole images, which are the crops here
SETTINGS = {**ENCODER, **RUN, "crop.context": 1.0, "crop.image_size": 64, "iterations": 8, "precision": "float32"}
FEW = synthetic_faces(40, size=32)
CORNERS = [36, 39, 42, 45, 48, 54]  # of the eyes and of the mouth


def shape_model_of(shapes: Tensor, *, mirror: bool = True) -> ShapeModel:
    return build_shape_model(shapes.mean(0), shapes, load_config("cpu", SETTINGS | {"loss.mirror": mirror}))


def aligned(shape_model: ShapeModel, found: Tensor, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Tensor:
    """The shift that is arrived at if the teacher finds these landmarks ``(200, N, 2)``."""
    config, crops = load_config("cpu", SETTINGS), to_input(torch.from_numpy(FACES.images))
    monkeypatch.setattr(alignment, "predict_crops", lambda teacher, images, config, chosen: [(crops[chosen], found[chosen])])
    model = build_model(shape_model.barycenter[0], config)
    return align_mean(model, FACES.images, shape_model=shape_model, config=config, **options)


@pytest.mark.parametrize(("landmarks", "left"), [(range(68), 0.6), (CORNERS, 0.75)], ids=["contours", "corners"])
def test_the_mean_of_few_shapes_comes_nearer_to_that_of_all(
    landmarks: Sequence[int], left: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = SHAPES[:, landmarks]
    truth, before, after = shapes.mean(0), [], []
    truth = (truth + mirrored(truth, shape_model_of(shapes[:5]).mirror)) / 2  # faces have no preferred side
    for first in range(0, 100, 10):
        shape_model = shape_model_of(shapes[first : first + 10])
        assert traces_contours(shape_model.prior.mean) == (len(landmarks) == 68)
        shift = aligned(shape_model, shapes, monkeypatch)
        before.append(float((shape_model.prior.mean - truth).norm(dim=1).mean()))
        after.append(float((shape_model.prior.mean + shift - truth).norm(dim=1).mean()))
    assert sum(after) < left * sum(before)
    assert sum(a < b for a, b in zip(after, before, strict=True)) >= 8


def test_what_the_teacher_adds_to_all_landmarks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    shape_model = shape_model_of(SHAPES[:6])
    bias = 0.05 * torch.randn(68, 2, generator=torch.Generator().manual_seed(0))
    shifts = [aligned(shape_model, found, monkeypatch) for found in (SHAPES, SHAPES + bias)]
    assert torch.allclose(*shifts, atol=3e-3)


def test_refined_landmarks_are_what_is_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    shape_model = shape_model_of(SHAPES[:6])
    assert shape_model.prior is not None
    deformed = SHAPES + shape_model.prior.sample(200, strength=1, generator=torch.Generator().manual_seed(0))
    truth = aligned(shape_model, SHAPES, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(alignment, "regressed", lambda regression, points, crops, prior: SHAPES)
        to_truth = aligned(shape_model, deformed, patch, regression=object())
    assert torch.allclose(to_truth, truth, atol=1e-5)
    assert not torch.allclose(aligned(shape_model, deformed, monkeypatch), truth, atol=1e-4)


def test_the_shift_is_as_symmetric_as_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    shape_model = shape_model_of(SHAPES[:6])
    shift = aligned(shape_model, SHAPES, monkeypatch)
    moved = shape_model.prior.mean + shift
    assert torch.allclose(mirrored(moved, shape_model.mirror), moved, atol=1e-4)
    assert shift.norm(dim=1).mean() > 3e-4


def test_the_more_shapes_the_less_they_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    few = shape_model_of(SHAPES[:6])
    many = replace(few, prior=replace(few.prior, count=6000))
    lengths = [aligned(own, SHAPES, monkeypatch).norm(dim=1).mean() for own in (few, many)]
    assert few.prior.count == 6
    assert lengths[1] < lengths[0] / 20


def test_beside_annotated_images_single_landmarks_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    shape_model = shape_model_of(SHAPES[:6][:, CORNERS])
    assert aligned(shape_model, SHAPES[:, CORNERS], monkeypatch).any()
    assert not aligned(shape_model, SHAPES[:, CORNERS], monkeypatch, corners=False).any()
    contours = shape_model_of(SHAPES[:6])
    assert aligned(contours, SHAPES, monkeypatch, corners=False).any()


def test_contours_join_near_neighbours() -> None:
    line = torch.stack([torch.linspace(0.2, 0.6, 9), torch.full((9,), 0.5)], -1)
    contours = Contours.of(torch.cat([line, torch.tensor([[0.5, 0.95]])]), torch.zeros(1, 3, 16, 16), 32)
    assert contours is not None
    pairs = {frozenset(pair) for pair in zip(contours.start.tolist(), contours.end.tolist(), strict=True)}
    assert {frozenset((i, i + 1)) for i in range(8)} <= pairs
    assert not any(9 in pair for pair in pairs)


def test_pairs_and_scattered_landmarks_trace_no_contour() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = torch.tensor([[0.1, 0.5], [0.9, 0.5], [0.3, 0.45], [0.3, 0.53], [0.5, 0.45], [0.5, 0.53], [0.7, 0.45], [0.7, 0.53]])
    assert not traces_contours(pairs)
    assert sum(traces_contours(torch.rand(15, 2, generator=generator)) for _ in range(50)) <= 3
    assert not any(traces_contours(torch.rand(n, 2, generator=generator)) for n in (1, 2))
    assert Contours.of(pairs, torch.zeros(1, 3, 16, 16), 32) is None


def test_a_contour_has_four_landmarks_between_two_near_and_opposite_neighbours() -> None:
    x = torch.arange(6) * 0.05 + 0.2
    line = torch.stack([x, torch.full_like(x, 0.5)], -1)
    assert not traces_contours(line[:5])
    assert traces_contours(line)
    assert not traces_contours(line * 3)  # the second neighbour is too far away
    turn = torch.arange(8) * torch.pi / 4
    assert traces_contours(0.5 + 0.1 * torch.stack([turn.cos(), turn.sin()], -1))  # neighbours at 135°
    square = torch.tensor([[0.0, 0.0], [0.08, 0.0], [0.0, 0.08], [0.08, 0.08]])
    assert not traces_contours(torch.cat([square, square + 0.3, square + 0.6]))  # at 90°


def squares(images: int = 1) -> Tensor:
    """A bright square between 0.25 and 0.75 of dark crops."""
    crops = torch.full((images, 3, 64, 64), -1.0)
    crops[..., 16:48, 16:48] = 1
    return crops


@pytest.mark.parametrize("place", [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75)])
def test_a_corner_is_where_two_edges_meet(place: tuple[float, float]) -> None:
    corner = torch.tensor(place)
    maps = alignment.corner_strength(squares(), 128)
    evidence = Corners(torch.ones(1), maps)
    at = [float(evidence.strength((corner + x)[None, None])) for x in torch.linspace(-0.1, 0.1, 41)[:, None].expand(-1, 2)]
    assert abs(at.index(max(at)) - 20) <= 2  # within 0.01 of the crop
    along, inside = (float(evidence.strength(torch.tensor([[where]]))) for where in ((0.25, 0.5), (0.5, 0.5)))
    assert max(along, inside) < 0.05 * max(at)


def test_a_spot_is_found_in_its_middle() -> None:
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    disc = -torch.exp(-((x / 64 - 0.4) ** 2 + (y / 64 - 0.6) ** 2) / (2 * 0.012**2))
    maps = alignment.corner_strength(disc.expand(1, 3, -1, -1), 128)
    row, column = divmod(int(maps.flatten().argmax()), 128)
    assert ((column + 0.5) / 128, (row + 0.5) / 128) == pytest.approx((0.4, 0.6), abs=0.01)


def test_an_oblique_edge_is_no_corner() -> None:
    along = torch.linspace(-1, 1, 64)
    edge = torch.tanh(20 * (along[None] + 0.9 * along[:, None])).expand(1, 3, -1, -1)
    assert alignment.corner_strength(edge, 128)[..., 32:96, 32:96].max() < 0.05


def test_in_the_middle_of_a_bowl_the_strength_is_the_width_of_the_window() -> None:
    at = torch.arange(128) - 63.5
    squared = at[None] ** 2 + at[:, None] ** 2
    strength = alignment.corner_strength((squared / 2).expand(1, 3, -1, -1), 128)[0, 0, 64, 64]
    assert float(strength * squared.sqrt().mean()) == pytest.approx(1.5 * 0.0095 * 128, rel=0.04)


def test_a_landmark_counts_from_one_and_a_half_times_the_average_on(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = torch.ones(2, 1, 10, 10)
    maps[0, 0, 2, 2], maps[1, 0, 2, 2] = 2.2, 0.8  # 1.5 on average, as it is in one of the crops only
    maps[:, 0, 7, 7] = 1.7
    maps[:, 0, 2, 7] = 1.3
    monkeypatch.setattr(alignment, "corner_strength", lambda images, size: maps)
    points = (torch.tensor([[[2.0, 2.0], [7.0, 7.0], [7.0, 2.0]]]) + 0.5) / 10
    assert Corners.of(points.expand(2, -1, -1), torch.zeros(2, 3, 10, 10), 10).chosen.tolist() == [0, 1, 0]


def test_only_landmarks_on_corners_count() -> None:
    points = torch.tensor([[[0.25, 0.25], [0.25, 0.5], [0.5, 0.5]]])  # a corner, an edge, and nothing
    evidence = Corners.of(points, squares(), 128)
    assert evidence.chosen.tolist() == [1, 0, 0]
    elsewhere = points + torch.tensor([[0.0, 0.0], [0.0, 0.25], [0.25, 0.25]])  # the others on corners, too
    assert torch.equal(evidence.strength(points), evidence.strength(elsewhere))


def profile(images: Tensor, *, turned: bool = False) -> list[float]:
    """How strong a straight contour is, from left of the image's middle to the right of it."""
    down = torch.stack([torch.full((8,), 0.5), torch.linspace(0.3, 0.7, 8)], -1)
    line = down.flip(-1) if turned else down
    contours = Contours.of(line, images, 128)
    assert contours is not None
    along = torch.tensor([0.0, 1.0] if turned else [1.0, 0.0])
    return [contours.strength(line[None] + x * along).item() for x in torch.linspace(-0.1, 0.1, 21)]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("width", [32, 2], ids=["edge", "line"])
def test_a_contour_is_strong_on_edges_and_lines(width: int, turned: bool) -> None:
    images = torch.full((1, 3, 64, 64), -1.0)
    first = 32 if width == 32 else 31  # an edge, or the middle of a line, at 0.5
    images[..., first : first + width] = 1
    found = profile(images.transpose(-1, -2) if turned else images, turned=turned)
    assert found.index(max(found)) == 10 or (width == 2 and max(found[9:12]) > 0.9 * max(found))
    assert max(found[:5] + found[-5:]) < 0.2 * max(found)


def test_a_contour_is_weak_across_an_edge() -> None:
    images = torch.full((1, 3, 64, 64), -1.0)
    images[..., 32:] = 1
    assert max(profile(images, turned=True)) < 0.3 * max(profile(images))


def test_derivatives_are_in_units_of_the_mean_gradient() -> None:
    slopes = derivatives(to_input(torch.from_numpy(FACES.images[:4])), 128)
    assert torch.allclose(slopes[:, :2].norm(dim=1).mean((1, 2)), torch.ones(4), atol=1e-4)


def test_derivatives_of_a_parabola() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    image = (0.5 * x.square() + 0.25 * x * y - 0.1 * y.square())[None, None] / 1000
    slopes = derivatives(image, 64)[0, :, 20, 30]
    ratio = slopes / slopes[0] * (30 + 0.25 * 20)
    assert ratio[1].item() == pytest.approx(0.25 * 30 - 0.2 * 20, rel=0.05)
    second = ratio[2:] / ratio[2]
    assert torch.allclose(second, torch.tensor([1.0, 0.25, -0.2]), atol=0.05)


def test_directions_are_those_of_the_prior() -> None:
    prior = shape_model_of(SHAPES[:6], mirror=False).prior
    directions = principal_directions(prior, None).flatten(1).double()
    covariance = (prior.factor @ prior.factor.T).double()
    for own in directions[:5]:
        assert torch.allclose(covariance @ own, own.square().sum() * own, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("align", [0.0, 0.5])
def test_the_mean_is_found_once_during_training(align: float, tmp_path: Path) -> None:
    config = load_config("cpu", SETTINGS | {"crop.image_size": 32, "teacher.align": align})
    shapes = shapes_of(FEW)[:5]
    train(FEW.images, shapes.mean(0), config, shapes=shapes, directory=tmp_path, quiet=True)
    tensors, _ = read_safetensors(tmp_path / CHECKPOINT)
    assert bool(tensors["means/corrected"]) == (align > 0)
    assert bool(tensors["means/shift"].any()) == (align > 0)


@pytest.mark.parametrize(("regress", "times"), [(0.0, 1), (0.25, 3)])
def test_the_mean_is_found_anew_with_better_landmarks(regress: float, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config("cpu", SETTINGS | {"crop.image_size": 32, "teacher.align": 0.5, "teacher.regress": regress})
    refined: list[bool] = []

    def noted(*arguments: Any, **keywords: Any) -> Tensor:
        assert keywords["corners"]
        refined.append(keywords["regression"] is not None)
        return align_mean(*arguments, **keywords)

    monkeypatch.setattr(loop, "align_mean", noted)
    shapes = shapes_of(FEW)[:5]
    train(FEW.images, shapes.mean(0), config, shapes=shapes, quiet=True)
    assert refined == times * [regress > 0]


def test_beside_annotated_images_edges_correct_what_these_have_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changes = {"crop.image_size": 32, "teacher.align": 0.5, "teacher.regress": 0.25, "labelled.start": 0.25}
    config, shapes = load_config("cpu", SETTINGS | changes), shapes_of(FEW)[:5]
    prior = build_shape_model(shapes.mean(0), shapes, config, indexed=True).prior
    assert prior is not None
    by_labels, by_edges = torch.randn(2, *shapes.shape[1:], generator=torch.Generator().manual_seed(0)) / 100
    asked: list[Tensor] = []

    def of_labels(means: MeanPredictions, *arguments: Any, **keywords: Any) -> None:
        means.shift.copy_(by_labels)
        means.corrected.fill_(1)

    def of_edges(*arguments: Any, shape_model: ShapeModel, corners: bool, **keywords: Any) -> Tensor:
        assert shape_model.prior is not None
        assert not corners
        asked.append(shape_model.prior.mean - prior.mean)
        return by_edges

    monkeypatch.setattr(loop, "debias_mean", of_labels)
    monkeypatch.setattr(loop, "align_mean", of_edges)
    labels = LabelledImages(FEW.images[:5], shapes)
    train(FEW.images, shapes.mean(0), config, labelled=labels, shapes=shapes, directory=tmp_path, quiet=True)
    (start,) = asked  # once, though regressions are learnt three times
    assert torch.allclose(start, by_labels, atol=1e-6)
    tensors, _ = read_safetensors(tmp_path / CHECKPOINT)
    assert torch.allclose(tensors["means/shift"], by_labels + by_edges, atol=1e-6)
