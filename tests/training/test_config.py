"""Settings: presets, overrides, and what is said about wrong ones."""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from brule.errors import ConfigError
from brule.networks import LandmarkEncoder
from brule.training.config import (
    TrainingConfig,
    changed_settings,
    config_from_dict,
    dotted_keys,
    load_config,
    parse_overrides,
    preset_names,
)
from brule.training.migration import CUT, current_settings
from brule.training.sections import Encoder


def test_there_are_four_presets() -> None:
    assert set(preset_names()) == {"cpu", "gpu", "paper", "paper-small"}


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_loads_and_survives_its_json(preset: str) -> None:
    config = load_config(preset)
    assert config.preset == preset
    assert config_from_dict(json.loads(config.to_json())) == config


@pytest.mark.parametrize("preset", preset_names())
def test_the_differences_from_a_preset_make_the_same_settings(preset: str) -> None:
    """Also of another one with schedules of its own for the weights, which a file's plain numbers don't have."""
    config = load_config(
        preset, {"seed": 0, "encoder.width": 24, "loss.geometric": {"value": 3, "anneal_from": 2, "anneal_until": 1}}
    )
    own, differing = changed_settings(config)
    assert own == preset and load_config(own, differing) == config
    assert set(differing) == {"encoder.width", "loss.geometric", "loss.geometric.anneal_from", "loss.geometric.anneal_until"}
    of_file = config.model_copy(update={"preset": "mine.toml"})
    own, differing = changed_settings(of_file)
    assert own == "cpu" and load_config(own, differing) == of_file.model_copy(update={"preset": "cpu"})


def test_the_paper_preset_has_the_papers_weights() -> None:
    """c3 = 14, c4 = 1500; R_b 1, 2, 4; R_g 0.001; and σ, rates, rotation and decay as docs/paper.md has them."""
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
        ("crop.scale", 130),
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


def test_a_weight_may_have_a_schedule() -> None:
    plain, table = (
        load_config("paper"),
        load_config("paper", {"loss.barycenter": "{value = 3, anneal_from = 10, anneal_until = 0.5}"}),
    )
    assert plain.loss.barycenter.at(0.0) == plain.loss.barycenter == 14
    assert (table.loss.barycenter, table.loss.barycenter.at(0.0), table.loss.barycenter.at(0.5)) == (3, 30, 3)
    assert config_from_dict(json.loads(table.to_json())) == table != load_config("paper", {"loss.barycenter": 3})
    one = load_config("paper", {"loss.barycenter.anneal_from": 10, "loss.barycenter.anneal_until": "0.5"})
    assert one.loss.barycenter.at(0.0) == 140


def test_a_number_alone_leaves_the_schedule_of_a_preset() -> None:
    weight = load_config("cpu", {"loss.shape_prior": 0.5}).loss.shape_prior
    assert (weight, weight.at(0.0)) == (0.5, 50)


def test_a_part_of_a_weight_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss\.barycenter\.until.* is unknown"):
        load_config("cpu", {"loss.barycenter.until": 1})
    with pytest.raises(ConfigError, match=r"loss\.barycenter\.anneal_from: .*greater than 0"):
        load_config("cpu", {"loss.barycenter.anneal_from": 0})


def test_the_common_schedule_of_earlier_versions_is_that_of_both_weights() -> None:
    with pytest.warns(FutureWarning, match="loss.anneal_until is now loss.barycenter.anneal_until and loss.shape_prior"):
        loss = load_config("cpu", {"loss.anneal_until": 0}).loss
    assert loss.shape_prior.at(0.0) == loss.shape_prior
    assert loss.barycenter.at(0.0) == loss.barycenter


@pytest.mark.parametrize("key", sorted(CUT))
def test_a_setting_that_was_cut_is_accepted_at_its_default_alone(key: str) -> None:
    harmless, _ = CUT[key]
    with pytest.warns(FutureWarning, match=f"removed: {key}; they have no effect"):
        assert load_config("cpu", {key: str(harmless)}) == load_config("cpu")
    with pytest.raises(ConfigError, match=f"{key} was removed: .*leave it out, got"):
        load_config("cpu", {key: 0.25})


def test_a_stored_run_with_a_cut_setting_is_read_with_one_line() -> None:
    section, _, name = "teacher.gate".partition(".")
    stored = load_config("cpu").model_dump()
    stored[section][name] = 0.2
    with pytest.warns(FutureWarning, match="teacher.gate; this run was trained with them"):
        assert config_from_dict(current_settings(stored, stored=True)) == load_config("cpu")


@pytest.mark.parametrize(("key", "known"), [("backbone", "hourglass, compact"), ("head", "convolution, softmax")])
def test_unknown_backbones_and_heads_are_refused(key: str, known: str) -> None:
    with pytest.raises(ConfigError, match=f"setting encoder.{key}: expected one of {known}, got 'resnet'"):
        load_config("cpu", {f"encoder.{key}": "resnet"})


def test_the_encoders_settings_are_its_arguments() -> None:
    arguments = inspect.signature(LandmarkEncoder).parameters
    assert {name: arguments[name].default for name in Encoder.model_fields} == Encoder().model_dump()


def test_the_small_preset_has_the_papers_terms_and_no_others() -> None:
    loss, teacher = load_config("paper-small").loss, load_config("paper-small").teacher
    assert loss.shape_prior == loss.population == loss.equivariance == loss.drawn == 0
    assert not teacher.enabled and not loss.mirror


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, "inf", "nan"])
@pytest.mark.parametrize("part", ["", ".anneal_from", ".anneal_until"])
def test_no_weight_is_infinite(value: object, part: str) -> None:
    for key in ("loss.equivariance", "gan.penalty", "labelled.heatmap"):
        with pytest.raises(ConfigError, match=re.escape(f"setting {key}{part}: input should be ")):
            load_config("cpu", {key + part: value})


def test_no_number_is_infinite() -> None:
    accepted = []
    for key in dotted_keys():
        for value in (math.inf, math.nan, [math.inf, 0.0, 0.0], [1.0, math.nan, 0.0]):
            with contextlib.suppress(ConfigError):
                load_config("cpu", {key: value})
                accepted.append((key, value))
    assert not accepted


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize(
    ("settings", "section"),
    [({"loss": 3}, "loss"), ({"loss": None}, "loss"), ({"crop": 3}, "crop"), ({"averaging": 3, "ema": {"decay": 0.5}}, "ema")],
)
def test_a_section_that_is_no_table_is_refused(settings: dict[str, Any], section: str, stored: bool) -> None:
    with pytest.raises(ConfigError, match=f"'{section}' is a section with settings of its own, got "):
        config_from_dict(current_settings(settings, stored=stored))
