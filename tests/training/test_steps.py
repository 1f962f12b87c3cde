"""One step: it changes the encoder and nothing else, says what it did, and refuses what isn't finite."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from brule.data.shapes import to_crop
from brule.data.synthetic import synthetic_faces
from brule.errors import TrainingError
from brule.losses import barycenter_regularizer
from brule.model import BruleModel
from brule.tensors import to_input
from brule.training.augmented_pair import AugmentedPair, draw_augmented_pair
from brule.training.config import TrainingConfig, load_config
from brule.training.ema import MeanPredictions
from brule.training.run import build_model, build_shape_model
from brule.training.steps import ShapeModel, common, encoder, pseudo_label
from brule.training.steps import encoder_step as genuine_step

FACES = synthetic_faces(10, size=48)
SHAPES = torch.stack([torch.as_tensor(to_crop(points)) for points in FACES.points]).float()
TINY = {
    "crop.image_size": 32,
    "crop.context": 1.5,
    "encoder.width": 8,
    "encoder.stacks": 1,
    "encoder.depth": 2,
    "encoder.stem_stride": 2,
    "precision": "float32",
    "gan.enabled": False,
}


def settings(preset: str = "cpu", **changes: object) -> TrainingConfig:
    return load_config(preset, TINY | {key.replace("__", "."): value for key, value in changes.items()})


def parts(config: TrainingConfig, batch: int = 4) -> tuple[BruleModel, torch.optim.Optimizer, AugmentedPair, ShapeModel]:
    model = build_model(SHAPES.mean(0), config)
    shape_model = build_shape_model(SHAPES.mean(0), SHAPES, config)
    images = to_input(torch.from_numpy(FACES.images[:batch]))
    views = draw_augmented_pair(
        images, config, generator=torch.Generator().manual_seed(0), mirror=shape_model.mirror, prior=shape_model.prior
    )
    return model, torch.optim.Adam(model.parameters(), 1e-3), views, shape_model


def encoder_step(
    model: BruleModel,
    optimizer: torch.optim.Optimizer,
    views: AugmentedPair,
    shape_model: ShapeModel,
    config: TrainingConfig,
    *,
    means: MeanPredictions | None = None,
    teacher: BruleModel | None = None,
    **options: object,
) -> dict[str, float]:
    means = means or MeanPredictions(model.barycenter)
    pseudo_labels = None if teacher is None else pseudo_label(teacher, views, shape_model, config, means=means)
    return genuine_step(model, optimizer, views, shape_model, config, means=means, pseudo_labels=pseudo_labels, **options)


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("preset", ["cpu", "paper"])
def test_a_step_changes_the_encoder_and_nothing_else(preset: str) -> None:
    config = settings(preset)
    model, optimizer, views, shape_model = parts(config)
    teacher = copy.deepcopy(model).eval()
    before = {"model": snapshot(model), "teacher": snapshot(teacher)}
    given = [views.plain.clone(), views.moved.clone(), shape_model.barycenter.clone()]
    encoder_step(model, optimizer, views, shape_model, config, teacher=teacher if preset == "cpu" else None)
    weights = dict(model.encoder.named_parameters())
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before["model"][name])}
    assert {f"encoder.{name}" for name in weights if f"encoder.{name}" in changed}
    assert all(name.startswith("encoder.") for name in changed)
    assert all(torch.equal(tensor, before["teacher"][name]) for name, tensor in teacher.state_dict().items())
    assert all(torch.equal(*pair) for pair in zip(given, [views.plain, views.moved, shape_model.barycenter], strict=True))


def test_the_total_is_the_weighted_sum_of_the_terms() -> None:
    config = settings("paper")
    terms = encoder_step(*parts(config), config)
    assert {"R_b", "R_g", "loss", "gradient"} <= set(terms)
    assert all(isinstance(value, float) for value in terms.values())
    assert terms["loss"] == pytest.approx(14 * terms["R_b"] + 1500 * terms["R_g"], rel=1e-5)
    assert terms["gradient"] > 0


def test_terms_of_weight_zero_are_left_out() -> None:
    config = settings("paper", loss__geometric=0)
    assert "R_g" not in encoder_step(*parts(config), config)


def test_at_the_barycenter_r_b_is_zero() -> None:
    """The untrained encoder predicts the barycenter for I, so the first R_b is nothing but rounding."""
    config = settings("paper")
    assert encoder_step(*parts(config), config)["R_b"] == pytest.approx(0.0, abs=1e-8)


def test_the_shape_factor_multiplies_r_b() -> None:
    config = settings("paper", loss__geometric=0)
    totals = []
    for factor in (1.0, 5.0):
        model, optimizer, views, shape_model = parts(config)
        away = ShapeModel(shape_model.barycenter + torch.tensor([0.1, 0.0]))
        terms = encoder_step(model, optimizer, views, away, config, shape_factor=factor)
        assert terms["R_b"] == pytest.approx(0.01, rel=1e-3)  # a pure shift
        totals.append(terms["loss"])
    assert totals[1] == pytest.approx(5 * totals[0])


def test_steps_on_one_batch_lower_the_loss() -> None:
    config = settings(loss__anneal_until=0)
    model, optimizer, views, shape_model = parts(config)
    losses = [encoder_step(model, optimizer, views, shape_model, config)["loss"] for _ in range(25)]
    assert min(losses[-5:]) < losses[0]


def test_r_b_alone_brings_landmarks_back_to_the_barycenter() -> None:
    config = settings("paper", loss__geometric=0)
    model, _, views, shape_model = parts(config)
    with torch.no_grad():
        model.encoder.heads[0].coordinates.bias.add_(0.1)
    optimizer = torch.optim.Adam([model.encoder.heads[0].coordinates.bias], 1e-2)
    costs = [encoder_step(model, optimizer, views, shape_model, config)["R_b"] for _ in range(30)]
    assert costs[0] == pytest.approx(0.02, rel=1e-3)
    assert costs[-1] < 0.1 * costs[0]
    assert float(barycenter_regularizer(model(views.plain).points, shape_model.barycenter).mean().detach()) < 0.1 * costs[0]


@pytest.mark.parametrize("preset", ["cpu", "paper"])
@pytest.mark.parametrize("where", ["picture", "weights"])
def test_what_is_not_finite_is_refused_and_leaves_the_weights(preset: str, where: str) -> None:
    """Whichever term meets it first: it is a TrainingError, and the weights are bitwise what they were."""
    config = settings(preset)
    model, optimizer, views, shape_model = parts(config)
    encoder_step(model, optimizer, views, shape_model, config)
    if where == "picture":
        views.plain[0, 0, 0, 0] = views.moved[0, 0, 0, 0] = float("nan")
    else:
        with torch.no_grad():
            next(model.encoder.heads.parameters()).view(-1)[0] = float("inf")
    before, means = snapshot(model), MeanPredictions(SHAPES.mean(0))
    moments = copy.deepcopy(optimizer.state_dict()["state"])
    with pytest.raises(TrainingError, match="training stopped"):
        encoder_step(model, optimizer, views, shape_model, config, means=means)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]), name
    assert torch.equal(means.encoder, SHAPES.mean(0))
    for index, state in optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, moments[index][key]) for key, value in state.items())


def test_the_term_that_is_not_finite_is_named() -> None:
    config = settings()
    model, optimizer, views, shape_model = parts(config)
    shape_model.prior.mean[0, 0] = float("inf")
    before = snapshot(model)
    with pytest.raises(TrainingError, match="shape_prior"):
        encoder_step(model, optimizer, views, shape_model, config)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


@pytest.mark.parametrize("clip", [0.0, 5.0])
def test_a_gradient_that_is_not_finite_is_refused_too(clip: float) -> None:
    """Where all terms are finite and only their derivative isn't."""
    config = settings(optimizer__clip=clip)
    model, optimizer, views, shape_model = parts(config)
    next(model.encoder.parameters()).register_hook(lambda slope: slope * float("nan"))
    before = snapshot(model)
    with pytest.raises(TrainingError, match="gradient"):
        encoder_step(model, optimizer, views, shape_model, config)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_clipping_holds_the_gradient_back() -> None:
    config = settings("paper", optimizer__clip=1e-3)
    model, _, views, shape_model = parts(config)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = snapshot(model)
    norm = encoder_step(model, optimizer, views, shape_model, config)["gradient"]
    moved = sum(float((p.detach() - before[name]).square().sum()) for name, p in model.named_parameters()) ** 0.5
    assert norm > 1e-3
    assert moved == pytest.approx(1e-3, rel=0.05)


def test_the_teacher_gives_the_targets() -> None:
    """An encoder that predicts what its teacher does, carried along by g, pays nothing for equivariance."""
    config = settings(loss__shape_prior=0.01, loss__population=0, teacher__noise=0, teacher__centre=False)
    model, optimizer, views, shape_model = parts(config)
    still = AugmentedPair(*[views.plain] * 4, views.warp.identity(len(views.plain)))
    terms = encoder_step(model, optimizer, still, shape_model, config, teacher=copy.deepcopy(model).eval())
    assert terms["equivariance"] == pytest.approx(0, abs=1e-3)  # the untrained encoder: the barycenter for every image
    terms = encoder_step(model, optimizer, views, shape_model, config, teacher=copy.deepcopy(model).eval())
    assert terms["equivariance"] > 1  # but g moves what it ought to predict


def test_targets_are_centred_on_the_mean_shape_and_cleaned() -> None:
    config = settings(teacher__noise=0.0)
    _, _, _, shape_model = parts(config)
    means = MeanPredictions(shape_model.prior.mean)
    points = (
        shape_model.prior.mean
        + 0.05
        + 0.01 * torch.randn(64, len(shape_model.prior.mean), 2, generator=torch.Generator().manual_seed(0))
    )
    for _ in range(300):  # until the running mean has settled
        centred = common._cleaned(points, shape_model, means, config)
    assert torch.allclose(centred.mean(0), shape_model.prior.mean, atol=1e-4)
    cleaned = common._cleaned(points, shape_model, means, settings(teacher__noise=0.02))
    assert shape_model.prior.energy(cleaned).mean() < 0.5 * shape_model.prior.energy(centred).mean()
    kept = common._cleaned(points, shape_model, means, settings(teacher__centre=False, teacher__noise=0.0))
    assert torch.equal(kept, points)


def test_the_gate_leaves_out_the_least_sure_each_beside_its_like() -> None:
    own = torch.tensor([1.0, 10.0, 100.0])  # a contour is always less sure than a corner
    uncertainty = torch.tensor([[1.0, 1.0, 1.0], [1.0, 3.0, 1.0], [1.0, 1.0, 1.0], [2.5, 1.0, 1.0]])
    assert torch.equal(common._sure(own * uncertainty, gate=2 / 12), uncertainty == 1)


def test_nothing_is_learnt_from_what_the_gate_left_out() -> None:
    """The same landmark of I and of the mirrored gI is left out, with no pull on it; the others are pulled."""
    config = settings(loss__shape_prior=0, loss__population=0, loss__tied=False)
    _, _, views, shape_model = parts(config, batch=10)
    assert views.flipped is not None and views.flipped.any()
    sure = torch.ones(10, 68, dtype=torch.bool)
    sure[:, 36] = False  # the outer corner of the right eye, which is number 45 in a mirror image
    moved = torch.rand(10, 68, 2, requires_grad=True)
    pseudo_labels = common.PseudoLabels(SHAPES, views.move(SHAPES), views.reorder(sure))
    stage = encoder._from_teacher(moved, views, pseudo_labels)
    encoder._equivariance_term(stage, views, shape_model, config).sum().backward()
    pulled = moved.grad.abs().sum(-1) > 1e-6
    assert torch.equal(~pulled, torch.eye(68, dtype=torch.bool)[torch.where(views.flipped, 45, 36)])
