"""Settings: presets, overrides, and what is said about wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from brule.errors import ConfigError
from brule.training.config import (
    TrainingConfig,
    config_from_dict,
    dotted_keys,
    load_config,
    parse_overrides,
    preset_names,
)


def test_there_are_the_two_presets() -> None:
    assert {"cpu", "paper"} <= set(preset_names())


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_loads_and_survives_its_json(preset: str) -> None:
    config = load_config(preset)
    assert config.preset == preset
    assert config_from_dict(json.loads(config.to_json())) == config


def test_the_paper_preset_has_the_papers_weights() -> None:
    """c3 = 14, c4 = 1500; R_b 1, 2, 4; R_g 0.001; and its authors' σ, rates, rotation and decay."""
    config = load_config("paper")
    loss = config.loss
    assert (loss.barycenter, loss.geometric, loss.translation, loss.affine, loss.warp) == (14, 1500, 1, 2, 4)
    assert (loss.coordinates, loss.sigma, config.crop.image_size, config.batch_size) == (0.001, 4, 256, 8)
    assert (config.optimizer.learning_rate, config.warp.rotation) == (2e-5, 15)
    assert (config.ema.decay, config.ema.write_back_every) == (0.99, 100)
    assert (config.encoder.head, config.encoder.stacks) == ("convolution", 2)


def test_and_nothing_that_is_not_in_the_paper() -> None:
    config = load_config("paper")
    assert config.loss.shape_prior == config.loss.equivariance == 0
    assert not config.loss.mirror
    assert not any(config.augmentation.model_dump().values())


def test_overrides_are_read_as_toml() -> None:
    texts = {"encoder.width": "32", "optimizer.learning_rate": "1e-4", "encoder.head": "convolution", "loss.mirror": "false"}
    config = load_config("cpu", texts | {"seed": 5})
    assert (config.encoder.width, config.optimizer.learning_rate, config.seed) == (32, 1e-4, 5)
    assert config.encoder.head == "convolution"
    assert config.loss.mirror is False
    assert load_config("cpu", {"encoder.head": '"softmax"'}).encoder.head == "softmax"


def test_an_override_changes_its_own_setting_and_no_other() -> None:
    plain, changed = load_config("cpu").model_dump(), load_config("cpu", {"warp.rotation": 7}).model_dump()
    assert changed["warp"].pop("rotation") == 7
    plain["warp"].pop("rotation")
    assert changed == plain


@pytest.mark.parametrize(
    ("key", "nearest"), [("encoder.widht", "encoder.width"), ("rotation", "warp.rotation"), ("iteration", "iterations")]
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"'{key}' is unknown, did you mean '{nearest}'"):
        load_config("cpu", {key: 1})


def test_a_key_like_no_other_is_refused_without_advice() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("cpu", {"zzzzzzzz": 1})
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("iterations", 0),
        ("encoder.head", "dense"),
        ("encoder.stem_stride", 3),
        ("optimizer.beta1", 1.0),
        ("crop.image_size", "many"),
        ("loss.sigma", 0),
        ("loss.sigma", float("nan")),
        ("ema.decay", 1.0),
        ("precision", "float16"),
        ("seed", -1),
        ("batch_size", 2.5),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key_and_itself(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"setting {key}: .*got {value!r}"):
        load_config("cpu", {key: value})


def test_every_wrong_setting_has_a_line() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("cpu", {"iterations": 0, "batch_size": 0})
    assert len(str(caught.value).splitlines()) == 2


def test_settings_do_not_change() -> None:
    config = TrainingConfig()
    with pytest.raises(ValidationError):
        config.seed = 3  # type: ignore[misc]


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'papr' is unknown, did you mean 'paper'"):
        load_config("papr")


def test_a_toml_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("iterations = 7\n[encoder]\nwidth = 24\n", encoding="utf-8")
    config = load_config(str(path), {"encoder.depth": 2})
    assert (config.iterations, config.encoder.width, config.encoder.depth) == (7, 24, 2)
    assert config.encoder.stacks == TrainingConfig().encoder.stacks


@pytest.mark.parametrize(
    ("text", "said"),
    [("iterations = ", "TOML"), ("[encoder]\nwidht = 3\n", "encoder.widht.*did you mean 'encoder.width'"), ("[x]\n", "'x'")],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        load_config(str(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_config(str(tmp_path / "nowhere.toml"))


def test_pairs_of_the_command_line() -> None:
    assert parse_overrides(["a.b=1", " c = x=y "]) == {"a.b": "1", "c": "x=y"}
    with pytest.raises(ConfigError, match="key=value"):
        parse_overrides(["a.b"])


def test_every_dotted_key_can_be_set() -> None:
    """To the value that it has: the names in the help are those that are understood."""
    config = load_config("cpu").model_dump()

    def value_of(key: str) -> object:
        place = config
        for part in key.split("."):
            place = place[part]
        return place

    settings = {key: value_of(key) for key in dotted_keys()}
    assert load_config("cpu", {key: value for key, value in settings.items() if key != "preset"}).model_dump() == config


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"seed = 1 # \xa2", "not UTF-8"),
        (b"x = " + b"[" * 50_000, "nested too deeply|no valid TOML"),
        (b"seed = " + b"9" * 5000, "no valid TOML"),
    ],
)
def test_a_preset_that_is_no_toml_is_refused_by_name(content: bytes, named: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=named) as error:
        load_config(str(tmp_path / "x.toml"))
    assert "x.toml" in str(error.value)
