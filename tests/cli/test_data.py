"""``brule data``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import build_cache, crop_store, read_folder, read_shapes


def test_frames_of_videos(brule, tmp_path: Path) -> None:
    pytest.importorskip("av")
    from brule.data.video import write_video

    write_video(tmp_path / "wing.mp4", [Image.new("RGB", (64, 48), (40 * k,) * 3) for k in range(4)], rate=5)
    points = "".join(
        f'<track label="{name}"><points frame="2" keyframe="1" outside="0" points="{x},{y}"/></track>'
        for name, x, y in (("base", 10.5, 20.5), ("tip", 40.5, 30.5))
    )
    (tmp_path / "a.xml").write_text(f"<annotations><meta><source>wing.mp4</source></meta>{points}</annotations>")
    done = brule("data", "frames", tmp_path / "a.xml", "-o", tmp_path / "frames")
    assert done.code == 0, done.err
    assert "1 annotated object on 1 frame:" in done.out and (tmp_path / "frames" / "wing_000002.png").is_file()
    (sample,) = read_folder(tmp_path / "frames")
    np.testing.assert_allclose(sample.points, [(10, 20), (40, 30)])
    again = brule("data", "frames", tmp_path / "a.xml", "-o", tmp_path / "frames")
    assert again.code == 2 and "exists already" in again.err


def test_convert_round_trip(brule, faces: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(faces / "test", tmp_path / "my faces"))
    found = brule("data", "convert", folder, tmp_path / "faces.json", "--to", "coco")
    assert found.code == 0, found.err
    assert "6 annotated objects in 6 images" in found.out and "can't hold" not in found.err
    content = json.loads((tmp_path / "faces.json").read_text())
    assert content["images"][0]["file_name"] == "my faces/face_000200.png" and content["images"][0]["width"] == 48
    before = read_folder(folder)
    for path in folder.rglob("*.pts"):
        path.unlink()
    after = read_folder([tmp_path / "faces.json", folder])
    for own, other in zip(before, after, strict=True):
        assert own.path == other.path and own.crop() == pytest.approx(other.crop())
        np.testing.assert_allclose(own.points, other.points, atol=1e-5)
    assert brule("data", "convert", tmp_path / "faces.json", tmp_path / "out", "--to", "pts").code == 0
    assert len(read_shapes(tmp_path / "out")) == 6 and (tmp_path / "out" / "sub").is_dir()


def test_convert_reports_what_is_lost_and_refuses_to_overwrite(brule, faces: Path, tmp_path: Path) -> None:
    target = tmp_path / "faces.xml"
    words = ["data", "convert", faces / "test", target, "--to", "imglab"]
    found = brule(*words)
    assert found.code == 0 and "dlib imglab XML can't hold fractions of a pixel" in found.err
    before = target.read_bytes()
    again = brule(*words)
    assert again.code == 2 and "exists already" in again.err and "--force" in again.err
    assert brule(*words, "--force").code == 0 and target.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("test", "a.json"), "choose one (coco, labelme, labelstudio, "),
        (("test", "a.json", "--to", "cocoa"), "'cocoa'"),
        (("test", "a.tps", "--from", "csv"), "no annotation found"),
        (("nowhere", "a.tps"), "no such file"),
        (("test/face_000200.pts", "a"), "ends in"),
    ],
)
def test_convert_asks_back(brule, faces: Path, tmp_path: Path, words: tuple, says: str) -> None:
    source, target, *more = words
    found = brule("data", "convert", faces / source, tmp_path / target, *more)
    assert found.code == 2 and says in found.err and not (tmp_path / target).exists()


def test_convert_one_pts_file(brule, faces: Path, tmp_path: Path) -> None:
    assert brule("data", "convert", faces / "test" / "face_000200.pts", tmp_path / "one.tps").code == 0
    assert (tmp_path / "one.tps").read_text().startswith("LM=68\n")


def test_inspect_a_sound_folder(brule, faces: Path, tmp_path: Path) -> None:
    found = brule("data", "inspect", faces / "test", "-o", tmp_path / "sheet.png")
    assert found.code == 0, found.err
    for text in ("images      6", "48 × 48 (6)", "labelled    6 of 6", "landmarks   68", "missing     0", "nothing is wrong"):
        assert text in found.out
    assert Image.open(tmp_path / "sheet.png").width > 500


def test_images_are_named_with_or_without_the_option(brule, faces: Path) -> None:
    assert brule("data", "inspect", "--images", faces / "test").out == brule("data", "inspect", faces / "test").out
    nothing = brule("data", "inspect")
    assert nothing.code == 2 and "brule data inspect annotated/" in nothing.err


def test_inspect_reports_what_is_wrong(brule, own_faces: Path, tmp_path: Path) -> None:
    folder = own_faces / "test"
    shutil.copy(folder / "face_000200.png", folder / "sub" / "face_000200.png")
    (folder / "broken.jpg").touch()
    (folder / "face_000201.pts").write_text("n_points: 2\n{\n")
    Image.new("RGB", (30, 20)).save(folder / "wide.png")
    (folder / "more.csv").write_text("image,x0,y0,left,top,right,bottom\nwide.png,,,-5,-5,10,10\n")
    found = brule("data", "inspect", folder)
    assert found.code == 2
    lines = found.out.splitlines()
    assert any(line.startswith("bad") and "broken.jpg: the file is empty" in line for line in lines)
    assert any(line.startswith("bad") and "face_000201.pts" in line and "truncated" in line for line in lines)
    assert any(line.startswith("same name") and line.count("face_000200.png") == 2 for line in lines)
    assert any(line.startswith("outside") and "wide.png: the box" in line for line in lines)
    assert "2 files can't be used" in found.out and "labelled    5 of 7" in found.out


def test_inspect_counts_missing_points(brule, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    Image.new("RGB", (30, 20)).save(tmp_path / "b.png")
    rows = ["image,nose_x,nose_y,eye_x,eye_y,ear_x,ear_y", "a.png,1,2,8,9,,", "b.png,1,2,8,9,33,5"]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    found = brule("data", "inspect", tmp_path, "-o", tmp_path / "sheet.jpg")
    assert found.code == 0
    assert "landmarks   3: nose, eye, ear" in found.out and "missing     1 point: ear (1)" in found.out
    assert "b.png: 1 landmark outside" in found.out


def test_nothing_there(brule, tmp_path: Path) -> None:
    assert brule("data", "inspect", tmp_path).code == 2
    assert brule("data", "inspect", "300w:train:nowhere").code == 2
    assert brule("data", "inspect", "300w:dev:nowhere").code == 2


@pytest.mark.parametrize("command", ["convert", "inspect"])
def test_help_teaches(brule, command: str) -> None:
    found = brule("data", command, "--help")
    assert found.code == 0 and "Examples" in found.out and f"brule data {command} " in found.out
    listing = brule("data", "--help")
    assert listing.code == 0 and f" {command} " in listing.out


def test_the_cache_is_listed_and_cleared(brule, faces: Path, own_cache: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    samples = read_folder(faces / "test")
    assert "0 sets of decoded images" in brule("data", "cache").out
    build_cache(samples, 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop_store, "BLOCK", 2)
        with pytest.raises(KeyboardInterrupt):
            build_cache(samples, 17, progress=stop)
    kept = own_cache / "something else"
    kept.mkdir()
    listed = brule("data", "cache").out
    assert "16px-" in listed and "  6 images" in listed and "2 of 6 images, unfinished" in listed
    assert "2 sets of decoded images" in listed and str(own_cache) in listed
    assert "0 sets" in brule("data", "cache", "--days", "1").out
    assert "16px-" not in brule("data", "cache", "--unfinished").out
    assert "removed: 1 sets" in brule("data", "cache", "--clear", "--unfinished").out
    assert len(build_cache(samples, 16, progress=lambda done, _: pytest.fail("cleared") if done < 6 else None)) == 6
    assert "removed: 1 sets" in brule("data", "cache", "--clear").out
    assert list(own_cache.iterdir()) == [kept]
