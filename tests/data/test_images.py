"""The laws of images: every kind of file gives the same upright RGB, and a crop puts things where it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.coordinates import image_box, pixels_to_unit, unit_to_pixels
from brule.data import read_folder, write_pts
from brule.data.images import (
    ImageHeader,
    as_image,
    crop_image,
    image_header,
    image_size,
    load_crop,
    load_image,
    size_of,
    to_8bit,
    whole_image_crop,
)
from brule.data.samples import Sample
from brule.errors import ConfigError, DataError

ORIENTATION = 0x0112
# What a camera stores when it says "turn me by n": the transpose that undoes the turn.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def smooth_picture(width: int, height: int) -> Image.Image:
    """Gradients that differ in every channel and both directions: JPEG hardly changes them, a turn does."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return Image.fromarray(np.rint(np.stack([255 * x, 255 * y, 255 * x * y], axis=-1)).astype(np.uint8))


def spot(width: int, height: int, x: float, y: float, sigma: float) -> Image.Image:
    """A white spot on black at ``(x, y)`` in pixels."""
    columns, rows = np.arange(width), np.arange(height)
    falloff = np.exp(-((columns - x) ** 2) / (2 * sigma**2)) * np.exp(-((rows[:, None] - y) ** 2) / (2 * sigma**2))
    return Image.fromarray(np.rint(255 * falloff).astype(np.uint8)).convert("RGB")


def centre_of_mass(crop: np.ndarray) -> np.ndarray:
    """Where the light lies, in pixels of the crop."""
    weight = crop[..., 0].astype(np.float64)
    rows, columns = np.indices(weight.shape)
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def claimed(x: float, y: float, box: tuple[float, float, float, float], size: int) -> np.ndarray:
    """Where a crop says that a pixel of the image lies, in pixels of the crop."""
    return unit_to_pixels(pixels_to_unit(np.array([x, y]), box), image_box(size, size))


@pytest.mark.parametrize("size", [64, 128, 301])
@pytest.mark.parametrize(
    "box",
    [
        (20.3, 31.7, 178.9, 190.3),
        (-40.2, -60.5, 199.8, 179.5),
        (60.0, 40.0, 360.0, 340.0),
        (-900.0, -1000.0, 1100.0, 1000.0),
    ],
    ids=["inside", "over the upper left", "over the lower right", "far larger"],
)
def test_a_painted_dot_lands_where_the_crop_says(box: tuple[float, float, float, float], size: int) -> None:
    x, y = 121.4, 107.2
    crop = crop_image(spot(240, 220, x, y, sigma=8), box, size)
    assert crop.shape == (size, size, 3) and crop.dtype == np.uint8
    np.testing.assert_allclose(centre_of_mass(crop), claimed(x, y, box, size), atol=0.1)


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("dimensions", [(1604, 1203), (1600, 1200)], ids=["odd", "multiple of 8"])
def test_a_dot_in_a_large_jpeg_lands_where_the_crop_says(tmp_path: Path, dimensions: tuple[int, int], orientation: int) -> None:
    x, y, path = 1031.0, 617.0, tmp_path / "large.jpg"
    save_turned(spot(*dimensions, x, y, sigma=40), path, orientation)
    crop, box = load_crop(Sample(path, box=(500.5, 100.5, 1500.5, 1150.5)), 64)
    np.testing.assert_allclose(centre_of_mass(crop), claimed(x, y, box, 64), atol=0.1)


def save_turned(image: Image.Image, path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turn = STORED_AS[orientation]
    stored = image if turn is None else image.transpose(turn)
    lossy = {".jpg": {"quality": 98, "subsampling": 0}, ".webp": {"lossless": True}}
    stored.save(path, exif=exif, **lossy.get(path.suffix, {}))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_turned_file_is_the_upright_one(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright, path = smooth_picture(121, 80), tmp_path / f"turned{suffix}"
    save_turned(upright, path, orientation)
    sample = Sample(path, box=(15.0, 10.0, 70.0, 60.0))
    assert image_size(path) == (121, 80) == load_image(path).size
    assert close(load_image(path), upright)
    assert close(load_crop(sample, 48)[0], crop_image(upright, sample.crop() or image_box(1, 1), 48))
    assert ORIENTATION not in load_image(path).getexif(), "somebody would turn it again"


def close(a: object, b: object, tolerance: int = 12) -> bool:
    return bool(np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int)).max() <= tolerance)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_data_is_no_reason_to_refuse_an_image(tmp_path: Path) -> None:
    smooth_picture(40, 30).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0garbage")
    assert load_image(tmp_path / "a.jpg").size == (40, 30) == image_size(tmp_path / "a.jpg")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    grey = smooth_picture(50, 40).convert("L")
    deep = np.asarray(grey).astype(np.uint16) * 257
    picture = {
        "I;16": lambda: Image.fromarray(deep),
        "I": lambda: Image.fromarray(deep.astype(np.int32)),
        "F": lambda: Image.fromarray((deep / 65535).astype(np.float32)),
        "PA": lambda: grey.convert("P").convert("PA"),
    }.get(mode, lambda: grey.convert(mode))()
    assert picture.mode == mode
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I", "F", "PA") else "a.png")
    if mode == "PA":  # no file format holds it
        image = as_image(picture)
    else:
        picture.save(path)
        image = load_image(path)
    assert image.mode == "RGB"
    expected = picture.convert("RGB") if mode == "1" else grey.convert("RGB")
    assert close(image, expected, 2)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette", "RGB key"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    if mode == "palette":
        Image.new("P", (4, 4), 0).save(path, transparency=0)
    elif mode == "RGB key":
        Image.new("RGB", (4, 4), (10, 20, 30)).save(path, transparency=(10, 20, 30))
    else:
        Image.new(mode, (4, 4), (0,) * len(mode)).save(path)
    assert (np.asarray(load_image(path)) == 255).all()


def test_depth_is_the_smallest_that_holds_the_image() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for bits in (8, 12, 16):
        deep = np.rint(grey * ((2**bits - 1) / 255)).astype(np.uint16)
        np.testing.assert_array_equal(to_8bit(deep), grey)


def test_float_file_of_another_range_is_stretched(tmp_path: Path) -> None:
    values = np.linspace(-1000, 3000, 12, dtype=np.float32).reshape(3, 4)  # as CT scans have it
    values[0, 1] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    image = np.asarray(load_image(tmp_path / "a.tif"))
    assert image[0, 0, 0] == 0 and image[-1, -1, 0] == 255 and image[0, 1, 0] == 0
    Image.fromarray(np.full((3, 4), np.nan, dtype=np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(DataError, match=r"b\.tif: .*finite"):
        load_image(tmp_path / "b.tif")


@pytest.mark.parametrize(
    "array",
    [
        np.full((6, 5), 100, np.uint8),
        np.full((6, 5, 1), 100, np.uint8),
        np.full((6, 5, 3), 100, np.uint8),
        np.dstack([np.full((6, 5, 3), 100, np.uint8), np.full((6, 5), 255, np.uint8)]),
        np.full((6, 5), 100, np.int64),
        np.full((6, 5), 100 * 257, np.uint16),
        np.full((6, 5, 3), 100 * 257, np.uint16),
        np.full((6, 5, 3), 100 / 255, np.float32),
        np.full((6, 5), 100 / 255, np.float64),
        np.full((12, 5, 3), 100, np.uint8)[::-2],
        Image.new("L", (5, 6), 100),
    ],
    ids=lambda array: f"{getattr(array, 'shape', 'pillow')} {getattr(array, 'dtype', '')}",
)
def test_arrays_of_every_kind(array: object) -> None:
    np.testing.assert_array_equal(np.asarray(as_image(array)), np.full((6, 5, 3), 100))


def test_boolean_array() -> None:
    np.testing.assert_array_equal(np.asarray(as_image(np.eye(4, dtype=bool)))[..., 1], 255 * np.eye(4))


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 20, 20)), "move the channels to the end"),
        (np.zeros(5), "shape"),
        (np.zeros((0, 5)), "shape"),
        (np.zeros((2, 5, 5, 3)), "shape"),
        (np.full((5, 5), 255.0), "from 0 to 1"),
        (np.full((5, 5), np.nan), "from 0 to 1"),
        (np.full((5, 5), -3), "from 0 to 65535"),
        (np.full((5, 5), 70_000), "from 0 to 65535"),
        (np.zeros((5, 5), dtype=complex), "complex"),
        ("a.jpg", "shape"),
        (None, "shape"),
    ],
)
def test_what_is_no_image_is_refused_by_name(array: object, says: str) -> None:
    with pytest.raises(DataError, match=f"image 3: .*{says}"):
        as_image(array, "image 3")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".gif", ".bmp"])
def test_damaged_files_give_data_errors(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = tmp_path / f"whole{suffix}"
    Image.fromarray(noise).save(whole)
    content = whole.read_bytes()
    damaged = tmp_path / f"my damaged{suffix}"
    for length in (0, 1, 10, len(content) // 10, len(content) // 2):
        damaged.write_bytes(content[:length])
        with pytest.raises(DataError, match=f"my damaged{suffix}: "):
            load_image(damaged)
        with pytest.raises(DataError, match=f"my damaged{suffix}: "):
            load_crop(Sample(damaged), 32)


def test_missing_and_text_files(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("<html>404</html>")
    for name, says in (("none.jpg", "no such file"), ("text.jpg", "not an image"), ("", "no such file")):
        for read in (load_image, image_size):
            with pytest.raises(DataError, match=f"{name}: .*{says}"):
                read(tmp_path / name)


def test_whole_image_crop_loses_nothing_and_repeats_the_edge(tmp_path: Path) -> None:
    assert whole_image_crop(100, 60) == (-0.5, -20.5, 99.5, 79.5)
    image = smooth_picture(100, 60)
    image.save(tmp_path / "a.png")
    crop, box = load_crop(Sample(tmp_path / "a.png"), 100)
    assert box == whole_image_crop(100, 60)
    assert close(crop[20:80], image, 1)
    assert close(crop[:20], np.broadcast_to(np.asarray(image)[:1], (20, 100, 3)), 8)
    assert close(crop[80:], np.broadcast_to(np.asarray(image)[-1:], (20, 100, 3)), 8)


def test_crop_of_the_whole_image_at_its_size_is_the_image() -> None:
    image = smooth_picture(64, 64)
    np.testing.assert_array_equal(crop_image(image, image_box(64, 64), 64), np.asarray(image))


def test_shrinking_is_antialiased() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_image(Image.fromarray(stripes), image_box(512, 512), 32)
    assert close(crop[:, 1:-1], np.full((32, 30, 3), 128), 6)


def test_size_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="size"):
        crop_image(smooth_picture(5, 5), image_box(5, 5), 0)


def test_a_header_is_read_with_one_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    smooth_picture(20, 10).save(tmp_path / "a.jpg", exif=exif)
    smooth_picture(20, 10).save(tmp_path / "a.tif", tiffinfo={ORIENTATION: 6})
    pages = [smooth_picture(20, 10).convert("L")] * 3
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=pages[1:])
    whole, opened = Image.open, []
    monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or whole(path))
    assert image_header(tmp_path / "a.jpg", count=True) == ImageHeader((10, 20), 6)
    assert image_header(tmp_path / "a.tif", count=True) == ImageHeader((10, 20), 6)
    assert image_header(tmp_path / "b.tif", count=True) == ImageHeader((20, 10), pictures=3)
    assert len(opened) == 3
    for image in (tmp_path / "a.jpg", str(tmp_path / "a.jpg"), Sample(tmp_path / "a.jpg"), np.zeros((20, 10), np.uint8)):
        assert size_of(image) == (10, 20)


def test_a_folder_opens_each_image_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        smooth_picture(20, 10).save(tmp_path / f"{name}.png")
        write_pts(tmp_path / f"{name}.pts", np.array([[1.0, 2.0], [15.0, 8.0]]))
    whole, opened = Image.open, []
    monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or whole(path))
    assert len(read_folder(tmp_path)) == 3
    assert len(opened) == 3
