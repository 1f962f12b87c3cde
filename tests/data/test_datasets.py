"""Data sets in the layout of their releases, made up and tiny."""

from __future__ import annotations

import os
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import DATASETS, Sample, load_image, read_dataset, read_samples, read_shapes, write_pts
from brule.data.datasets import celeba, cofw, w300, wflw
from brule.data.sources import dataset_of
from brule.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
FACE = RNG.uniform(0, 60, (68, 2))


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64)).save(path)
    return path


def write_300w(root: Path) -> None:
    for folder in w300.RELEASE_COUNTS:
        for i in range(2):
            write_pts(image(root / folder / f"{i}.png").with_suffix(".pts"), FACE)


WFLW_POINTS = RNG.uniform(0, 60, (98, 2)).round(6)


def write_wflw(root: Path) -> None:
    lists = root / wflw.LISTS
    lists.mkdir(parents=True)
    for part, flags in (("train", ["0 0 0 0 0 0"] * 3), ("test", ["1 0 0 0 0 0", "0 0 0 0 1 1"])):
        lines = []
        for i, own in enumerate(flags):
            name = f"0--Parade/my {part}_{i // 2}.jpg"  # two faces in the first image
            image(root / "WFLW_images" / name)
            points = " ".join(map(str, (WFLW_POINTS + i).ravel()))
            lines.append(f"{points} 5 6 50 60 {own} {name}")
        (lists / f"list_98pt_rect_attr_{part}.txt").write_text("\n".join(lines) + "\n")


def write_celeba(root: Path) -> None:
    """Six images: 1 to 3 for training, 4 for validation, 5 and 6 for the test; MAFL takes 1 and 5 to train, 2 to test."""
    names = [f"00000{i}.jpg" for i in range(1, 7)]
    for folder in ("Img/img_align_celeba", "Img/img_celeba"):
        for name in names:
            image(root / folder / name)
    (root / "Anno").mkdir()
    for wild, extra in (("_align", 0), ("", 10)):
        rows = [f"{name}  " + "  ".join(str(10 * i + j + extra) for j in range(10)) for i, name in enumerate(names)]
        (root / "Anno" / f"list_landmarks{wild}_celeba.txt").write_text("6\nlefteye_x lefteye_y …\n" + "\n".join(rows) + "\n")
    rows = [f"{name} {i} 2 30 40" for i, name in enumerate(names)]
    rows[2] = "000003.jpg 0 0 0 0"
    (root / "Anno" / "list_bbox_celeba.txt").write_text("6\nimage_id x_1 y_1 width height\n" + "\n".join(rows) + "\n")
    (root / "Eval").mkdir()
    parts = zip(names, "000122", strict=True)
    (root / "Eval" / "list_eval_partition.txt").write_text("".join(f"{name} {part}\n" for name, part in parts))
    (root / "MAFL").mkdir()
    (root / "MAFL" / "training.txt").write_text("000001.jpg\n000005.jpg\n")
    (root / "MAFL" / "testing.txt").write_text("000002.jpg\n")


class FakeFile(dict):
    """What h5py gives of a MATLAB file, as far as the reader uses it."""

    def __enter__(self) -> FakeFile:
        return self

    def __exit__(self, *_: object) -> None:
        pass


COFW_POINTS = RNG.uniform(1, 60, (29, 2))


def write_cofw(root: Path, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    for part in ("train", "test"):
        (root / f"COFW_{part}_color.mat").write_bytes(b"MATLAB 7.3")
    if monkeypatch is None:
        return
    grey, colour = np.zeros((64, 48), np.uint8), np.zeros((3, 64, 48), np.uint8)  # columns first: 64 wide, 48 high
    grey[7, 3] = colour[0, 7, 3] = 200
    column = np.concatenate([*COFW_POINTS.T, np.zeros(29)])[:, None]
    content = {"a": grey, "b": colour}
    for images, points, boxes in cofw._VARIABLES.values():
        content |= {images: np.array([["a", "b"]], dtype=object), points: np.repeat(column, 2, axis=1)}
        content[boxes] = np.array([[5.0, 5], [6, 6], [30, 30], [40, 40]])
    fake = types.SimpleNamespace(File=lambda path, mode: FakeFile(content))
    monkeypatch.setitem(sys.modules, "h5py", fake)


WRITERS: dict[str, Callable[[Path], None]] = {
    "300w": write_300w,
    "celeba": write_celeba,
    "celeba-wild": write_celeba,
    "cofw": write_cofw,
    "mafl": write_celeba,
    "mafl-wild": write_celeba,
    "wflw": write_wflw,
}


def names(samples: list[Sample]) -> list[str]:
    return [sample.path.name for sample in samples]


@pytest.mark.parametrize("name", DATASETS)
def test_what_is_missing_is_said_with_the_expected_tree(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"(?s)expected the release of .* here; missing: .*looks like this:\n  \S"):
        read_dataset(name, tmp_path)
    with pytest.raises(ConfigError, match=r"train.*'dev'"):
        read_dataset(name, tmp_path, "dev")
    with pytest.raises(ConfigError, match=f"{name}.*'mnist'"):
        read_dataset("mnist", tmp_path)


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "cofw"])
def test_a_smaller_copy_is_read_and_says_so(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    samples = read_dataset(name, tmp_path)
    assert all(sample.path.is_file() and sample.points is not None for sample in samples)
    assert any("in the release; figures can't be compared" in note for note in samples.notes)
    assert read_samples(f"{name}:train:{tmp_path}").n_points == samples.n_points
    assert len(read_shapes(f"{name}:train:{tmp_path}")) == len(samples)


def test_300w_counts() -> None:
    counts = {split: sum(w300.RELEASE_COUNTS[part] for part in w300.SPLITS[split]) for split in w300.SPLITS}
    assert counts == {"train": 3148, "common": 554, "challenging": 135, "full": 689}


def test_wflw(tmp_path: Path) -> None:
    write_wflw(tmp_path)
    samples = read_dataset("wflw", tmp_path, "train")
    assert names(samples) == ["my train_0.jpg", "my train_0.jpg", "my train_1.jpg"]
    np.testing.assert_allclose(samples[1].points, WFLW_POINTS + 1, atol=1e-5)
    assert samples[0].box == (5, 6, 50, 60) and samples.counts == {"train": 3}
    assert len(read_dataset("wflw", tmp_path, "test")) == 2
    assert names(read_dataset("wflw", tmp_path, "test-blur")) == ["my test_0.jpg"]
    with pytest.raises(DataError, match=r"test\.txt: none of its faces can be used"):
        read_dataset("wflw", tmp_path, "test-makeup")


def test_wflw_with_bad_lines(tmp_path: Path) -> None:
    write_wflw(tmp_path)
    listing = tmp_path / wflw.LISTS / "list_98pt_rect_attr_train.txt"
    lines = listing.read_text().splitlines()
    lines += ["1 2 3", lines[0].replace(lines[0].split()[3], "x", 1), lines[0].replace("my train_0", "none")]
    listing.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"train\.txt: line 4: expected 207 fields .*, got 3"):
        read_dataset("wflw", tmp_path)
    samples = read_dataset("wflw", tmp_path, skip_bad=True)
    assert len(samples) == 3 and [bad.reason.split(":")[0] for bad in samples.bad] == ["line 4", "line 5", "line 6"]


def test_celeba_keeps_the_test_images_of_mafl_out_of_training(tmp_path: Path) -> None:
    write_celeba(tmp_path)
    samples = read_dataset("celeba", tmp_path)
    assert names(samples) == ["000001.jpg", "000003.jpg"] and samples.counts == {"train": 3}
    assert "celeba: 1 test images of MAFL are kept out of train" in samples.notes
    np.testing.assert_array_equal(samples[1].points, np.arange(20, 30).reshape(5, 2))
    assert names(read_dataset("celeba", tmp_path, "validation")) == ["000004.jpg"]
    assert names(read_dataset("celeba", tmp_path, "test")) == ["000005.jpg", "000006.jpg"]
    (tmp_path / "MAFL" / "testing.txt").unlink()
    samples = read_dataset("celeba", tmp_path)
    assert len(samples) == 3 and any("are not kept out of train" in note for note in samples.notes)


def test_mafl_aligned_and_in_the_wild(tmp_path: Path) -> None:
    write_celeba(tmp_path)
    train, test = (read_dataset("mafl", tmp_path, split) for split in ("train", "test"))
    assert (names(train), names(test)) == (["000001.jpg", "000005.jpg"], ["000002.jpg"])
    assert train[0].box is None and train[0].path.parent.name == "img_align_celeba"
    wild = read_dataset("mafl-wild", tmp_path)
    assert wild[1].box == (4, 2, 34, 42) and wild[1].path.parent.name == "img_celeba"
    np.testing.assert_array_equal(wild[1].points, train[1].points + 10)
    assert read_dataset("celeba-wild", tmp_path)[1].box is None  # 0 0 0 0 in the release means none
    (tmp_path / "MAFL" / "testing.txt").write_text("000001.jpg\n")
    with pytest.raises(DataError, match=r"training\.txt: 000001\.jpg is in testing\.txt too"):
        read_dataset("mafl", tmp_path)


def test_celeba_with_damage(tmp_path: Path) -> None:
    write_celeba(tmp_path)
    (tmp_path / "Img" / "img_align_celeba" / "000001.jpg").unlink()
    with pytest.raises(DataError, match=r"000001\.jpg: isn't there, though list_landmarks_align_celeba\.txt lists it"):
        read_dataset("celeba", tmp_path)
    samples = read_dataset("celeba", tmp_path, skip_bad=True)
    assert names(samples) == ["000003.jpg"] and names(samples.bad) == ["000001.jpg"]
    listing = tmp_path / "Anno" / "list_landmarks_align_celeba.txt"
    listing.write_text(listing.read_text().replace("  29", ""))
    with pytest.raises(DataError, match=r"celeba\.txt: line 5: expected an image and 10 values, got 9"):
        read_dataset("celeba", tmp_path, skip_bad=True)
    (tmp_path / "Eval" / "list_eval_partition.txt").write_text("000001.jpg 7\n")
    with pytest.raises(DataError, match=r"partition\.txt: line 1: expected an image and its part"):
        read_dataset("celeba", tmp_path)


def test_cofw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cofw(tmp_path, monkeypatch)
    for split in ("train", "test"):
        samples = read_dataset("cofw", tmp_path, split)
        assert samples.counts == {split: 2} and any("in the release" in note for note in samples.notes)
        for sample in samples:
            np.testing.assert_allclose(sample.points, COFW_POINTS - 1, atol=1e-5)
            assert sample.box == (4, 5, 34, 45)
            picture = np.asarray(load_image(sample.path))
            assert picture.shape == (48, 64, 3) and np.unravel_index(picture[..., 0].argmax(), (48, 64)) == (3, 7)
    again = read_dataset("cofw", tmp_path, "test")
    assert [sample.path for sample in again] == [sample.path for sample in samples]


def test_cofw_written_out_by_two_processes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The images of who was quicker are taken, and nothing else is left."""
    write_cofw(tmp_path, monkeypatch)
    replace, cache = os.replace, tmp_path / "cache"
    monkeypatch.setenv("BRULE_CACHE", str(cache))

    def slower(source: Path, target: Path) -> None:
        if Path(source).is_dir():
            shutil.copytree(source, target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", slower)
    samples = read_dataset("cofw", tmp_path, "test")
    assert all(sample.path.is_file() for sample in samples)
    assert len(list(cache.iterdir())) == 1


def test_cofw_of_the_release_through_h5py(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="needs h5py, the extra cofw")
    with h5py.File(tmp_path / "COFW_test_color.mat", "w") as file:
        picture = file.create_dataset("#refs#/a", data=np.full((3, 64, 48), 9, np.uint8))
        images = file.create_dataset("IsT", (1, 1), dtype=h5py.ref_dtype)
        images[0, 0] = picture.ref
        file["phisT"] = np.concatenate([*COFW_POINTS.T, np.zeros(29)])[:, None]
        file["bboxesT"] = np.array([[5.0], [6], [30], [40]])
    (sample,) = read_dataset("cofw", tmp_path, "test")
    assert load_image(sample.path).size == (64, 48)


def test_cofw_without_h5py_or_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cofw(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"COFW_train_color\.mat: reading it needs h5py: pip install 'brule-landmarks\[cofw\]'"):
        read_dataset("cofw", tmp_path)
    for content in ({}, {"IsTr": [], "phisTr": np.zeros((3, 2)), "bboxesTr": np.zeros((4, 2))}):
        fake = types.SimpleNamespace(File=lambda path, mode, content=content: FakeFile(content))
        monkeypatch.setitem(sys.modules, "h5py", fake)
        with pytest.raises(DataError, match=r"COFW_train_color\.mat: "):
            read_dataset("cofw", tmp_path)


def test_how_a_data_set_is_spelled() -> None:
    assert dataset_of("300w:train:/data/300w") == ("300w", "train", Path("/data/300w"))
    assert dataset_of("wflw:test-blur:C:\\data") == ("wflw", "test-blur", Path("C:\\data"))
    assert [dataset_of(path) for path in ("photos", "C:\\photos", "a:b:c", "300w", "300w:train", Path("x"))] == [None] * 6


def test_data_sets_and_folders_together(tmp_path: Path) -> None:
    write_300w(tmp_path / "release")
    write_pts(image(tmp_path / "own" / "mine.png").with_suffix(".pts"), FACE)
    samples = read_samples([f"300w:challenging:{tmp_path / 'release'}", tmp_path / "own"])
    assert names(samples) == ["0.png", "1.png", "mine.png"] and samples.counts == {"ibug": 2}
    shapes = read_shapes([f"300w:challenging:{tmp_path / 'release'}", tmp_path / "own"], n_shapes=2)
    assert len(shapes) == 2


def test_release_counts_are_those_of_the_papers() -> None:
    assert wflw.RELEASE_COUNTS["train"] + wflw.RELEASE_COUNTS["test"] == 10_000
    assert sum(celeba.CELEBA_COUNTS.values()) == 202_599 and sum(celeba.MAFL_COUNTS.values()) == 20_000
    assert sum(cofw.RELEASE_COUNTS.values()) == 1852


LISTS = {
    "wflw": [f"{wflw.LISTS}/list_98pt_rect_attr_train.txt"],
    "celeba-wild": ["Anno/list_landmarks_celeba.txt", "Anno/list_bbox_celeba.txt", "Eval/list_eval_partition.txt"],
    "mafl": ["MAFL/training.txt", "MAFL/testing.txt"],
}
POISON = ["", "nan", "1e999", "9" * 400, "x" * 3000, "\0", "é", "\n", " ", "-1", "000001.jpg", "../"]


@pytest.mark.parametrize(("name", "listing"), [(name, listing) for name, own in LISTS.items() for listing in own])
def test_damaged_lists_give_samples_or_a_data_error(tmp_path: Path, name: str, listing: str) -> None:
    WRITERS[name](tmp_path)
    path = tmp_path / listing
    good = path.read_text()
    rng = np.random.default_rng(0)
    contents = [b"", b"\xff\xfe\0", good.encode("utf-16")] + [good[: rng.integers(len(good))].encode() for _ in range(20)]
    for _ in range(60):
        start, stop = sorted(rng.integers(0, len(good), 2))
        contents.append((good[:start] + str(rng.choice(POISON)) + good[min(stop, start + 9) :]).encode())
    for content in contents:
        path.write_bytes(content)
        for skip_bad in (False, True):
            try:
                assert read_dataset(name, tmp_path, skip_bad=skip_bad)
            except DataError as error:
                assert str(tmp_path) in str(error) and len(str(error)) < 5000
