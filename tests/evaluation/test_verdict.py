"""When a comparison names a winner: not on a handful of images, and not for a difference that isn't shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from brule.detector.measuring import FEW_IMAGES as FEW_EVALUATED
from brule.evaluation import ImageErrors
from brule.evaluation.reports import ComparisonReport, StoredEvaluation, comparison
from brule.evaluation.reports.comparison import FEW_IMAGES, MIN_IMAGES, comparison_page, verdict


def report(first: Sequence[float], second: Sequence[float]) -> ComparisonReport:
    def stored(nme: Sequence[float], run: str) -> StoredEvaluation:
        floor = ImageErrors(*[np.full(len(nme), 30.0)] * 3)
        errors = ImageErrors(*[np.array(nme)] * 3)
        return StoredEvaluation([f"{k}.png" for k in range(len(nme))], errors, floor, {}, "eyes", run)

    return ComparisonReport.of([stored(first, "a"), stored(second, "b")])


def apart(count: int, gap: float) -> ComparisonReport:
    errors = np.linspace(2, 5, count)
    return report(errors.tolist(), (errors + gap).tolist())


def test_one_image_decides_nothing() -> None:
    found = verdict(report([2.0], [9.0]))
    assert found.startswith("On 1 image, a has the smallest mean error, 2.00 %. 1 image can't decide which one is better")


@pytest.mark.parametrize(("count", "certain"), [(MIN_IMAGES - 1, False), (MIN_IMAGES, True)])
def test_a_handful_neither(count: int, certain: bool) -> None:
    found = apart(count, 1.0)
    assert ("can't decide" not in verdict(found)) is certain
    (row,) = found.differences["nme"]
    assert row.low > 0 and comparison._is_certain(row) is certain
    assert ("<b>+1.00</b>" in comparison_page(found)) is certain


def test_what_rounding_makes_is_no_difference() -> None:
    found = apart(50, 0.004)
    assert found.differences["nme"][0].low > 0
    assert "can't decide" in verdict(found) and "below 0.01 percent points" in verdict(found)
    assert "can't decide" not in verdict(apart(50, 0.02))


def test_few_images_are_mentioned() -> None:
    few = f"are few for a reliable comparison: {FEW_IMAGES} or more are better"
    assert few in verdict(apart(FEW_IMAGES - 1, 1.0)) and few not in verdict(apart(FEW_IMAGES, 1.0))
    assert FEW_IMAGES == FEW_EVALUATED
