"""Options of predictions that have to be whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from brule.detector import PredictOptions
from brule.errors import ConfigError


@pytest.mark.parametrize("name", ["tta", "batch_size", "refine", "most"])
@pytest.mark.parametrize("value", [1.5, 2.0, "3", float("nan")])
def test_other_numbers_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected a whole number, got {value!r}"):
        PredictOptions(**{name: value})


@pytest.mark.parametrize("name", ["tta", "batch_size", "most"])
def test_none_is_no_number(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected a whole number, got None"):
        PredictOptions(**{name: None})  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    options = PredictOptions(tta=np.int64(2), batch_size=np.int32(3), refine=None)  # type: ignore[arg-type]
    assert (options.tta, options.batch_size) == (2, 3)
