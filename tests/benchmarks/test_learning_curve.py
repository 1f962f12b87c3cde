"""The error at equal time: arms, table, and one run from end to end."""

from pathlib import Path

import pytest

from benchmarks.learning_curve import Arm, Result, arms, chart, run_arm, table, write
from brule.data.synthetic import write_synthetic_faces

RESULTS = [
    Result("cpu", 3, 0, 300, 180.0, 9.0, 18.0),
    Result("cpu", 3, 1, 340, 180.0, 11.0, 20.0),
    Result("cpu", 3, 2, 320, 180.0, 10.0, 19.0),
    Result("cpu", 10, 0, 1000, 600.0, 7.0, 18.0),
    Result("cpu batch_size=8", 3, 0, 900, 180.0, 12.5, 18.0),
]


def test_an_arm_is_a_preset_and_settings() -> None:
    assert arms(["cpu", "cpu batch_size=8 optimizer.muon=0"], None) == [
        Arm("cpu"),
        Arm("cpu", ("batch_size=8", "optimizer.muon=0")),
    ]


def test_older_code_trains_each_arm_first() -> None:
    both = arms(["cpu"], "older/src")
    assert [arm.source for arm in both] == ["older/src", None]
    assert len({arm.name for arm in both}) == len({arm.folder for arm in both}) == 2


def test_the_table_has_medians_over_seeds() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(RESULTS).splitlines()[:4]]
    assert rows[0] == ["trained by", "3 minutes", "10 minutes", "s per iteration"]
    assert rows[2] == ["cpu", "10.00 % (320)", "7.00 % (1000)", "0.581"]  # the median of 0.6, 0.529, 0.5625 and 0.6
    assert rows[3][:3] == ["cpu batch_size=8", "12.50 % (900)", ""]
    assert "18.00 %" in table(RESULTS)


def test_the_picture_is_over_minutes() -> None:
    assert "minutes of training" in chart(RESULTS)


def test_a_result_has_the_iterations_and_seconds_that_the_log_ends_with(tmp_path: Path) -> None:
    run = tmp_path / "cpu-1-minutes-seed-0"
    run.mkdir()
    (run / "metrics.jsonl").write_text('{"iteration": 20, "seconds": 3.0}\n{"iteration": 37, "nme": 4.1, "seconds": 5.5}\n')
    (run / "given-boxes.json").write_text('{"nme": 4.1, "floor_nme": 18.0}')
    found = run_arm(Arm("cpu"), 1, 0, data=tmp_path, folder=tmp_path, labelled=0)
    assert (found.iterations, found.seconds) == (37, 5.5)


@pytest.mark.slow
def test_a_run_is_trained_once(tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path / "faces", 60, size=48)
    small = Arm("cpu", ("encoder.width=8", "batch_size=4", "threads=1", "split=1"))
    first = run_arm(small, 0.02, 0, data=tmp_path / "faces", folder=tmp_path, labelled=0)
    assert first.iterations >= 1
    assert 0 < first.error < 100
    assert run_arm(small, 0.02, 0, data=tmp_path / "faces", folder=tmp_path, labelled=0) == first
    write([first], tmp_path)
    assert {own.name for own in tmp_path.glob("curve.*")} == {"curve.json", "curve.md", "curve.svg"}


def test_a_command_that_fails_ends_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="brule train ended with code"):
        run_arm(Arm("no-such-preset"), 0.02, 0, data=tmp_path, folder=tmp_path, labelled=0)
