"""Algorithm 1, and the decoder's terms of Algorithm 2: who learns, from what, and what it costs."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import brule.training.loop as loop
from brule.data.shapes import to_crop
from brule.data.synthetic import synthetic_faces
from brule.errors import TrainingError
from brule.model import BruleModel
from brule.tensors import resized, to_input
from brule.training.augmented_pair import AugmentedPair, draw_augmented_pair
from brule.training.config import TrainingConfig, load_config
from brule.training.ema import MeanPredictions
from brule.training.run import build_decoder, build_shape_model, start_run
from brule.training.steps import (
    DecoderTerms,
    GanBatch,
    GanNetworks,
    PseudoLabels,
    ShapeModel,
    encoder_step,
    gan_step,
    pseudo_label,
)

FACES = synthetic_faces(10, size=32)
SHAPES = torch.stack([torch.as_tensor(to_crop(points)) for points in FACES.points]).float()
TINY = {
    "crop.image_size": 32,
    "encoder.width": 8,
    "encoder.stacks": 1,
    "encoder.depth": 2,
    "encoder.stem_stride": 2,
    "decoder.width": 4,
    "decoder.max_width": 16,
    "decoder.style_dim": 8,
    "decoder.noise_dim": 8,
    "decoder.mapping_depth": 2,
    "gan.generator_rate": 2e-3,
    "gan.style_rate": 2e-3,
    "loss.sigma": 1.5,
}


def settings(preset: str = "paper", **changes: object) -> TrainingConfig:
    return load_config(preset, TINY | {key.replace("__", "."): value for key, value in changes.items()})


class Bench:
    """The networks of a tiny run, and one batch."""

    def __init__(self, config: TrainingConfig, batch: int = 4) -> None:
        run = start_run(SHAPES.mean(0), config, torch.device("cpu"), None, False)
        assert run.networks is not None
        self.config, self.model, self.networks, self.optimizers = config, run.model, run.networks, run.optimizers
        self.shape_model: ShapeModel = build_shape_model(SHAPES.mean(0), SHAPES, config)
        images = to_input(torch.from_numpy(FACES.images[:batch]))
        self.views: AugmentedPair = draw_augmented_pair(images, config, generator=seeded(), prior=self.shape_model.prior)
        truth = SHAPES[:batch]
        self.gan_batch = GanBatch(self.views.clean1, truth, self.views.clean1)

    def paint(self, **options: object) -> dict[str, float]:
        return gan_step(self.networks, self.optimizers, self.gan_batch, self.config, generator=seeded(), **options)

    def learn(self, pseudo_labels: PseudoLabels | None = None) -> dict[str, float]:
        decoder_terms = DecoderTerms(self.networks, self.gan_batch, seeded())
        return encoder_step(
            self.model, self.optimizers["encoder"], self.views, self.shape_model, self.config,
            means=MeanPredictions(self.model.barycenter), pseudo_labels=pseudo_labels, decoder_terms=decoder_terms,
        )  # fmt: skip


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def moved(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


def test_algorithm_1_changes_decoder_and_discriminator_and_nothing_else() -> None:
    bench = Bench(settings())
    before = [snapshot(m) for m in (bench.model, bench.networks.decoder, bench.networks.discriminator)]
    bench.paint()
    assert not moved(bench.model, before[0])
    changed = moved(bench.networks.decoder, before[1])
    for part in ("generator", "style_mapping", "style_encoder"):
        assert any(name.startswith(part) for name in changed), part
    assert moved(bench.networks.discriminator, before[2])
    assert all(p.requires_grad for p in bench.networks.discriminator.parameters())  # thawed again


def test_algorithm_2_changes_the_encoder_and_nothing_else() -> None:
    bench = Bench(settings())
    before = [snapshot(m) for m in (bench.model, bench.networks.decoder, bench.networks.discriminator)]
    terms = bench.learn()
    assert all(name.startswith("encoder.") for name in moved(bench.model, before[0]))
    assert moved(bench.model, before[0])
    assert not moved(bench.networks.decoder, before[1])
    assert not moved(bench.networks.discriminator, before[2])
    assert all(p.requires_grad for p in bench.networks.decoder.parameters())
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

    bench.networks.decoder.generator.register_forward_pre_hook(fail)
    bench.learn()


def test_the_discriminator_tells_real_from_drawn() -> None:
    bench = Bench(settings(gan__discriminator_rate=2e-3, gan__generator_rate=1e-9, gan__penalty=0))
    first = bench.paint()["L_d"]
    for _ in range(30):
        last = bench.paint()["L_d"]
    assert last < 0.5 * first


def test_the_generator_learns_to_redraw_a_batch() -> None:
    bench = Bench(settings(gan__adversarial=0, gan__style=0))
    first = bench.paint()["redrawn"]
    for _ in range(60):
        last = bench.paint()["redrawn"]
    assert last < 0.6 * first


def test_reconstruction_pulls_landmarks_to_where_they_redraw_the_image_best() -> None:
    """A decoder that has learnt images with their true landmarks: its L_rec^I rises when the landmarks are moved."""
    bench = Bench(settings(gan__adversarial=0, gan__style=0))
    for _ in range(150):
        bench.paint()
    decoder, gan_batch = bench.networks.decoder.eval(), bench.gan_batch

    def cost(points: Tensor) -> float:
        with torch.no_grad():
            return float((decoder(points, decoder.style_of(gan_batch.images)) - gan_batch.images).abs().mean())

    away = torch.tensor([0.06, -0.06])
    assert cost(gan_batch.points) < cost(gan_batch.points + away)
    assert cost(gan_batch.points) < cost(gan_batch.points - away)


def test_the_style_can_be_read_off_the_other_view() -> None:
    views = Bench(settings()).views
    pseudo_labels = PseudoLabels(SHAPES[:4], views.move(SHAPES[:4]))
    paper = GanBatch.of(views, pseudo_labels, settings())
    assert paper.images is views.clean1
    assert paper.models is views.clean1
    assert paper.points is pseudo_labels.source
    taught = GanBatch.of(views, pseudo_labels, settings(teacher__enabled=True, gan__style_from="other view"))
    assert taught.images is views.clean2
    assert taught.models is views.clean1
    assert taught.points is pseudo_labels.target


def test_the_decoder_may_be_smaller_than_the_encoders_images() -> None:
    config = settings(decoder__image_size=16)
    bench = Bench(config)
    pseudo_labels = PseudoLabels(SHAPES[:4], SHAPES[:4])
    bench.gan_batch = GanBatch.of(bench.views, pseudo_labels, config)
    assert bench.gan_batch.images.shape[-1] == 16
    assert torch.allclose(bench.gan_batch.images[0, 0, 0, 0], bench.views.clean1[0, 0, :2, :2].mean())
    bench.paint()
    assert "L_rec^L" in bench.learn()
    assert resized(bench.gan_batch.images, 32).shape[-1] == 32


def test_a_teachers_step_redraws_the_moved_image() -> None:
    config = settings(teacher__enabled=True, gan__style_from="other view", loss__fakes=0.5)
    bench = Bench(config)
    teacher: BruleModel = copy.deepcopy(bench.model).eval()
    pseudo_labels = pseudo_label(teacher, bench.views, bench.shape_model, config, means=MeanPredictions(bench.model.barycenter))
    bench.gan_batch = GanBatch.of(bench.views, pseudo_labels, config)
    assert {"L_rec^I", "L_rec^L"} <= set(bench.learn(pseudo_labels))


def test_fakes_may_have_the_styles_of_other_images() -> None:
    """Read off the images of the batch, none its own; or random, with the images unseen."""
    for source in ("images", "random"):
        bench = Bench(settings(loss__fake_styles=source, loss__image_reconstruction=0, loss__adversarial=0, loss__fakes=0.5))
        pseudo_labels: list[Tensor] = []
        bench.networks.decoder.style_encoder.register_forward_pre_hook(
            lambda _, given, pseudo_labels=pseudo_labels: pseudo_labels.append(given[0])
        )
        assert "L_rec^L" in bench.learn()
        if source == "random":
            assert not pseudo_labels
        else:
            (models,) = pseudo_labels
            assert torch.equal(models, bench.gan_batch.models[[3, 2]])


@pytest.mark.parametrize("term", ["L_d", "redrawn", "L_rec^I"])
def test_what_is_not_finite_is_refused_with_its_name(term: str) -> None:
    bench = Bench(settings())
    if term == "L_d":
        bench.networks.discriminator.logit.bias.data[0] = float("nan")
    elif term == "redrawn":
        bench.config = settings(gan__adversarial=0)
        bench.networks = GanNetworks(bench.networks.decoder)
        bench.gan_batch = replace(bench.gan_batch, images=bench.gan_batch.images * float("inf"))
    else:
        bench.networks.decoder.generator.image_bias.data[0] = float("nan")
        bench.config = settings(loss__landmark_reconstruction=0, loss__adversarial=0)
    before = snapshot(bench.model) | snapshot(bench.networks.decoder)
    with pytest.raises(TrainingError, match=term.replace("^", r"\^")):
        bench.learn() if term == "L_rec^I" else bench.paint()
    after = bench.model.state_dict() | bench.networks.decoder.state_dict()
    for name, _ in [*bench.model.named_parameters(), *bench.networks.decoder.named_parameters()]:
        assert torch.equal(after[name].nan_to_num(7), before[name].nan_to_num(7)), name


def test_in_bfloat16_too() -> None:
    bench = Bench(settings(precision="bfloat16"))
    assert set(bench.paint()) == {"L_d", "penalty", "L_g", "redrawn", "L_style"}
    assert "L_rec^L" in bench.learn()


@pytest.mark.slow
def test_the_papers_iteration_runs_at_its_real_size() -> None:
    """256 px, two stacks of 256 channels, all five networks, all terms: one iteration of both algorithms (of two images)."""
    config = load_config("paper", {"iterations": 1, "batch_size": 2, "preview_every": 0})
    faces = synthetic_faces(2, size=256)
    shapes = torch.stack([torch.as_tensor(to_crop(points)) for points in faces.points]).float()
    told: list[dict[str, float]] = []
    genuine = loop.iterate

    def keep(*given: object) -> dict[str, float]:
        told.append(genuine(*given))
        return told[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "iterate", keep)
        trained = loop.train(faces.images, shapes.mean(0), config, shapes=shapes, quiet=True)
    assert trained.progress.iteration == 1
    assert trained.decoder is not None
    assert trained.decoder.image_size == 256
    expected = {"L_d", "penalty", "L_g", "redrawn", "L_style", "R_b", "R_g", "L_g of E", "L_rec^I", "L_rec^L"}
    assert expected <= set(told[0])


@pytest.mark.slow
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
