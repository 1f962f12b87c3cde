"""Formats that were added, and tables with other headings."""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from brule.data import convert, image_size, inspect_data, load_image, read_folder, read_shapes
from brule.errors import DataError
from tests.data.cases.case import (
    HEIGHT,
    OTHER,
    WIDTH,
    WING,
    Case,
    cases,
    check,
    csv,
    labelme,
    numbered,
    picture,
    pictures,
    studio_box,
    studio_points,
    tps,
    via,
    via_point,
    wing,
    write,
    yolo,
)

IMAGE = pictures("a.png")
RED, BLUE = picture(colour=(200, 0, 0)), picture(colour=(0, 0, 200))


def two_pictures() -> bytes:
    file = io.BytesIO()
    first, second = (Image.new("L", (WIDTH, HEIGHT), value) for value in (0, 99))
    first.save(file, "TIFF", save_all=True, append_images=[second])
    return file.getvalue()


def embedded(file: bytes) -> str:
    return base64.b64encode(file).decode()


def json_min(points: dict, **more: object) -> list:
    own = [{**one["value"], "original_width": WIDTH, "original_height": HEIGHT} for one in studio_points(points)]
    return [{"image": "/data/upload/1/0a1b2c3d-a.png", "id": 1, "kp": own, "annotator": 1, "annotation_id": 1, **more}]


def via_rows(points: dict) -> str:
    head = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    quoted = lambda value: '"' + json.dumps(value).replace('"', '""') + '"'  # noqa: E731
    rows = [
        f"a.png,1234,{quoted({})},{len(points)},{i},{quoted(one['shape_attributes'])},{quoted(one['region_attributes'])}\n"
        for i, one in enumerate(via_point(name, point) for name, point in points.items())
    ]
    return head + "".join(rows)


def fcsv(points: dict, system: str) -> str:
    """3D Slicer: for a plain picture, LPS is (column, row, 0), and RAS has x and y of the other sign."""
    sign = -1 if system == "RAS" else 1
    head = f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n"
    head += "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    rows = [f"{i},{sign * x},{sign * y},0,0,0,0,1,1,1,0,{name},,\n" for i, (name, (x, y)) in enumerate(points.items(), 1)]
    return head + "".join(rows)


def markups(points: dict) -> dict:
    control = [
        {"id": str(i), "label": name, "position": [float(x), float(y), 0.0], "positionStatus": "defined"}
        for i, (name, (x, y)) in enumerate(points.items(), 1)
    ]
    own = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": control}
    return {"@schema": "https://raw.githubusercontent.com/slicer/markups-schema-v1.0.3.json#", "markups": [own]}


def point_of_supervisely(name: str, point: tuple[float, float]) -> dict:
    return {"classTitle": name, "geometryType": "point", "points": {"exterior": [list(point)], "interior": []}, "tags": []}


SUPERVISELY = {
    "description": "",
    "tags": [],
    "size": {"height": HEIGHT, "width": WIDTH},
    "objects": [point_of_supervisely(name, point) for name, point in WING.items()],
}
ORDERED = list(WING.values())
ROWS = f"a.png,{numbered(WING)}\nb.png,{numbered(OTHER)}\n"
TWO = pictures("a.png", "b.png")

CASES = {
    "yolo-with-folders-of-train-and-val": Case(
        {
            **pictures("images/train/a.png", "images/val/b.png"),
            "labels/train/a.txt": yolo(wing()),
            "labels/val/b.txt": yolo(wing(OTHER)),
            "data.yaml": "path: .\ntrain: images/train\nval: images/val\nkpt_shape: [4, 3]\nnames:\n  0: wing\n",
        },
        {"a.png": [ORDERED], "b.png": [list(OTHER.values())]},
        names=None,
    ),
    "yolo-beside-the-images-and-an-image-without-object": Case(
        {**TWO, "a.txt": yolo(wing()), "b.txt": "", "data.yaml": "kpt_shape: [4, 3]\nnames: [wing]\n"}, {"a.png": [ORDERED]}
    ),
    "yolo-of-boxes-only": Case(
        {**pictures("images/a.png"), "labels/a.txt": "0 0.5 0.5 0.9 0.75\n", "data.yaml": "names: [wing]\n"},
        boxes={"a.png": [(4.5, 9.5, 94.5, 69.5)]},
        labelled=0,
    ),
    "via-json": Case(
        {**TWO, "via.json": via({"a.png": [via_point(*one) for one in WING.items()], "b.png": []})}, {"a.png": [WING]}
    ),
    "via-project": Case(
        {
            **IMAGE,
            "project.json": {
                "_via_settings": {},
                "_via_img_metadata": via({"a.png": [via_point(*one) for one in WING.items()]}),
                "_via_attributes": {"region": {}, "file": {}},
            },
        },
        {"a.png": [WING]},
    ),
    "via-regions-by-number-and-without-names": Case(
        {
            **IMAGE,
            "via.json": {
                "a.png1234": {
                    "filename": "a.png",
                    "size": 1234,
                    "regions": {
                        str(i): {"shape_attributes": {"name": "point", "cx": x, "cy": y}, "region_attributes": {}}
                        for i, (x, y) in enumerate(ORDERED)
                    },
                }
            },
        },
        {"a.png": [ORDERED]},
        names=None,
    ),
    "via-csv": Case({**IMAGE, "via_export_csv.csv": via_rows(WING)}, {"a.png": [WING]}),
    "label-studio-json-min": Case({**IMAGE, "a.json": json_min(WING)}, {"a.png": [WING]}),
    "label-studio-json-min-with-a-box": Case(
        {
            **IMAGE,
            "a.json": json_min(
                WING,
                box=[{**studio_box("wing", (5, 10, 95, 70))["value"], "original_width": WIDTH, "original_height": HEIGHT}],
            ),
        },
        {"a.png": [WING]},
        boxes={"a.png": [(4.5, 9.5, 94.5, 69.5)]},
    ),
    "supervisely-points": Case({**pictures("ds/img/a.png"), "ds/ann/a.png.json": SUPERVISELY}, {"a.png": [WING]}),
    "csv-image_name-and-parts": Case(
        {**TWO, "a.csv": "image_name," + ",".join(f"part_{i}_{axis}" for i in range(4) for axis in "xy") + f"\n{ROWS}"},
        {"a.png": [ORDERED], "b.png": [list(OTHER.values())]},
    ),
    "csv-without-a-first-heading": Case(
        {**TWO, "a.csv": f",x0,y0,x1,y1,x2,y2,x3,y3\n{ROWS}"}, {"a.png": [ORDERED], "b.png": [list(OTHER.values())]}, names=None
    ),
    "csv-capital-axes": Case(
        {**IMAGE, "a.csv": f"Image,base_X,base_Y,tip_X,tip_Y,notch_X,notch_Y,fork_X,fork_Y\na.png,{numbered(WING)}\n"},
        {"a.png": [WING]},
    ),
    "csv-axis-before-the-name": Case(
        {**IMAGE, "a.csv": f"filename,x_base,y_base,x_tip,y_tip,x_notch,y_notch,x_fork,y_fork\na.png,{numbered(WING)}\n"},
        {"a.png": [WING]},
    ),
    "csv-all-x-then-all-y": Case(
        {**IMAGE, "a.csv": "file_name,X0,X1,X2,X3,Y0,Y1,Y2,Y3\na.png,12,88,60,40,50,22,55,33\n"},
        {"a.png": [ORDERED]},
        names=None,
    ),
    "csv-semicolons-and-decimal-commas": Case(
        {**IMAGE, "a.csv": "image;tip_x;tip_y;base_x;base_y;fork_x;fork_y\na.png;88,5;22,25;12;50;40,125;33\n"},
        {"a.png": [{"tip": (88.5, 22.25), "base": (12, 50), "fork": (40.125, 33)}]},
        fine=True,
    ),
    "csv-in-latin-1": Case(
        {**pictures("Flügel.png"), "a.csv": f"image,x0,y0,x1,y1,x2,y2,x3,y3\nFlügel.png,{numbered(WING)}\n".encode("latin-1")},
        {"Flügel.png": [ORDERED]},
    ),
    "csv-as-unicode-text-of-excel": Case(
        {**IMAGE, "a.csv": f"image,x0,y0,x1,y1,x2,y2,x3,y3\na.png,{numbered(WING)}\n".replace(",", "\t").encode("utf-16")},
        {"a.png": [ORDERED]},
    ),
    "tps-in-the-encoding-of-windows": Case(
        {**pictures("Flügel “1”.png"), "a.tps": tps({"Flügel “1”.png": wing()}).encode("cp1252")}, {"Flügel “1”.png": [ORDERED]}
    ),
    "slicer-fcsv-lps": Case({**IMAGE, "a.fcsv": fcsv(WING, "LPS")}, {"a.png": [WING]}),
    "slicer-fcsv-ras": Case({**IMAGE, "a.fcsv": fcsv(WING, "RAS")}, {"a.png": [WING]}),
    "slicer-fcsv-in-space": Case(
        {**IMAGE, "a.fcsv": fcsv(WING, "LPS").replace(",0,0,0,0,1,1,1", ",7.5,0,0,0,1,1,1", 1)},
        refused=[r"a\.fcsv.*(plane|space)"],
        labelled=0,
    ),
    "slicer-markups-json": Case({**IMAGE, "a.mrk.json": markups(WING)}, {"a.png": [WING]}),
    "imagej-results": Case(
        # ImageJ counts from the corner of the first pixel.
        {
            **IMAGE,
            "Results.csv": " ,Label,Area,X,Y\n"
            + "".join(f"{i},a.png,0,{x + 0.5},{y + 0.5}\n" for i, (x, y) in enumerate(ORDERED, 1)),
        },
        {"a.png": [ORDERED]},
        names=None,
    ),
    "imagej-results-of-two-images-as-text": Case(
        {
            **TWO,
            "Results.txt": " \tLabel\tX\tY\tSlice\tCounter\n"
            + "".join(f"{i}\ta.png\t{x + 0.5}\t{y + 0.5}\t1\t0\n" for i, (x, y) in enumerate(ORDERED, 1))
            + "".join(f"{i}\tb.png\t{x + 0.5}\t{y + 0.5}\t1\t0\n" for i, (x, y) in enumerate(OTHER.values(), 5)),
        },
        {"a.png": [ORDERED], "b.png": [list(OTHER.values())]},
    ),
    "imagej-results-of-the-roi-manager": Case(
        # With 'Display label', a point of the ROI Manager has its own name behind that of the image: y and x.
        {
            **TWO,
            "Results.csv": " ,Label,X,Y\n"
            + "".join(f"{i},a.png:{y:04d}-{x:04d},{x + 0.5},{y + 0.5}\n" for i, (x, y) in enumerate(ORDERED, 1))
            + "".join(f"{i},b.png:tip {i},{x + 0.5},{y + 0.5}\n" for i, (x, y) in enumerate(OTHER.values(), 5)),
        },
        {"a.png": [ORDERED], "b.png": [list(OTHER.values())]},
    ),
    "imagej-results-of-multi-measure-in-an-image-without-suffix": Case(
        {
            **IMAGE,
            "Results.csv": " ,Label,X,Y\n"
            + "".join(f"{i},a:0001-{y:04d}-{x:04d},{x + 0.5},{y + 0.5}\n" for i, (x, y) in enumerate(ORDERED, 1)),
        },
        {"a.png": [ORDERED]},
    ),
    "imagej-results-of-two-multi-points": Case(
        {
            **IMAGE,
            "Results.csv": " ,Label,X,Y\n"
            + "".join(f"{i},a.png:one,{x + 0.5},{y + 0.5}\n" for i, (x, y) in enumerate(ORDERED, 1))
            + "".join(f"{i},a.png:two,{x + 0.5},{y + 0.5}\n" for i, (x, y) in enumerate(OTHER.values(), 5)),
        },
        {"a.png": [ORDERED, list(OTHER.values())]},
    ),
    "imagej-results-of-slices": Case(
        {
            "a.tif": two_pictures(),
            "Results.csv": " ,Label,X,Y\n"
            + "".join(f"{i},a.tif:1,{x + 0.5},{y + 0.5}\n" for i, (x, y) in enumerate(ORDERED, 1))
            + "".join(f"{i},a.tif:r{i}:2,{x + 0.5},{y + 0.5}\n" for i, (x, y) in enumerate(OTHER.values(), 5)),
        },
        {"a.tif": [ORDERED, list(OTHER.values())]},
        remarks=["holds 2 pictures"],
    ),
    "csv-of-points-with-specimens-without-suffix": Case(
        {**IMAGE, "t.csv": "specimen,landmark,x,y\n" + "".join(f"a,{name},{x},{y}\n" for name, (x, y) in WING.items())},
        {"a.png": [WING]},
    ),
    "csv-with-german-headings": Case(
        {**IMAGE, "t.csv": "Datei;Punkt;x;y\n" + "".join(f"a.png;{n};{x},0;{y},0\n" for n, (x, y) in WING.items())},
        {"a.png": [WING]},
    ),
    "csv-of-makesense-without-headings": Case(
        {**IMAGE, "labels.csv": "".join(f"{n},{x},{y},a.png,100,80\n" for n, (x, y) in WING.items())},
        {"a.png": [WING]},
    ),
    "labelme-older-numbering-and-an-embedded-image": Case(
        {"1.png": RED, "3.png": BLUE, "3.json": labelme("1.png", WING, imageData=embedded(BLUE))},
        {"3.png": [WING]},
        remarks=[r"3\.json.*1\.png"],
    ),
    "labelme-own-name-but-the-other-image-embedded": Case(
        {"1.png": RED, "3.png": BLUE, "3.json": labelme("1.png", WING, imageData=embedded(RED))}, {"1.png": [WING]}
    ),
    "labelme-older-numbering-and-nothing-embedded": Case(
        {"1.png": RED, "3.png": BLUE, "3.json": labelme("1.png", WING)}, refused=[r"3\.json.*1\.png.*3\.png"], labelled=0
    ),
    "labelme-older-numbering-of-another-size": Case(
        {"1.png": picture(64, 48), "3.png": BLUE, "3.json": labelme("1.png", WING)},
        {"3.png": [WING]},
        remarks=[r"3\.json.*1\.png"],
    ),
}


@cases(CASES)
def test_formats(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


SHAPES = {
    "tps-without-IMAGE": (
        "s.tps",
        "".join(f"LM=4\n{tps({'': wing(one)}).split(chr(10), 1)[1].split('IMAGE')[0]}ID=x\n" for one in (WING, OTHER)),
    ),
    "morphoj": (
        "s.txt",
        "ID\tX1\tY1\tX2\tY2\tX3\tY3\tX4\tY4\n"
        + "".join(f"w{i}\t" + "\t".join(f"{x}\t{-y}" for x, y in one.values()) + "\n" for i, one in enumerate((WING, OTHER))),
    ),
    "csv-whose-images-are-elsewhere": ("s.csv", csv({"gone.png": WING, "gone2.png": OTHER}, tuple(WING))),
}


@pytest.mark.parametrize(("name", "content"), SHAPES.values(), ids=SHAPES)
def test_shapes_without_images(tmp_path: Path, name: str, content: str) -> None:
    """All of them give the shape of the same points: in the crop of side 1.3 · 76 about (50, 38.5)."""
    write(tmp_path, {name: content})
    found = read_shapes(tmp_path / name)
    assert len(found) == 2
    side = 1.3 * 76
    expected = [((x - 50) / side + 0.5, (y - 38.5) / side + 0.5) for x, y in wing()]
    for points in found.points:  # the second is the first, shifted
        np.testing.assert_allclose(points, expected, atol=1e-4)


def dicom(values: np.ndarray, **tags: object) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    own = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    own.Rows, own.Columns = values.shape
    own.SamplesPerPixel, own.BitsAllocated, own.BitsStored, own.HighBit, own.PixelRepresentation = 1, 16, 12, 11, 0
    own.PhotometricInterpretation = "MONOCHROME2"
    own.PatientName, own.PatientID = "Doe^Jane", "4711-secret"
    for tag, value in tags.items():
        setattr(own, tag, value)
    own.PixelData = values.astype("<u2").tobytes()
    file = io.BytesIO()
    pydicom.dcmwrite(file, own, enforce_file_format=True)
    return file.getvalue()


def ramp() -> np.ndarray:
    """Left half 1,000, right half 3,000."""
    values = np.full((HEIGHT, WIDTH), 1000, dtype=np.uint16)
    values[:, 50:] = 3000
    return values


def test_dicom_window(tmp_path: Path) -> None:
    # The window from 1,000 to 4,000: 3,000 is at two thirds.
    write(tmp_path, {"a.dcm": dicom(ramp(), WindowCenter=2500, WindowWidth=3000)})
    assert image_size(tmp_path / "a.dcm") == (WIDTH, HEIGHT)
    image = np.asarray(load_image(tmp_path / "a.dcm")).astype(int)
    assert image.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(image[40, 25], 0, atol=1)
    np.testing.assert_allclose(image[40, 75], 170, atol=1)


def test_dicom_of_the_other_polarity(tmp_path: Path) -> None:
    write(tmp_path, {"a.dcm": dicom(ramp(), WindowCenter=2500, WindowWidth=3000, PhotometricInterpretation="MONOCHROME1")})
    image = np.asarray(load_image(tmp_path / "a.dcm")).astype(int)
    np.testing.assert_allclose(image[40, 25], 255, atol=1)
    np.testing.assert_allclose(image[40, 75], 85, atol=1)


@pytest.mark.parametrize("tags", [{}, {"WindowCenter": None, "WindowWidth": None}, {"VOILUTSequence": []}])
def test_dicom_without_a_window_uses_all_values(tags: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, {"a.dcm": dicom(ramp(), **tags)})
    image = np.asarray(load_image(tmp_path / "a.dcm")).astype(int)
    np.testing.assert_array_equal(image[40, 25], 0)
    np.testing.assert_array_equal(image[40, 75], 255)


def test_dicom_spacing_becomes_millimetres(tmp_path: Path) -> None:
    # DICOM's first number is the distance of rows.
    files = {"a.dcm": dicom(ramp(), PixelSpacing=[0.2, 0.2]), "a.csv": csv({"a.dcm": WING}, tuple(WING))}
    write(tmp_path, files)
    (sample,) = inspect_data([str(tmp_path)]).samples
    assert sample.spacing == pytest.approx((0.2, 0.2))
    convert(tmp_path, tmp_path / "out" / "a.tps")
    assert "SCALE=0.2" in (tmp_path / "out" / "a.tps").read_text()


def test_dicom_with_a_number_cut_off_is_refused(tmp_path: Path) -> None:
    """Rows of one byte rather than two; pydicom finds out when the number is asked for."""
    rows = b"\x28\x00\x10\x00US\x02\x00"
    whole = dicom(ramp())
    at = whole.index(rows) + len(rows)
    (tmp_path / "a.dcm").write_bytes(whole[: at - 2] + b"\x01\x00" + whole[at + 1 :])
    for read in (image_size, load_image):
        with pytest.raises(DataError, match=r"a\.dcm"):
            read(tmp_path / "a.dcm")


def test_dicom_of_many_rows_is_grey_throughout(tmp_path: Path) -> None:
    # More pixels than are made grey at a time: darkest and brightest values of the whole image count, wherever they are.
    values = np.full((1100, 2000), 2000, dtype=np.uint16)
    values[0, 0], values[-1, -1] = 1000, 3000
    write(tmp_path, {"a.dcm": dicom(values)})
    image = np.asarray(load_image(tmp_path / "a.dcm")).astype(int)[..., 0]
    assert image.shape == values.shape
    assert (image[0, 0], image[-1, -1]) == (0, 255)
    np.testing.assert_allclose(image[1:-1], 127.5, atol=1)


def deflated(values: np.ndarray, more: bytes = b"", *, wrong_by: int = 0) -> bytes:
    """The same image, deflated behind its meta information, with something behind its end and a false length of the former."""
    pytest.importorskip("pydicom")
    plain = dicom(values)
    start = 132 + 12 + int.from_bytes(plain[140:144], "little")
    uid, other = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"
    meta = plain[144:start].replace(len(uid).to_bytes(2, "little") + uid, len(other).to_bytes(2, "little") + other)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(plain[start:]) + packer.compress(more) + packer.flush()
    return plain[:140] + (len(meta) + wrong_by).to_bytes(4, "little") + meta + body


@pytest.mark.parametrize("wrong_by", [0, 50, 5000])  # pydicom goes by the tags, not by the length
def test_dicom_deflated(wrong_by: int, tmp_path: Path) -> None:
    write(tmp_path, {"a.dcm": deflated(ramp(), wrong_by=wrong_by)})
    image = np.asarray(load_image(tmp_path / "a.dcm")).astype(int)
    assert image[40, 25, 0] == 0 and image[40, 75, 0] == 255


@pytest.mark.parametrize("wrong_by", [0, 50, 5000])
def test_dicom_that_inflates_without_end_is_refused(wrong_by: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brule.data.dicom._MAX_INFLATED", 2**24)
    write(tmp_path, {"a.dcm": deflated(ramp(), bytes(2**25), wrong_by=wrong_by)})
    assert (tmp_path / "a.dcm").stat().st_size < 2**16
    for read in (image_size, load_image):
        with pytest.raises(DataError, match=r"a\.dcm: takes more than .* once it is inflated"):
            read(tmp_path / "a.dcm")


def test_dicom_patients_stay_in_their_file(tmp_path: Path) -> None:
    write(tmp_path, {"a.dcm": dicom(ramp()), "a.csv": csv({"a.dcm": WING})})
    for format, name in {"coco": "a.json", "cvat": "a.xml", "csv": "b.csv"}.items():
        convert(tmp_path / "a.csv", tmp_path / "out" / name, write_as=format)
        text = (tmp_path / "out" / name).read_text()
        assert "Doe" not in text and "secret" not in text
    assert load_image(tmp_path / "a.dcm").info == {}


def test_heic_is_read_where_the_library_is_there(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    image = Image.new("RGB", (WIDTH, HEIGHT), (200, 40, 40))
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, format="HEIF")
    write(tmp_path, {"a.heic": file.getvalue(), "a.csv": csv({"a.heic": WING})})
    found = inspect_data([str(tmp_path)])
    assert (found.n_images, found.n_labelled) == (1, 1)
    np.testing.assert_allclose(np.asarray(load_image(tmp_path / "a.heic"))[40, 50], (200, 40, 40), atol=8)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif(tmp_path: Path) -> None:
    write(tmp_path, {"a.avif": picture(kind="AVIF"), "a.csv": csv({"a.avif": WING})})
    found = inspect_data([str(tmp_path)])
    assert (found.n_images, found.n_labelled) == (1, 1)


def test_predictions_of_images_elsewhere_are_converted(tmp_path: Path) -> None:
    table = f"path,x0,y0,x1,y1,x2,y2,x3,y3,spread\n/far/photos/a.png,{numbered(OTHER)},1.5\n"
    write(tmp_path, {"photos/a.png": picture(), "photos/a.csv": csv({"a.png": WING}), "out/landmarks.csv": table})
    done = convert(tmp_path / "out/landmarks.csv", tmp_path / "b.json", write_as="coco", images=[tmp_path / "photos"])
    written = json.loads((tmp_path / "b.json").read_text())
    assert (done.n_images, done.n_objects) == (1, 1) and any("predictions" in note for note in done.notes)
    assert [image["file_name"] for image in written["images"]] == ["photos/a.png"]
    assert written["annotations"][0]["keypoints"][:2] == [15, 48]


def test_the_way_back_to_every_format(tmp_path: Path) -> None:
    """What one format holds comes back from every other, wherever that one can hold it."""
    from brule.data import FORMATS, read_annotations

    write(tmp_path, {**IMAGE, "a.csv": csv({"a.png": WING}, tuple(WING))})
    for name, format in FORMATS.items():
        target = tmp_path / "out" / name
        done = convert(tmp_path / "a.csv", target if format.one_image else target / f"a{format.suffixes[0]}", write_as=name)
        (item,) = read_annotations(done.files[0], format=format, images=[tmp_path / "a.png"]).items
        got = np.asarray(sorted(map(tuple, item.points.tolist())))
        np.testing.assert_allclose(got, sorted(wing()), atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("specimen,landmark,x\na,tip,1\n", "no column beside 'specimen' holds coordinates"),
        ("species,tip_x,tip_y\nbee,1,2\n", "no column is called 'image';"),
        ("species,length\nbee,1\n", r"no column is called 'image', and none holds coordinates \(x and y\)"),
    ],
)
def test_a_table_that_is_not_read_says_which_column_it_lacks(tmp_path: Path, content: str, says: str) -> None:
    """And of a file given alone, nothing about 0 images."""
    (tmp_path / "t.csv").write_text(content)
    for skip in (True, False):
        with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path / 't.csv'))}: .*{says}"):
            read_folder(tmp_path / "t.csv", skip_bad=skip)
