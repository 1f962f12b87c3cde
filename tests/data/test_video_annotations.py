"""Labels on frames of videos: the frames that are labelled become images, which every command reads with their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import inspect_data
from brule.data.video import write_video
from brule.data.video_annotations import extract_labelled_frames
from brule.errors import ConfigError, DataError
from tests.data.cases.case import OTHER, WING, write
from tests.data.cases.test_8_reports import tracked
from tests.data.cases.test_8_reports import video as cvat_video
from tests.data.formats.test_hdf5 import NAMES, slp

pytest.importorskip("av")

FIRST, SECOND = [(10.0, 20.0), (30.0, 40.0), (50.0, 22.0)], [(12.0, 18.0), (33.0, 41.0), (52.0, 25.0)]
MICE = [{"backend": {"type": "MediaVideo", "filename": r"D:\videos\mice.mp4"}}]


def written(path: Path, count: int = 12) -> Path:
    """Frame k is grey 20 · k."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [Image.new("RGB", (96, 64), (20 * k,) * 3) for k in range(count)], rate=10)
    return path


def labels(path: Path, pictures: list[dict] = MICE) -> Path:
    """Frames 3 and 7 are labelled, the latter with two animals; on frame 5 there is a prediction."""
    frames: list[list] = [[] for _ in range(8)]
    frames[3], frames[5], frames[7] = [(True, FIRST)], [(False, FIRST)], [(True, FIRST), (True, SECOND)]
    slp(path, frames, pictures=pictures)
    return path


def grey(path: Path) -> float:
    return float(np.asarray(Image.open(path)).mean())


def test_labels_of_sleap(tmp_path: Path) -> None:
    written(tmp_path / "videos" / "mice.mp4")
    done = extract_labelled_frames(labels(tmp_path / "l.slp"), tmp_path / "frames")
    assert [path.name for path in done.images] == ["mice_000003.png", "mice_000007.png"] and done.n_objects == 3
    assert [grey(path) for path in done.images] == [pytest.approx(60, abs=4), pytest.approx(140, abs=4)]
    found = inspect_data([str(tmp_path / "frames")])
    assert found.layout.names == NAMES and not found.bad and not found.notes
    assert [sample.path.name[5:11] for sample in found.samples] == ["000003", "000007", "000007"]
    np.testing.assert_allclose([sample.points for sample in found.samples], [FIRST, FIRST, SECOND])


def test_tracks_of_cvat(tmp_path: Path) -> None:
    frames = {name: {2: (WING[name], False, True), 4: (OTHER[name], False, False), 5: (None, True, True)} for name in WING}
    tracks = cvat_video(*(tracked(own, name) for name, own in frames.items()), meta="<task/><source>wing.mp4</source>")
    write(tmp_path, {"annotations.xml": tracks})
    written(tmp_path / "wing.mp4")
    done = extract_labelled_frames(tmp_path / "annotations.xml", tmp_path / "frames")
    assert [grey(path) for path in done.images] == [pytest.approx(40, abs=4), pytest.approx(80, abs=4)]
    found = inspect_data([str(tmp_path / "frames")])
    for sample, expected in zip(found.samples, (WING, OTHER), strict=True):
        np.testing.assert_allclose(sample.points, [expected[name] for name in found.layout.names or ()], atol=0.01)


def test_the_video_may_be_given(tmp_path: Path) -> None:
    other = written(tmp_path / "elsewhere" / "renamed.mp4")
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match=r"the video 'mice\.mp4' isn't below .*labels; give it with --video FILE"):
        extract_labelled_frames(labels(tmp_path / "labels" / "l.slp"), tmp_path / "frames")
    assert not (tmp_path / "frames").exists()
    done = extract_labelled_frames(tmp_path / "labels" / "l.slp", tmp_path / "frames", videos=[other])
    assert [path.name for path in done.images] == ["renamed_000003.png", "renamed_000007.png"]
    with pytest.raises(ConfigError, match="exists already"):
        extract_labelled_frames(tmp_path / "labels" / "l.slp", tmp_path / "frames", videos=[other])
    assert (
        extract_labelled_frames(tmp_path / "labels" / "l.slp", tmp_path / "frames", videos=[other], force=True).n_objects == 3
    )


def test_another_video(tmp_path: Path) -> None:
    written(tmp_path / "mice.mp4", count=6)
    with pytest.raises(DataError, match=r"mice\.mp4: has no frame 7, which l\.slp labels"):
        extract_labelled_frames(labels(tmp_path / "l.slp"), tmp_path / "frames")
    assert not (tmp_path / "frames").exists()


def test_two_videos_of_one_name(tmp_path: Path) -> None:
    written(tmp_path / "a" / "mice.mp4")
    written(tmp_path / "b" / "mice.mp4")
    with pytest.raises(DataError, match=r"could be .*a/mice\.mp4 or .*b/mice\.mp4"):
        extract_labelled_frames(labels(tmp_path / "l.slp"), tmp_path / "frames")


def test_what_holds_no_labels_on_videos(tmp_path: Path) -> None:
    write(tmp_path, {"a.csv": "image,x0,y0\na.png,1,2\n"})
    frames: list[list] = [[(False, FIRST)]]
    slp(tmp_path / "p.slp", frames, pictures=MICE)
    for name in ("a.csv", "p.slp"):
        with pytest.raises(DataError, match="holds no labels on frames of a video"):
            extract_labelled_frames(tmp_path / name, tmp_path / "frames")
    with pytest.raises(DataError, match="no such file"):
        extract_labelled_frames(tmp_path / "gone.slp", tmp_path / "frames")
