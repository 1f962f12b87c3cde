"""Parts: every image in exactly one, the same again for the same paths; what is done stays done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from brule.bulk import Place, plan_parts
from brule.errors import CheckpointError, ConfigError, DataError

Pack = Callable[[Path, str], Path]


def names(parts: object) -> list[str]:
    return [Path(item).name for part in parts for item in part.items]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("size", "sizes"), [(4, [4, 4, 1]), (9, [9]), (100, [9])])
def test_every_image_is_in_one_part(photos: Path, size: int, sizes: list[int]) -> None:
    plan = plan_parts([str(photos)], detector="d", part_size=size)
    assert [len(part.items) for part in plan.parts] == sizes
    assert names(plan.parts) == sorted(path.name for path in photos.glob("*.png"))
    assert plan == plan_parts([str(photos)], detector="d", part_size=size)


def test_what_is_named_twice_counts_once(photos: Path) -> None:
    paths = [str(photos), str(photos / "*.png"), str(photos / "face_000003.png")]
    assert names(plan_parts(paths, detector="d").parts) == sorted(path.name for path in photos.glob("*.png"))


def test_a_shard_is_a_part_of_its_own_wherever_it_lies(photos: Path, pack: Pack) -> None:
    shutil.move(pack(photos, "s.tar"), photos / "deep.tar")
    pack(photos, "a-0.tar"), pack(photos, "a-1.tar")
    plan = plan_parts([str(photos), str(photos.parent / "a-*.tar")], detector="d", part_size=5)
    assert [(len(part.items), part.shard) for part in plan.parts] == [(5, False), (4, False), *[(1, True)] * 3]
    assert names(plan.parts[2:]) == ["deep.tar", "a-0.tar", "a-1.tar"]


def test_a_folder_of_shards_alone_is_fine(photos: Path, pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    shutil.move(pack(photos, "s.tar"), tmp_path / "shards" / "s.tar")
    assert names(plan_parts([str(tmp_path / "shards")], detector="d").parts) == ["s.tar"]


def test_addresses_are_listed_through_fsspec(photos: Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in photos.glob("*.png"):
        memory.pipe_file(f"/plan/{path.name}", path.read_bytes())
    memory.pipe_file("/plan/notes.txt", b"no image")
    for address in ("memory://plan", "memory://plan/*.png"):
        plan = plan_parts([address], detector="d")
        assert names(plan.parts) == sorted(path.name for path in photos.glob("*.png"))
    memory.rm("/plan", recursive=True)


@pytest.mark.parametrize("path", ["nowhere", "nowhere.tar", "memory://nowhere", "*.tar"])
def test_nothing_there_is_an_error(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"nowhere|tar"):
        plan_parts([path], detector="d")


def test_unknown_kinds_of_addresses_are_refused() -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        plan_parts(["nonsense://bucket/photos"], detector="d")


@pytest.mark.parametrize("address", ["local", "memory://out/deeper"])
def test_parts_that_are_there_are_not_done_again(photos: Path, tmp_path: Path, address: str) -> None:
    output = Place(str(tmp_path / "out") if address == "local" else address)
    plan = plan_parts([str(photos)], detector="d", part_size=4)
    assert plan.open(output) == list(plan.parts)
    output.write(plan.parts[1].file, b"done")
    assert plan.open(output) == [plan.parts[0], plan.parts[2]]
    assert output.read(plan.parts[1].file) == b"done"


@pytest.mark.parametrize("change", ["images", "detector", "size"])
def test_other_images_options_or_detectors_are_refused(photos: Path, tmp_path: Path, change: str) -> None:
    output = Place(str(tmp_path / "out"))
    plan_parts([str(photos)], detector="d", part_size=4).open(output)
    if change == "images":
        (photos / "face_000000.png").unlink()
    other = plan_parts([str(photos)], detector="e" if change == "detector" else "d", part_size=3 if change == "size" else 4)
    with pytest.raises(CheckpointError, match="repeat the command that started them"):
        other.open(output)


def test_a_folder_of_other_parquet_files_is_left_alone(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.parquet").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="choose another folder"):
        plan_parts([str(photos)], detector="d").open(Place(str(tmp_path / "out")))


def test_parts_have_at_least_an_image(photos: Path) -> None:
    with pytest.raises(ConfigError, match="part_size"):
        plan_parts([str(photos)], detector="d", part_size=0)
