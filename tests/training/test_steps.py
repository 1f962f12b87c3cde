"""One step: it changes the encoder and nothing else, says what it did, and refuses what isn't finite."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from brule.data.synthetic import synthetic_faces
from brule.errors import ConfigError, TrainingError
from brule.geometry import AugmentedPair, SynchronizedWarp
from brule.losses import barycenter_regularizer
from brule.tensors import to_input
from brule.training.batches import Batch
from brule.training.config import TrainingConfig
from brule.training.run import build_shape_model, start_run
from brule.training.state import TrainingState
from brule.training.steps import Step, encoder_step
from brule.training.steps.context import clean
from brule.training.views import draw_augmented_pair
from tests.training.tiny import ONE_STACK, settings_from, shapes_of

FACES = synthetic_faces(10, size=48)
SHAPES = shapes_of(FACES)
TINY = {**ONE_STACK, "crop.context": 1.5, "precision": "float32", "gan.enabled": False}


settings = settings_from(TINY)


def begun(config: TrainingConfig, batch: int = 4) -> tuple[TrainingState, AugmentedPair]:
    """The state of a run at its beginning, its learning rate that of Adam's defaults; and a batch."""
    state = start_run(build_shape_model(SHAPES.mean(0), SHAPES, config), config)
    state.optimizers["encoder"] = torch.optim.Adam(state.model.encoder.parameters(), 1e-3)
    images = to_input(torch.from_numpy(FACES.images[:batch]))
    views = draw_augmented_pair(images, state.shape_model, config, generator=torch.Generator().manual_seed(0))
    return state, views


def learn(state: TrainingState, views: AugmentedPair, progress: float = 1.0) -> dict[str, float]:
    return encoder_step(Step(state, Batch(views), progress))


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("preset", ["cpu", "paper"])
def test_a_step_changes_the_encoder_and_nothing_else(preset: str) -> None:
    state, views = begun(settings(preset))
    before = {"model": snapshot(state.model), "ema": snapshot(state.ema)}
    barycenter = state.shape_model.barycenter
    given = [views.view1.clone(), views.view2.clone(), barycenter.clone()]
    learn(state, views)
    weights = dict(state.model.encoder.named_parameters())
    changed = {name for name, tensor in state.model.state_dict().items() if not torch.equal(tensor, before["model"][name])}
    assert {f"encoder.{name}" for name in weights if f"encoder.{name}" in changed}
    assert all(name.startswith("encoder.") for name in changed)
    assert all(torch.equal(tensor, before["ema"][name]) for name, tensor in state.ema.state_dict().items())
    assert all(torch.equal(*pair) for pair in zip(given, [views.view1, views.view2, barycenter], strict=True))


def test_the_total_is_the_weighted_sum_of_the_terms() -> None:
    terms = learn(*begun(settings("paper")))
    assert {"R_b", "R_g", "loss", "gradient"} <= set(terms)
    assert all(isinstance(value, float) for value in terms.values())
    assert terms["loss"] == pytest.approx(14 * terms["R_b"] + 1500 * terms["R_g"], rel=1e-5)
    assert terms["gradient"] > 0


def test_terms_of_weight_zero_are_left_out() -> None:
    assert "R_g" not in learn(*begun(settings("paper", loss__geometric=0)))


def test_at_the_barycenter_r_b_is_zero() -> None:
    """The untrained encoder predicts the barycenter for I, so the first R_b is nothing but rounding."""
    assert learn(*begun(settings("paper")))["R_b"] == pytest.approx(0.0, abs=1e-8)


def test_r_b_weighs_what_its_schedule_wants() -> None:
    config = settings("paper", loss__geometric=0, loss__barycenter={"value": 14, "anneal_from": 5, "anneal_until": 0.4})
    totals = []
    for progress in (1.0, 0.0):
        state, views = begun(config)
        state.shape_model = replace(state.shape_model, barycenter=state.shape_model.barycenter + torch.tensor([0.1, 0.0]))
        terms = learn(state, views, progress)
        assert terms["R_b"] == pytest.approx(0.01, rel=1e-3)  # a pure shift
        totals.append(terms["loss"])
    assert totals == pytest.approx([14 * 0.01, 5 * 14 * 0.01], rel=1e-3)


def test_r_b_judges_the_landmarks_that_the_setting_names() -> None:
    """The untrained encoder answers the barycenter always: for a shifted image, carried back, it is off by the shift."""
    shift = torch.tensor([0.1, 0.05])
    for view, expected in (("image", 0.0), ("moved", 0.0125)):
        state, views = begun(settings("paper", loss__geometric=0, loss__barycenter_view=view))
        still = SynchronizedWarp.identity(len(views.view1))
        views = replace(views, warp=replace(still, shift=shift.expand(len(views.view1), 2)))
        assert learn(state, views)["R_b"] == pytest.approx(expected, abs=1e-6)


def test_of_several_barycenters_the_nearest_counts() -> None:
    """A pure shift by t costs ``‖t‖²`` (c₁ᵇ = 1): of two barycenters, 0.1 and 0.3 away, that is 0.01."""
    state, views = begun(settings("paper", loss__geometric=0))
    own = state.shape_model.barycenter
    others = torch.cat([own + torch.tensor([0.3, 0.0]), own + torch.tensor([0.0, 0.1])])
    state.shape_model = replace(state.shape_model, others=others)
    assert learn(state, views)["R_b"] == pytest.approx(0.01, rel=1e-3)


def test_groups_of_shapes_have_their_own_barycenter() -> None:
    narrow = SHAPES * torch.tensor([0.5, 1.0])
    shapes = torch.cat([SHAPES[:6], narrow[:3]])
    model = build_shape_model(SHAPES.mean(0), shapes, settings("paper", loss__barycenters=2))
    widths = model.references[..., 0].amax(1) - model.references[..., 0].amin(1)
    assert model.references.shape == (2, 68, 2)
    assert float(widths[0]) > 1.6 * float(widths[1])  # the larger group first
    with pytest.raises(ConfigError, match=r"loss\.barycenters: expected at most .* 9, got 10"):
        build_shape_model(SHAPES.mean(0), shapes, settings("paper", loss__barycenters=10))


def test_steps_on_one_batch_lower_the_loss() -> None:
    state, views = begun(settings())
    losses = [learn(state, views)["loss"] for _ in range(25)]
    assert min(losses[-5:]) < losses[0]


def test_r_b_alone_brings_landmarks_back_to_the_barycenter() -> None:
    state, views = begun(settings("paper", loss__geometric=0))
    bias = state.model.encoder.heads[0].coordinates.bias
    with torch.no_grad():
        bias.add_(0.1)
    state.optimizers["encoder"] = torch.optim.Adam([bias], 1e-2)
    costs = [learn(state, views)["R_b"] for _ in range(30)]
    assert costs[0] == pytest.approx(0.02, rel=1e-3)
    assert costs[-1] < 0.1 * costs[0]
    now = barycenter_regularizer(state.model(views.view1).points, state.shape_model.barycenter).mean()
    assert float(now.detach()) < 0.1 * costs[0]


@pytest.mark.parametrize("preset", ["cpu", "paper"])
@pytest.mark.parametrize("where", ["picture", "weights"])
def test_what_is_not_finite_is_refused_and_leaves_the_weights(preset: str, where: str) -> None:
    """Whichever term meets it first: it is a TrainingError, and the weights are bitwise what they were."""
    state, views = begun(settings(preset))
    learn(state, views)
    if where == "picture":
        views.view1[0, 0, 0, 0] = views.view2[0, 0, 0, 0] = float("nan")
    else:
        with torch.no_grad():
            next(state.model.encoder.heads.parameters()).fill_(float("inf"))
    before, mean = snapshot(state.model), state.means.encoder.clone()
    moments = copy.deepcopy(state.optimizers["encoder"].state_dict()["state"])
    with pytest.raises(TrainingError, match="training stopped"):
        learn(state, views)
    for name, parameter in state.model.named_parameters():
        assert torch.equal(parameter, before[name]), name
    assert torch.equal(state.means.encoder, mean)
    for index, kept in state.optimizers["encoder"].state_dict()["state"].items():
        assert all(torch.equal(value, moments[index][key]) for key, value in kept.items())


def test_the_term_that_is_not_finite_is_named() -> None:
    state, views = begun(settings())
    state.shape_model.prior.precision[0, 0] = float("inf")
    before = snapshot(state.model)
    with pytest.raises(TrainingError, match="shape_prior"):
        learn(state, views)
    assert all(torch.equal(parameter, before[name]) for name, parameter in state.model.named_parameters())


@pytest.mark.parametrize("clip", [0.0, 5.0])
def test_a_gradient_that_is_not_finite_is_refused_too(clip: float) -> None:
    """Where all terms are finite and only their derivative isn't."""
    state, views = begun(settings(optimizer__clip=clip))
    next(state.model.encoder.parameters()).register_hook(lambda slope: slope * float("nan"))
    before = snapshot(state.model)
    with pytest.raises(TrainingError, match="gradient"):
        learn(state, views)
    assert all(torch.equal(parameter, before[name]) for name, parameter in state.model.named_parameters())


def test_clipping_holds_the_gradient_back() -> None:
    state, views = begun(settings("paper", optimizer__clip=1e-3))
    state.optimizers["encoder"] = torch.optim.SGD(state.model.encoder.parameters(), lr=1.0)
    before = snapshot(state.model)
    norm = learn(state, views)["gradient"]
    moved = sum(float((p.detach() - before[name]).square().sum()) for name, p in state.model.named_parameters()) ** 0.5
    assert norm > 1e-3
    assert moved == pytest.approx(1e-3, rel=0.05)


def test_the_teacher_gives_the_targets() -> None:
    """An encoder that predicts what its teacher does, carried along by g, pays nothing for equivariance."""
    state, views = begun(settings(loss__shape_prior=0.01, loss__population=0, teacher__noise=0, teacher__centre=False))
    still = AugmentedPair(*[views.view1] * 4, views.warp.identity(len(views.view1)))
    assert learn(state, still)["equivariance"] == pytest.approx(0, abs=1e-3)  # untrained: the barycenter for every image
    assert learn(state, views)["equivariance"] > 1  # but g moves what it ought to predict


def test_targets_are_centred_on_the_mean_shape_and_cleaned() -> None:
    def step(**teacher: object) -> Step:
        state, views = begun(settings(**{f"teacher__{key}": value for key, value in teacher.items()}))
        return Step(state, Batch(views))

    prior = step().shape_model.prior
    noise = 0.01 * torch.randn(64, len(prior.mean), 2, generator=torch.Generator().manual_seed(0))
    points = prior.mean + 0.05 + noise
    plain, cleaning = step(noise=0.0), step(noise=0.02)
    for _ in range(300):  # until the running mean has settled
        centred, cleaned = clean(points, plain), clean(points, cleaning)
    assert torch.allclose(centred.mean(0), prior.mean, atol=1e-4)
    assert prior.energy(cleaned).mean() < 0.5 * prior.energy(centred).mean()
    assert torch.equal(clean(points, step(centre=False, noise=0.0)), points)
