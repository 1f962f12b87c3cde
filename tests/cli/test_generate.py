"""``brule generate``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import read_pts, write_pts
from brule.data.shapes import to_crop

COLUMN = 128 + 2  # a tile of the grid and the gap beside it


def content(folder: Path) -> dict:
    return json.loads((folder / "generated.json").read_text())


def tiles(folder: Path) -> tuple[int, int]:
    width, height = Image.open(folder / "grid.png").size
    return (height - 2) // COLUMN, (width - 2) // COLUMN


def test_faces_under_random_styles(brule, drawing: Path, faces: Path, tmp_path: Path) -> None:
    found = brule("generate", drawing, "--images", faces / "test", "--styles", 3, "--each", "-o", tmp_path / "out")
    assert found.code == 0, found.err
    assert "6 landmark sets under 3 styles, 16 px" in found.out
    assert tiles(tmp_path / "out") == (6, 4)  # no row of images above random styles
    written = content(tmp_path / "out")
    assert np.shape(written["shapes"]) == (6, 68, 2) and np.shape(written["styles"]) == (3, 2, 8)
    assert [Path(name).suffix for name in written["names"]] == [".png"] * 6 and written["seed"] == 0
    each = sorted((tmp_path / "out" / "each").iterdir())
    assert len(each) == 18 and each[0].name == "0000-0000.png" and Image.open(each[0]).size == (16, 16)


def test_the_same_again_from_the_record(brule, drawing: Path, faces: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    edits = ["--turn", 20, "--move", "0.05", "-0.02", "--interpolate", 1]
    images = sorted(map(str, (faces / "test").glob("*.png")))[:2]
    assert brule("generate", drawing, "--images", *images, "--styles", 2, "--seed", 5, *edits, "--each", "-o", first).code == 0
    record = first / "generated.json"
    assert brule("generate", drawing, "--landmarks", record, "--style-from", record, "--each", "-o", again).code == 0
    written = sorted((first / "each").iterdir())
    assert len(written) == 6
    for path in written:
        assert np.array_equal(Image.open(path), Image.open(again / "each" / path.name))
    for key in ("shapes", "styles", "names", "style_names"):
        assert content(first)[key] == content(again)[key]


def test_seeds(brule, drawing: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert brule("generate", drawing, "--seed", seed, "-o", tmp_path / name).code == 0
    assert content(tmp_path / "a")["styles"] == content(tmp_path / "b")["styles"] != content(tmp_path / "c")["styles"]


def test_style_transfer(brule, drawing: Path, faces: Path, tmp_path: Path) -> None:
    one, *others = sorted((faces / "images").glob("*.png"))[:3]
    found = brule("generate", drawing, "--images", one, "--style-from", *others, "-o", tmp_path / "out")
    assert found.code == 0, found.err
    assert tiles(tmp_path / "out") == (2, 3)  # the images that styles are read off stand above
    assert content(tmp_path / "out")["style_names"] == [str(path) for path in others]


def test_the_annotated_shapes_where_nothing_is_given(brule, drawing: Path, faces: Path, tmp_path: Path) -> None:
    assert brule("generate", drawing, "--styles", 1, "-o", tmp_path / "out").code == 0
    shapes = [to_crop(read_pts(path)) for path in sorted((faces / "shapes").glob("*.pts"))]
    assert np.array(content(tmp_path / "out")["shapes"]) == pytest.approx(np.stack(shapes), abs=1e-6)


def test_landmarks_edited_by_hand(brule, drawing: Path, faces: Path, tmp_path: Path) -> None:
    source = sorted((faces / "test").glob("*.pts"))[0]
    points = read_pts(source)
    points[48:] += [0, 3]
    write_pts(tmp_path / "mine.pts", points)
    words = ["--images", source.with_suffix(".png"), "--landmarks", tmp_path / "mine.pts", "--styles", 1]
    assert brule("generate", drawing, *words, "-o", tmp_path / "out").code == 0
    written = content(tmp_path / "out")
    assert len(written["shapes"]) == 2 and written["names"][1] == "mine"
    assert np.array(written["shapes"][1]) == pytest.approx(to_crop(points), abs=1e-6)


def test_edits(brule, drawing: Path, tmp_path: Path) -> None:
    assert brule("generate", drawing, "--styles", 1, "-o", tmp_path / "plain").code == 0
    words = ["--move", -0.1, 0.2, "--points", "0-16,20", "--scale", 2, "--turn", 90]
    found = brule("generate", drawing, "--styles", 1, *words, "-o", tmp_path / "edited")
    assert found.code == 0, found.err
    before, after = (np.array(content(tmp_path / name)["shapes"]) for name in ("plain", "edited"))
    chosen = [*range(17), 20]
    rest = np.setdiff1d(np.arange(68), chosen)
    assert (before[:, rest] == after[:, rest]).all()
    part, image = before[:, chosen], after[:, chosen]
    centre = part.mean(1, keepdims=True)
    turned = np.stack([-(part - centre)[..., 1], (part - centre)[..., 0]], -1)  # a quarter, clockwise where y points down
    assert image == pytest.approx(2 * turned + centre + [-0.1, 0.2], abs=1e-5)
    assert content(tmp_path / "edited")["edits"]["points"] == chosen


def test_interpolation_of_landmarks_and_styles(brule, drawing: Path, faces: Path, tmp_path: Path) -> None:
    images = sorted((faces / "images").glob("*.png"))[:2]
    steps = ["--interpolate", 3, "--interpolate-styles", 1]
    words = ["--images", *images, "--style-from", *images]
    assert brule("generate", drawing, *words, *steps, "-o", tmp_path / "out").code == 0
    assert brule("generate", drawing, *words, "-o", tmp_path / "ends").code == 0
    more, ends = content(tmp_path / "out"), content(tmp_path / "ends")
    assert np.shape(more["shapes"])[0] == 5 and np.shape(more["styles"])[0] == 3 and tiles(tmp_path / "out") == (6, 4)
    assert [more["shapes"][0], more["shapes"][4]] == ends["shapes"] and more["styles"][::2] == ends["styles"]
    assert more["names"][1] == f"{images[0]} to {images[1]}, 1 of 3"


def test_nothing_is_overwritten_unasked(brule, drawing: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert brule("generate", drawing, "--styles", 2, "--each", "-o", out).code == 0
    (out / "each" / "mine.txt").write_text("keep")
    before = (out / "grid.png").read_bytes()
    refused = brule("generate", drawing, "--styles", 1, "-o", out)
    assert refused.code == 2 and "--overwrite" in refused.err and "grid.png" in refused.err
    assert (out / "grid.png").read_bytes() == before
    assert brule("generate", drawing, "--styles", 1, "-o", out, "--overwrite").code == 0
    assert (out / "grid.png").read_bytes() != before
    assert [path.name for path in (out / "each").iterdir()] == ["mine.txt"]  # the old pictures are gone, and no more
    file = tmp_path / "file"
    file.write_text("")
    assert "expected a folder" in brule("generate", drawing, "-o", file).err


def test_without_a_decoder(brule, trained: Path, tmp_path: Path) -> None:
    found = brule("generate", trained, "-o", tmp_path / "out")
    assert found.code == 2 and "without a decoder" in found.err and "--set gan.enabled=true" in found.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--points", "36-"], "--points: expected indices such as"),
        (["--points", "9-3"], "--points: expected indices such as"),
        (["--points", "60-68", "--turn", "3"], "from 0 to 67, got 68"),
        (["--points", "3"], "give --move, --turn or --scale too"),
        (["--scale", "0"], "--scale: expected a positive factor"),
        (["--turn", "nan"], "finite"),
        (["--styles", "0"], "--styles: expected 1 to"),
        (["--styles", "900"], "a picture holds"),
        (["--styles", "1", "--interpolate", "499"], "2001 landmark sets under 1 styles are 2001 images"),  # 5 + 4 · 499
        (["--interpolate", "-1"], "--interpolate: expected 0 to"),
        (["--mixing", "2"], "mixing: expected a share from 0 to 1"),
        (["--images", "nowhere"], "no such file"),
        (["--landmarks", "nowhere.pts"], "nowhere.pts"),
        (["--landmarks", "nowhere.json"], "nowhere.json"),
        (["--style-from", "nowhere.json"], "nowhere.json"),
    ],
)
def test_messages(brule, drawing: Path, tmp_path: Path, words: list[str], message: str) -> None:
    found = brule("generate", drawing, *words, "-o", tmp_path / "out")
    assert found.code == 2 and message in found.err, found.err
    assert not (tmp_path / "out").exists()


def test_another_number_of_landmarks(brule, drawing: Path, tmp_path: Path) -> None:
    write_pts(tmp_path / "three.pts", [[1, 1], [5, 2], [3, 7]])
    found = brule("generate", drawing, "--landmarks", tmp_path / "three.pts", "-o", tmp_path / "out")
    assert found.code == 2 and "three.pts: three has 3 landmarks, this detector 68" in found.err


def test_bad_images(brule, drawing: Path, own_faces: Path, tmp_path: Path) -> None:
    image = sorted((own_faces / "test").glob("*.png"))[0]
    image.write_bytes(image.read_bytes()[:300])
    refused = brule("generate", drawing, "--images", own_faces / "test", "-o", tmp_path / "out")
    assert refused.code == 2 and image.name in refused.err
    taken = brule("generate", drawing, "--images", own_faces / "test", "--styles", 1, "--skip-bad", "-o", tmp_path / "out")
    assert taken.code == 0 and "left out 1 file" in taken.err and "5 landmark sets" in taken.out


def test_landmarks_outside_the_crop_are_mentioned(brule, drawing: Path, tmp_path: Path) -> None:
    found = brule("generate", drawing, "--styles", 1, "--move", 0.9, 0, "-o", tmp_path / "out")
    assert found.code == 0 and "5 of 5 landmark sets reach outside" in found.err


def test_where_no_random_styles_were_learnt_they_come_from_the_images(
    brule, drawing: Path, faces: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(drawing, tmp_path / "run"))
    description = json.loads((run / "detector.json").read_text())
    description["config"]["gan"]["adversarial"] = 0.0
    (run / "detector.json").write_text(json.dumps(description))
    images = sorted((faces / "images").glob("*.png"))[:3]
    refused = brule("generate", run, "-o", tmp_path / "a")
    assert refused.code == 2 and "gan.adversarial=0" in refused.err and "--style-from" in refused.err
    own = brule("generate", run, "--images", *images, "--styles", 2, "-o", tmp_path / "b")
    assert own.code == 0 and "gan.adversarial=0" in own.err
    named = brule("generate", run, "--images", *images, "--style-from", *images[:2], "-o", tmp_path / "c")
    assert named.code == 0 and "gan.adversarial" not in named.err
    for key in ("styles", "style_names", "shapes"):
        assert content(tmp_path / "b")[key] == content(tmp_path / "c")[key]


def test_styles_of_another_decoder(brule, drawing: Path, tmp_path: Path) -> None:
    assert brule("generate", drawing, "--styles", 1, "-o", tmp_path / "out").code == 0
    record = tmp_path / "out" / "generated.json"
    changed = content(tmp_path / "out")
    changed["styles"] = np.zeros((1, 2, 5)).tolist()
    record.write_text(json.dumps(changed))
    found = brule("generate", drawing, "--style-from", record, "-o", tmp_path / "more")
    assert found.code == 2 and "generated.json: its styles have 5 entries, this decoder's 8" in found.err
