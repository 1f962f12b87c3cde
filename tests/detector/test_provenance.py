"""Figures that lack a value: left out or shown as unknown, and clear errors for damaged ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from brule.detector.provenance import Figures, Provenance
from brule.errors import CheckpointError
from brule.tracking.run_files import EVALUATIONS, METRICS

WHOLE: dict[str, Any] = {"n": 7, "boxes": "given", "normaliser": "eyes", "nme": 5.0, "floor_nme": 19.0}
FIGURES: dict[str, Any] = {"data": "a", "n": 7, "boxes": "given", "normaliser": "eyes", "values": {"nme": 5.0}}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"floor_nme": 19.0}, "NME not recorded on 7 objects (inside the true boxes); constant prediction (floor) 19.00 %"),
        ({"nme": 5.0}, "NME 5.00 % on 7 objects (inside the true boxes); constant prediction (floor) not recorded"),
    ],
)
def test_what_is_not_known_is_not_shown(values: dict[str, float], text: str) -> None:
    content = {"figures": [{**FIGURES, "values": values}]}
    (known,) = Provenance.from_dict(content, Path("detector.json")).figures
    assert known.text() == f"{text}; in % of: eyes"


@pytest.mark.parametrize("nme", [None, "five", "gone"])
def test_an_evaluation_without_the_error_is_left_out(nme: Any, tmp_path: Path) -> None:
    for name, metrics in (("good", WHOLE), ("bad", {**WHOLE, "nme": nme})):
        (tmp_path / EVALUATIONS / name).mkdir(parents=True)
        content = {key: value for key, value in metrics.items() if value != "gone"}
        (tmp_path / EVALUATIONS / name / METRICS).write_text(json.dumps(content))
    found = Provenance().with_evaluations(tmp_path).figures
    assert found == (Figures.of("good", WHOLE),)


@pytest.mark.parametrize("change", [{"values": [5.0]}, {"values": {"nme": "five"}}, {"n": "seven"}, {"values": None}])
def test_damaged_figures_are_a_clear_error(change: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"detector\.json: trained_on: damaged"):
        Provenance.from_dict({"figures": [{**FIGURES, **change}]}, Path("detector.json"))
