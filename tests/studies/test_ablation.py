"""Studies: arms that differ in one thing, runs that are kept, tables that say what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import brule.studies.runs as runs
from brule.errors import CheckpointError
from brule.studies import Arm, Score, StudyMaterial, ablation_arms, report_ablation, run_arm, run_arms
from brule.training.config import load_config


def test_arms_leave_out_one_part_each() -> None:
    paper = load_config("paper")
    names = [arm.name for arm in ablation_arms(paper)]
    assert names[:4] == ["full loss", "without R_g", "without R_b", "without GAN and reconstruction"]
    for arm in ablation_arms(paper):
        changed = load_config("paper", arm.overrides)
        left = {
            "R_b": changed.loss.barycenter > 0,
            "R_g": changed.loss.geometric > 0,
            "GAN": changed.gan.enabled,
        }
        expected = {"R_b": "R_b" not in arm.name, "R_g": "R_g" not in arm.name, "GAN": "GAN" not in arm.name}
        assert left == expected, arm.name


def test_every_arm_of_every_preset_trains(material: StudyMaterial, tiny: dict[str, Any], tmp_path: Path) -> None:
    for arm in ablation_arms(load_config("cpu", tiny)):
        score = run_arm(tmp_path, arm, 0, material=material, preset="cpu", overrides=tiny, quiet=True)
        assert score is not None
        assert score.iterations == 2
        assert len(score.errors) == 8
        assert score.nme == pytest.approx(sum(score.errors) / 8)


def test_a_study_goes_on_where_it_was(
    material: StudyMaterial, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms, told = [Arm("full loss"), Arm("without R_g", {"loss.equivariance": 0})], []
    options = {"preset": "cpu", "overrides": tiny, "quiet": True}
    first = run_arms(tmp_path, arms[:1], [0, 1], material=material, say=told.append, **options)
    assert len(told) == 2

    genuine, trained = runs.LandmarkDetector.fit, []

    def spy(self: Any, *given: Any, **keywords: Any) -> Any:
        trained.append(keywords["directory"])
        return genuine(self, *given, **keywords)

    monkeypatch.setattr(runs.LandmarkDetector, "fit", spy)
    both = run_arms(tmp_path, arms, [0, 1], material=material, say=told.append, **options)
    assert both is not None
    assert first is not None
    assert [path.parent.name for path in trained] == ["without-r-g"] * 2
    assert [score for score in both if score.arm == "full loss"] == first
    assert {score.seed for score in both} == {0, 1}


def test_another_setting_needs_another_folder(material: StudyMaterial, tiny: dict[str, Any], tmp_path: Path) -> None:
    run_arm(tmp_path, Arm("full loss"), 0, material=material, preset="cpu", overrides=tiny, quiet=True)
    with pytest.raises(CheckpointError, match="iterations=2, now it is 3"):
        run_arm(tmp_path, Arm("full loss"), 0, material=material, preset="cpu", overrides=tiny | {"iterations": 3}, quiet=True)


def test_a_damaged_score_is_named(material: StudyMaterial, tiny: dict[str, Any], tmp_path: Path) -> None:
    run_arm(tmp_path, Arm("full loss"), 0, material=material, preset="cpu", overrides=tiny, quiet=True)
    path = tmp_path / "full-loss" / "seed-0" / runs.SCORE
    path.write_text(path.read_text()[:20])
    with pytest.raises(CheckpointError, match=r"score\.json: damaged"):
        run_arm(tmp_path, Arm("full loss"), 0, material=material, preset="cpu", overrides=tiny, quiet=True)


def test_the_table_says_median_and_difference(tmp_path: Path) -> None:
    def score(arm: str, seed: int, errors: list[float]) -> Score:
        return Score(arm, seed, sum(errors) / len(errors), 1.0, 20.0, errors, 100, 1.0, {})

    scores = [
        score("full loss", 0, [4.0, 6.0]),
        score("full loss", 1, [6.0, 8.0]),
        score("without R_g", 0, [5.0, 7.0]),
        score("without R_g", 1, [9.0, 11.0]),
    ]
    table = report_ablation(tmp_path, scores)
    assert "| full loss | 5.00, 7.00 | 6.00 | 1.00 |  | 100 |" in table
    assert "| without R_g | 6.00, 10.00 | 8.00 | 1.00 | +2.00 (+2.00 to +2.00) | 100 |" in table  # (1 + 3) / 2 on each image
    assert (tmp_path / "ablation.md").read_text(encoding="utf-8") == table
    assert len(json.loads((tmp_path / "ablation.json").read_text(encoding="utf-8"))) == 4
    assert (tmp_path / "ablation.svg").stat().st_size > 1000
