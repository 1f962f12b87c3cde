"""Algorithm 1, and the decoder's terms of Algorithm 2: who learns, from what, and what it costs."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import brule.training.loop as loop
from brule.data.shapes import to_crop
from brule.data.synthetic import synthetic_faces
from brule.errors import TrainingError
from brule.losses import image_reconstruction
from brule.tensors import resized, to_input
from brule.training.batches import Batch
from brule.training.config import TrainingConfig, load_config
from brule.training.distributed import Distributed
from brule.training.run import build_decoder, build_shape_model, start_run
from brule.training.steps import Step, encoder, encoder_step, gan_step
from brule.training.steps.context import noise_there
from brule.training.views import draw_augmented_pair
from tests.training.tiny import DECODER, ONE_STACK, settings_from, shapes_of

FACES = synthetic_faces(10, size=32)
SHAPES = shapes_of(FACES)
TINY = {
    **ONE_STACK,
    **DECODER,
    "decoder.max_width": 16,
    "gan.generator_rate": 2e-3,
    "gan.style_rate": 2e-3,
    "loss.sigma": 1.5,
}


settings = settings_from(TINY, "paper")


class Bench:
    """The state of a tiny run, and one batch, whose true landmarks the decoder is given."""

    def __init__(self, config: TrainingConfig, batch: int = 4, *, true_landmarks: bool = True) -> None:
        self.state = start_run(build_shape_model(SHAPES.mean(0), SHAPES, config), config)
        images = to_input(torch.from_numpy(FACES.images[:batch]))
        self.views = draw_augmented_pair(images, self.state.shape_model, config, generator=seeded())
        self._truth = SHAPES[:batch] if true_landmarks else None

    @property
    def step(self) -> Step:
        """A new step on the batch."""
        step = Step(self.state, Batch(self.views))
        if self._truth is not None:
            step.__dict__["pseudo_labels"] = self._truth
        return step

    def paint(self, **options: object) -> dict[str, float]:
        return gan_step(self.step, **options)

    def learn(self) -> dict[str, float]:
        return encoder_step(self.step)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def moved(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


def test_algorithm_1_changes_decoder_and_discriminator_and_nothing_else() -> None:
    bench = Bench(settings(), true_landmarks=False)
    bench.state.model.train()
    before = [snapshot(m) for m in (bench.state.model, bench.state.decoder, bench.state.discriminator)]
    bench.paint()
    assert not moved(bench.state.model, before[0])
    changed = moved(bench.state.decoder, before[1])
    for part in ("generator", "style_mapping", "style_encoder"):
        assert any(name.startswith(part) for name in changed), part
    assert moved(bench.state.discriminator, before[2])
    assert all(p.requires_grad for p in bench.state.discriminator.parameters())  # thawed again


def test_algorithm_2_changes_the_encoder_and_nothing_else() -> None:
    bench = Bench(settings())
    before = [snapshot(m) for m in (bench.state.model, bench.state.decoder, bench.state.discriminator)]
    terms = bench.learn()
    assert all(name.startswith("encoder.") for name in moved(bench.state.model, before[0]))
    assert moved(bench.state.model, before[0])
    assert not moved(bench.state.decoder, before[1])
    assert not moved(bench.state.discriminator, before[2])
    assert all(p.requires_grad for p in bench.state.decoder.parameters())
    assert {"R_b", "R_g", "L_g of E", "L_rec^I", "L_rec^L"} <= set(terms)
    weights = {"R_b": 14, "R_g": 1500, "L_g of E": 0.4, "L_rec^I": 40, "L_rec^L": 20}  # c3 … c7
    assert terms["loss"] == pytest.approx(sum(weight * terms[name] for name, weight in weights.items()), rel=1e-4)


def test_algorithm_1_names_its_terms() -> None:
    bench = Bench(settings())
    assert set(bench.paint()) == {"L_d", "penalty", "L_g", "redrawn", "L_style"}
    assert set(bench.paint(penalize=False)) == {"L_d", "L_g", "redrawn", "L_style"}


@pytest.mark.parametrize(
    ("switch", "gone"),
    [
        ("gan__adversarial", {"L_d", "L_g", "penalty"}),
        ("gan__reconstruction", {"redrawn"}),
        ("gan__style", {"L_style"}),
        ("gan__penalty", {"penalty"}),
    ],
)
def test_a_weight_of_zero_leaves_its_term_of_algorithm_1_out(switch: str, gone: set[str]) -> None:
    everything = {"L_d", "penalty", "L_g", "redrawn", "L_style"}
    assert set(Bench(settings(**{switch: 0})).paint()) == everything - gone


@pytest.mark.parametrize(
    ("switch", "gone"),
    [("adversarial", "L_g of E"), ("image_reconstruction", "L_rec^I"), ("landmark_reconstruction", "L_rec^L")],
)
def test_a_weight_of_zero_leaves_its_term_of_algorithm_2_out(switch: str, gone: str) -> None:
    terms = Bench(settings(**{f"loss__{switch}": 0})).learn()
    assert gone not in terms
    assert {"L_g of E", "L_rec^I", "L_rec^L"} - {gone} <= set(terms)


def test_without_the_decoders_terms_nothing_is_drawn() -> None:
    bench = Bench(settings(loss__adversarial=0, loss__image_reconstruction=0, loss__landmark_reconstruction=0))

    def fail(*_: object) -> None:
        raise AssertionError("the generator was run")

    bench.state.decoder.generator.register_forward_pre_hook(fail)
    bench.learn()


@pytest.mark.slow
def test_the_discriminator_distinguishes_real_from_drawn() -> None:
    bench = Bench(settings(gan__discriminator_rate=2e-3, gan__generator_rate=1e-9, gan__penalty=0))
    first = bench.paint()["L_d"]
    for _ in range(30):
        last = bench.paint()["L_d"]
    assert last < 0.5 * first


@pytest.mark.slow
def test_the_generator_learns_to_redraw_a_batch() -> None:
    bench = Bench(settings(gan__adversarial=0, gan__style=0))
    first = bench.paint()["redrawn"]
    for _ in range(60):
        last = bench.paint()["redrawn"]
    assert last < 0.6 * first


@pytest.mark.slow
def test_reconstruction_pulls_landmarks_to_where_they_redraw_the_image_best() -> None:
    """A decoder that has learnt images with their true landmarks: descending L_rec^I brings displaced landmarks nearer."""
    bench = Bench(settings(gan__adversarial=0, gan__style=0))
    for _ in range(150):
        bench.paint()
    decoder, images, truth = bench.state.decoder.eval(), bench.views.clean1, SHAPES[:4]
    style = decoder.style_of(images).detach()
    points = truth + 0.05 * torch.tensor([1.0, -1.0])
    before = (points - truth).norm(dim=-1).mean()
    for _ in range(20):
        points.requires_grad_()
        (slope,) = torch.autograd.grad(image_reconstruction(decoder(points, style), images).sum(), points)
        shift = slope.mean(1, keepdim=True)  # of each image's landmarks together
        points = (points - 0.003 * shift / shift.norm(dim=-1, keepdim=True)).detach()
    assert (points - truth).norm(dim=-1).mean() < 0.6 * before


def test_the_style_can_be_read_off_the_other_view() -> None:
    paper = Bench(settings())
    assert paper.step.gan_images is paper.views.clean1
    assert paper.step.style_images is paper.views.clean1
    assert paper.step.gan_points is paper.step.pseudo_labels
    taught = Bench(settings(teacher__enabled=True, gan__style_from="other view"))
    assert taught.step.gan_images is taught.views.clean2
    assert taught.step.style_images is taught.views.clean1
    assert torch.equal(taught.step.gan_points, taught.views.move(SHAPES[:4]))


def test_the_decoder_may_be_smaller_than_the_encoders_images() -> None:
    bench = Bench(settings(decoder__image_size=16))
    images = bench.step.gan_images
    assert images.shape[-1] == 16
    assert torch.allclose(images[0, 0, 0, 0], bench.views.clean1[0, 0, :2, :2].mean())
    bench.paint()
    assert "L_rec^L" in bench.learn()
    assert resized(images, 32).shape[-1] == 32


def test_a_teachers_step_redraws_the_moved_image() -> None:
    config = settings(teacher__enabled=True, gan__style_from="other view", loss__fakes=0.5)
    assert {"L_rec^I", "L_rec^L"} <= set(Bench(config, true_landmarks=False).learn())


def inputs_of(module: nn.Module) -> list[tuple[Tensor, ...]]:
    """What a network is going to be given."""
    given: list[tuple[Tensor, ...]] = []
    module.register_forward_pre_hook(lambda _, inputs: given.append(inputs))
    return given


@pytest.mark.parametrize(("judged", "styles_read"), [("fake", 0), ("restored", 1)])
def test_algorithm_2_judges_the_fake_in_a_random_style(judged: str, styles_read: int) -> None:
    """``I_F = G(L, S_o(z))``: no style is read off an image for it, as it is for the restored image."""
    bench = Bench(settings(loss__judged=judged, loss__image_reconstruction=0, loss__landmark_reconstruction=0))
    read, mapped = inputs_of(bench.state.decoder.style_encoder), inputs_of(bench.state.decoder.style_mapping)
    judgements = inputs_of(bench.state.discriminator)
    assert "L_g of E" in bench.learn()
    assert (len(read), len(mapped), len(judgements)) == (styles_read, 1 - styles_read, 1)


@pytest.mark.parametrize("carries", [True, False])
def test_the_condition_of_the_discriminator_carries_gradient(carries: bool) -> None:
    bench = Bench(settings(loss__condition_gradient=carries, loss__image_reconstruction=0))
    judgements = inputs_of(bench.state.discriminator)
    bench.learn()
    image, heatmap = judgements[0]
    assert image.requires_grad
    assert heatmap.requires_grad == carries


@pytest.mark.parametrize("warped", [True, False])
def test_algorithm_1_warps_its_fakes_for_the_second_half_of_l_style(warped: bool) -> None:
    bench = Bench(settings(gan__warped_style=warped, gan__reconstruction=0))
    read = inputs_of(bench.state.decoder.style_encoder)
    bench.paint()
    assert len(read) == 1 + warped
    if warped:
        (fake,), (moved,) = read
        assert fake.shape == moved.shape
        assert (fake - moved).abs().mean() > 0.01
        assert moved.requires_grad  # the paper detaches neither side


@pytest.mark.parametrize("detached", [True, False])
def test_the_target_of_the_l1_norm_is_detached_if_wanted(detached: bool) -> None:
    found = encoder._pass(Bench(settings(loss__detach_target=detached)).step, fakes=False)
    assert found.target[-1].requires_grad != detached
    assert not found.source[-1].requires_grad


def test_averages_are_written_back_for_the_encoder_alone() -> None:
    bench = Bench(settings(ema__write_back_every=2))
    for iteration in range(2):
        bench.state.progress.iteration = iteration
        loop.iterate(bench.state, Batch(bench.views), 0.0)
        same = torch.equal(*(one.encoder.heads[0].coordinates.bias for one in (bench.state.model, bench.state.ema)))
        assert same == (iteration == 1)
    drawing = (next(one.generator.parameters()) for one in (bench.state.decoder, bench.state.decoder_ema))
    assert not torch.equal(*drawing)


@pytest.mark.parametrize("term", ["L_d", "redrawn", "L_rec^I"])
def test_what_is_not_finite_is_refused_with_its_name(term: str) -> None:
    bench = Bench(settings())
    if term == "L_d":
        bench.state.discriminator.logit.bias.data[0] = float("nan")
    elif term == "redrawn":
        bench = Bench(settings(gan__adversarial=0, gan__style=0))
        bench.views = replace(bench.views, clean1=bench.views.clean1 * float("inf"))
    else:
        bench.state.decoder.generator.image_bias.data[0] = float("nan")
        bench.state.config = settings(loss__landmark_reconstruction=0, loss__adversarial=0)
    before = snapshot(bench.state.model) | snapshot(bench.state.decoder)
    with pytest.raises(TrainingError, match=term.replace("^", r"\^")):
        bench.learn() if term == "L_rec^I" else bench.paint()
    after = bench.state.model.state_dict() | bench.state.decoder.state_dict()
    for name, _ in [*bench.state.model.named_parameters(), *bench.state.decoder.named_parameters()]:
        assert torch.equal(after[name].nan_to_num(7), before[name].nan_to_num(7)), name


def test_in_bfloat16_too() -> None:
    bench = Bench(settings(precision="bfloat16"))
    assert set(bench.paint()) == {"L_d", "penalty", "L_g", "redrawn", "L_style"}
    assert "L_rec^L" in bench.learn()


@pytest.mark.long
def test_the_papers_iteration_runs_at_its_real_size() -> None:
    """256 px, two stacks of 256 channels, all five networks, all terms: one iteration of both algorithms (of two images)."""
    config = load_config("paper", {"iterations": 1, "batch_size": 2, "preview_every": 0})
    faces = synthetic_faces(2, size=256)
    shapes = torch.stack([torch.as_tensor(to_crop(points)) for points in faces.points]).float()
    logged: list[dict[str, float]] = []
    genuine = loop.iterate

    def keep(*given: object) -> dict[str, float]:
        logged.append(genuine(*given))
        return logged[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "iterate", keep)
        trained = loop.train(faces.images, shapes.mean(0), config, shapes=shapes, quiet=True)
    assert trained.progress.iteration == 1
    assert trained.decoder is not None
    assert trained.decoder.image_size == 256
    expected = {"L_d", "penalty", "L_g", "redrawn", "L_style", "R_b", "R_g", "L_g of E", "L_rec^I", "L_rec^L"}
    assert expected <= set(logged[0])


def test_processes_share_the_noise_that_gpus_draw() -> None:
    """Two processes draw for two images each what one draws for four, in turn; the next iteration differs."""
    bench = Bench(settings())
    decoder = bench.state.decoder
    whole = noise_there(decoder, 4, bench.step)
    assert [maps.shape for maps in whole] == [(4, 2, size, size) for size in decoder.generator.sizes]
    assert torch.cat([maps.flatten() for maps in whole]).std() == pytest.approx(1, abs=0.05)
    for rank in (0, 1):
        bench.state.distributed = Distributed(rank, 2)
        for mine, all_of_them in zip(noise_there(decoder, 2, bench.step), whole, strict=True):
            assert torch.equal(mine, all_of_them[rank::2])
    bench.state.progress.iteration += 1
    assert not torch.equal(noise_there(decoder, 2, bench.step)[0], whole[0][1::2])


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs g++, which isn't there")
def test_a_compiled_generator_is_the_plain_one() -> None:
    config = settings()
    plain, compiled = build_decoder(config), build_decoder(config)
    compiled.generator.compile()
    results = []
    for decoder in (plain, compiled):
        points = SHAPES[:2].clone().requires_grad_()
        image = decoder(points, decoder.random_style(2, seeded()), generator=seeded())
        image.square().sum().backward()
        results.append((image.detach(), points.grad, decoder.generator.start.grad))
    assert list(plain.state_dict()) == list(compiled.state_dict())  # so checkpoints fit
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * one.abs().max())
