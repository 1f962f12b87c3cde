"""Videos beside other videos and images: what is replaced, left out or passed over, and videos that end early."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data.synthetic import synthetic_faces
from brule.data.video import read_frames, write_video

from .conftest import Brule

av = pytest.importorskip("av")
FACES = synthetic_faces(7, size=64)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "video.mp4", [Image.fromarray(image) for image in FACES.images], rate=10)
    return tmp_path / "video.mp4"


def head_first(path: Path, frames: int, *, size: int = 64) -> Path:
    """A video whose head is at its beginning, as that of a download, so that its end may be missing."""
    noise = np.random.default_rng(0)
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for _ in range(frames):
            picture = Image.fromarray(noise.integers(0, 255, (size, size, 3), dtype=np.uint8))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A video of 30 frames whose second half is missing."""
    path = head_first(tmp_path / "cut.mp4", 30)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    return path


@pytest.mark.parametrize("linked", [False, True], ids=["named", "linked"])
def test_a_video_is_not_replaced_by_its_own_overlay(
    brule: Brule, trained: Path, video: Path, tmp_path: Path, linked: bool
) -> None:
    place = tmp_path / "out" / "overlays" / "video.mp4"
    place.parent.mkdir(parents=True)
    if linked:
        place.symlink_to(video)
    else:
        os.replace(video, place)
    before = place.read_bytes()
    found = brule("predict", trained, video if linked else place, "-o", tmp_path / "out")
    assert found.code == 2 and "would be replaced by predictions" in found.err and "--no-overlays" in found.err
    assert place.read_bytes() == before and [path.name for path in (tmp_path / "out").iterdir()] == ["overlays"]
    if not linked:
        assert brule("predict", trained, place, "-o", tmp_path / "out", "--no-overlays").code == 0


@pytest.mark.parametrize("name", ["landmarks.mp4", "Landmarks.mp4", "rank.mp4"])
def test_a_video_named_like_a_file_of_the_images_keeps_its_results(
    brule: Brule, trained: Path, video: Path, faces: Path, tmp_path: Path, name: str
) -> None:
    video = video.rename(tmp_path / name)
    out = tmp_path / "out"
    found = brule("predict", trained, video, faces / "shapes", "-o", out, "--no-overlays", "--format", "csv")
    assert found.code == 0
    for table, column, count in ((f"{video.stem}-2.csv", "frame", 7), ("landmarks.csv", "path", 5)):
        with (out / table).open(newline="", encoding="utf-8") as file:
            assert len([row[column] for row in csv.DictReader(file)]) == count


def test_alone_it_keeps_its_name(brule: Brule, trained: Path, video: Path, tmp_path: Path) -> None:
    video = video.rename(tmp_path / "landmarks.mp4")
    assert brule("predict", trained, video, "-o", tmp_path / "out", "--no-overlays", "--format", "csv").code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["landmarks.csv"]


def test_a_video_that_is_cut_off_is_reported(cut: Path) -> None:
    told: list[str] = []
    count = len(list(read_frames(cut, cut_off=told.append)))
    assert 0 < count < 30
    assert told == [f"{cut}: states 30 frames, {count} could be read: cut off?"]
    assert len(list(read_frames(cut, every=7, cut_off=told.append))) == -(-count // 7)
    assert told[0] == told[1]


def test_a_whole_video_is_not(tmp_path: Path) -> None:
    path, told = head_first(tmp_path / "whole.mp4", 9), list[str]()
    assert len(list(read_frames(path, every=4, cut_off=told.append))) == 3 and not told


def test_frames_that_a_phone_trimmed_are_not_missed(tmp_path: Path) -> None:
    """The head counts all frames, the edit list shows the last second: the video ends where it says."""
    path, told = head_first(tmp_path / "trimmed.mp4", 30), list[str]()
    content = bytearray(path.read_bytes())
    entry = content.index(b"elst") + 12  # one entry: duration and start, in units of the video and of the track
    scale = content.index(b"mdhd") + 16
    units = int.from_bytes(content[scale : scale + 4], "big")
    content[entry : entry + 4] = (1000).to_bytes(4, "big")
    content[entry + 4 : entry + 8] = (2 * units).to_bytes(4, "big")
    path.write_bytes(content)
    assert len(list(read_frames(path, cut_off=told.append))) == 10 and not told


def test_the_frames_before_the_cut_are_written(brule: Brule, trained: Path, cut: Path, video: Path, tmp_path: Path) -> None:
    words = ["predict", trained, cut, video, "-o", tmp_path / "out", "--no-overlays"]
    found = brule(*words)
    assert (
        found.code == 2
        and "states 30 frames" in found.err
        and "cut off? The frames that could be read are written" in found.err
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{name}.{kind}" for name in ("cut", "video") for kind in ("csv", "json")
    }
    found = brule(*words, "--skip-bad")
    assert found.code == 0 and "could be read: cut off?" in found.err


def test_damaged_videos_are_skipped_if_asked(brule: Brule, trained: Path, video: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    found = brule("predict", trained, broken, video, "-o", tmp_path / "out", "--skip-bad")
    assert found.code == 0 and "left out 1 file" in found.err and "broken.mp4: no video" in found.err
    assert "video.mp4: 7 frames" in found.out
    alone = brule("predict", trained, broken, "-o", tmp_path / "alone", "--skip-bad")
    assert alone.code == 2 and "none of the videos could be read" in alone.err


def test_a_video_that_breaks_off_leaves_no_empty_folder(
    brule: Brule, trained: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brule.errors import DataError

    def broken(path: Path, **_: object) -> object:
        raise DataError(f"{path}: no video, or a damaged one")
        yield

    monkeypatch.setattr("brule.data.video.read_frames", broken)
    assert brule("predict", trained, video, "-o", tmp_path / "out").code == 2
    assert not (tmp_path / "out" / "overlays").exists()


def test_videos_in_a_folder_are_mentioned(brule: Brule, trained: Path, video: Path, faces: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(faces / "shapes", tmp_path / "mixed"))
    shutil.copy(video, folder / "video.mp4")
    words = ["predict", trained, folder, "-o", folder / "out", "--no-overlays", "--format", "csv"]
    found = brule(*words)
    assert found.code == 0 and "video.mp4: passed over" in found.err
    (folder / "video.mp4").rename(folder / "out" / "video.mp4")  # where overlays may be
    assert "passed over" not in brule(*words).err
