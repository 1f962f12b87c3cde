"""``brule predict`` and ``brule choose`` on a video drawn here."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.data.video import read_frames, write_video

from .conftest import Brule

pytest.importorskip("av")
FACES = synthetic_faces(7, size=64)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "video.mp4", [Image.fromarray(image) for image in FACES.images], rate=10)
    return tmp_path / "video.mp4"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_frame_has_a_row_with_its_number(brule: Brule, trained: Path, video: Path, tmp_path: Path) -> None:
    found = brule("predict", trained, video, "-o", tmp_path / "out", "--batch-size", 3)
    assert found.code == 0 and "7 frames" in found.out
    table = rows(tmp_path / "out" / "video.csv")
    assert [int(row["frame"]) for row in table] == list(range(7))
    assert [float(row["seconds"]) for row in table] == pytest.approx([k / 10 for k in range(7)])
    frames = [frame.image for frame in read_frames(video)]
    expected = LandmarkDetector.load(trained).predict(frames).points.numpy()
    shown = np.array([[[float(row[f"{axis}{i}"]) for axis in "xy"] for i in range(68)] for row in table])
    np.testing.assert_allclose(shown, expected, atol=1e-2)
    listed = json.loads((tmp_path / "out" / "video.json").read_text(encoding="utf-8"))
    assert [entry["frame"] for entry in listed["images"]] == list(range(7))
    overlay = list(read_frames(tmp_path / "out" / "overlays" / "video.mp4"))
    assert len(overlay) == 7 and overlay[0].image.size == (480, 480)


def test_a_video_in_python_gives_a_row_for_each_frame(trained: Path, video: Path) -> None:
    detector = LandmarkDetector.load(trained)
    found = detector.predict(video)
    assert found.image.tolist() == list(range(7))
    np.testing.assert_allclose(found.points, detector.predict([frame.image for frame in read_frames(video)]).points, atol=1e-3)


def test_every_third_frame_and_no_overlay(brule: Brule, trained: Path, video: Path, tmp_path: Path) -> None:
    words = ["--every", 3, "--no-overlays", "--format", "csv"]
    assert brule("predict", trained, video, "-o", tmp_path / "out", *words).code == 0
    assert [int(row["frame"]) for row in rows(tmp_path / "out" / "video.csv")] == [0, 3, 6]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["video.csv"]


def test_videos_and_images_go_together(brule: Brule, trained: Path, video: Path, faces: Path, tmp_path: Path) -> None:
    found = brule("predict", trained, video, faces / "shapes", "-o", tmp_path / "out", "--no-overlays")
    assert found.code == 0
    assert len(rows(tmp_path / "out" / "video.csv")) == 7 and len(rows(tmp_path / "out" / "landmarks.csv")) == 5


def test_it_says_what_was_written(brule: Brule, trained: Path, video: Path, tmp_path: Path) -> None:
    found = brule("predict", trained, video, "-o", tmp_path / "out", "--every", 3, "--no-overlays", "--format", "json")
    assert found.code == 0 and "video.json" in found.out and "video.csv" not in found.out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["video.json"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "coco"], "videos are written as csv and json"),
        (["--format", "pts", "--no-overlays"], "videos are written as csv and json"),
        (["--every", "0"], "--every: expected 1 (every frame) or more, got 0"),
    ],
)
def test_what_videos_have_not_is_refused(
    brule: Brule, trained: Path, video: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    found = brule("predict", trained, video, "-o", tmp_path / "out", *words)
    assert found.code == 2 and said in found.err and not (tmp_path / "out").exists()


def test_a_damaged_video_leaves_nothing(brule: Brule, trained: Path, video: Path, tmp_path: Path) -> None:
    video.write_bytes(b"no video")
    found = brule("predict", trained, video, "-o", tmp_path / "out")
    assert found.code == 2 and "video.mp4: no video" in found.err
    assert not list((tmp_path / "out").rglob("*.csv")) and not list((tmp_path / "out").rglob("*.mp4"))


def test_frames_to_annotate_are_chosen_and_kept(brule: Brule, video: Path, tmp_path: Path) -> None:
    found = brule("choose", video, "-n", 3, "-o", tmp_path / "chosen")
    assert found.code == 0
    listed = [Path(line) for line in (tmp_path / "chosen" / "chosen.txt").read_text(encoding="utf-8").splitlines()]
    assert len(listed) == 3 and all(path.parent == tmp_path / "chosen" / "images" for path in listed)
    for path in listed:
        number = int(path.stem.removeprefix("video-"))
        (frame,) = [frame for frame in read_frames(video) if frame.number == number]
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(frame.image))


def test_frames_need_a_folder(brule: Brule, video: Path, tmp_path: Path) -> None:
    found = brule("choose", video, "-n", 3, "-o", tmp_path / "chosen.txt")
    assert found.code == 2 and "need a folder" in found.err
