"""`import brule` is cheap, and hands out the detector when somebody asks for it."""

from __future__ import annotations

import importlib
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


UNNEEDED = (
    *("scipy.stats", "scipy.optimize", "scipy.spatial", "matplotlib", "rich", "yaml", "starlette", "uvicorn", "accelerate"),
    *("tensorboard", "onnx", "onnxruntime", "ot", "ray", "pyarrow", "pandas", "av", "mlflow", "wandb"),
    *("pydantic", "filelock", "brule.training.config", "brule.training.loop"),
    *("brule.data.formats", "brule.data.datasets", "brule.evaluation", "brule.plots"),
)


def test_importing_the_detector_imports_nothing_that_only_some_uses_need() -> None:
    """Each of these takes a good part of the 0.3 s that the import may add to torch's; what needs them imports them late."""
    code = f"import sys, torch; before = set(sys.modules); from brule import LandmarkDetector; \
print(*[name for name in {UNNEEDED} if name in set(sys.modules) - before])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_garbage_collection_goes_on_after_the_import() -> None:
    code = "import gc; from brule import LandmarkDetector; print(gc.isenabled()); gc.disable(); import brule; brule.Landmarks; \
print(gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("package", ["brule.data", "brule.detector"])
def test_packages_hand_out_every_name_they_list(package: str) -> None:
    module = importlib.import_module(package)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nonsense'"):
        module.nonsense  # noqa: B018
