"""Labels alone against labels with BRULÈ: learning curves that are kept, and what is reported of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brule.data import read_folder
from brule.data.synthetic import write_synthetic_faces
from brule.detector import LandmarkDetector
from brule.errors import CheckpointError, DataError
from brule.studies import CurvePoint, LearningCurve, Protocol, Score, StudyData, report_regularizer, run_regularizer
from brule.studies.regularizer import ALONE, CURVE, REGULARIZED, read_curve, regularizer_table


@pytest.fixture
def quick(tiny: dict[str, Any]) -> dict[str, Any]:
    return tiny | {"checkpoint_every": 1, "gan.enabled": False}


@pytest.fixture(scope="module")
def taught(study_data: StudyData, tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    """Five annotated images, of which a run gets four, beside those of `study_data`, which are measured on."""
    folder = tmp_path_factory.mktemp("labelled")
    write_synthetic_faces(folder, 5, size=40, start=50)
    return StudyData(study_data.images, None, None, study_data.measured, read_folder(folder), 4)


def run(directory: Path, study_data: StudyData, overrides: dict[str, Any], **more: Any) -> list[LearningCurve] | None:
    return run_regularizer(
        directory, [3], study_data, preset="cpu", overrides=overrides, quiet=True, say=lambda _: None, **more
    )


def test_curves_end_where_the_scores_are(taught: StudyData, quick: dict[str, Any], tmp_path: Path) -> None:
    found = run(tmp_path, taught, quick)
    assert found is not None
    assert [curve.score.arm for curve in found] == [ALONE, REGULARIZED]
    for curve in found:
        assert [point.iteration for point in curve.points] == [1, 2]
        assert curve.points[-1].held_out == pytest.approx(curve.score.nme, rel=1e-5)
    alone = LandmarkDetector.load(tmp_path / "labels-alone" / "seed-3")
    assert len(alone.shapes_) == 4  # those of the seed's own annotated images
    learnt = alone.predict(taught.drawn_labels(3)).points
    assert len(learnt) == 4


def test_finished_runs_are_read(
    taught: StudyData, quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(tmp_path, taught, quick)
    path = tmp_path / "labels-alone" / "seed-3" / CURVE
    path.write_text(path.read_text() + '{"iteration": 3')  # cut off
    monkeypatch.setattr(LandmarkDetector, "fit", lambda *given, **named: pytest.fail("trained again"))
    assert run(tmp_path, taught, quick) == found


def test_a_curve_that_ends_early_is_named(taught: StudyData, quick: dict[str, Any], tmp_path: Path) -> None:
    run(tmp_path, taught, quick)
    path = tmp_path / "labels-alone" / "seed-3" / CURVE
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    with pytest.raises(CheckpointError, match=r"curve\.jsonl: doesn't reach iteration 2"):
        run(tmp_path, taught, quick)


@pytest.mark.parametrize("line", ["{", "[]", '{"iteration": 1}', '{"iteration": 1, "held_out": NaN, "learnt": 1}'])
def test_a_damaged_curve_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / CURVE).write_text(f'{{"iteration": 1, "held_out": 2, "learnt": 1}}\n{line}\n')
    with pytest.raises(CheckpointError, match=r"curve\.jsonl: line 2: damaged"):
        read_curve(tmp_path / CURVE)


def test_what_is_measured_on_is_not_learnt_from(taught: StudyData, quick: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is learnt from and measured on, as are 4 others"):
        run(tmp_path, replace(taught, measured=taught.labelled), quick)
    for study_data in (replace(taught, labelled=None), replace(taught, images=None)):
        with pytest.raises(DataError, match="expected annotated images"):
            run(tmp_path, study_data, quick)
    with pytest.raises(DataError, match=r"from 1 to 5 annotated images.*got 6"):
        run(tmp_path, replace(taught, n_labelled=6), quick)


def curve(arm: str, seed: int, errors: list[float], points: list[tuple[float, float]]) -> LearningCurve:
    score = Score(arm, seed, sum(errors) / len(errors), 1.0, 20.0, errors, 10 * len(points), 1.0, {})
    return LearningCurve(score, [CurvePoint(10 * i, *point) for i, point in enumerate(points, 1)])


def test_the_table_says_how_far_apart_the_errors_are(tmp_path: Path) -> None:
    curves = [
        curve(ALONE, 0, [5.0, 7.0], [(5.5, 3.0), (6.0, 1.0)]),
        curve(ALONE, 1, [7.0, 9.0], [(9.0, 3.0), (8.0, 2.0)]),
        curve(REGULARIZED, 0, [4.0, 6.0], [(7.0, 6.0), (5.0, 4.0)]),
        curve(REGULARIZED, 1, [6.0, 8.0], [(8.0, 6.0), (7.0, 4.0)]),
    ]
    table = report_regularizer(tmp_path, curves, protocol=Protocol("cpu", {}, 5, 4, None, 6, 64))
    assert "| labels alone | 6.00, 8.00 | 7.00 | 1.50 | 5.50 | 6.75 |  | 20 |" in table  # gaps 5 and 6, lowest 5.5 and 8
    assert "| labels with BRULÈ | 5.00, 7.00 | 6.00 | 4.00 | 2.00 | 6.00 | -1.00 (-1.00 to -1.00) | 20 |" in table
    assert (tmp_path / "regularizer.md").read_text(encoding="utf-8") == table
    content = json.loads((tmp_path / "regularizer.json").read_text(encoding="utf-8"))
    assert content["runs"][0]["points"][1] == {"iteration": 20, "held_out": 6.0, "learnt": 1.0}
    assert (tmp_path / "regularizer.svg").stat().st_size > 1000
    assert regularizer_table(curves[2:]).count("labels alone") == 0
