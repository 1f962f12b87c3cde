"""Runs that diverge, and images that can't be read: said by name, and before hours are spent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import brule.studies.runs as runs
from brule.data import read_folder
from brule.data.synthetic import write_synthetic_faces
from brule.errors import DataError, OutputError, ProcessLostError, TrainingError
from brule.studies import Arm, Protocol, StudyData, report_ablation, report_regularizer, run_arms, run_regularizer
from brule.studies.failures import FAILURE, Failure, check_readable, failed_table

ARMS = [Arm("full loss"), Arm("without R_g", {"loss.equivariance": 0}), Arm("without R_b", {"optimizer.weight_decay": 0.1})]
DIVERGED = "training stopped: equivariance is nan; the last checkpoint is intact. Train again with a lower learning rate"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """Errors of runs, by a part of their folders' names; empty it to let all runs succeed."""
    genuine, errors = runs.LandmarkDetector.fit, dict[str, Exception]()

    def fit(self: Any, *given: Any, **keywords: Any) -> Any:
        for name, error in errors.items():
            if name in str(keywords["directory"]):
                log = Path(keywords["directory"]) / "metrics.jsonl"
                log.write_text('{"iteration": 2, "seconds": 1.0, "equivariance": 3.0}\n')
                raise error
        return genuine(self, *given, **keywords)

    monkeypatch.setattr(runs.LandmarkDetector, "fit", fit)
    return errors


def options(tiny: dict[str, Any], lines: list[str]) -> dict[str, Any]:
    return {"preset": "cpu", "overrides": tiny | {"gan.enabled": False}, "quiet": True, "say": lines.append}


def test_a_run_that_diverges_leaves_the_others(
    failing: dict[str, Exception], study_data: StudyData, tiny: dict[str, Any], tmp_path: Path
) -> None:
    failing["without-r-g"] = TrainingError(DIVERGED)
    lines: list[str] = []
    how = options(tiny, lines)
    found = run_arms(tmp_path, ARMS, [0], data=study_data, **how)
    assert found is not None
    assert [score.arm for score in found] == ["full loss", "without R_b"]
    assert found.failed == [Failure("without R_g", 0, 2, "equivariance is nan")]
    assert lines[1] == "without R_g, seed 0: failed after iteration 2: equivariance is nan"
    kept = tmp_path / "without-r-g" / "seed-0" / FAILURE
    assert json.loads(kept.read_text())["reason"] == "equivariance is nan"
    with pytest.raises(
        TrainingError, match="1 of 3 runs failed, the first is without R_g, seed 0: failed after iteration 2: equi"
    ):
        found.check_complete()

    protocol = Protocol.of(study_data, preset="cpu", overrides=how["overrides"])
    table = report_ablation(tmp_path, found, protocol=protocol, failed=found.failed)
    assert "| without R_g, seed 0 | failed after iteration 2: equivariance is nan |\n" in table
    assert json.loads((tmp_path / "ablation.json").read_text())["failed"][0]["seed"] == 0

    failing.clear()  # the same command tries it again, and reads the others
    again = run_arms(tmp_path, ARMS, [0], data=study_data, **how)
    assert again is not None and len(again) == 3 and not again.failed and not kept.exists()
    again.check_complete()
    assert "without a result" not in report_ablation(tmp_path, again, protocol=protocol, failed=again.failed)


def test_if_all_diverge_there_is_nothing_to_report(
    failing: dict[str, Exception], study_data: StudyData, tiny: dict[str, Any], tmp_path: Path
) -> None:
    failing["seed-"] = TrainingError(DIVERGED)
    with pytest.raises(TrainingError, match="3 of 3 runs failed, the first is full loss, seed 0"):
        run_arms(tmp_path, ARMS, [0], data=study_data, **options(tiny, []))


@pytest.mark.parametrize("error", [OutputError("the disk is full"), ProcessLostError("lost"), DataError("no shapes")])
def test_what_would_stop_the_other_runs_too_ends_the_study(
    failing: dict[str, Exception], study_data: StudyData, tiny: dict[str, Any], tmp_path: Path, error: Exception
) -> None:
    failing["full-loss"] = error
    with pytest.raises(type(error)):
        run_arms(tmp_path, ARMS, [0], data=study_data, **options(tiny, []))
    assert not (tmp_path / "without-r-g").exists()


def test_learning_curves_of_the_others_are_reported(
    failing: dict[str, Exception], tiny: dict[str, Any], tmp_path: Path
) -> None:
    folders = {name: tmp_path / name for name in ("labelled", "images", "test")}
    for seed, folder in enumerate(folders.values()):
        write_synthetic_faces(folder, 4, size=40, seed=seed)
    images, labelled, test = (read_folder(folders[name]) for name in ("images", "labelled", "test"))
    data = StudyData(images.unlabelled(), None, None, test, labelled)
    failing["labels-with"] = TrainingError(DIVERGED)
    how = options(tiny, [])
    how["overrides"] |= {"checkpoint_every": 1}
    found = run_regularizer(tmp_path / "study", [0], data, **how)
    assert found is not None and [one.score.arm for one in found] == ["labels alone"] and len(found.failed) == 1
    protocol = Protocol.of(data, preset="cpu", overrides=how["overrides"])
    table = report_regularizer(tmp_path / "study", found, protocol=protocol, failed=found.failed)
    assert "| labels with BRULÈ, seed 0 | failed after" in table


@pytest.mark.parametrize("part", ["images", "measured"])
def test_a_broken_image_is_named_before_anything_is_trained(
    study_data: StudyData, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    folder = Path(shutil.copytree(study_data.measured[0].path.parent, tmp_path / "faces"))
    samples = read_folder(folder)
    other = read_folder(study_data.measured[0].path.parent)
    broken = samples[3].path
    broken.write_bytes(broken.read_bytes()[:400])
    data = StudyData(*((samples, study_data.shapes, 4, other) if part == "images" else (other, study_data.shapes, 4, samples)))
    monkeypatch.setattr(runs.LandmarkDetector, "fit", lambda *given, **named: pytest.fail("trained"))
    with pytest.raises(DataError, match=f"^{broken}: .*Mend the file, or remove it") as caught:
        run_arms(tmp_path / "study", ARMS, [0], data=data, **options(tiny, []))
    assert "--skip-bad" not in str(caught.value)


def test_an_image_that_breaks_later_is_not_left_out_silently(
    study_data: StudyData, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table says how many images there were."""
    folder = Path(shutil.copytree(study_data.measured[0].path.parent, tmp_path / "faces"))
    data = StudyData(study_data.images, study_data.shapes, 4, read_folder(folder))
    broken = data.measured[3].path
    broken.write_bytes(broken.read_bytes()[:400])
    monkeypatch.setattr(runs, "check_readable", lambda _: None)
    with pytest.raises(DataError, match=str(broken)):
        run_arms(tmp_path / "study", ARMS[:1], [0], data=data, **options(tiny, []))


def test_all_broken_images_are_counted(tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path, 5, size=40)
    samples = read_folder(tmp_path)
    for sample in samples[1:3]:
        sample.path.write_bytes(b"none")
    with pytest.raises(DataError, match=r"^[^ ]*face_000001\.png: .* \(2 of 5 images can't be read\)\. Mend"):
        check_readable([samples, None, samples])


def test_without_failures_nothing_is_added() -> None:
    assert failed_table([]) == ""
