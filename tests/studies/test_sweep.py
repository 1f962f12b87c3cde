"""One setting at several values: which setting a name means, what is refused, what is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from brule.errors import ConfigError
from brule.plots import titled_sheets
from brule.studies import Protocol, Score, StudyData, Sweep, report_sweep, resolve_sweep, run_arms
from brule.studies.sweep import TERMS, sweep_table
from brule.studies.switches import NEEDS
from brule.training.config import dotted_keys


@pytest.mark.parametrize("preset", ["paper", "paper-small"])
def test_names_of_the_paper_mean_its_own_weights(preset: str) -> None:
    for term, key in TERMS.items():
        assert key in dotted_keys()
        assert resolve_sweep(term, ["1", "2"], preset=preset, overrides={}).key == key


@pytest.mark.parametrize(
    ("term", "overrides", "message"),
    [
        ("R_b", {}, r"R_b \(loss.barycenter\) is switched off.*preset cpu.*paper-small.*in its place: loss.shape_prior"),
        ("R_b", {"loss.shape_prior": 0}, "is switched off.*paper-small\\)$"),
        ("R_g", {}, "in its place: loss.equivariance"),
        ("L_g", {}, "loss.adversarial has no effect.*gan.enabled is False.*--set gan.enabled=…"),
        ("L_g", {"gan.enabled": True}, "L_g .*is switched off"),
        ("L_g", {"gan.enabled": True, "gan.adversarial": 0}, "since gan.adversarial is 0.0"),
        ("lambda", {}, "gan.penalty has no effect"),
        ("loss.coordinates", {}, "since loss.geometric is 0.0"),
        ("loss.affine", {}, "since loss.barycenter is 0.0"),
        ("decoder.width", {}, "since gan.enabled is False"),
        ("labelled.distance", {}, "learn from no annotated images"),
    ],
)
def test_what_the_preset_has_switched_off_is_refused(term: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_sweep(term, [16, 32], preset="cpu", overrides=overrides)


def test_a_key_may_switch_something_on() -> None:
    assert resolve_sweep("loss.barycenter", [0, 2], preset="cpu", overrides={}).key == "loss.barycenter"
    assert resolve_sweep("gan.enabled", [False, True], preset="cpu", overrides={}).values == (False, True)
    assert resolve_sweep("teacher.noise", [0, 0.1], preset="cpu", overrides={}).key == "teacher.noise"
    with pytest.raises(ConfigError, match=r"teacher\.enabled is False"):
        resolve_sweep("teacher.noise", [0, 0.1], preset="paper-small", overrides={})


def test_every_switch_is_a_setting() -> None:
    sections = {key.partition(".")[0] for key in dotted_keys()}
    for key, needed in NEEDS.items():
        assert key in dotted_keys() or key in sections
        assert set(needed) <= set(dotted_keys())


@pytest.mark.parametrize("name", ["R_g", "rg", "r_G", "R_{g}"])
def test_spelling_does_not_matter(name: str) -> None:
    assert resolve_sweep(name, [1, 2], preset="paper", overrides={}).key == "loss.geometric"


def test_values_are_those_of_the_settings_in_order() -> None:
    found = resolve_sweep("R_b", ["10", "0", "1e-1", "0.1"], preset="paper", overrides={})
    assert found.values == (0.0, 0.1, 10.0)
    assert found.name == "R_b (loss.barycenter)"
    heads = resolve_sweep("encoder.head", ["softmax", "convolution"], preset="paper", overrides={})
    assert heads.values == ("softmax", "convolution")
    assert len({arm.folder for arm in found.arms}) == 3


@pytest.mark.parametrize(
    ("term", "values", "overrides", "message"),
    [
        ("R_q", [1, 2], {}, "'R_q' is unknown.*R_b, R_g"),
        ("loss.barycentre", [1, 2], {}, "did you mean 'loss.barycenter'"),
        ("loss", [1, 2], {}, "'loss' is unknown"),
        ("R_b", ["1", "-1"], {}, "loss.barycenter: .*greater than or equal to 0"),
        ("R_b", ["many", 1], {}, "loss.barycenter"),
        ("R_b", ["1", "1.0"], {}, "at least two different values"),
        ("R_b", [1, 2], {"loss.barycenter": 3}, "is the setting that the study sweeps"),
        ("iterations", [1, 2], {}, "can't be swept"),
    ],
)
def test_what_can_t_be_swept_is_refused(term: str, values: list[Any], overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_sweep(term, values, preset="paper", overrides=overrides)


def test_a_sweep_down_to_nothing_is_reported_with_pictures(study_data: StudyData, tiny: dict[str, Any], tmp_path: Path) -> None:
    tiny = tiny | {"encoder.stacks": 1, "decoder.style_dim": 8, "decoder.noise_dim": 8}
    found = resolve_sweep("R_g", [0, 1500], preset="paper-small", overrides=tiny)
    options = {"preset": "paper-small", "overrides": tiny}
    scores = run_arms(tmp_path, found.arms, [0], data=study_data, **options, quiet=True, say=lambda text: None)
    assert scores is not None
    table = report_sweep(tmp_path, found, scores, measured=study_data.measured, protocol=Protocol.of(study_data, **options))
    assert [line.split(" | ")[0] for line in table.splitlines()[2:4]] == ["| 0.0", "| 1500.0"]
    assert (tmp_path / "sweep.md").read_text(encoding="utf-8") == table
    content = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    assert (content["setting"], content["values"], len(content["runs"])) == ("loss.geometric", [0, 1500], 2)
    chart = (tmp_path / "sweep.svg").read_text(encoding="utf-8")
    assert "preset paper-small" in chart and "Seeds 0; 2" in chart
    with Image.open(tmp_path / "predictions.png") as picture:
        assert picture.width > 3 * picture.height  # two rows of eight images


def test_the_table_has_a_row_a_value() -> None:
    def score(value: float, seed: int, nme: float) -> Score:
        return Score(f"R_b = {value}", seed, nme, nme / 2, 20.0, [nme], 100, 1.0, {})

    table = sweep_table(Sweep("R_b", "R_b", (0.0, 1.0)), [score(1.0, 1, 5.0), score(1.0, 0, 4.0), score(0.0, 0, 18.0)])
    assert table.splitlines()[2:] == [
        "| 0.0 | 18.00 | 18.00 | 9.00 | 20.00 | 100 |",
        "| 1.0 | 4.00, 5.00 | 4.50 | 2.25 | 20.00 | 100 |",
    ]


def test_titles_stand_above_their_sheets() -> None:
    whole = titled_sheets({"a": Image.new("RGB", (50, 20), "red"), "b": Image.new("RGB", (50, 10), "blue")})
    band = (whole.height - 30) // 2
    assert whole.getpixel((25, band)) == whole.getpixel((25, band + 19)) == (255, 0, 0)
    assert whole.getpixel((25, whole.height - 1)) == (0, 0, 255)
    assert whole.getpixel((49, band - 1)) not in ((255, 0, 0), (0, 0, 255))


def test_barycenters_of_other_sizes_are_swept(study_data: StudyData, tiny: dict[str, Any], tmp_path: Path) -> None:
    """34 or 100 points against 68 landmarks: R_b pulls them all the same, and W₁ is reported beside the NME."""
    pytest.importorskip("ot")
    tiny = tiny | {"encoder.stacks": 1, "gan.enabled": False}
    found = resolve_sweep("loss.barycenter_points", [34, 100, 0], preset="paper-small", overrides=tiny)
    options = {"preset": "paper-small", "overrides": tiny}
    scores = run_arms(tmp_path, found.arms, [0], data=study_data, **options, quiet=True, say=lambda text: None)
    assert scores is not None
    assert len({score.w1 for score in scores}) == 3  # each size trains another encoder
    assert all(0 < score.w1 <= score.nme for score in scores)
    assert "mean W₁ (%)" in sweep_table(found, scores)
