"""The laws of the cache: the same crops as without it, once, whole or not at all."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.coordinates import pixels_to_unit
from brule.data import crop_store as store_module
from brule.data.crops import build_cache, cache_directory, cache_from_arrays
from brule.data.images import load_crop
from brule.data.samples import Sample, SampleList
from brule.errors import ConfigError, DataError


@pytest.fixture
def samples(tmp_path: Path) -> SampleList:
    """Images of noise, labelled but for the last two, one of which has a box."""
    rng = np.random.default_rng(0)
    result = SampleList()
    for i in range(12):
        path = tmp_path / "images" / f"{i:02d} ü.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40 + i, 60, 3), dtype=np.uint8)).save(path)
        points = rng.uniform(0, 40, (5, 2)) if i < 10 else None
        result.append(Sample(path, points, (5.0, 5.0, 30.0, 25.0) if i == 10 else None))
    return result


def test_holds_what_load_crop_gives(samples: SampleList) -> None:
    cache = build_cache(samples, 24, workers=4)
    assert isinstance(cache.images, np.memmap) and not cache.images.flags.writeable
    assert len(cache) == 12 and cache.size == 24 and cache.bad == []
    assert cache.names == [sample.name for sample in samples]
    assert cache.points is not None and cache.points.shape == (12, 5, 2)
    assert np.isnan(cache.points[10:]).all()
    for i, sample in enumerate(samples):
        crop, box = load_crop(sample, 24)
        np.testing.assert_array_equal(cache.images[i], crop)
        np.testing.assert_allclose(cache.boxes[i], box, rtol=1e-6)
        if sample.points is not None:
            np.testing.assert_allclose(cache.points[i], pixels_to_unit(sample.points, box), atol=1e-5)


def test_second_build_decodes_nothing(samples: SampleList, decoded: list[str], own_cache: Path) -> None:
    first = build_cache(samples, 16)
    assert len(decoded) == 12
    calls: list[tuple[int, int]] = []
    second = build_cache(samples, 16, progress=lambda done, total: calls.append((done, total)))
    assert len(decoded) == 12 and calls == [(12, 12)]
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.points, second.points)
    assert [path.name for path in own_cache.iterdir()] == [path.name for path in own_cache.glob("16px-*")]


def test_only_what_changes_the_crops_decides(samples: SampleList, decoded: list[str]) -> None:
    build_cache(samples, 16)
    assert build_cache(samples.unlabelled(), 16).points is None
    assert len(decoded) == 12, "without labels the crops are the same"
    build_cache(samples, 16, scale=1.5)
    build_cache(samples, 17)
    build_cache(samples[::-1], 16)
    assert len(decoded) == 4 * 12
    Image.new("RGB", (70, 60), "red").save(samples[3].path)
    changed = build_cache(samples, 16)
    assert len(decoded) == 5 * 12
    np.testing.assert_array_equal(changed.images[3, 8, 8], [255, 0, 0])


def test_progress_counts_up_to_the_total_in_the_callers_thread(samples: SampleList) -> None:
    calls, threads = [], set()

    def progress(done: int, total: int) -> None:
        calls.append((done, total))
        threads.add(threading.get_ident())

    build_cache(samples, 16, progress=progress, workers=3)
    assert calls == [(i, 12) for i in range(1, 13)]
    assert threads == {threading.get_ident()}


def test_a_bad_image_raises_by_name_and_leaves_nothing_behind(samples: SampleList, own_cache: Path) -> None:
    samples[4].path.write_bytes(samples[4].path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"04 ü\.png: .*truncated.*--skip-bad"):
        build_cache(samples, 16)
    assert list(own_cache.iterdir()) == []


def test_bad_images_are_left_out_and_listed_also_on_reuse(samples: SampleList, decoded: list[str]) -> None:
    samples[4].path.write_bytes(b"")
    samples[7].path.unlink()
    for _ in range(2):
        cache = build_cache(samples, 16, skip_bad=True)
        assert [bad.path for bad in cache.bad] == [samples[4].path, samples[7].path]
        assert "empty" in cache.bad[0].reason and "no such file" in cache.bad[1].reason
        assert cache.names == [sample.name for i, sample in enumerate(samples) if i not in (4, 7)]
        np.testing.assert_array_equal(cache.images[4], load_crop(samples[5], 16)[0])
        assert len(cache.images) == len(cache.boxes) == len(cache.samples) == 10
    assert len(decoded) == 12
    with pytest.raises(DataError, match=r"04 ü\.png: .*empty.*--skip-bad"):
        build_cache(samples, 16)


def test_all_bad_is_an_error(samples: SampleList) -> None:
    for sample in samples:
        sample.path.unlink()
    with pytest.raises(DataError, match=r"none of the 12 images"):
        build_cache(samples, 16, skip_bad=True)


def test_an_interrupted_build_leaves_nothing_and_stops_early(samples: SampleList, decoded: list[str], own_cache: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(samples * 20, 16, progress=interrupt, workers=1)
    assert list(own_cache.iterdir()) == []
    assert len(decoded) < 240


@pytest.mark.parametrize("damage", ["images.u8", "boxes.f4", "log.jsonl", "short", "torn", "impossible", "other", "a file"])
def test_a_damaged_store_is_built_again(samples: SampleList, own_cache: Path, damage: str) -> None:
    expected = np.array(build_cache(samples, 16).images)
    (store,) = own_cache.iterdir()
    log = store / "log.jsonl"
    if damage == "short":
        (store / "images.u8").write_bytes((store / "images.u8").read_bytes()[:1000])
    elif damage == "torn":
        log.write_bytes(log.read_bytes()[:-5])
    elif damage == "impossible":
        log.write_bytes(log.read_bytes().replace(b'"kept": 12', b'"kept": 99'))
    elif damage == "other":
        log.write_bytes(log.read_bytes().replace(b'"samples": 12', b'"samples": 13'))
    elif damage == "a file":
        store.rename(own_cache.parent / "gone")
        store.write_text("in the way")
    else:
        (store / damage).unlink()
    np.testing.assert_array_equal(build_cache(samples, 16).images, expected)


def test_builders_at_the_same_time_do_not_disturb_each_other(samples: SampleList, own_cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        caches = list(pool.map(lambda _: build_cache(samples, 16, workers=1), range(8)))
    for cache in caches:
        np.testing.assert_array_equal(cache.images, caches[0].images)
    assert len(list(own_cache.iterdir())) == 1


def test_a_folder_that_cannot_be_written(samples: SampleList, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="BRULE_CACHE"):
        build_cache(samples, 16, directory=tmp_path / "file" / "cache")


def test_a_full_disk_is_reported_before_anything_is_written(samples: SampleList, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 100}))
    with pytest.raises(DataError, match="make room"):
        build_cache(samples, 16)


def test_labels_must_agree_and_arguments_make_sense(samples: SampleList) -> None:
    odd = Sample(samples[0].path, np.random.default_rng(0).uniform(0, 40, (6, 2)))
    with pytest.raises(DataError, match=r"6 points.*5"):
        build_cache([*samples, odd], 16)
    for size, scale in ((0, 1.3), (16, 0.0), (16, float("nan"))):
        with pytest.raises(ConfigError, match="size"):
            build_cache(samples, size, scale=scale)
    with pytest.raises(DataError, match="at least one"):
        build_cache([], 16)


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_cache: Path) -> None:
    assert cache_directory() == own_cache
    monkeypatch.delenv("BRULE_CACHE")
    assert cache_directory().parts.count("brule") == 1
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_directory() == tmp_path / "brule"


def test_arrays_give_what_their_files_give(samples: SampleList) -> None:
    of_files = build_cache(samples, 24)
    images = [np.asarray(Image.open(sample.path)) for sample in samples]
    of_arrays = cache_from_arrays(images, [sample.box for sample in samples], [sample.points for sample in samples], size=24)
    np.testing.assert_array_equal(of_arrays.images, of_files.images)
    np.testing.assert_array_equal(of_arrays.boxes, of_files.boxes)
    np.testing.assert_array_equal(of_arrays.points, of_files.points)
    assert of_arrays.names == [f"image {i}" for i in range(12)]


def test_arrays_of_mixed_kinds_without_anything_else() -> None:
    images = [
        np.zeros((20, 30)),
        np.zeros((30, 20, 3), np.uint8),
        np.zeros((9, 9, 4), np.uint16),
        Image.new("L", (5, 6)),
    ]
    cache = cache_from_arrays(images, size=8)
    assert cache.images.shape == (4, 8, 8, 3) and cache.points is None
    np.testing.assert_array_equal(cache.boxes[0], [-0.5, -5.5, 29.5, 24.5])


def test_arrays_that_do_not_fit_are_refused_by_name() -> None:
    images = [np.zeros((20, 30)), np.full((20, 30), 7.0)]
    with pytest.raises(DataError, match=r"image 1: .*from 0 to 1"):
        cache_from_arrays(images, size=8)
    with pytest.raises(DataError, match="boxes for each of 2 images, got 1"):
        cache_from_arrays(images, boxes=[(0, 0, 9, 9)], size=8)
    with pytest.raises(DataError, match=r"image 1: .*left < right"):
        cache_from_arrays(images, boxes=np.array([[0, 0, 9, 9], [9, 0, 0, 9]]), size=8)
    with pytest.raises(DataError, match=r"image 1: .*3 points.*2"):
        cache_from_arrays(images, points=[np.eye(2), np.eye(3)[:, :2]], size=8)
    with pytest.raises(DataError, match=r"image 0: .*one place"):
        cache_from_arrays(images[:1], points=np.ones((1, 4, 2)), size=8)
    with pytest.raises(DataError, match="at least one"):
        cache_from_arrays([], size=8)


def test_context_shows_more_about_the_same_centre(samples: SampleList) -> None:
    """The middle of a picture with context is the crop itself, with a box and without one."""
    boxless = [Sample(sample.path) for sample in samples]
    for chosen in (samples, boxless):
        plain, wide = build_cache(chosen, 32), build_cache(chosen, 64, context=2.0)
        centre, side = (plain.boxes[:, :2] + plain.boxes[:, 2:]) / 2, plain.boxes[:, 2] - plain.boxes[:, 0]
        np.testing.assert_allclose((wide.boxes[:, :2] + wide.boxes[:, 2:]) / 2, centre, atol=1e-3)
        np.testing.assert_allclose(wide.boxes[:, 2] - wide.boxes[:, 0], 2 * side, rtol=1e-5)
