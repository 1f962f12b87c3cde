"""The expected errors that the page shows."""

from __future__ import annotations

import numpy as np
import pytest

from brule.annotating.predictions import Prediction, _content


@pytest.mark.parametrize(("calibrated", "flagged", "expected"), [(True, False, 2.0), (True, True, None), (False, False, None)])
def test_only_a_calibrated_answer_that_is_not_flagged_has_one(calibrated: bool, flagged: bool, expected: float | None) -> None:
    """A calibrated error holds on condition that the object was found."""
    found = Prediction(np.zeros((2, 2)), np.array([1.0, 3.0]), 0.1, None, flagged)
    assert _content(found, calibrated)["expected"] == expected
