"""Images, shapes and settings at the edge of what numbers can be: a named error, or a sane answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.errors import BruleError, ConfigError, DataError, TrainingError

pytestmark = pytest.mark.usefixtures("no_tensorboard")

FACES = synthetic_faces(8, size=32)
TINY: dict[str, Any] = {
    "iterations": 3, "batch_size": 4, "threads": 1, "split": 1, "crop.image_size": 16, "encoder.width": 8, "encoder.depth": 1,
    "precision": "float32", "preview_every": 0, "time_limit": 0,
}  # fmt: skip


def tiny(**changes: Any) -> LandmarkDetector:
    return LandmarkDetector(quiet=True, **(TINY | {key.replace("__", "."): value for key, value in changes.items()}))


@pytest.fixture(scope="module")
def trained() -> LandmarkDetector:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brule.tracking.log._tensorboard", lambda directory: None)
        return tiny().fit(FACES.images, shapes=FACES.points[:4])


def constant(value: Any, shape: tuple[int, ...] = (20, 30, 3), dtype: type = np.uint8) -> np.ndarray:
    return np.full(shape, value, dtype)


@pytest.mark.parametrize(
    "image",
    [
        constant(0),
        constant(255),
        constant(7, (1, 1, 3)),
        constant(7, (1, 500, 3)),
        constant(7, (500, 1, 3)),
        constant(9, (2, 2)),
    ],
    ids=["black", "white", "1 x 1", "500 x 1", "1 x 500", "2 x 2 grey"],
)
def test_images_without_content_have_finite_answers(trained: LandmarkDetector, image: np.ndarray) -> None:
    found = trained.predict([image, FACES.images[0]])
    assert found.points.shape == (2, 68, 2) and found.points.isfinite().all() and found.spread.isfinite().all()
    alone = trained.predict([FACES.images[0]])
    torch.testing.assert_close(found.points[1], alone.points[0])  # one picture changes nothing in another


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, -5.0])
def test_images_that_are_no_pictures_are_refused_by_number(trained: LandmarkDetector, value: float) -> None:
    image = FACES.images[0].astype(np.float64) / 255
    image[3, 4, 1] = value
    with pytest.raises(DataError, match="image 1"):
        trained.predict([FACES.images[0], image])
    with pytest.raises(DataError, match="image 1"):
        tiny().fit([FACES.images[0], image, *FACES.images[2:]], shapes=FACES.points[:4])


@pytest.mark.parametrize("shape", [(0, 0, 3), (0, 5, 3), (5,), (4, 4, 7), (2, 4, 4, 3)])
def test_arrays_that_are_no_images_are_refused(trained: LandmarkDetector, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError):
        trained.predict([np.zeros(shape, np.uint8)])


@pytest.mark.parametrize("make", [lambda n: constant(0, (n, 20, 20, 3)), lambda n: constant(255, (n, 20, 20, 3))])
def test_training_on_constant_images_ends_sanely(make: Callable[[int], np.ndarray]) -> None:
    detector = tiny().fit(make(6), shapes=FACES.points[:4])
    assert detector.predict(FACES.images[:2]).points.isfinite().all()


def test_training_on_one_image() -> None:
    detector = tiny().fit(FACES.images[:1], shapes=FACES.points[:4])
    assert detector.config_.batch_size == 1 and detector.predict(FACES.images[:1]).points.isfinite().all()


def test_a_detector_saved_over_one_with_a_decoder_loads(trained: LandmarkDetector, tmp_path: Path) -> None:
    tiny(gan__enabled=True, decoder__width=4, iterations=1).fit(FACES.images, shapes=FACES.points[:4]).save(tmp_path / "own")
    assert (tmp_path / "own" / "decoder.safetensors").exists()
    trained.save(tmp_path / "own")
    loaded = LandmarkDetector.load(tmp_path / "own")
    np.testing.assert_array_equal(loaded.predict(FACES.images).points, trained.predict(FACES.images).points)
    assert not (tmp_path / "own" / "decoder.safetensors").exists()


def test_training_on_images_of_one_pixel(tmp_path: Path) -> None:
    for i in range(4):
        Image.new("RGB", (1, 1), (i, 0, 0)).save(tmp_path / f"{i}.png")
    detector = tiny().fit(tmp_path, shapes=FACES.points[:4])
    assert detector.predict(tmp_path).points.isfinite().all()


def cloud(n: int, *, sets: int = 4) -> np.ndarray:
    return np.random.default_rng(n).uniform(2, 28, (sets, n, 2))


@pytest.mark.parametrize("n", [1, 2, 3, 17])
@pytest.mark.parametrize("kind", ["shapes", "labelled"])
def test_few_landmarks(n: int, kind: str) -> None:
    """One point has no extent, so nothing can be framed by it: that may be refused, by name."""
    points = cloud(n)
    data = {"shapes": points} if kind == "shapes" else {"labelled": (FACES.images[:4], points)}
    try:
        detector = tiny().fit(FACES.images, **data)
    except BruleError as error:
        assert n == 1 and "in one place" in str(error), error
        return
    found = detector.predict(FACES.images[:2]).points
    assert found.shape == (2, n, 2) and found.isfinite().all()


@pytest.mark.slow
def test_a_thousand_landmarks() -> None:
    detector = tiny(iterations=1).fit(FACES.images, shapes=cloud(1000, sets=2))
    assert detector.predict(FACES.images[:1]).points.isfinite().all()


DEGENERATE: dict[str, np.ndarray] = {
    "identical sets": np.repeat(cloud(5)[:1], 4, axis=0),
    "all points in one place": np.full((4, 5, 2), 8.0),
    "collinear": np.stack([np.arange(5.0), np.arange(5.0)], axis=1)[None] * np.array([1, 2, 3, 4])[:, None, None],
    "two points in one place": np.concatenate([cloud(4), cloud(4)[:, :1]], axis=1),
    "one set": cloud(5)[:1],
    "tiny": 1e-9 * cloud(5),
    "huge": 1e9 * cloud(5),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_shapes(name: str) -> None:
    try:
        detector = tiny().fit(FACES.images, shapes=DEGENERATE[name])
    except (DataError, ConfigError) as error:
        assert name == "all points in one place" and "in one place" in str(error), error
        return
    found = detector.predict(FACES.images[:2]).points
    assert found.isfinite().all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_shapes_of_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(DataError):
        tiny().fit(FACES.images, shapes=np.full((4, 5, 2), value))


def test_answers_that_are_no_numbers_are_flagged(trained: LandmarkDetector) -> None:
    import copy

    broken = copy.deepcopy(trained)
    with torch.no_grad():
        for parameter in broken.model_.encoder.parameters():
            parameter.mul_(1e30)
    found = broken.predict(FACES.images[:2])
    assert not found.points.isfinite().all() and found.flagged.all()


@pytest.mark.parametrize("rate", [1.0, 1e4, 1e30])
def test_a_rate_that_explodes_is_named_or_ends_finite_and_the_checkpoint_can_be_resumed(rate: float, tmp_path: Path) -> None:
    run = tmp_path / "run"
    changes = {"optimizer__learning_rate": rate, "optimizer__clip": 0.0, "checkpoint_every": 2, "iterations": 12}
    try:
        tiny(**changes).fit(FACES.images, shapes=FACES.points[:4], directory=run)
    except TrainingError as error:
        assert "learning_rate" in str(error) and "last checkpoint is intact" in str(error)
    stored = LandmarkDetector.load(run)  # what is kept is finite, or it would be refused here
    assert stored.predict(FACES.images[:1]).points.isfinite().all()


def test_a_checkpoint_of_no_numbers_is_refused_by_name(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    from brule.errors import CheckpointError

    run = tmp_path / "run"
    tiny(checkpoint_every=1).fit(FACES.images, shapes=FACES.points[:4], directory=run)
    path = run / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    first = next(name for name in sorted(tensors) if name.startswith("model/encoder.") and name.endswith("weight"))
    step = next(name for name in sorted(tensors) if name.endswith("/step"))
    for change, named in (
        (lambda t: t[first].view(-1)[:1].fill_(float("nan")), f"'{first}' holds numbers that aren't finite"),
        (lambda t: t.pop(step), "step' of its optimizer is missing"),
        (lambda t: t.update({step: torch.zeros(3)}), "doesn't fit"),
        (lambda t: t.update({f"{step}s": torch.zeros(())}), "isn't part of its optimizer"),
        (
            lambda t: t.update({f"{step.rpartition('/')[0].rpartition('/')[0]}/99999/step": torch.zeros(())}),
            "isn't part of its optimizer",
        ),
    ):
        own = {name: value.clone() for name, value in tensors.items()}
        change(own)
        save_file(own, path, metadata)
        with pytest.raises(CheckpointError, match="checkpoint.safetensors.*" + named):
            tiny(iterations=5).fit(FACES.images, directory=run, resume=True)
