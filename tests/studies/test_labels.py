"""Shares of the labels, alone and with BRULÈ: which runs are made, that they are kept, and what is reported of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import brule.studies.runs as runs
from brule.data import read_folder
from brule.data.synthetic import write_synthetic_faces
from brule.errors import CheckpointError, ConfigError
from brule.studies import Arm, Protocol, Score, StudyData, label_counts, report_labels, run_labels
from brule.studies.labels import labels_table


@pytest.fixture(scope="module")
def taught(study_data: StudyData, tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    """Six annotated images beside the unlabelled ones of `study_data`."""
    folder = tmp_path_factory.mktemp("labelled")
    write_synthetic_faces(folder, 6, size=40, start=50)
    return StudyData(study_data.images, None, None, study_data.measured, read_folder(folder))


@pytest.fixture
def quick(tiny: dict[str, Any]) -> dict[str, Any]:
    return tiny | {"encoder.stacks": 1, "gan.enabled": False}


def test_shares_are_numbers_of_images() -> None:
    assert label_counts([0.1, 1, 0.5], 1793) == {1: 1793, 0.5: 896, 0.1: 179}
    assert list(label_counts([0.1, 1], 10)) == [1, 0.1]
    for shares, message in (([0.0], "above 0"), ([1.5], "up to 1"), ([0.1, 0.11], "too few"), ([], "too few")):
        with pytest.raises(ConfigError, match=message):
            label_counts(shares, 10)


def test_every_share_is_trained_alone_and_with_unlabelled_images(
    taught: StudyData, quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, trained = runs.LandmarkDetector.fit, []

    def spy(self: Any, images: Any, **keywords: Any) -> Any:
        trained.append((keywords["directory"].parent.name, images is not None, len(keywords["labelled"])))
        return genuine(self, images, **keywords)

    monkeypatch.setattr(runs.LandmarkDetector, "fit", spy)
    options: dict[str, Any] = {"preset": "paper-small", "overrides": quick, "quiet": True, "say": lambda text: None}
    scores = run_labels(tmp_path, [3], taught, shares=[0.5, 1], **options)
    assert scores is not None
    assert trained == [
        ("labels-alone--100", False, 6),
        ("labels-with-brulè--100", True, 6),
        ("labels-alone--50", False, 3),
        ("labels-with-brulè--50", True, 3),
    ]
    trained.clear()
    more = run_labels(tmp_path, [3], taught, shares=[0.5, 1, 0.2], **options)  # a share that is added later
    assert more is not None and [name for name, _, _ in trained] == ["labels-alone--20", "labels-with-brulè--20"]
    assert more[:4] == scores
    table = report_labels(
        tmp_path, more, shares=[1, 0.5, 0.2], total=6, protocol=Protocol.of(taught, preset="paper-small", overrides=quick)
    )
    assert [line.split(" | ")[0] for line in table.splitlines()[2:5]] == ["| 100 %, 6", "| 50 %, 3", "| 20 %, 1"]
    assert (tmp_path / "labels.md").read_text(encoding="utf-8") == table
    assert len(json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))["runs"]) == 6
    assert "Seeds 3; 2" in (tmp_path / "labels.svg").read_text(encoding="utf-8")


def test_the_difference_is_that_of_the_same_images() -> None:
    def score(arm: str, seed: int, errors: list[float]) -> Score:
        return Score(arm, seed, sum(errors) / len(errors), 1.5, 20.0, errors, 100, 1.0, {})

    scores = [
        score("labels alone, 50 %", 0, [4.0, 6.0]),
        score("labels alone, 50 %", 1, [6.0, 8.0]),
        score("labels with BRULÈ, 50 %", 0, [3.0, 5.0]),
        score("labels with BRULÈ, 50 %", 1, [3.0, 5.0]),
    ]
    row = labels_table(scores, {0.5: 10}).splitlines()[2]
    # per image: alone (5, 7), with (3, 5): two less on each
    assert row == "| 50 %, 10 | 5.00, 7.00 | 6.00 (1.50) | 4.00, 4.00 | 4.00 (1.50) | -2.00 (-2.00 to -2.00) |"


def test_runs_may_begin_with_an_earlier_detector(taught: StudyData, quick: dict[str, Any], tmp_path: Path) -> None:
    from dataclasses import replace

    options: dict[str, Any] = {"preset": "paper-small", "overrides": quick, "quiet": True}
    earlier = tmp_path / "earlier"
    runs.LandmarkDetector("paper-small", quiet=True, **quick).fit(labelled=taught.labelled, directory=earlier)
    begun = replace(taught, start_from=earlier)
    assert runs.run_arm(tmp_path / "study", runs.Arm("a"), 0, data=begun, **options) is not None
    assert runs.LandmarkDetector.load(tmp_path / "study" / "a" / "seed-0").origin_ is not None
    assert "started with the weights of" in Protocol.of(begun, preset="paper-small", overrides=quick).describe([])
    with pytest.raises(CheckpointError, match="start_from"):
        runs.run_arm(tmp_path / "study", runs.Arm("a"), 0, data=taught, **options)


def test_runs_with_a_locator_are_measured_on_whole_images_too(tiny: dict[str, Any], tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path / "faces", 8, size=40)
    annotated = read_folder(tmp_path / "faces")
    bare = annotated.replaced(replace(sample, points=None, box=None) for sample in annotated)
    study_data = StudyData(bare, None, None, annotated, annotated)
    settings = tiny | {"gan.enabled": False, "locator.enabled": "always"}
    arm = Arm("with a locator", {})
    found = runs.run_arm(tmp_path / "study", arm, 0, data=study_data, preset="paper-small", overrides=settings, quiet=True)
    assert found is not None and found.whole_nme is not None and found.found is not None
    assert "on whole images NME" in found.line() and "boxes given, NME" in found.line()
    again = runs.run_arm(tmp_path / "study", arm, 0, data=study_data, preset="paper-small", overrides=settings, quiet=True)
    assert again == found
    description = Protocol.of(study_data, preset="paper-small", overrides=settings).describe([found])
    whole = f"with a locator {found.whole_nme:.2f} % ({100 * found.found:.0f} % found)"
    assert f"boxes given; on whole images, without boxes (median over seeds): {whole}." in description
    assert "whole images" not in Protocol.of(study_data, preset="paper-small", overrides=settings).describe(
        [replace(found, whole_nme=None, found=None)]
    )
