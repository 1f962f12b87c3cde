"""What users see of bad input, through the command line: the rows of docs/bad-input.md, each brought about.

A row's name leads to a scenario below; the message and the exit code are the document's own.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import brule.files
from brule.data.synthetic import write_synthetic_faces

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bad-input.md"


@dataclass
class Place:
    """Where a scenario happens: ``data`` with three annotated faces, a trained detector, a place to write to."""

    root: Path
    detector: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def inspect(self) -> tuple[object, ...]:
        return ("data", "inspect", self.data)

    def predict(self, *more: object) -> tuple[object, ...]:
        return ("predict", self.detector, self.data, "-o", self.out, "--no-overlays", *more)

    def evaluate(self) -> tuple[object, ...]:
        return ("evaluate", self.detector, "--data", self.data, "-o", self.out)

    def barycenter(self, *shapes: object) -> tuple[object, ...]:
        return ("barycenter", *(shapes or (self.data,)), "-o", self.out / "b.json")

    def coco(self, **changed: object) -> Path:
        """The annotations as COCO, the first object changed; the .pts files are gone."""
        names = sorted(path.name for path in self.data.glob("*.png"))
        points = [coordinate for i in range(4) for coordinate in (10.0 + 5 * i, 12.0 + 7 * (i % 2), 2)]
        objects = [{"id": i, "image_id": i, "category_id": 1, "keypoints": points} for i in range(len(names))]
        objects[0] |= changed
        images = [{"id": i, "file_name": name, "width": 48, "height": 48} for i, name in enumerate(names)]
        category = {"id": 1, "name": "face", "keypoints": list("abcd"), "skeleton": []}
        for path in self.data.glob("*.pts"):
            path.unlink()
        target = self.data / "coco.json"
        target.write_text(json.dumps({"images": images, "annotations": objects, "categories": [category]}))
        return target


def unreadable_image(place: Place) -> tuple[object, ...]:
    (place.data / "face_000001.png").write_bytes(b"no image at all " * 9)
    return place.predict()


def cut_off_image(place: Place) -> tuple[object, ...]:
    path = place.data / "face_000001.png"
    path.write_bytes(path.read_bytes()[:700])
    return place.predict()


def zero_byte_image(place: Place) -> tuple[object, ...]:
    (place.data / "face_000001.png").write_bytes(b"")
    return place.predict()


def zero_byte_annotation(place: Place) -> tuple[object, ...]:
    (place.data / "face_000001.pts").write_bytes(b"")
    return place.barycenter()


def json_that_ends_early(place: Place) -> tuple[object, ...]:
    path = place.coco()
    path.write_text(path.read_text()[:200])
    return place.barycenter(path)


def detector_that_ends_early(place: Place) -> tuple[object, ...]:
    copy = Path(shutil.copytree(place.detector, place.root / "detector"))
    path = copy / "detector.json"
    path.write_text(path.read_text()[:50])
    return ("predict", copy, place.data, "-o", place.out)


def nan_as_a_coordinate(place: Place) -> tuple[object, ...]:
    path = place.data / "face_000001.pts"
    path.write_text(re.sub(r"\{\n\S+", "{\nnan", path.read_text()))
    return place.evaluate()


def a_negative_box(place: Place) -> tuple[object, ...]:
    place.coco(bbox=[20, 20, -4, 9])
    return place.evaluate()


def a_box_of_nan(place: Place) -> tuple[object, ...]:
    (place.root / "boxes.csv").write_text("image,left,top,right,bottom\nface_000001.png,nan,1,2,3\n")
    return place.predict("--boxes", place.root / "boxes.csv")


def two_annotations_of_one_image(place: Place) -> tuple[object, ...]:
    shutil.copy(place.data / "face_000001.pts", place.root / "kept.pts")
    place.coco()
    shutil.copy(place.root / "kept.pts", place.data / "face_000001.pts")
    return place.inspect()


def one_name_twice(place: Place) -> tuple[object, ...]:
    for part in ("a", "b"):
        (place.data / part).mkdir()
        shutil.copy(place.data / "face_000001.png", place.data / part / "same.png")
    (place.root / "far.csv").write_text("image,x0,y0,x1,y1,x2,y2\n/elsewhere/same.png,1,2,30,4,5,36\n")
    return ("data", "inspect", place.data, place.root / "far.csv")


def two_images_of_one_name(place: Place) -> tuple[object, ...]:
    shutil.copy(place.data / "face_000001.png", place.data / "FACE_000001.png")
    (place.data / "sub").mkdir()
    shutil.copy(place.data / "face_000001.png", place.data / "sub" / "face_000001.png")
    return place.predict()


def unicode_and_spaces(place: Place) -> tuple[object, ...]:
    renamed = place.root / "Brûlé Ω 脸 " / "deep er"
    renamed.parent.mkdir()
    place.data.rename(renamed)
    for path in sorted(renamed.iterdir()):
        path.rename(path.with_name(f"ein Bild {path.stem} ё{path.suffix}"))
    return ("predict", place.detector, renamed, "-o", place.root / "Aus gabe é", "--rank")


def a_name_that_is_no_utf8(place: Place) -> tuple[object, ...]:
    source = os.fsencode(place.data / "face_000001.png")
    try:
        os.rename(source, os.fsencode(place.data) + b"/caf\xe9.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    return place.predict()


def a_name_too_long(place: Place) -> tuple[object, ...]:
    """The suffix stays in the results' names where two images differ in nothing else: 250 + .png + .pts."""
    for suffix in (".png", ".bmp"):
        shutil.copy(next(place.data.glob("*.png")), place.data / f"{'n' * 250}{suffix}")
    return place.predict()


def a_loop_of_links(place: Place) -> tuple[object, ...]:
    (place.data / "again").symlink_to(place.data, target_is_directory=True)
    (place.data / "up").symlink_to(place.root, target_is_directory=True)
    return place.inspect()


def a_link_to_itself(place: Place) -> tuple[object, ...]:
    (place.data / "loop.png").symlink_to(place.data / "loop.png")
    return place.predict()


def a_link_to_nothing(place: Place) -> tuple[object, ...]:
    (place.data / "gone.png").symlink_to(place.root / "nowhere.png")
    return place.predict()


def no_such_folder(place: Place) -> tuple[object, ...]:
    shutil.rmtree(place.data)
    return place.predict()


def a_file_in_the_outputs_place(place: Place) -> tuple[object, ...]:
    place.out.write_text("not a folder")
    return place.predict()


def a_folder_in_the_outputs_place(place: Place) -> tuple[object, ...]:
    (place.out / "b.json").mkdir(parents=True)
    return place.barycenter()


def read_only_output(place: Place) -> tuple[object, ...]:
    """Permissions don't bind root, so the renaming refuses."""
    refuse(place, errno.EROFS)
    return place.barycenter()


def read_only_run(place: Place) -> tuple[object, ...]:
    refuse(place, errno.EACCES)
    shapes = ["--images", place.data, "--shapes", place.data]
    return ("train", *shapes, "-o", place.out, "--set", "iterations=1", "batch_size=2", "encoder.width=8", "encoder.depth=2")


def full_disk(place: Place) -> tuple[object, ...]:
    refuse(place, errno.ENOSPC)
    return place.predict()


def full_disk_of_a_detector(place: Place) -> tuple[object, ...]:
    """The weights are what is large."""
    replace = os.replace

    def stopped(source: object, target: object) -> None:
        if str(target).endswith(".safetensors"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
        replace(source, target)  # type: ignore[arg-type]

    place.monkeypatch.setattr(brule.files.os, "replace", stopped)
    shapes = ["--images", place.data, "--shapes", place.data]
    return ("train", *shapes, "-o", place.out, "--set", "iterations=1", "batch_size=2", "encoder.width=8", "encoder.depth=2")


def full_device(place: Place) -> tuple[object, ...]:
    if not Path("/dev/full").is_char_device():
        pytest.skip("needs /dev/full")
    return ("barycenter", place.data, "-o", "/dev/full")


def no_video(place: Place) -> tuple[object, ...]:
    pytest.importorskip("av")
    (place.root / "video.mp4").write_bytes(b"no video")
    return ("predict", place.detector, place.root / "video.mp4", "-o", place.out)


def a_video_that_is_cut_off(place: Place) -> tuple[object, ...]:
    pytest.importorskip("av")
    from .test_video_places import head_first

    path = head_first(place.root / "video.mp4", 30)
    os.truncate(path, path.stat().st_size // 2)
    return ("predict", place.detector, path, "-o", place.out, "--no-overlays")


def a_video_in_the_overlays_place(place: Place) -> tuple[object, ...]:
    pytest.importorskip("av")
    from .test_video_places import head_first

    (place.out / "overlays").mkdir(parents=True)
    return ("predict", place.detector, head_first(place.out / "overlays" / "video.mp4", 3), "-o", place.out)


def a_broken_image_of_a_study(place: Place) -> tuple[object, ...]:
    cut_off_image(place)
    data = [word for option in ("--images", "--shapes", "--data") for word in (option, place.data)]
    return ("study", "ablation", *data, "--n-shapes", 2, "-o", place.out, "--set", "iterations=1")


def refuse(place: Place, code: int) -> None:
    """Let every file be refused when it is to get its name."""

    def stopped(source: object, target: object) -> None:
        raise OSError(code, os.strerror(code), str(source), None, str(target))

    place.monkeypatch.setattr(brule.files.os, "replace", stopped)


SCENARIOS: dict[str, Callable[[Place], tuple[object, ...]]] = {
    "an image that is none": unreadable_image,
    "an image that is cut off": cut_off_image,
    "an image of zero bytes": zero_byte_image,
    "a video that is none": no_video,
    "a video that is cut off": a_video_that_is_cut_off,
    "a video that its overlay would replace": a_video_in_the_overlays_place,
    "a broken image of a study": a_broken_image_of_a_study,
    "an annotation of zero bytes": zero_byte_annotation,
    "JSON that ends early": json_that_ends_early,
    "a detector's JSON that ends early": detector_that_ends_early,
    "NaN as a coordinate": nan_as_a_coordinate,
    "a negative box": a_negative_box,
    "a box of NaN": a_box_of_nan,
    "two annotations of one image": two_annotations_of_one_image,
    "an annotation whose image could be two": one_name_twice,
    "two images of one name": two_images_of_one_name,
    "Unicode and spaces in names": unicode_and_spaces,
    "a name that isn't UTF-8": a_name_that_is_no_utf8,
    "a name that is too long for its results": a_name_too_long,
    "links in a loop": a_loop_of_links,
    "a link to itself": a_link_to_itself,
    "a link to nothing": a_link_to_nothing,
    "a folder that isn't there": no_such_folder,
    "a file where a folder is to be written": a_file_in_the_outputs_place,
    "a folder where a file is to be written": a_folder_in_the_outputs_place,
    "a read-only file system": read_only_output,
    "a run's folder without permission": read_only_run,
    "a full disk": full_disk,
    "a full disk while training": full_disk_of_a_detector,
    "a full device": full_device,
}


def rows() -> dict[str, tuple[str, str, int]]:
    """The document's table: name → (command, message, exit code)."""
    found = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if len(cells) == 4 and cells[3].isdigit():
            found[cells[0]] = (cells[1].strip("`"), cells[2].split("`")[1], int(cells[3]))
    return found


def pattern(message: str) -> str:
    """A message of the document as a regular expression; ``…`` stands for anything."""
    return "(?s:.*?)".join(re.escape(part) for part in message.split("…"))


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.is_dir() else set()


def test_the_document_has_a_row_for_every_scenario() -> None:
    assert set(rows()) == set(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_the_document_says_is_what_is_seen(
    name: str, brule, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_synthetic_faces(tmp_path / "data", 3, size=48)
    with monkeypatch.context() as patched:
        words = SCENARIOS[name](Place(tmp_path, trained, patched))
        found = brule(*words)
    command, message, code = rows()[name]
    assert command.split()[1] == words[0]
    assert found.code == code, (found.out, found.err)
    said = found.out + found.err
    assert re.search(pattern(message), said), said
    assert "Traceback" not in said and "unexpected" not in said
    assert not [path for path in files_below(tmp_path) if path.endswith(".part") or ".part." in path]
    if code and (tmp_path / "out").is_dir():  # what is there is whole
        for path in (tmp_path / "out").rglob("*.json"):
            assert path.is_dir() or json.loads(path.read_text())


def test_a_name_that_is_no_utf8_reaches_pages_and_pictures(brule, trained: Path, tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path / "data", 3, size=48)
    for suffix in (b".png", b".pts"):
        try:
            os.rename(
                os.fsencode(tmp_path / "data" / "face_000001") + suffix, os.fsencode(tmp_path) + b"/data/caf\xe9" + suffix
            )
        except OSError:
            pytest.skip("this file system takes UTF-8 alone")
    data, out = tmp_path / "data", tmp_path / "out"
    for words in (
        ("evaluate", trained, "--data", data, "-o", out, "--pictures", tmp_path / "p.png", "--json", tmp_path / "m.json"),
        ("data", "inspect", data, "-o", tmp_path / "sheet.png"),
        ("choose", data, "-n", 3, "-o", tmp_path / "chosen"),
        ("barycenter", data, "-o", tmp_path / "b.json"),
        ("predict", trained, data, "-o", tmp_path / "found", "--rank"),
    ):
        found = brule(*words)
        assert found.code == 0, (words[0], found.err)
    assert "caf\\udce9" in (out / "per_image.csv").read_text(encoding="utf-8")


def test_full_devices_stay_devices(brule, trained: Path, tmp_path: Path) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("needs /dev/full")
    write_synthetic_faces(tmp_path / "data", 3, size=48)
    assert brule("barycenter", tmp_path / "data", "-o", "/dev/full", "--picture", tmp_path / "p.png").code == 2
    assert Path("/dev/full").is_char_device() and not list(Path("/dev").glob(".full*"))


def test_standard_output_on_a_full_device(tmp_path: Path) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("needs /dev/full")
    write_synthetic_faces(tmp_path / "data", 2, size=48)
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "brule", "data", "inspect", str(tmp_path / "data")],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr.strip() == "brule: the output can't be written: No space left on device"


def test_left_out_with_skip_bad(brule, trained: Path, tmp_path: Path) -> None:
    """The files that --skip-bad leaves out are listed, and the others come out as without them."""
    write_synthetic_faces(tmp_path / "data", 3, size=48)
    place = Place(tmp_path, trained, pytest.MonkeyPatch())
    assert brule(*place.predict()).code == 0
    before = np.loadtxt(tmp_path / "out" / "landmarks.csv", delimiter=",", skiprows=1, usecols=range(1, 100))
    for name, content in {"zero.png": b"", "none.png": b"no image", "a b ü.png": b"\x89PNG\r\n"}.items():
        (tmp_path / "data" / name).write_bytes(content)
    (tmp_path / "data" / "loop.png").symlink_to(tmp_path / "data" / "loop.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "data" / "dot.png")
    assert brule(*place.predict()).code == 2
    found = brule(*place.predict("--skip-bad"))
    assert found.code == 0 and "left out 4 files" in found.err, found.err
    after = np.loadtxt(tmp_path / "out" / "landmarks.csv", delimiter=",", skiprows=1, usecols=range(1, 100))
    np.testing.assert_array_equal(after[-3:], before)
