"""The 300-W layout, made up and real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import DATASETS, build_cache, read_300w, read_shapes, split_by_name, write_pts
from brule.data.datasets.w300 import RELEASE_COUNTS, SPLITS
from brule.errors import ConfigError, DataError

FACE = np.random.default_rng(0).uniform(0, 60, (68, 2))


@pytest.fixture
def release(tmp_path: Path) -> Path:
    for folder in RELEASE_COUNTS:
        for i in range(len(folder)):
            path = tmp_path / folder / f"image_{i} _01.{'png' if 'lfpw' in folder else 'jpg'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 64)).save(path)
            write_pts(path.with_suffix(".pts"), FACE)
    return tmp_path


@pytest.mark.parametrize("split", SPLITS)
def test_each_split_reads_its_folders(release: Path, split: str) -> None:
    samples = read_300w(release, split)
    assert samples.counts == {folder: len(folder) for folder in SPLITS[split]}
    assert len(samples) == sum(samples.counts.values()) and samples.n_points == 68


def test_splits_make_up_the_release() -> None:
    assert sum(RELEASE_COUNTS[folder] for folder in SPLITS["train"]) == 3148
    assert sum(RELEASE_COUNTS[folder] for folder in SPLITS["common"]) == 554
    assert sum(RELEASE_COUNTS[folder] for folder in SPLITS["full"]) == 689
    assert not set(SPLITS["train"]) & set(SPLITS["full"])
    assert set(SPLITS["full"]) == {*SPLITS["common"], *SPLITS["challenging"]}


def test_wrong_place_split_and_count(release: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"challenging.*'test'"):
        read_300w(release, "test")
    with pytest.raises(DataError, match="missing: ibug"):
        read_300w(release / "helen", "challenging")
    for path in (release / "ibug").glob("*.pts"):
        write_pts(path, FACE[:5])
    with pytest.raises(DataError, match=r"expected 68.*got 5"):
        read_300w(release, "challenging")


def test_bad_files_of_all_folders_are_listed(release: Path) -> None:
    (release / "afw" / "image_0 _01.jpg").write_bytes(b"")
    (release / "lfpw" / "trainset" / "image_1 _01.pts").unlink()
    with pytest.raises(DataError, match=r"image_0 _01.jpg"):
        read_300w(release)
    bad = read_300w(release, skip_bad=True).bad
    assert [(file.path.parent.name, file.path.name) for file in bad] == [
        ("afw", "image_0 _01.jpg"),
        ("trainset", "image_1 _01.png"),
    ]


def test_real_faces(shared_data: Path, tmp_path: Path) -> None:
    samples = DATASETS["300w"](shared_data / "300w")
    assert samples.counts == {"afw": 337, "helen/trainset": 870, "lfpw/trainset": 805}
    assert samples.n_points == 68 and not samples.bad
    assert len(split_by_name(samples).validation) == 219
    shapes = read_shapes(shared_data / "300w", n_shapes=10)
    assert len(shapes) == 10 and shapes.n_points == 68
    cache = build_cache(samples[::40], 64, directory=tmp_path)
    assert cache.points is not None
    # The crop rule puts every landmark box about the centre, its longer side at 1 / 1.3 of the crop.
    low, high = cache.points.min(axis=1), cache.points.max(axis=1)
    np.testing.assert_allclose((low + high) / 2, 0.5, atol=1e-4)
    np.testing.assert_allclose((high - low).max(axis=1), 1 / 1.3, atol=1e-4)
    # The eyes are darker than the cheeks beside the nose: landmarks and pixels belong together.
    eyes = _grey_at(cache.images, cache.points[:, [37, 38, 40, 41, 43, 44, 46, 47]])
    cheeks = _grey_at(cache.images, (cache.points[:, [41, 46]] + cache.points[:, [48, 54]]) / 2)
    assert (eyes.mean(axis=1) < cheeks.mean(axis=1)).mean() > 0.9


def _grey_at(images: np.ndarray, points: np.ndarray) -> np.ndarray:
    size = images.shape[1]
    columns, rows = np.clip(np.floor(points * size).astype(int), 0, size - 1).transpose(2, 0, 1)
    return images.mean(axis=3)[np.arange(len(images))[:, None], rows, columns]


def test_real_x_rays(shared_data: Path) -> None:
    folder = shared_data / "jsrt"
    assert len(read_shapes(folder)) == len(list(folder.glob("*.pts")))
    assert read_shapes(folder).n_points == 120
