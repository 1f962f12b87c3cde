"""``Redrawer``: drawing from landmarks and styles, and keeping what was drawn from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.errors import CheckpointError, ConfigError, DataError
from brule.redrawing import Recipe, Redrawer, at_size, evaluate_decoder, interpolated_styles, mixed

FACES = synthetic_faces(12, size=64)
SMALL = {"image_size": 16, "width": 2, "max_width": 8, "style_dim": 8, "noise_dim": 8, "mapping_depth": 2}


def fitted(**changes: object) -> LandmarkDetector:
    settings = {"iterations": 1, "batch_size": 4, "encoder.width": 8, "encoder.depth": 2, "threads": 1, **changes}
    return LandmarkDetector(quiet=True, device="cpu", **settings).fit(FACES.images, shapes=FACES.points[:5])


@pytest.fixture(scope="module")
def detector() -> LandmarkDetector:
    decoder = {f"decoder.{name}": value for name, value in SMALL.items()}
    return fitted(**{"gan.enabled": True, "gan.adversarial": 1.0}, **decoder)


@pytest.fixture(scope="module")
def redrawer(detector: LandmarkDetector) -> Redrawer:
    return Redrawer(detector, batch_size=5)


def test_random_styles_follow_the_seed(redrawer: Redrawer) -> None:
    first = redrawer.random_styles(4, seed=1)
    assert first.shape == (4, 2, redrawer.style_dim) == (4, 2, 8)
    assert torch.equal(first, redrawer.random_styles(4, seed=1))
    assert not torch.equal(first, redrawer.random_styles(4, seed=2))


def test_mixing_draws_the_two_rows_apart(redrawer: Redrawer) -> None:
    alike, apart = (redrawer.random_styles(6, mixing=share) for share in (0, 1))
    assert torch.equal(alike[:, 0], alike[:, 1])
    assert not torch.isclose(apart[:, 0], apart[:, 1]).all(dim=1).any()


def test_mixed_takes_a_row_of_each(redrawer: Redrawer) -> None:
    a, b = redrawer.random_styles(3, seed=1, mixing=1), redrawer.random_styles(3, seed=2, mixing=1)
    both = mixed(a, b)
    assert torch.equal(both[:, 0], a[:, 0]) and torch.equal(both[:, 1], b[:, 1])
    with pytest.raises(DataError, match="of one shape"):
        mixed(a, b[:2])


def test_interpolated_styles_lie_on_straight_lines(redrawer: Redrawer) -> None:
    styles = redrawer.random_styles(3)
    more = interpolated_styles(styles, 1)
    assert torch.equal(more[::2], styles)
    assert torch.allclose(more[1], (styles[0] + styles[1]) / 2)
    assert torch.equal(interpolated_styles(styles, 0), styles)
    with pytest.raises(ConfigError, match="0 steps or more"):
        interpolated_styles(styles, -1)


def test_what_is_drawn_is_the_generators_image_in_bytes(redrawer: Redrawer) -> None:
    points, styles = redrawer.landmarks_of(FACES.images[:7]), redrawer.random_styles(7)
    drawn = redrawer.draw(points, styles)
    assert drawn.shape == (7, 16, 16, 3) and drawn.dtype == np.uint8
    with torch.no_grad():
        expected = redrawer.decoder(points, styles).permute(0, 2, 3, 1).clamp(-1, 1)
    assert np.abs(drawn - (expected.numpy() + 1) * 127.5).max() < 0.51  # rounding alone


def test_neither_autocast_nor_the_batch_size_nor_training_mode_has_a_say(detector: LandmarkDetector) -> None:
    detector.decoder_.train()
    redrawer = Redrawer(detector, batch_size=64)
    assert not redrawer.decoder.training
    points, styles = torch.as_tensor(detector.shapes_), redrawer.random_styles(5)
    plain = redrawer.draw(points, styles)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(redrawer.draw(points, styles), plain)
    one_by_one = Redrawer(detector, batch_size=1).draw(points, styles)
    assert np.abs(one_by_one.astype(int) - plain).max() <= 1  # sums in another order


def test_a_grid_is_every_landmark_set_under_every_style(redrawer: Redrawer) -> None:
    points, styles = redrawer.landmarks_of(FACES.images[:3]), redrawer.random_styles(4)
    grid = redrawer.grid(points, styles)
    assert grid.shape == (3, 4, 16, 16, 3)
    alone = redrawer.draw(points[1:2], styles[2:3])[0]
    assert np.abs(grid[1, 2].astype(int) - alone).max() <= 1


def test_landmarks_and_style_both_count(redrawer: Redrawer) -> None:
    points, styles = torch.as_tensor(redrawer.detector.shapes_[:1]), 20 * redrawer.random_styles(2)
    moved = redrawer.grid(torch.cat([points, points + 0.3]), styles).astype(int)
    assert np.abs(moved[0] - moved[1]).max() > 0 and np.abs(moved[:, 0] - moved[:, 1]).max() > 0


def test_crops_of_any_size_give_landmarks_and_styles(redrawer: Redrawer) -> None:
    found = redrawer.landmarks_of(FACES.images)
    assert torch.allclose(found, redrawer.detector.predict_crops(FACES.images).points, atol=1e-5)
    large = FACES.images.repeat(2, axis=1).repeat(2, axis=2)  # halved again, it is the same
    assert torch.allclose(redrawer.landmarks_of(large), found, atol=1e-5)
    assert torch.allclose(redrawer.styles_of(large), redrawer.styles_of(FACES.images), atol=1e-5)
    assert np.array_equal(at_size(large, 64), FACES.images)


def test_without_a_decoder_it_says_how_to_get_one(tmp_path: Path) -> None:
    plain = fitted(**{"gan.enabled": False})
    with pytest.raises(ConfigError, match=r"--set gan.enabled=true"):
        Redrawer(plain)
    with pytest.raises(ConfigError, match="without a decoder"):
        Redrawer(LandmarkDetector(**{"gan.enabled": False}))
    plain.save(tmp_path)
    with pytest.raises(CheckpointError, match=rf"{tmp_path.name}: was trained without a decoder.*gan.enabled=true"):
        Redrawer.load(tmp_path)


def test_a_saved_detector_draws_the_same(redrawer: Redrawer, tmp_path: Path) -> None:
    redrawer.detector.save(tmp_path)
    again = Redrawer.load(tmp_path, device="cpu", batch_size=5)
    points, styles = redrawer.detector.shapes_, redrawer.random_styles(5, seed=3)
    assert torch.equal(again.random_styles(5, seed=3), styles)
    assert np.array_equal(again.draw(points, styles), redrawer.draw(points, styles))


def test_arguments_that_do_not_fit(redrawer: Redrawer) -> None:
    points, styles = redrawer.detector.shapes_, redrawer.random_styles(5)
    for call, message in (
        (lambda: redrawer.draw(points, styles[:2]), "a style for each of 5"),
        (lambda: redrawer.draw(points[:, :5], styles), r"\(B, 68, 2\)"),
        (lambda: redrawer.draw(points * torch.nan, styles), "finite"),
        (lambda: redrawer.draw(points, styles[..., :4]), r"\(B, 2, 8\)"),
        (lambda: redrawer.styles_of(FACES.images[0]), r"\(B, S, S, 3\)"),
        (lambda: redrawer.styles_of(FACES.images[:0]), "at least one"),
        (lambda: redrawer.landmarks_of(FACES.images / 255), "uint8"),
    ):
        with pytest.raises(DataError, match=message):
            call()
    for call, message in (
        (lambda: redrawer.random_styles(0), "at least 1"),
        (lambda: redrawer.random_styles(1, mixing=1.5), "from 0 to 1"),
        (lambda: Redrawer(redrawer.detector, batch_size=0), "at least 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()


def test_a_recipe_is_read_as_it_was_written(redrawer: Redrawer, tmp_path: Path) -> None:
    recipe = Recipe(redrawer.detector.shapes_.numpy(), list("abcde"), redrawer.random_styles(2), ["x", "y"])
    recipe.write(tmp_path / "r.json", seed=7)
    again = Recipe.read(tmp_path / "r.json")
    assert again is not None and again.names == recipe.names and again.style_names == recipe.style_names
    assert np.array_equal(again.points, recipe.points) and torch.equal(again.styles, recipe.styles)  # to the last bit
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["seed"] == 7 and content["frame"] == "unit square of the crop"


def test_other_json_is_no_recipe_and_a_damaged_one_is_named(redrawer: Redrawer, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for text in ("[]", '{"shapes": []}', "no json"):
        path.write_text(text)
        assert Recipe.read(path) is None
    Recipe(redrawer.detector.shapes_.numpy(), list("abcde"), redrawer.random_styles(2), ["x", "y"]).write(path)
    content = json.loads(path.read_text())
    for key, value in (("shapes", [[1, 2]]), ("names", ["a"]), ("styles", [[1], [2, 3]]), ("styles", "?"), ("style_names", 3)):
        path.write_text(json.dumps({**content, key: value}))
        with pytest.raises(DataError, match=r"r.json: damaged"):
            Recipe.read(path)
    with pytest.raises(DataError, match=r"none\.json: can't be read"):
        Recipe.read(tmp_path / "none.json")


def test_the_decoders_figures(redrawer: Redrawer) -> None:
    truth = np.stack(FACES.points) / 64
    scores = evaluate_decoder(redrawer, FACES.images, truth=truth, seed=2)
    assert (scores.n, scores.image_size, scores.styles, scores.normaliser) == (12, 16, "random", "outer eye corners")
    found = redrawer.landmarks_of(FACES.images)
    fakes = redrawer.draw(found, redrawer.random_styles(12, seed=2))
    distance = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)
    away = (redrawer.landmarks_of(fakes) - found).norm(dim=-1).mean(1).numpy()
    assert scores.consistency == pytest.approx((100 * away / distance).mean(), rel=1e-4)
    redrawn = redrawer.draw(found, redrawer.styles_of(FACES.images)).astype(float)
    expected = 100 * np.abs(redrawn - at_size(FACES.images, 16)).mean() / 255
    assert scores.l1 == pytest.approx(expected)
    assert evaluate_decoder(redrawer, FACES.images, points=found, truth=truth, seed=2) == scores


def test_without_the_adversarial_term_styles_come_from_other_images(redrawer: Redrawer, monkeypatch) -> None:
    config = redrawer.detector.config_
    monkeypatch.setattr(
        redrawer.detector, "config_", config.model_copy(update={"gan": config.gan.model_copy(update={"adversarial": 0.0})})
    )
    assert not redrawer.knows_random_styles
    scores = evaluate_decoder(redrawer, FACES.images[:4])
    assert scores.styles == "of another image" and scores.normaliser == "outer eye corners"
