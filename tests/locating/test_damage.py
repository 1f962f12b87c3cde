"""A locator's state that is damaged or of something else is refused with a message, never read as NaN."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from brule.errors import CheckpointError
from brule.locating import Framing, Locator, LocatorSettings
from brule.locating.filters import Filter

Damage = Callable[[dict[str, Tensor], dict[str, Any]], object]
FRAMING = Framing(smallest=0.2, typical=0.25, largest=0.3, x=0.5, y=0.5, aspect=1.0, images=10, variance=(0.1, 0.1, 0.1))


def state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Of a locator with two filters, as it is read from files."""
    filters = tuple(Filter(torch.full((31, 8, 9), 0.25), -1.5, angle) for angle in (0.0, 20.0))
    tensors, facts = Locator(filters, LocatorSettings(), FRAMING, (40.0, 36.0), (2.0, 0.5)).state()
    return tensors, json.loads(json.dumps(facts))


def put(*path: Any, value: Any) -> Damage:
    """Replace a value of the facts."""

    def damage(tensors: dict[str, Tensor], facts: Any) -> None:
        for key in path[:-1]:
            facts = facts[key]
        facts[path[-1]] = value

    return damage


def weights(value: Any) -> Damage:
    """Replace the weights of the second filter."""
    return lambda tensors, facts: tensors.update({"filter/1": value})


def without(name: str) -> Damage:
    return lambda tensors, facts: facts.pop(name)


NAN = torch.full((31, 8, 9), float("nan"))
DAMAGED: list[tuple[str, Damage]] = [
    *((f"expected an entry '{name}'", without(name)) for name in ("filters", "settings", "framing", "box", "calibration")),
    ("filter/0 to filter/1, got \\['filter/0'\\]", lambda tensors, facts: tensors.pop("filter/1")),
    ("filter/0 to filter/1, got .*'filter/2'", lambda tensors, facts: tensors.update({"filter/2": NAN})),
    ("filter/0 to filter/0, got", lambda tensors, facts: facts["filters"].pop()),
    ("list of one filter or more, got \\[\\]", put("filters", value=[])),
    ("list of one filter or more, got {'bias'", put("filters", value={"bias": 0.0})),
    ("filter/1: expected named values, got 3", put("filters", 1, value=3)),
    ("expected an entry 'bias'", put("filters", 1, value={"angle": 0.0})),
    ("filter/1: bias: expected a finite number, got nan", put("filters", 1, "bias", value=float("nan"))),
    ("filter/1: angle: expected a finite number, got '20'", put("filters", 1, "angle", value="20")),
    ("filter/1: angle: expected a finite number, got None", put("filters", 1, "angle", value=None)),
    ("filter/1: expected finite weights", weights(NAN)),
    ("filter/1: expected finite weights", weights(torch.full((31, 8, 9), float("inf")))),
    ("filter/1: .* shape \\(31, h, w\\), got \\(30, 8, 9\\)", weights(torch.zeros(30, 8, 9))),
    ("filter/1: .* shape \\(31, h, w\\), got \\(31, 72\\)", weights(torch.zeros(31, 72))),
    ("filter/1: .* shape \\(31, h, w\\), got \\(31, 0, 9\\)", weights(torch.zeros(31, 0, 9))),
    ("filter/1: .* floating-point weights, got torch.int64", weights(torch.zeros(31, 8, 9, dtype=torch.int64))),
    ("filter/1: .* floating-point weights, got .*list", weights([0.5])),
    ("settings: expected named values", put("settings", value=[6, 80])),
    ("cell to be a whole number, got None", put("settings", "cell", value=None)),
    ("step to be a finite number, got nan", put("settings", "step", value=float("nan"))),
    ("longest > 0|, longest,", put("settings", "longest", value=-480)),
    ("framing: expected named values", put("framing", value=None)),
    ("smallest", lambda tensors, facts: facts["framing"].pop("smallest")),
    ("framing: expected finite numbers", put("framing", "typical", value=float("inf"))),
    ("framing: expected three variances", put("framing", "variance", value=[0.1])),
    ("not iterable", put("framing", "variance", value=3)),
    ("box: expected 2 finite numbers", put("box", value=[40.0])),
    ("box: expected 2 finite numbers", put("box", value={"width": 40.0, "height": 36.0})),
    ("box: expected a width and a height above 0", put("box", value=[40.0, 0.0])),
    ("calibration: expected 2 finite numbers", put("calibration", value=[float("nan"), 0.0])),
    ("calibration: expected 2 finite numbers", put("calibration", value=[[2.0, 0.5]])),
]


@pytest.mark.parametrize(("message", "damage"), DAMAGED)
def test_a_damaged_state_is_refused(message: str, damage: Damage) -> None:
    tensors, facts = copy.deepcopy(state())
    damage(tensors, facts)
    with pytest.raises(CheckpointError, match=f"^locator: damaged or incomplete: .*({message}).*; .*train again$"):
        Locator.from_state(tensors, facts)


@pytest.mark.parametrize("other", [None, [], "locator", 3])
def test_something_else_is_refused(other: Any) -> None:
    tensors, facts = state()
    for damaged in ((tensors, other), (other, facts)):
        with pytest.raises(CheckpointError, match=r"expected named values.*train again"):
            Locator.from_state(*damaged)


def test_what_newer_and_older_versions_wrote_is_read() -> None:
    """Settings that are unknown are ignored; those that are missing, and the variances, have defaults."""
    tensors, facts = state()
    facts["settings"] = {"cell": 8, "longest": 400.0, "invented_later": 3}
    del facts["framing"]["variance"]
    again = Locator.from_state(tensors, facts)
    assert again.settings == LocatorSettings(cell=8, longest=400)
    assert again.framing == replace(FRAMING, variance=())
    assert [(one.bias, one.angle) for one in again.filters] == [(-1.5, 0), (-1.5, 20)]
    assert again.box == (40, 36) and again.calibration == (2, 0.5)


def test_the_names_in_the_files_stay() -> None:
    """Detectors that were saved before can still be read."""
    tensors, facts = state()
    assert sorted(tensors) == ["filter/0", "filter/1"]
    assert set(facts) == {"filters", "settings", "framing", "box", "calibration"}
    assert set(facts["filters"][0]) == {"bias", "angle"}
    assert set(facts["framing"]) == {"smallest", "typical", "largest", "x", "y", "aspect", "images", "variance"}
