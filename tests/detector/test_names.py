"""Names of landmarks travel from the annotations to the detector, and decide there which landmark is which."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import FORMATS, Annotation, Annotations, Layout, read_samples, write_annotations
from brule.detector import LandmarkDetector, measure_detector
from brule.errors import CheckpointError, DataError

NAMES = ("eyeL", "eyeR", "mouthL", "mouthR", "nose")
OTHER = (4, 2, 0, 3, 1)  # the order of the second file
FACE = np.array([[20, 15], [80, 15], [30, 60], [70, 60], [50, 40]], dtype=np.float32)


def annotated(folder: Path, order: tuple[int, ...], names: tuple[str, ...] | None, format: str) -> Path:
    """The same six faces, their landmarks in this order."""
    random = np.random.default_rng(0)
    items = []
    for i in range(6):
        folder.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 255, (80, 100, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        points = (FACE + random.normal(0, 2, FACE.shape)).astype(np.float32)
        items.append(Annotation(f"{i}.png", points[list(order)], size=(100, 80)))
    layout = Layout(None if names is None else tuple(names[i] for i in order))
    write_annotations(folder / f"all{FORMATS[format].suffixes[0]}", Annotations(items, layout), format=FORMATS[format])
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names")
    data = annotated(folder / "train", (0, 1, 2, 3, 4), NAMES, "coco")
    detector = LandmarkDetector(iterations=2, batch_size=2, crop__image_size=32, threads=1, quiet=True)
    detector.fit(labelled=str(data), directory=folder / "run")
    return folder


def test_another_order_of_the_same_names_gives_the_same_errors(trained: Path, tmp_path: Path) -> None:
    detector = LandmarkDetector.load(trained / "run")
    assert detector.landmark_names_ == NAMES
    same = measure_detector(detector, read_samples(trained / "train"), boxes="given").first
    other = measure_detector(detector, read_samples(annotated(tmp_path / "other", OTHER, NAMES, "csv")), boxes="given").first
    np.testing.assert_allclose(other.errors, same.errors, rtol=1e-4)
    bare = measure_detector(detector, read_samples(annotated(tmp_path / "bare", OTHER, None, "csv")), boxes="given").first
    assert float(np.min(np.abs(bare.errors - same.errors))) > 1  # without names the order counts


def test_other_names_stop(trained: Path, tmp_path: Path) -> None:
    detector = LandmarkDetector.load(trained / "run")
    renamed = annotated(tmp_path / "renamed", OTHER, (*NAMES[:4], "Nose"), "csv")
    with pytest.raises(DataError, match=r"'nose' of the detector, got 'Nose' \('Nose' is almost 'nose'\)"):
        measure_detector(detector, read_samples(renamed))
    with pytest.raises(DataError, match="'nose' of the shapes, got 'Nose'"):
        LandmarkDetector(iterations=2, batch_size=2, quiet=True).fit(
            labelled=str(renamed), shapes=str(trained / "train" / "all.json")
        )


def test_names_are_kept_and_checked(trained: Path, tmp_path: Path) -> None:
    LandmarkDetector.load(trained / "run").save(tmp_path)
    assert LandmarkDetector.load(tmp_path).landmark_names_ == NAMES
    description = json.loads((tmp_path / "detector.json").read_text())
    for names in (["a"], ["a", "b", "c", "d", "d"], "abcde", ["a", "b", "c", "d", "\x1b[31m"], [1, 2, 3, 4, []], {"a": 1}):
        (tmp_path / "detector.json").write_text(json.dumps(description | {"names": names}))
        with pytest.raises(CheckpointError, match=r"detector\.json: names"):
            LandmarkDetector.load(tmp_path)
    del description["names"]
    (tmp_path / "detector.json").write_text(json.dumps(description))
    assert LandmarkDetector.load(tmp_path).landmark_names_ is None
