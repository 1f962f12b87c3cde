"""Studies: arms that differ in one thing, runs that are kept, tables that say what was found."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import brule.studies.runs as runs
from brule.errors import CheckpointError
from brule.studies import Arm, Protocol, Score, StudyData, ablation_arms, report_ablation, run_arm, run_arms
from brule.training.config import load_config

ABLATED = {"loss.barycenter": 0, "loss.tied": False}


def test_arms_leave_out_one_part_each() -> None:
    paper = load_config("paper")
    names = [arm.name for arm in ablation_arms(paper)]
    parts = ["R_g", "R_b", "GAN and reconstruction", "L_rec^I", "L_rec^L", "discriminator", "L_style"]
    assert set(names) == {"full loss", "R_g without its l1 norm", *(f"without {part}" for part in parts)}
    for arm in ablation_arms(paper):
        changed = load_config("paper", arm.overrides)
        left = {
            "R_b": changed.loss.barycenter > 0,
            "R_g": changed.loss.geometric > 0,
            "GAN": changed.gan.enabled,
        }
        expected = {part: not arm.name.startswith(f"without {part}") for part in left}
        assert left == expected, arm.name


@pytest.mark.parametrize("preset", ["cpu", "paper-small"])
def test_every_arm_of_a_preset_trains(preset: str, study_data: StudyData, tiny: dict[str, Any], tmp_path: Path) -> None:
    tiny = tiny | {"encoder.stacks": 1, "decoder.style_dim": 8, "decoder.noise_dim": 8}
    for arm in ablation_arms(load_config(preset, tiny)):
        score = run_arm(tmp_path, arm, 0, data=study_data, preset=preset, overrides=tiny, quiet=True)
        assert score is not None
        assert score.iterations == 2
        assert len(score.errors) == 8
        assert score.nme == pytest.approx(sum(score.errors) / 8)


def test_a_study_goes_on_where_it_was(
    study_data: StudyData, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms, lines = [Arm("full loss"), Arm("without R_g", {"loss.equivariance": 0})], []
    options = {"preset": "cpu", "overrides": tiny, "quiet": True}
    first = run_arms(tmp_path, arms[:1], [0, 1], data=study_data, say=lines.append, **options)
    assert len(lines) == 2

    genuine, trained = runs.LandmarkDetector.fit, []

    def spy(self: Any, *given: Any, **keywords: Any) -> Any:
        trained.append(keywords["directory"])
        return genuine(self, *given, **keywords)

    monkeypatch.setattr(runs.LandmarkDetector, "fit", spy)
    both = run_arms(tmp_path, arms, [0, 1], data=study_data, say=lines.append, **options)
    assert both is not None
    assert first is not None
    assert [path.parent.name for path in trained] == ["without-r-g"] * 2
    assert [score for score in both if score.arm == "full loss"] == first
    assert {score.seed for score in both} == {0, 1}


def test_an_arm_that_was_killed_is_taken_up_again(study_data: StudyData, tiny: dict[str, Any], tmp_path: Path) -> None:
    settings = {**tiny, "iterations": 4, "checkpoint_every": 2, "encoder.stacks": 1, "gan.enabled": False}
    options: dict[str, Any] = {"preset": "paper-small", "overrides": settings, "quiet": True}
    whole = run_arm(tmp_path / "whole", Arm("without R_b", ABLATED), 1, data=study_data, **options)
    first: list[int] = []

    def kill(detector: Any) -> None:
        first.append(detector.progress_.iteration)
        if detector.progress_.iteration == 4:
            raise KeyboardInterrupt  # the checkpoint of iteration 2 is there, this one isn't yet

    with pytest.raises(KeyboardInterrupt):
        run_arm(tmp_path / "killed", Arm("without R_b", ABLATED), 1, data=study_data, watch=kill, **options)
    later: list[int] = []
    again = run_arm(
        tmp_path / "killed", Arm("without R_b", ABLATED), 1, data=study_data,
        watch=lambda own: later.append(own.progress_.iteration),
        **options,
    )  # fmt: skip
    assert whole is not None and again is not None
    assert (first, 2 in later, later[-1]) == ([2, 4], False, 4)
    assert again.errors == whole.errors


def test_an_unfinished_run_is_resumed_with_what_it_was_started_with(
    study_data: StudyData, tiny: dict[str, Any], tmp_path: Path
) -> None:
    """Its score would claim what is asked for now, which the first half didn't learn from."""
    settings = {**tiny, "iterations": 4, "checkpoint_every": 2, "encoder.stacks": 1, "gan.enabled": False}

    def run(data: StudyData = study_data, preset: str = "cpu", watch: Any = None, **changed: Any) -> Score | None:
        overrides = settings | changed
        return run_arm(tmp_path, Arm("full loss"), 0, data=data, preset=preset, overrides=overrides, quiet=True, watch=watch)

    def kill(detector: Any) -> None:
        if detector.progress_.iteration == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(watch=kill)
    assert study_data.images is not None
    fewer = study_data.images.replaced(study_data.images[:6])
    with pytest.raises(CheckpointError, match=r"asked\.json: this run had preset=cpu, the study now asks for paper-small"):
        run(preset="paper-small")
    with pytest.raises(CheckpointError, match=r"unlabelled images=8 .*asks for 6"):
        run(replace(study_data, images=fewer))
    with pytest.raises(CheckpointError, match="batch_size"):
        run(batch_size=3)
    score = run()
    assert score is not None and score.iterations == 4
    kept = json.loads((tmp_path / "full-loss" / "seed-0" / runs.ASKED).read_text())
    assert kept["preset"] == "cpu" == score.preset and kept.items() >= study_data.facts().items()


def test_another_setting_needs_another_folder(study_data: StudyData, tiny: dict[str, Any], tmp_path: Path) -> None:
    run_arm(tmp_path, Arm("full loss"), 0, data=study_data, preset="cpu", overrides=tiny, quiet=True)
    with pytest.raises(CheckpointError, match="iterations=2, the study now asks for 3"):
        run_arm(tmp_path, Arm("full loss"), 0, data=study_data, preset="cpu", overrides=tiny | {"iterations": 3}, quiet=True)


def test_another_preset_or_other_data_need_another_folder(study_data: StudyData, tiny: dict[str, Any], tmp_path: Path) -> None:
    def run(data: StudyData = study_data, preset: str = "cpu") -> Score | None:
        return run_arm(tmp_path, Arm("full loss"), 0, data=data, preset=preset, overrides=tiny, quiet=True)

    first = run()
    assert run() == first
    with pytest.raises(CheckpointError, match="preset=cpu, the study now asks for paper-small; choose another folder"):
        run(preset="paper-small")
    assert study_data.images is not None
    fewer = study_data.measured.replaced(study_data.measured[:4])
    moved = study_data.measured.replaced(replace(one, points=one.points + 1) for one in study_data.measured)  # type: ignore[operator]
    renamed = study_data.images.replaced(replace(one, path=one.path.with_stem(f"{one.name}-b")) for one in study_data.images)
    with pytest.raises(CheckpointError, match=r"measured images=8 \(fingerprint \w+\), the study now asks for 4 \(fing"):
        run(replace(study_data, measured=fewer))
    with pytest.raises(CheckpointError, match="measured images=8"):
        run(replace(study_data, measured=moved))
    with pytest.raises(CheckpointError, match="unlabelled images=8"):
        run(replace(study_data, images=renamed))
    with pytest.raises(CheckpointError, match=r"shapes=4 of 6 .* asks for 5 of 6"):
        run(replace(study_data, n_shapes=5))

    path = tmp_path / "full-loss" / "seed-0" / runs.SCORE
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in kept.items() if key not in ("preset", "data")}))
    older = run(replace(study_data, n_shapes=5), preset="paper-small")  # as an earlier version of brule has left it
    assert older is not None and first is not None and older.errors == first.errors


def test_a_damaged_score_is_named(study_data: StudyData, tiny: dict[str, Any], tmp_path: Path) -> None:
    run_arm(tmp_path, Arm("full loss"), 0, data=study_data, preset="cpu", overrides=tiny, quiet=True)
    path = tmp_path / "full-loss" / "seed-0" / runs.SCORE
    path.write_text(path.read_text()[:20])
    with pytest.raises(CheckpointError, match=r"score\.json: damaged"):
        run_arm(tmp_path, Arm("full loss"), 0, data=study_data, preset="cpu", overrides=tiny, quiet=True)


def test_the_table_says_median_and_difference(tmp_path: Path) -> None:
    def score(arm: str, seed: int, errors: list[float]) -> Score:
        return Score(arm, seed, sum(errors) / len(errors), 1.0, 20.0, errors, 100, 1.0, {})

    scores = [
        score("full loss", 0, [4.0, 6.0]),
        score("full loss", 1, [6.0, 8.0]),
        score("without R_g", 0, [5.0, 7.0]),
        score("without R_g", 1, [9.0, 11.0]),
    ]
    protocol = Protocol("paper-small", {"iterations": "100"}, 1793, 0, 10, 2, 64)
    table = report_ablation(tmp_path, scores, protocol=protocol)
    assert "| full loss | 5.00, 7.00 | 6.00 | 1.00 |  | 100 |" in table
    assert "| without R_g | 6.00, 10.00 | 8.00 | 1.00 | +2.00 (+2.00 to +2.00) | 100 |" in table  # (1 + 3) / 2 on each image
    assert (tmp_path / "ablation.md").read_text(encoding="utf-8") == table
    assert len(json.loads((tmp_path / "ablation.json").read_text(encoding="utf-8"))["runs"]) == 4
    description = (
        "Protocol: preset paper-small with iterations=100; crops of 64 px; learnt from 1793 unlabelled images, 10 annotated "
        "shapes per seed; measured on 2 images, boxes given. Seeds 0, 1; 100 iterations."
    )
    assert description in table
    chart = ElementTree.fromstring((tmp_path / "ablation.svg").read_text(encoding="utf-8"))
    words = " ".join(one.text or "" for one in chart.iter("{http://www.w3.org/2000/svg}text"))
    assert description in words
