"""The manners of an estimator: parameters are read, changed, copied and shown; fit refuses bad ones with our own errors."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.errors import ConfigError

pytestmark = pytest.mark.usefixtures("no_tensorboard")

FACES = synthetic_faces(6, size=32)
TINY: dict[str, Any] = {
    "iterations": 2, "batch_size": 4, "threads": 1, "split": 1, "crop__image_size": 16, "encoder__width": 8,
    "encoder__depth": 1, "precision": "float32", "preview_every": 0, "quiet": True,
}  # fmt: skip


def clone(detector: LandmarkDetector) -> LandmarkDetector:
    """As ``sklearn.base.clone`` does it: constructed from copies of the parameters, which must be kept as they are."""
    copies = {name: copy.deepcopy(value) for name, value in detector.get_params(deep=False).items()}
    made = type(detector)(**copies)
    assert all(made.get_params(deep=False)[name] is value for name, value in copies.items())
    return made


def test_parameters_are_what_the_constructor_was_given() -> None:
    assert LandmarkDetector().get_params() == {"preset": "cpu", "quiet": False, "device": None}
    detector = LandmarkDetector("gpu", seed=3, **{"encoder.width": 16})
    assert detector.get_params() == {"preset": "gpu", "quiet": False, "device": None, "seed": 3, "encoder__width": 16}


def test_a_clone_has_the_parameters_and_nothing_that_was_learnt() -> None:
    detector = LandmarkDetector(**TINY).fit(FACES.images, shapes=FACES.points[:4])
    made = clone(detector)
    assert made.get_params() == detector.get_params() and not hasattr(made, "model_")
    again = made.fit(FACES.images, shapes=FACES.points[:4])
    assert torch.equal(again.predict(FACES.images).points, detector.predict(FACES.images).points)
    made.set_params(seed=9)
    assert "seed" not in detector.get_params()


def test_parameters_that_were_set_count_in_the_next_fit() -> None:
    detector = LandmarkDetector(**TINY)
    assert detector.set_params(iterations=1, encoder__width=16, **{"loss.sigma": 3.0}) is detector
    assert detector.get_params()["loss__sigma"] == 3.0
    fitted = detector.fit(FACES.images, shapes=FACES.points[:4])
    assert (fitted.progress_.iteration, fitted.config_.encoder.width, fitted.config_.loss.sigma) == (1, 16, 3.0)


def test_what_is_shown_makes_the_same_detector() -> None:
    for detector in (LandmarkDetector(), LandmarkDetector("paper", seed=3, encoder__width=16, device="cpu", quiet=True)):
        assert eval(repr(detector)).get_params() == detector.get_params()
    assert repr(LandmarkDetector(seed=1)) == "LandmarkDetector(preset='cpu', seed=1)"


def test_fit_changes_no_parameter_and_a_copy_is_a_detector_of_its_own() -> None:
    detector = LandmarkDetector(**TINY)
    before = copy.deepcopy(detector.get_params())
    detector.fit(FACES.images, shapes=FACES.points[:4])
    assert detector.get_params() == before
    expected = detector.predict(FACES.images).points
    for copied in (copy.deepcopy(detector), pickle.loads(pickle.dumps(detector))):
        assert torch.equal(copied.predict(FACES.images).points, expected)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"iterations": -1}, "iterations"),
        ({"iterations": float("nan")}, "iterations"),
        ({"batch_size": object()}, "batch_size"),
        ({"encoder__width": "wide"}, r"encoder\.width"),
        ({"encoder": {"width": 8}}, "encoder"),
        ({"seed": None}, "seed"),
        ({"seed": 10**30}, "seed"),
        ({"threads": 10**9}, "threads"),
        ({"crop__image_size": 10**9}, r"crop\.image_size"),
        ({"optimizer__learning_rate": float("inf")}, r"optimizer\.learning_rate"),
        ({"time_limit": float("nan")}, "time_limit"),
        ({"nonsense": 1}, "nonsense"),
        ({"": 1}, "''"),
        ({"preset": "none"}, "there are cpu"),
        ({"preset": 5}, "preset: expected the name"),
        ({"preset": Path("none.toml")}, "can't read none.toml"),
        ({"device": "cuda:77"}, "device: 'cuda:77' can't be used here .*; device='cpu' always can"),
        ({"device": "warp"}, "device: 'warp' can't be used here"),
        ({"device": 5}, "device: 5 can't be used here"),
    ],
)
def test_fit_refuses_what_makes_no_sense(parameters: dict[str, Any], named: str) -> None:
    detector = LandmarkDetector(**(TINY | parameters))
    with pytest.raises(ConfigError, match=named):
        detector.fit(FACES.images, shapes=FACES.points[:4])
    assert not hasattr(detector, "model_")


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_cuda_where_there_is_none(tmp_path: Path) -> None:
    trained = LandmarkDetector(**TINY).fit(FACES.images, shapes=FACES.points[:4])
    trained.save(tmp_path)
    loaded = LandmarkDetector.load(tmp_path, device="cuda")
    with pytest.raises(ConfigError, match="device: 'cuda' can't be used here"):
        loaded.predict(FACES.images)
