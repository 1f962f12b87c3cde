"""The laws of the store: what is finished stays, nobody decodes it again, and memory doesn't grow with it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import numpy as np
import pytest
from PIL import Image

from brule.data import crop_store as store_module
from brule.data.crop_store import Store
from brule.data.crops import build_cache
from brule.data.images import load_crop
from brule.data.samples import Sample
from brule.data.store_listing import clear_store, list_stores
from brule.errors import DataError

N = 10
PARTS = ("images.u8", "boxes.f4", "log.jsonl")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BLOCK", 4)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(N):
        Image.fromarray(rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return [Sample(folder / f"{i}.png") for i in range(N)]


def contents(directory: Path) -> dict[str, bytes]:
    (store,) = (path for path in directory.iterdir() if path.is_dir())
    return {name: (store / name).read_bytes() for name in PARTS}


def stop_at(count: int) -> object:
    def progress(done: int, total: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize(("stopped", "kept"), [(4, 4), (7, 4), (8, 8), (9, 8)])
def test_an_interrupted_build_goes_on_where_it_was(
    samples: list[Sample], decoded: list[str], tmp_path: Path, stopped: int, kept: int
) -> None:
    build_cache(samples, 8, directory=tmp_path / "at once")
    with pytest.raises(KeyboardInterrupt):
        build_cache(samples, 8, directory=tmp_path / "twice", progress=stop_at(stopped))
    decoded.clear()
    calls: list[int] = []
    build_cache(samples, 8, directory=tmp_path / "twice", progress=lambda done, _: calls.append(done))
    assert sorted(decoded) == [str(i) for i in range(kept, N)]
    assert calls == list(range(kept, N + 1))
    assert contents(tmp_path / "twice") == contents(tmp_path / "at once")


def test_a_killed_process_loses_one_block_at_most(samples: list[Sample], decoded: list[str], tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from brule.data import Sample, build_cache, crop_store; crop_store.BLOCK = 4\n"
        "die = lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done == 7 else None\n"
        "build_cache([Sample(path) for path in sys.argv[2:]], 8, directory=sys.argv[1], progress=die)"
    )
    paths = [str(sample.path) for sample in samples]
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "killed"), *paths], check=False).returncode != 0
    build_cache(samples, 8, directory=tmp_path / "killed")
    assert sorted(decoded) == [str(i) for i in range(4, N)]
    build_cache(samples, 8, directory=tmp_path / "at once")
    assert contents(tmp_path / "killed") == contents(tmp_path / "at once")


def test_what_lies_behind_the_last_whole_line_does_not_count(
    samples: list[Sample], decoded: list[str], own_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_cache(samples, 8, progress=stop_at(9))
    (store,) = own_cache.iterdir()
    for name, rest in zip(PARTS, (b"half a crop", b"half", b'{"read": 10, "kept": 10, "ba'), strict=True):
        with (store / name).open("ab") as file:
            file.write(rest)
    decoded.clear()
    build_cache(samples, 8)
    assert sorted(decoded) == ["8", "9"]
    build_cache(samples, 8, directory=tmp_path / "at once")
    assert contents(own_cache) == contents(tmp_path / "at once")


def test_blocks_read_as_one_array(samples: list[Sample]) -> None:
    images = build_cache(samples, 8).images
    assert isinstance(images, np.memmap) and images.shape == (N, 8, 8, 3)
    expected = np.stack([load_crop(sample, 8)[0] for sample in samples])
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(images[np.array([9, 3, 4])], expected[[9, 3, 4]])


def test_a_bad_file_stops_a_strict_call_and_skipping_goes_on_from_there(
    samples: list[Sample], decoded: list[str], tmp_path: Path
) -> None:
    samples[1].path.write_bytes(b"")
    samples[6].path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1\.png: .*empty.*--skip-bad"):
        build_cache(samples, 8, directory=tmp_path / "store")
    assert not list((tmp_path / "store").iterdir()), "nothing was finished, so nothing stays"
    with pytest.raises(KeyboardInterrupt):
        build_cache(samples, 8, directory=tmp_path / "store", skip_bad=True, progress=stop_at(5))
    decoded.clear()
    with pytest.raises(DataError, match=r"1\.png: .*empty.*--skip-bad"):
        build_cache(samples, 8, directory=tmp_path / "store")
    assert decoded == [], "what is known to be bad needs no decoding to be refused"
    cache = build_cache(samples, 8, directory=tmp_path / "store", skip_bad=True)
    assert sorted(decoded) == [str(i) for i in range(4, N)]
    assert [bad.path.name for bad in cache.bad] == ["1.png", "6.png"]
    assert cache.names == [str(i) for i in range(N) if i not in (1, 6)]
    expected = np.stack([load_crop(sample, 8)[0] for sample in cache.samples])
    np.testing.assert_array_equal(cache.images, expected)


def test_a_block_of_bad_files_alone(samples: list[Sample], decoded: list[str], own_cache: Path) -> None:
    for sample in samples[:8]:
        sample.path.unlink()
    with pytest.raises(KeyboardInterrupt):
        build_cache(samples, 8, skip_bad=True, progress=stop_at(5))
    assert len(build_cache(samples, 8, skip_bad=True)) == 2
    for sample in samples[8:]:
        sample.path.unlink()
    with pytest.raises(DataError, match=r"none of the 10 images can be used; the first: .*0\.png"):
        build_cache(samples, 8, skip_bad=True)
    with pytest.raises(DataError, match="none of the 8 images"):  # the end of the last block is that of the store
        build_cache(samples[:8], 8, skip_bad=True)
    assert len(list(own_cache.iterdir())) == 1


def test_who_comes_second_waits_and_decodes_nothing(samples: list[Sample], decoded: list[str], own_cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        caches = list(pool.map(lambda _: build_cache(samples, 8, workers=1), range(6)))
    assert sorted(decoded) == [sample.name for sample in samples]
    for cache in caches:
        np.testing.assert_array_equal(cache.images, caches[0].images)


def test_who_waits_takes_over_from_one_that_ends_early(samples: list[Sample], decoded: list[str]) -> None:
    """The second sees the first's progress while it waits, and decodes what that one left."""
    started, waiting = threading.Event(), threading.Event()
    counts: list[int] = []

    def first(done: int, total: int) -> None:
        if done == 6:
            started.set()
            assert waiting.wait(10)
            raise KeyboardInterrupt

    def second(done: int, total: int) -> None:
        counts.append(done)
        waiting.set()

    with ThreadPoolExecutor(2) as pool:
        ended = pool.submit(build_cache, samples, 8, progress=first, workers=1)
        assert started.wait(10)
        cache = pool.submit(build_cache, samples, 8, progress=second, workers=1).result()
        assert isinstance(ended.exception(), KeyboardInterrupt)
    assert counts[0] == 4 and counts[-1] == N
    np.testing.assert_array_equal(cache.images, np.stack([load_crop(sample, 8)[0] for sample in samples]))


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def acquire(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_each_builds_its_own_and_one_stays(samples: list[Sample], own_cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        caches = list(pool.map(lambda _: build_cache(samples, 8, workers=1), range(4)))
    with pytest.raises(KeyboardInterrupt):
        build_cache(samples, 9, progress=stop_at(5))
    for cache in caches:
        np.testing.assert_array_equal(cache.images, caches[0].images)
    assert [info.read for info in list_stores(own_cache) if info.samples] == [N]


@pytest.mark.usefixtures("no_locks")
@pytest.mark.skipif(os.unlink not in os.supports_dir_fd, reason="this system can't open folders")
def test_without_locks_a_store_that_another_process_puts_in_place_stays(
    samples: list[Sample], own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_cache(samples, 8, directory=tmp_path / "other")
    (others,) = (tmp_path / "other").iterdir()
    place, listdir = own_cache / others.name, os.listdir
    place.mkdir(parents=True)
    (place / "lock").touch()

    def other_is_faster(folder: int) -> list[str]:
        if others.exists():
            store_module.remove(place)
            others.rename(place)
        return listdir(folder)

    number = others.stat().st_ino
    monkeypatch.setattr(store_module.os, "listdir", other_is_faster)
    assert len(build_cache(samples, 8)) == N
    assert not others.exists() and place.stat().st_ino == number


def test_a_disk_that_fills_up_is_reported_and_what_was_finished_stays(
    samples: list[Sample], decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 2:  # two files a block
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store_module.os, "fsync", full)
        with pytest.raises(DataError, match=r"No space left.*make room.*BRULE_CACHE"):
            build_cache(samples, 8)
    counts: list[int] = []
    build_cache(samples, 8, progress=lambda done, _: counts.append(done))
    assert counts[0] == 4


def test_memory_while_building_does_not_grow_with_the_images(samples: list[Sample], own_cache: Path) -> None:
    def peak(count: int) -> int:
        many = samples * count
        tracemalloc.start()
        build_cache(many, 16, workers=1)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(1)
    few, many = peak(20), peak(100)
    # A list or two of the samples and the boxes, but no crop (768 bytes), no future, and no text of the key.
    assert many - few < (100 - 20) * N * 100


def test_a_batch_takes_the_memory_of_a_batch(samples: list[Sample]) -> None:
    images = build_cache(samples * 40, 32).images
    chosen = np.random.default_rng(0).choice(len(images), 16)
    tracemalloc.start()
    batch = images[chosen]
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not np.shares_memory(batch, images)
    assert highest < 2 * batch.nbytes < images.nbytes / 10


def test_stores_are_listed_and_cleared_and_nothing_else_is(samples: list[Sample], own_cache: Path) -> None:
    build_cache(samples, 8)
    with pytest.raises(KeyboardInterrupt):
        build_cache(samples, 16, progress=stop_at(5))
    old = own_cache / f"64px-{24 * '0'}"
    old.mkdir()
    (old / "images.npy").write_bytes(bytes(5))
    for other in ("cofw-test-1234", "my pictures"):
        (own_cache / other).mkdir()
    found = {(info.samples, info.read) for info in list_stores(own_cache)}
    assert found == {(N, N), (N, 4), (0, 0)}
    assert {info.n_bytes for info in list_stores(own_cache) if not info.samples} == {5}
    complete = next(info for info in list_stores(own_cache) if info.read == N)
    assert complete.n_bytes == sum((complete.folder / name).stat().st_size for name in PARTS)
    assert all(clear_store(info.folder) for info in list_stores(own_cache))
    assert sorted(path.name for path in own_cache.iterdir()) == ["cofw-test-1234", "my pictures"]


@pytest.mark.parametrize("size", ['{"a": 1}', "Infinity", "0", "-1", "[]", '"16"', "1" + "0" * 400, "[" * 50_000])
def test_a_store_whose_log_makes_no_sense_is_listed(size: str, samples: list[Sample], own_cache: Path) -> None:
    """So that it can be cleared."""
    build_cache(samples, 8)
    (store,) = list_stores(own_cache)
    (store.folder / "log.jsonl").write_text(f'{{"samples": {size}, "size": {size}}}\n')
    (found,) = list_stores(own_cache)
    assert found.read == 0 and clear_store(found.folder)


def test_a_store_that_is_being_written_is_not_cleared(samples: list[Sample], own_cache: Path) -> None:
    def clear(done: int, total: int) -> None:
        (info,) = list_stores(own_cache)
        assert not clear_store(info.folder)

    build_cache(samples, 8, progress=clear)
    (info,) = list_stores(own_cache)
    assert info.read == info.samples == N
    assert Store(info.folder, N, 8).done().kept == N


def test_a_store_that_is_not_complete_cannot_be_read(samples: list[Sample], own_cache: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_cache(samples, 8, progress=stop_at(9))
    (folder,) = own_cache.iterdir()
    with pytest.raises(DataError, match="a part is missing"):
        Store(folder, N, 8).open()


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied", "removed"])
@pytest.mark.parametrize("place", [0.02, 0.5, 0.99])
def test_a_damaged_store_is_decoded_again_and_never_used(
    samples: list[Sample], own_cache: Path, name: str, damage: str, place: float
) -> None:
    samples[6].path.write_bytes(b"no image")  # so that there is a bad one whose index must not change, either
    expected = build_cache(samples, 8, skip_bad=True)
    images, boxes, whole = np.array(expected.images), np.array(expected.boxes), contents(own_cache)
    (folder,) = own_cache.iterdir()
    content = bytearray((folder / name).read_bytes())
    if damage == "flipped":
        content[int(place * len(content))] ^= 4
    (folder / name).write_bytes({"truncated": content[: int(place * len(content))], "emptied": b""}.get(damage, content))
    if damage == "removed":
        (folder / name).unlink()
    again = build_cache(samples, 8, skip_bad=True)
    np.testing.assert_array_equal(again.images, images)
    np.testing.assert_array_equal(again.boxes, boxes)
    assert [bad.path for bad in again.bad] == [samples[6].path]
    assert contents(own_cache) == whole


def test_crops_that_are_mapped_stay_readable_while_a_damaged_store_is_mended(samples: list[Sample], own_cache: Path) -> None:
    mapped = build_cache(samples, 8).images
    (folder,) = own_cache.iterdir()
    content = bytearray((folder / "log.jsonl").read_bytes())
    content[len(content) // 2] ^= 4
    (folder / "log.jsonl").write_bytes(content)

    def read_all(done: int, total: int) -> None:
        assert (folder / "images.u8").stat().st_size == mapped.nbytes  # a file cut short would end this process here

    again = build_cache(samples, 8, progress=read_all).images
    np.testing.assert_array_equal(again, mapped)


def test_a_store_of_another_version_is_left_alone_and_not_used(
    samples: list[Sample], decoded: list[str], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_cache(samples, 8)
    (folder,) = own_cache.iterdir()
    head, rest = (folder / "log.jsonl").read_bytes().split(b"\n", 1)
    assert b'"version": 4' in head
    (folder / "log.jsonl").write_bytes(head.replace(b'"version": 4', b'"version": 3') + b"\n" + rest)
    decoded.clear()
    build_cache(samples, 8)
    assert len(decoded) == N


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.slow
def test_two_processes_that_build_and_read_one_store_see_whole_crops(samples: list[Sample], own_cache: Path) -> None:
    """Each builds, checks every crop, clears what it can, and again, for a second."""
    import time

    expected = np.stack([load_crop(sample, 8)[0] for sample in samples])

    def work(seed: int) -> int:
        rng, until, rounds = np.random.default_rng(seed), time.monotonic() + 1.5, 0
        while time.monotonic() < until or rounds < 5:
            rounds += 1
            try:
                if not np.array_equal(build_cache(samples, 8).images, expected):
                    return 3
            except DataError:  # the other one has cleared it between building and opening: refused by name
                continue
            if rng.random() < 0.3:
                for info in list_stores(own_cache):
                    clear_store(info.folder)
        return 0

    children = []
    for seed in (1, 2):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = work(seed)
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
