"""The laws of large images: read in parts they look as they do in one piece, and take bounded memory and no warning."""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from brule.data import Sample, image_size, load_crop, load_image
from brule.data import images as images_module
from brule.data import large as large_module
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
    monkeypatch.setattr(large_module, "_BAND", 20_000)
    parts, same = load_crop(sample, 16)
    assert place == same
    # Values of 16 bits are averaged before they are brought to 8.
    assert np.abs(parts.astype(int) - whole).max() <= (12 if mode == "I;16" else 1)
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
    assert np.abs(parts.astype(int) - whole).max() <= (12 if mode.startswith("I;16") else 1)
    check_image(sample.path)


@pytest.mark.parametrize("change", [{"compression": "tiff_lzw"}, {"tiffinfo": {0x0112: 6}}], ids=["compressed", "turned"])
def test_other_tiff_needs_memory_for_the_whole(tmp_path: Path, change: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    scene("RGB").save(tmp_path / "a.tif", **change)
    monkeypatch.setattr(large_module, "LARGE", 1000)
    monkeypatch.setattr(large_module, "MAX_BYTES", 100_000)
    with pytest.raises(DataError, match="uncompressed TIFF"):
        load_crop(Sample(tmp_path / "a.tif"), 16)


def test_a_large_jpeg_is_shrunk_while_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene("RGB").resize((1600, 1200)).save(tmp_path / "a.jpg", quality=95)
    sample = Sample(tmp_path / "a.jpg", box=(100, 100, 900, 700))
    whole, _ = load_crop(sample, 16)
    monkeypatch.setattr(large_module, "LARGE", 100_000)
    monkeypatch.setattr(images_module, "LARGE", 100_000)
    decoded: list[int] = []
    load = Image.Image.load
    monkeypatch.setattr(images_module, "deep_colour", lambda image: decoded.append(image.width * image.height))
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
    scene("RGB").save(tmp_path / "a.tif", compression="tiff_deflate")  # one without is read in bands
    with pytest.raises(DataError, match=r"a\.tif: the image of 417 × 331 pixels takes .* save it as PNG"):
        load_crop(Sample(tmp_path / "a.tif"), 16)
    with pytest.raises(DataError, match=r"takes .* make it smaller"):
        load_image(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"the image has 300,000 × 2 pixels; expected sides up to 200,000"):
        image_size(blank(tmp_path / "wide.png", 300_000, 2))


@pytest.mark.slow
def test_four_hundred_megapixels_take_little_memory(tmp_path: Path) -> None:
    path = blank(tmp_path / "a.png", 20_000, 20_000)
    program = (
        "import resource, sys; from pathlib import Path; from brule.data import Sample, load_crop; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; load_crop(Sample(Path(sys.argv[1])), 128); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000 and done.stderr == ""  # kilobytes
