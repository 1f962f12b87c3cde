"""DICOM files whose window has lost one of its values, as programs that remove personal data leave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from brule.data.images import load_image
from tests.data.cases.case import write
from tests.data.cases.test_6_formats import dicom, ramp


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": None, "WindowWidth": None},
        {"WindowCenter": 2500, "WindowWidth": None},
        {"WindowCenter": None, "WindowWidth": 3000},
        {"VOILUTSequence": []},
    ],
    ids=str,
)
def test_without_a_whole_window_the_least_is_black_and_the_largest_white(tmp_path: Path, tags: dict[str, object]) -> None:
    write(tmp_path, {"a.dcm": dicom(ramp(), **tags)})
    assert np.unique(np.asarray(load_image(tmp_path / "a.dcm"))).tolist() == [0, 255]
