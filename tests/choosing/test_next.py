"""Choosing what to annotate next: values by hand, and what is left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from brule.choosing import choose_next, coverage, measure_choice, plain_descriptors
from brule.choosing.candidates import Candidates
from brule.data import read_samples
from brule.data.synthetic import write_synthetic_faces
from brule.errors import DataError
from tests.training.tiny import tiny_detector

NOTHING = np.empty(0, dtype=np.int64)
LINE = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0], [30.0]])


def test_by_hand() -> None:
    """On a line, 1 is annotated: 11 saves most (9 + 10 + 11 - 2, and 19 for 30), then the far one, then a neighbour."""
    choice = choose_next(LINE, 3, annotated=np.array([1]))
    assert choice.indices[:2].tolist() == [4, 6]
    assert choice.sizes[:2].sum() + choice.sizes[2] <= len(LINE)
    assert choose_next(LINE, 2, annotated=np.array([1])).coverage == pytest.approx((1 + 0 + 1 + 1 + 0 + 1 + 0) / 7)


def test_sizes_count_the_images_that_a_chosen_one_is_nearest_to() -> None:
    choice = choose_next(LINE, 2, annotated=np.array([1]))
    assert choice.sizes.tolist() == [3, 1]  # 10, 11, 12; 30; the others are nearer to the annotated one


def test_without_annotated_images_the_first_is_the_most_central() -> None:
    points = np.random.default_rng(0).normal(size=(40, 3))
    (first,) = choose_next(points, 1, annotated=NOTHING).indices
    assert first == np.linalg.norm(points[:, None] - points, axis=2).sum(0).argmin()


def test_weights_draw_the_choice_to_uncertain_images() -> None:
    weights = np.array([1.0, 1, 1, 1, 1, 1, 100])
    assert choose_next(LINE, 1, annotated=np.array([1]), weights=weights).indices.tolist() == [6]
    assert choose_next(LINE, 1, annotated=np.array([1]), weights=np.full(7, 3.0)).indices.tolist() == [4]


def test_every_image_is_chosen_once_and_no_annotated_one_even_among_twins() -> None:
    twins = np.repeat([[0.0, 1.0], [5.0, 5.0]], 3, axis=0)
    assert sorted(choose_next(twins, 4, annotated=np.array([0, 5])).indices.tolist()) == [1, 2, 3, 4]
    assert sorted(choose_next(twins, 6, annotated=NOTHING).indices.tolist()) == [0, 1, 2, 3, 4, 5]


def test_of_many_images_some_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brule.choosing.selection._MAX_COMPARED", 10)
    points = np.random.default_rng(0).normal(size=(300, 2))
    choice = choose_next(points, 4, annotated=np.array([5, 6]))
    assert len(set(choice.indices.tolist())) == 4 and not {5, 6} & set(choice.indices.tolist())
    assert choice.coverage == pytest.approx(coverage(points, np.concatenate([choice.indices, [5, 6]])))
    assert len(choose_next(points, 50, annotated=NOTHING).indices) == 50


@pytest.mark.parametrize(
    ("n", "weights", "why"),
    [(7, None, "1 to 6 images"), (0, None, "1 to 6"), (1, np.ones(6), "one per image"), (1, -np.ones(7), "negative")],
)
def test_what_cannot_be(n: int, weights: np.ndarray | None, why: str) -> None:
    with pytest.raises(DataError, match=why):
        choose_next(LINE, n, annotated=np.array([1]), weights=weights)


def test_random_choices_are_compared_with_the_annotated_images_added() -> None:
    score = measure_choice(LINE, np.array([4]), annotated=np.array([0, 1, 2, 3, 5, 6]), draws=5)
    assert score.coverage.own == score.coverage.high == 0  # there is one image to draw


@pytest.mark.parametrize("trained", [False, True])
def test_annotated_images_are_known_by_name_and_size_wherever_they_are(trained: bool, tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path / "all", 9, size=48)
    annotated = sorted((tmp_path / "all").glob("*.png"))[:2]
    (tmp_path / "own").mkdir()
    for path in annotated:
        shutil.copy(path, tmp_path / "own")
        shutil.copy(path.with_suffix(".pts"), tmp_path / "own")
    candidates = Candidates.of(
        read_samples([tmp_path / "all"]),
        annotated=read_samples([tmp_path / "own"], require_points=True),
        detector=tiny_detector() if trained else None,
    )
    assert len(candidates.cache) == 9 and candidates.free == 7
    chosen = candidates.choose(7, candidates.descriptors())
    names = {candidates.cache.samples[k].path.name for k in chosen.indices}
    assert len(names) == 7 and not names & {path.name for path in annotated}


def test_a_detector_finds_the_object_in_images_without_a_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_synthetic_faces(tmp_path / "all", 4, size=48)
    for path in (tmp_path / "all").glob("*.pts"):
        path.unlink()
    detector = tiny_detector()
    candidates = Candidates.of(read_samples([tmp_path / "all"]), detector=detector)
    found = detector.predict(tmp_path / "all")
    assert found.box is not None
    boxes = np.array([sample.box for sample in candidates.cache.samples])
    np.testing.assert_allclose(boxes, found.box.numpy(), atol=1e-4)
    assert plain_descriptors(np.array(candidates.cache.images)).shape[0] == 4
