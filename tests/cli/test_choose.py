"""``brule choose``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from brule.data.discovery import find_annotations, find_images


def test_a_list_and_a_picture(brule, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "chosen.txt"
    found = brule("choose", faces / "images", "-n", 3, "-o", out)
    assert found.code == 0, found.err
    names = out.read_text().splitlines()
    assert len(set(names)) == 3 and all(Path(name).is_file() for name in names)
    assert Image.open(tmp_path / "chosen.png").width > Image.open(tmp_path / "chosen.png").height
    assert "3 of 12 images, by their thumbnails" in found.out and "at random" in found.out
    sizes = [int(word) for word in found.out.split("each of them represents: ")[1].splitlines()[0].split(", ")]
    assert sum(sizes) == 12 and sizes == sorted(sizes, reverse=True)
    assert brule("choose", faces / "images", "-n", 3, "-o", tmp_path / "again.txt").code == 0
    assert (tmp_path / "again.txt").read_text() == out.read_text()


def test_by_what_a_run_sees_with_copies(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    words = [
        "choose",
        faces / "images",
        faces / "test",
        "-n",
        4,
        "--run",
        trained,
        "-o",
        tmp_path / "out",
        "--copy",
        "--measure",
    ]
    for _ in range(2):  # the same choice may be made again
        found = brule(*words)
        assert found.code == 0, found.err
    listed = (tmp_path / "out" / "chosen.txt").read_text().splitlines()
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == {Path(name).name for name in listed}
    assert (tmp_path / "out" / "chosen.png").is_file()
    assert [path.parent.name for path in find_images(tmp_path / "out")] == ["images"] * 4  # not the picture of them
    assert find_annotations(tmp_path / "out") == []
    assert "true shapes" in found.out and "mean shape" in found.out and "features of the encoder of" in found.out


def test_lines_fit_eighty_columns_where_there_is_no_terminal(
    brule, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    found = brule("choose", faces / "images", "-n", 12, "-o", tmp_path / "a.txt", "--measure")
    assert found.code == 0, found.err
    lines = [line for line in found.out.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= 80 and "images that each of them represents: 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1" in lines


def test_frames_are_one_or_more(brule, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    for count in (0, -3):
        found = brule("choose", tmp_path / "a.mp4", "--frames", count, "-o", tmp_path / "out")
        assert found.code == 2 and f"--frames: expected 1 frame or more, got {count}" in found.err


def test_labels_do_not_decide(brule, own_faces: Path, tmp_path: Path) -> None:
    """The same boxes and other landmarks in them: the same choice."""
    assert brule("choose", own_faces / "images", "-n", 3, "-o", tmp_path / "a.txt").code == 0
    for path in (own_faces / "images").glob("*.pts"):
        head, *points, foot = path.read_text().splitlines()[2:]
        assert head == "{" and foot == "}"
        path.write_text("\n".join(["version: 1", f"n_points: {len(points)}", "{", *points[::-1], "}"]) + "\n")
    assert brule("choose", own_faces / "images", "-n", 3, "-o", tmp_path / "b.txt", "--measure").code == 0
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "b.txt").read_text()


def test_names_that_meet_and_files_that_are_there(brule, faces: Path, tmp_path: Path) -> None:
    for place, source in (("a", "face_000200.png"), ("b", "face_000201.png")):
        (tmp_path / "in" / place).mkdir(parents=True)
        shutil.copy(faces / "test" / source, tmp_path / "in" / place / "x.png")
    out = tmp_path / "out"
    assert brule("choose", tmp_path / "in", "-n", 2, "-o", out, "--copy").code == 0
    copies = sorted((out / "images").iterdir())
    assert len(copies) == 2 and copies[0].read_bytes() != copies[1].read_bytes()
    copies[0].write_bytes(b"mine")
    found = brule("choose", tmp_path / "in", "-n", 2, "-o", out, "--copy")
    assert found.code == 2 and "another image" in found.err and copies[0].read_bytes() == b"mine"


def test_a_line_break_in_a_name(brule, faces: Path, tmp_path: Path) -> None:
    """The list has one path per line; nothing is written then."""
    images = tmp_path / "images"
    images.mkdir()
    for i, path in enumerate(sorted((faces / "images").glob("*.png"))[:3]):
        (images / f"a\nb{i}.png").write_bytes(path.read_bytes())
    done = brule("choose", images, "-n", 2, "-o", tmp_path / "chosen.txt")
    assert done.code == 2 and "line break" in done.err and not (tmp_path / "chosen.txt").exists()


def test_messages(brule, faces: Path, tmp_path: Path) -> None:
    assert "expected 1 to 12" in brule("choose", faces / "images", "-n", 13, "-o", tmp_path / "a").err
    assert "--copy needs a folder" in brule("choose", faces / "images", "-o", tmp_path / "a.txt", "--copy").err
    assert "detector.json" in brule("choose", faces / "images", "--run", tmp_path, "-o", tmp_path / "a").err
    assert "no such file" in brule("choose", tmp_path / "none", "-o", tmp_path / "a").err


def test_next_images_are_others_than_the_annotated_ones(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for path in sorted((faces / "images").glob("*.png"))[:3]:
        shutil.copy(path, own)
        shutil.copy(path.with_suffix(".pts"), own)
    words = ["choose", faces / "images", "-n", 9, "--labelled", own]
    for more in ([], ["--run", trained, "--measure"]):
        found = brule(*words, *more, "-o", tmp_path / "next.txt")
        assert found.code == 0, found.err
        assert "9 of 9 images" in found.out and "3 images are annotated already" in " ".join(found.out.split())
        names = {Path(line).name for line in (tmp_path / "next.txt").read_text().splitlines()}
        assert len(names) == 9 and not names & {path.name for path in own.iterdir()}
    found = brule("choose", faces / "images", "-n", 10, "--labelled", own, "-o", tmp_path / "more.txt")
    assert found.code == 2 and "expected 1 to 9, as many as there are images that aren't annotated, got 10" in found.err
