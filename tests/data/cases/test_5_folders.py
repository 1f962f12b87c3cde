"""What is in the folder: whatever lies beside images and isn't read is named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from brule.data import load_image
from brule.data.images import as_image
from tests.data.cases.case import WING, Case, cases, check, csv, numbered, picture, pictures, pts, wing, write

IMAGE = {**pictures("a.png"), "a.pts": pts(wing())}
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(200)
VOC = "<annotation><filename>b.png</filename><object><name>wing</name><bndbox><xmin>1</xmin></bndbox></object></annotation>"


def stack(count: int) -> bytes:
    pages = [Image.new("L", (100, 80), 10 * i) for i in range(count)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    return file.getvalue()


CASES = {
    "heic-beside-png": Case({**IMAGE, "b.heic": b"\0\0\0\x18ftypheic" + bytes(30)}, {"a.png": [wing()]}, remarks=[r"\.heic"]),
    "raw-photographs": Case(
        {**IMAGE, "b.CR2": bytes(99), "c.NEF": bytes(99)}, {"a.png": [wing()]}, remarks=[r"\.cr2", r"\.nef"]
    ),
    "deeplabcut-h5-alone": Case(
        {**IMAGE, "CollectedData_Ana.h5": HDF5}, {"a.png": [wing()]}, remarks=[r"CollectedData_Ana\.h5.*CSV"]
    ),
    "sleap-labels": Case({**IMAGE, "labels.v001.slp": HDF5}, {"a.png": [wing()]}, remarks=[r"labels\.v001\.slp.*COCO"]),
    "matlab-landmarks": Case(
        {**IMAGE, "points.mat": b"MATLAB 5.0 MAT-file" + bytes(99)}, {"a.png": [wing()]}, remarks=[r"points\.mat"]
    ),
    "cat-files": Case(
        {**pictures("a.jpg"), "a.jpg.cat": "9 175 160 239 162 199 199 149 121"}, labelled=0, remarks=[r"a\.jpg\.cat"]
    ),
    "imagej-roi": Case({**IMAGE, "a.roi": b"Iout" + bytes(99)}, {"a.png": [wing()]}, remarks=[r"a\.roi.*Results"]),
    "pascal-voc-boxes": Case({**IMAGE, "b.xml": VOC}, {"a.png": [wing()]}, remarks=[r"b\.xml"]),
    "json-of-another-kind": Case(
        {**IMAGE, "points.json": {"a.png": {"tip": [88, 22]}}}, {"a.png": [wing()]}, remarks=[r"points\.json"]
    ),
    "csv-of-another-kind": Case({**IMAGE, "table.csv": "species,site\nfly,3\n"}, {"a.png": [wing()]}, remarks=[r"table\.csv"]),
    "text-of-points-beside-each-image": Case(
        {**pictures("a.png"), "a.txt": "12 50\n88 22\n60 55\n40 33\n"}, labelled=0, remarks=[r"a\.txt"]
    ),
    "plain-text-is-no-annotation": Case(
        {**IMAGE, "README.txt": "Wings of 2019,\ntaken by Ana.\n"}, {"a.png": [wing()]}, fine=True
    ),
    "tiff-of-several-pages": Case(
        {"a.tif": stack(3), "a.pts": pts(wing())}, {"a.tif": [wing()]}, remarks=[r"a\.tif.*3 pictures"]
    ),
    "truncated-jpeg": Case(
        {**IMAGE, "t.jpg": picture(400, 300, "JPEG")[:900], "t.pts": pts(wing())}, refused=[r"t\.jpg.*truncated"], labelled=1
    ),
    "truncated-png": Case(
        {**IMAGE, "t.png": picture(400, 300)[:-40], "t.pts": pts(wing())}, refused=[r"t\.png.*truncated"], labelled=1
    ),
    "names-that-differ-in-case": Case(
        {**pictures("IMG_1.PNG"), "a.csv": csv({"img_1.png": WING})}, {"IMG_1.PNG": [WING]}, fine=True
    ),
    "two-images-that-differ-in-case": Case(
        {**pictures("IMG_1.PNG", "Img_1.png"), "a.csv": csv({"img_1.png": WING})},
        refused=[r"a\.csv.*img_1\.png"],
        labelled=0,
        paths=[".", "a.csv"],
    ),
    "jfif-photograph": Case(
        {"a.jfif": picture(kind="JPEG"), "a.csv": f"image,x0,y0,x1,y1,x2,y2,x3,y3\na.jfif,{numbered(WING)}\n"},
        {"a.jfif": [wing()]},
        fine=True,
    ),
}


@cases(CASES)
def test_folders(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def png_of_16_bits(values: np.ndarray) -> bytes:
    """Colour of 16 bits per channel, which Pillow doesn't write."""
    import struct
    import zlib

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def test_colour_of_twelve_bits_is_not_black(tmp_path: Path) -> None:
    values = np.zeros((80, 100, 3), dtype=np.uint16)
    values[:, 50:] = (4095, 2048, 1024)
    write(tmp_path, {"deep.png": png_of_16_bits(values), "deep.pts": pts(wing())})
    image = np.asarray(load_image(tmp_path / "deep.png")).astype(int)
    # 4095 is white: 2048 / 4095 · 255 = 127.5, 1024 / 4095 · 255 = 63.8.
    np.testing.assert_allclose(image[40, 75], (255, 127.5, 63.8), atol=2)
    np.testing.assert_array_equal(image[40, 25], (0, 0, 0))


def test_dark_images_are_read_from_bytes_too(tmp_path: Path) -> None:
    """Whether the upper byte is all there is shows in a second reading, of bytes as of a file."""
    values = np.zeros((80, 100, 3), dtype=np.uint16)
    values[:, 50:] = (4095, 2048, 1024)
    (tmp_path / "deep.png").write_bytes(png_of_16_bits(values))
    np.testing.assert_array_equal(as_image(png_of_16_bits(values)), load_image(tmp_path / "deep.png"))
    for kind in ("PNG", "TIFF"):
        dark, content = np.full((8, 9, 3), 7, dtype=np.uint8), io.BytesIO()
        Image.fromarray(dark).save(content, kind)
        np.testing.assert_array_equal(as_image(content.getvalue()), dark)
