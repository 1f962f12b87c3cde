"""A held-out image's shapes are held out however the annotation spells the image."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from brule.data import Sample, split_by_name
from brule.data.training_data import annotated_shapes, training_images
from brule.errors import DataError

Spell = Callable[[str], str]

# Of é, which macOS spells with two characters.
STEMS = [f"facé{number}" for number in range(40)]
NAMES = [unicodedata.normalize("NFC", f"{stem}.png") for stem in STEMS]

SPELLINGS: dict[str, Spell] = {
    "as the file": lambda name: name,
    "without its suffix": lambda name: name.removesuffix(".png"),
    "uploaded to Label Studio": lambda name: f"1a2b3c4d-{name}",
    "in capitals": str.upper,
    "as macOS spells it": lambda name: unicodedata.normalize("NFD", name),
    "with the folder of another machine": lambda name: f"C:\\Users\\me\\{name}",
}


def folder(root: Path, spell: Spell, *, images: bool = True) -> Path:
    for name in NAMES if images else ():
        Image.new("L", (32, 32)).save(root / name)
    rows = [f"{spell(name)},{i / 4},5,{i / 2},20,30,{9 + i / 4}\n" for i, name in enumerate(NAMES)]
    (root / "points.csv").write_text("image,x0,y0,x1,y1,x2,y2\n" + "".join(rows), encoding="utf-8")
    return root


def kept_numbers(paths: list[str]) -> set[float]:
    """The numbers of the rows that were read: in row i, the second point is i / 4 right of the first and 15 pixels below it."""
    shapes = annotated_shapes(paths, n_shapes=None, seed=0, exclude_validation=True)
    return {round(4 * 15 * (own[1, 0] - own[0, 0]) / (own[1, 1] - own[0, 1])) for own in shapes.points}


def wanted() -> set[float]:
    held_out = {sample.path.name for sample in split_by_name(Sample(Path(name)) for name in NAMES).validation}
    assert held_out
    return {i for i, name in enumerate(NAMES) if name not in held_out}


def misleading() -> str:
    """The stem of a held-out image, by which alone it wouldn't be held out."""
    stems = [name.removesuffix(".png") for i, name in enumerate(NAMES) if i not in wanted()]
    return next(stem for stem in stems if split_by_name([Sample(Path(stem))]).train)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_shape_is_held_out_with_its_image(spelling: str, tmp_path: Path) -> None:
    path = str(folder(tmp_path, SPELLINGS[spelling]))
    assert kept_numbers([path]) == wanted()
    images = {sample.path.name for sample in training_images([path], exclude_validation=True, skip_bad=False)}
    assert images == {NAMES[int(i)] for i in wanted()}


@pytest.mark.parametrize("spelling", ["without its suffix", "uploaded to Label Studio"])
def test_the_images_may_be_in_another_folder_that_is_given(spelling: str, tmp_path: Path) -> None:
    pictures, labels = tmp_path / "pictures", tmp_path / "labels"
    pictures.mkdir()
    labels.mkdir()
    folder(pictures, SPELLINGS[spelling])
    (pictures / "points.csv").rename(labels / "points.csv")
    assert kept_numbers([str(labels / "points.csv"), str(pictures)]) == wanted()


def test_two_spellings_of_one_image_are_both_held_out(tmp_path: Path) -> None:
    path = folder(tmp_path, lambda name: name) / "points.csv"
    stem = misleading()
    path.write_text(f"{path.read_text(encoding='utf-8')}{stem},1,5,51,20,30,3\n", encoding="utf-8")
    assert kept_numbers([str(tmp_path)]) == wanted()


def test_a_name_that_two_images_share_is_held_out_if_one_of_them_is(tmp_path: Path) -> None:
    stem = misleading()
    other = next(s for s in (".jpg", ".bmp", ".tif") if split_by_name([Sample(Path(stem + s))]).train)
    (tmp_path / "points.csv").write_text(f"image,x0,y0,x1,y1\n{stem},1,2,9,8\n", encoding="utf-8")
    for name in (f"{stem}.png", stem + other):
        Image.new("L", (32, 32)).save(tmp_path / name)
    with pytest.raises(DataError, match="none of the 1 shapes is kept"):
        annotated_shapes([str(tmp_path)], n_shapes=None, seed=0, exclude_validation=True)


def test_images_that_are_not_there_are_remarked_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(folder(tmp_path, SPELLINGS["uploaded to Label Studio"], images=False))
    assert kept_numbers([path]) <= wanted()  # by the name before the upload, and by that after
    assert "isn't there (nor are 39 more)" in caplog.text and "give the folder of the images" in caplog.text
    caplog.clear()
    folder(tmp_path, str)
    assert kept_numbers([path]) == wanted()
    assert "isn't there" not in caplog.text
