"""`import brule` is cheap, and hands out the detector when somebody asks for it."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import brule

ROOT = Path(__file__).resolve().parents[1]


def test_public_names_come_from_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    # A stand-in: what is tested is the way there, without the seconds that torch takes.
    detector = types.ModuleType("brule.detector")
    detector.LandmarkDetector = object()
    detector.Landmarks = object()
    monkeypatch.setitem(sys.modules, "brule.detector", detector)

    assert brule.LandmarkDetector is detector.LandmarkDetector
    assert brule.Landmarks is detector.Landmarks


def test_every_public_name_is_listed() -> None:
    assert set(brule.__all__) <= set(dir(brule))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'brule' has no attribute 'LandmarkDetektor'"):
        brule.LandmarkDetektor  # noqa: B018


def test_version_is_the_same_everywhere() -> None:
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    assert cited and cited[1] == brule.__version__
    assert f"## [{brule.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_importing_the_detector_takes_no_part_of_scipy_that_is_slow() -> None:
    """scipy.stats and scipy.optimize take a second; what needs them imports them when it runs."""
    slow = "('scipy.stats', 'scipy.optimize')"
    code = f"import sys; from brule import LandmarkDetector; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
