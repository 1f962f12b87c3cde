"""Videos: frames come back as they were written, one at a time; numbers, times and turns are right."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data.video import is_video, read_frames, video_info, write_video
from brule.errors import ConfigError, DataError

av = pytest.importorskip("av")


def bars(count: int, *, size: tuple[int, int] = (64, 48)) -> list[Image.Image]:
    """A white bar that moves two pixels to the right with every frame."""
    pictures = []
    for k in range(count):
        values = np.zeros((size[1], size[0], 3), np.uint8)
        values[:, 2 * k : 2 * k + 8] = 255
        pictures.append(Image.fromarray(values))
    return pictures


def left_edge(image: Image.Image) -> int:
    return int((np.asarray(image)[20].mean(axis=-1) > 128).argmax())


@pytest.fixture
def video(tmp_path: Path) -> Path:
    assert write_video(tmp_path / "video.mp4", bars(20), rate=10) == 20
    return tmp_path / "video.mp4"


def test_frames_come_in_order_with_number_and_time(video: Path) -> None:
    frames = list(read_frames(video))
    assert [frame.number for frame in frames] == list(range(20))
    assert [frame.seconds for frame in frames] == pytest.approx([k / 10 for k in range(20)])
    assert [left_edge(frame.image) for frame in frames] == pytest.approx([2 * k for k in range(20)], abs=1)
    assert frames[0].image.size == (64, 48) and frames[0].image.mode == "RGB"


def test_each_so_many_th_frame(video: Path) -> None:
    frames = list(read_frames(video, every=6))
    assert [frame.number for frame in frames] == [0, 6, 12, 18]
    assert left_edge(frames[2].image) == pytest.approx(24, abs=1)
    with pytest.raises(ConfigError, match="every: expected at least 1"):
        next(read_frames(video, every=0))


def test_the_head_states_number_and_rate(video: Path) -> None:
    assert (video_info(video).frames, video_info(video).rate) == (20, 10)


def test_a_reader_may_stop_in_the_middle(video: Path) -> None:
    frames = read_frames(video)
    assert [next(frames).number for _ in range(3)] == [0, 1, 2]
    frames.close()  # type: ignore[attr-defined]
    video.unlink()


def test_odd_sizes_lose_a_row_and_a_column(tmp_path: Path) -> None:
    write_video(tmp_path / "odd.mp4", bars(3, size=(65, 49)), rate=5)
    assert next(read_frames(tmp_path / "odd.mp4")).image.size == (64, 48)


def test_no_pictures_write_nothing(tmp_path: Path) -> None:
    assert write_video(tmp_path / "none.mp4", [], rate=5) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no video at all", None])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.mp4: "):
        list(read_frames(path))


def test_a_video_that_is_cut_short_gives_frames_or_a_plain_error(video: Path) -> None:
    video.write_bytes(video.read_bytes()[:700])
    with pytest.raises(DataError, match=r"video\.mp4: no video, or a damaged one"):
        list(read_frames(video))


def test_without_the_package_a_message_says_what_to_install(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"brule-landmarks\[video\]"):
        next(read_frames(video))


@pytest.mark.parametrize(("name", "expected"), [("a.MP4", True), ("b.mov", True), ("c.png", False), ("mp4", False)])
def test_videos_are_known_by_their_suffix(name: str, expected: bool) -> None:
    assert is_video(name) is expected
