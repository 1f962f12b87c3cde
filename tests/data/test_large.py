"""The laws of large images: read in parts they look as they do in one piece, and take bounded memory and no warning."""

from __future__ import annotations

import io
import math
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from brule.data import Sample, image_size, load_crop, load_image, load_picture
from brule.data import images as images_module
from brule.data import large as large_module
from brule.data import png as png_module
from brule.data import tiff as tiff_module
from brule.data.images import check_image, load_reduced
from brule.errors import DataError

BOXES = [None, (10.0, 20.0, 50.0, 60.0), (-300.0, -200.0, 900.0, 700.0), (250.0, 200.0, 420.0, 330.0), (100.0, 1.0, 103.0, 4.0)]


def scene(mode: str) -> Image.Image:
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 255, (331, 417, 4), dtype=np.uint8), "RGBA").filter(ImageFilter.GaussianBlur(3))
    if mode == "I;16":
        return Image.fromarray(np.asarray(noise.convert("L")).astype(np.uint16) * 200)
    return noise.quantize(50) if mode == "P" else noise.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "I;16", "1"])
@pytest.mark.parametrize("box", BOXES)
def test_parts_are_the_whole(tmp_path: Path, mode: str, box: tuple | None, monkeypatch: pytest.MonkeyPatch) -> None:
    scene(mode).save(tmp_path / "a.png", optimize=True)  # with all filters of rows
    sample = Sample(tmp_path / "a.png", box=box)
    whole, place = load_crop(sample, 16)
    small = np.asarray(load_reduced(sample.path, 40)).astype(int)
    monkeypatch.setattr(large_module, "LARGE", 1000)
    monkeypatch.setattr(png_module, "_BAND", 20_000)
    parts, same = load_crop(sample, 16)
    assert place == same
    # Values of 16 bits are averaged before they are brought to 8.
    assert np.abs(parts.astype(int) - whole).max() <= (3 if mode == "I;16" else 1)
    assert np.abs(np.asarray(load_reduced(sample.path, 40)).astype(int) - small).mean() < 3
    check_image(sample.path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "CMYK", "I;16", "I;16B"])
@pytest.mark.parametrize("box", BOXES)
def test_rows_that_are_not_compressed(tmp_path: Path, mode: str, box: tuple | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In TIFF, strip by strip, within memory that doesn't take the whole; as in one piece."""
    image = scene("RGB").convert("CMYK") if mode == "CMYK" else scene(mode[:4])
    if mode == "I;16B":
        image = Image.frombytes("I;16B", image.size, np.asarray(image).astype(">u2").tobytes())
    image.save(tmp_path / "a.tif", tiffinfo={278: 50})  # rows per strip
    sample = Sample(tmp_path / "a.tif", box=box)
    whole, place = load_crop(sample, 16)
    with Image.open(sample.path) as opened:
        assert len(opened.tile) > 1
    monkeypatch.setattr(large_module, "LARGE", 1000)
    monkeypatch.setattr(large_module, "MAX_BYTES", 100_000)
    monkeypatch.setattr(large_module, "_BAND", 20_000)
    parts, same = load_crop(sample, 16)
    assert place == same
    assert np.abs(parts.astype(int) - whole).max() <= (3 if mode.startswith("I;16") else 1)
    check_image(sample.path)


COMPRESSIONS = ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"]


def small_parts(monkeypatch: pytest.MonkeyPatch, *, memory: int = 200_000) -> None:
    """As if images of a thousand pixels were large, and this much memory were all."""
    monkeypatch.setattr(large_module, "LARGE", 1000)
    monkeypatch.setattr(large_module, "MAX_BYTES", memory)
    monkeypatch.setattr(large_module, "_BAND", 20_000)
    monkeypatch.setattr(tiff_module, "_BAND", 20_000)


def tiled(path: Path, image: Image.Image, *, side: tuple[int, int] = (96, 64), planes: bool = False, **options: object) -> None:
    """A TIFF in tiles, which Pillow reads but doesn't write: each is taken out of a TIFF of its own."""
    pieces, kept = [], {}
    layers = image.split() if planes else [image]
    for layer in layers:
        for top in range(0, image.height, side[1]):
            for left in range(0, image.width, side[0]):
                file = io.BytesIO()
                layer.crop((left, top, left + side[0], top + side[1])).save(file, "TIFF", tiffinfo={278: side[1]}, **options)
                with Image.open(file) as one:
                    (start,), (count,) = one.tag_v2[273], one.tag_v2[279]
                    kept = {tag: (one.tag_v2.tagtype[tag], value) for tag, value in one.tag_v2.items()}
                pieces.append(file.getvalue()[start : start + count])
    tags = ImageFileDirectory_v2(b"II*\0" + bytes(4))
    for tag, (kind, value) in kept.items():
        if tag not in (273, 278, 279):
            tags.tagtype[tag] = kind
            tags[tag] = value
    tags[256], tags[257] = image.size
    tags[322], tags[323] = side
    if planes:
        tags[258], tags[262], tags[277], tags[284] = (8,) * len(layers), 2, len(layers), 2
    tags.tagtype[324] = tags.tagtype[325] = 4
    tags[324] = tuple(8 + sum(map(len, pieces[:i])) for i in range(len(pieces)))
    tags[325] = tuple(map(len, pieces))
    data = b"".join(pieces)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + tags.tobytes(8 + len(data)))


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "I;16", "RGBA", "1", "P", "F"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_strips_that_are_compressed(
    tmp_path: Path, mode: str, compression: str, box: tuple | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compression == "jpeg" and mode not in ("RGB", "L", "CMYK"):
        pytest.skip("not stored as JPEG")
    image = scene("L").convert("F") if mode == "F" else scene("RGB").convert("CMYK") if mode == "CMYK" else scene(mode)
    image.save(tmp_path / "a.tif", compression=compression, tiffinfo={278: 16})
    as_in_one_piece(tmp_path / "a.tif", box, monkeypatch, limit=3 if mode in ("I;16", "F") else 1)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_tiles(tmp_path: Path, compression: str, planes: bool, box: tuple | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if compression == "jpeg" and planes:
        pytest.skip("not stored in planes")
    tiled(tmp_path / "a.tif", scene("RGB"), planes=planes, compression=compression)
    with Image.open(tmp_path / "a.tif") as opened:
        np.testing.assert_allclose(np.asarray(opened), np.asarray(scene("RGB")), atol=30 if compression == "jpeg" else 0)
    as_in_one_piece(tmp_path / "a.tif", box, monkeypatch)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_turned_by_its_data(
    tmp_path: Path, suffix: str, orientation: int, box: tuple | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    scene("RGB").save(tmp_path / f"a.{suffix}", exif=exif, **({"compression": "tiff_lzw"} if suffix == "tif" else {}))
    assert image_size(tmp_path / f"a.{suffix}") == ((331, 417) if orientation >= 5 else (417, 331))
    as_in_one_piece(tmp_path / f"a.{suffix}", box, monkeypatch, limit=3)


def as_in_one_piece(path: Path, box: tuple | None, monkeypatch: pytest.MonkeyPatch, *, limit: int = 1) -> None:
    sample = Sample(path, box=box)
    whole, place = load_crop(sample, 16)
    small = np.asarray(load_reduced(path, 40)).astype(int)
    picture = load_picture(path)
    small_parts(monkeypatch)
    parts, same = load_crop(sample, 16)
    assert place == same
    assert np.abs(parts.astype(int) - whole).max() <= limit
    assert np.abs(np.asarray(load_reduced(path, 40)).astype(int) - small).mean() < 4
    again = load_picture(path)
    assert again.size == picture.size
    assert again.image.width * again.image.height * 3 <= 100_000 * 1.1
    box_ = (100.0, 50.0, 300.0, 250.0)
    assert np.abs(again.cut(box_, 16).astype(int) - picture.cut(box_, 16)).mean() < 4
    check_image(path)


def test_tiles_beside_the_box_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiled(tmp_path / "a.tif", scene("RGB"), side=(32, 32), compression="tiff_lzw")
    monkeypatch.setattr(large_module, "_MARGIN", 1)
    small_parts(monkeypatch)
    read: list[int] = []
    cut_out = tiff_module._cut_out

    def noted(file: object, segments: object, *, columns: tuple[int, int], rows: tuple[int, int]) -> Image.Image:
        read.append((columns[1] - columns[0]) * (rows[1] - rows[0]))
        return cut_out(file, segments, columns=columns, rows=rows)

    monkeypatch.setattr(tiff_module, "_cut_out", noted)
    load_crop(Sample(tmp_path / "a.tif", box=(100, 100, 130, 130)), 16, scale=1.0)
    assert sum(read) == 4  # from 99.5 - 1 to 130.5 + 1 are the tiles 3 and 4 of each axis


def test_one_strip_for_all_needs_memory_for_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene("RGB").save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={278: 331})
    small_parts(monkeypatch)
    with pytest.raises(DataError, match=r"compressed in pieces of 417 × 331 pixels.*tiffcp -r 16 a\.tif"):
        load_crop(Sample(tmp_path / "a.tif"), 16)


def test_a_large_jpeg_is_shrunk_while_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene("RGB").resize((1600, 1200)).save(tmp_path / "a.jpg", quality=95)
    sample = Sample(tmp_path / "a.jpg", box=(100, 100, 900, 700))
    whole, _ = load_crop(sample, 16)
    monkeypatch.setattr(large_module, "LARGE", 100_000)
    monkeypatch.setattr(images_module, "LARGE", 100_000)
    decoded: list[int] = []
    load = Image.Image.load
    monkeypatch.setattr(images_module, "deep_colour", lambda image, content: decoded.append(image.width * image.height))
    parts, _ = load_crop(sample, 16)
    assert decoded and decoded[0] <= 100_000 and load is Image.Image.load
    assert np.abs(parts.astype(int) - whole).mean() < 2


@pytest.mark.parametrize("cut", [40, 400, 5000])
def test_a_truncated_large_image_is_found(tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scene("RGB").save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-cut])
    monkeypatch.setattr(large_module, "LARGE", 1000)
    with pytest.raises(DataError, match=r"a\.png: the image is broken or truncated"):
        check_image(tmp_path / "a.png")


def blank(path: Path, width: int, height: int) -> Path:
    """A PNG of one grey, of any size, in little memory."""
    pack, row = zlib.compressobj(1), b"\0" + bytes([90]) * width
    data = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(own)) + kind + own + struct.pack(">I", zlib.crc32(kind + own)) for kind, own in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_beyond_pillows_limit_without_a_warning(tmp_path: Path) -> None:
    path = blank(tmp_path / "a.png", 150_000, 1_300)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Warning)
        assert image_size(path) == (150_000, 1_300)
        crop, _ = load_crop(Sample(path, box=(100, 100, 1100, 1100)), 32)
    assert (crop == 90).all()


def test_what_takes_too_much_memory_is_refused_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_module, "MAX_BYTES", 100_000)
    monkeypatch.setattr(large_module, "LARGE", 1000)
    scene("RGB").save(tmp_path / "a.webp")
    with pytest.raises(DataError, match=r"a\.webp: the image of 417 × 331 pixels takes .* save it as PNG"):
        load_crop(Sample(tmp_path / "a.webp"), 16)
    with pytest.raises(DataError, match=r"takes .* make it smaller"):
        load_image(tmp_path / "a.webp")
    with pytest.raises(DataError, match=r"the image has 300,000 × 2 pixels; expected sides up to 200,000"):
        image_size(blank(tmp_path / "wide.png", 300_000, 2))


@pytest.mark.parametrize("size", [(1, 178_000_000), (178_000_000, 1)])
def test_a_line_of_178_million_pixels_is_refused_by_its_header(size: tuple[int, int], tmp_path: Path) -> None:
    path = blank(tmp_path / "line.png", 1, 1)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", *size)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    for read in (image_size, load_image, lambda path: load_crop(Sample(path), 16)):
        with pytest.raises(DataError, match=r"line\.png: the image has .* 178,000,000|178,000,000 × 1 pixels"):
            read(path)


def repeated(path: Path, side: int, piece: tuple[int, int], **options: object) -> Path:
    """A TIFF of one tile, or one strip of full width, again and again: of any size, in little room."""
    file = io.BytesIO()
    scene("RGB").resize(piece).save(file, "TIFF", tiffinfo={278: piece[1]}, **options)
    with Image.open(file) as one:
        (start,), (length,) = one.tag_v2[273], one.tag_v2[279]
        tags = ImageFileDirectory_v2(b"II*\0" + bytes(4))
        for tag, value in one.tag_v2.items():
            if tag not in (273, 278, 279):
                tags.tagtype[tag] = one.tag_v2.tagtype[tag]
                tags[tag] = value
    count = math.ceil(side / piece[0]) * math.ceil(side / piece[1])
    tags[256] = tags[257] = side
    tags[322], tags[323] = piece
    tags.tagtype[324] = tags.tagtype[325] = 4
    tags[324], tags[325] = (8,) * count, (length,) * count
    data = file.getvalue()[start : start + length] + b"\0" * (length % 2)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + tags.tobytes(8 + len(data)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "rows"])
def test_four_hundred_megapixels_take_little_memory(tmp_path: Path, kind: str) -> None:
    if kind == "png":
        path = blank(tmp_path / "a.png", 20_000, 20_000)
    else:
        piece = (20_000, 16) if kind == "rows" else (512, 512)
        path = repeated(tmp_path / "a.tif", 20_000, piece, compression="tiff_lzw" if kind == "rows" else kind)
    program = (
        "import resource, sys; from pathlib import Path; from brule.data import Sample, load_crop; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; load_crop(Sample(Path(sys.argv[1])), 128); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000 and done.stderr == ""  # kilobytes
