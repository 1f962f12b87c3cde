"""Laws of an evaluation, with predictors whose errors are known beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import CropCache, cache_from_arrays
from brule.errors import DataError
from brule.evaluation import evaluate
from brule.evaluation.report import Picture, figure_rows, page

SIZE, N = 40, 7


@dataclass
class Found:
    points: np.ndarray


def crops(n: int = 5, n_points: int = N, seed: int = 0) -> CropCache:
    """Images of annotated random points; the crop rule (1.3) holds exactly."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(8, 32, (n, n_points, 2)).astype(np.float32)
    return cache_from_arrays(rng.integers(0, 255, (n, SIZE, SIZE, 3), dtype=np.uint8), points=points, size=16)


def shifted(cache: CropCache, by: float, order: np.ndarray | None = None):
    """A predictor that knows the truth and moves it; it finds its place by the order of the calls."""
    done = 0

    def predict(images: np.ndarray) -> Found:
        nonlocal done
        truth = cache.points[done : done + len(images)]
        done += len(images)
        points = truth + np.array([by, 0.0])
        return Found(points if order is None else points[:, order])

    return predict


def centre(n: int = N) -> np.ndarray:
    return np.random.default_rng(9).uniform(0.2, 0.8, (n, 2))


def test_perfect_prediction_has_no_error() -> None:
    cache = crops()
    result = evaluate(shifted(cache, 0.0), cache, barycenter=centre())
    assert result.scores.nme == pytest.approx(0, abs=1e-6)
    assert (result.scores.fr_8, result.scores.n) == (0.0, 5)
    np.testing.assert_allclose(result.predictions, result.truth, atol=1e-6)


def test_shift_gives_its_length_over_the_distance() -> None:
    cache = crops()
    result = evaluate(shifted(cache, 0.05), cache, barycenter=centre(), normaliser="box-diagonal")
    diagonals = np.linalg.norm(cache.points.max(1) - cache.points.min(1), axis=1)
    np.testing.assert_allclose(result.errors, 5 / diagonals, rtol=1e-5)
    assert result.scores.nme == pytest.approx((5 / diagonals).mean(), rel=1e-5)
    assert result.scores.normaliser == "box diagonal"


def test_w1_is_free_of_the_index_and_nme_is_not() -> None:
    cache = crops()
    result = evaluate(shifted(cache, 0.0, order=np.roll(np.arange(N), 1)), cache, barycenter=centre())
    assert result.scores.w1 == pytest.approx(0, abs=1e-5)
    assert result.scores.nme > 1


def test_predicting_the_barycenter_is_the_floor() -> None:
    cache, barycenter = crops(), centre()
    result = evaluate(lambda images: Found(np.tile(barycenter, (len(images), 1, 1))), cache, barycenter=barycenter)
    assert result.scores == result.barycenter
    assert result.scores.nme == pytest.approx(result.scores.floor_nme)
    np.testing.assert_allclose(result.errors, result.floor_errors)
    assert result.mean_shape is None
    assert result.to_dict()["floor_mean_nme"] is None


def test_mean_shape_is_the_mean_of_the_annotated_shapes() -> None:
    cache, barycenter = crops(), centre()
    shapes = np.stack([barycenter - 0.1, barycenter + 0.1])
    result = evaluate(shifted(cache, 0.0), cache, barycenter=barycenter, shapes=shapes)
    assert result.mean_shape is not None
    assert result.mean_shape.nme == pytest.approx(result.barycenter.nme)
    assert result.to_dict()["floor_mean_nme"] == pytest.approx(result.scores.floor_nme)


def test_batches_do_not_matter_and_are_reported() -> None:
    cache, seen = crops(), []
    whole = evaluate(shifted(cache, 0.03), cache, barycenter=centre())
    parts = evaluate(shifted(cache, 0.03), cache, barycenter=centre(), batch_size=2, progress=lambda *done: seen.append(done))
    assert parts.scores == whole.scores
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_wrong_number_of_landmarks_is_said() -> None:
    cache = crops()
    with pytest.raises(DataError, match="7 landmarks, the detector finds 9"):
        evaluate(shifted(cache, 0.0), cache, barycenter=centre(9))


def test_unannotated_images_are_said() -> None:
    cache = cache_from_arrays(np.zeros((2, SIZE, SIZE, 3), np.uint8), size=16)
    with pytest.raises(DataError, match="annotation"):
        evaluate(lambda images: Found(np.zeros((len(images), N, 2))), cache, barycenter=centre())


def test_image_without_a_distance_is_named() -> None:
    points = np.random.default_rng(0).uniform(8, 32, (3, 5, 2)).astype(np.float32)
    points[1, 1] = points[1, 0]  # both eyes in one place
    cache = cache_from_arrays(np.zeros((3, SIZE, SIZE, 3), np.uint8), points=points, size=16)
    with pytest.raises(DataError, match="first such image is image 1"):
        evaluate(shifted(cache, 0.0), cache, barycenter=centre(5), normaliser="eyes")


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_page_needs_no_other_file(tmp_path: Path) -> None:
    cache = crops()
    result = evaluate(shifted(cache, 0.02), cache, barycenter=centre())
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    text = page(
        "a <title>", "summary", result, facts=[("n & m", "5")], pictures=[Picture(tmp_path / "a.png", "dots")],
        commands=[("do", "brule predict 'a b'")],
    )  # fmt: skip
    links = _Links()
    links.feed(text)
    assert links.links and all(link.startswith("data:image/png;base64,") for link in links.links)
    assert "http" not in text and "a &lt;title&gt;" in text and "n &amp; m" in text
    assert "prefers-color-scheme: dark" in text
    assert all(cell in text for row in figure_rows(result) for cell in row[1:3])
