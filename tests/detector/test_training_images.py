"""Which images a detector was trained on: keys that survive a move, and a warning that can be trusted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from brule.detector.training_images import TrainingImages, image_keys
from brule.errors import CheckpointError
from brule.tracking.run_files import TRAINING_IMAGES


def file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_copy_in_another_folder_has_the_same_key_and_nothing_else_has(tmp_path: Path) -> None:
    first, copy = file(tmp_path / "a" / "1.jpg", b"pixels"), file(tmp_path / "b" / "1.jpg", b"pixels")
    renamed, longer = file(tmp_path / "a" / "2.jpg", b"pixels"), file(tmp_path / "c" / "1.jpg", b"more pixels")
    keys = image_keys([first, copy, renamed, longer])
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_images_in_memory_are_known_by_their_pixels() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    other = image.copy()
    other[0, 0, 0] += 1
    keys = image_keys([image, image.copy(), other, image.reshape(2, 8, 3)])
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_an_image_counts_once_with_its_landmarks_before_without() -> None:
    images = TrainingImages(frozenset({"a", "b", "c"}), frozenset({"c", "d"}), recorded=True)
    assert images.overlap(["a", "a", "c", "d", "new"]) == (1, 2)  # a without; c and d with their landmarks
    assert TrainingImages().overlap(["a"]) == (0, 0)


def test_written_and_read_again(tmp_path: Path) -> None:
    images = TrainingImages(frozenset({"a", "b"}), frozenset({"c"}), recorded=True)
    images.write(tmp_path)
    assert TrainingImages.read(tmp_path) == images


def test_nothing_recorded_leaves_no_file(tmp_path: Path) -> None:
    TrainingImages().write(tmp_path)
    assert not list(tmp_path.iterdir()) and TrainingImages.read(tmp_path) == TrainingImages()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "brule-training-images-1"}', '{"format": "other", "images": [], "labelled": []}']
)
def test_a_damaged_list_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / TRAINING_IMAGES).write_text(content)
    with pytest.raises(CheckpointError, match=TRAINING_IMAGES):
        TrainingImages.read(tmp_path)


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    TrainingImages(frozenset({"b", "a"}), frozenset(), recorded=True).write(tmp_path)
    assert json.loads((tmp_path / TRAINING_IMAGES).read_text()) == {
        "format": "brule-training-images-1",
        "images": ["a", "b"],
        "labelled": [],
    }
