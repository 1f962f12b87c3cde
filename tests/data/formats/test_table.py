"""The tables of docs/formats.md: what they say of a format is what a file of it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from brule.data import FORMATS, read_annotations
from brule.data.formats.format import FEATURES
from brule.errors import DataError
from tests.data.cases.case import (
    WING,
    coco,
    csv,
    cvat,
    cvat_each,
    cvat_points,
    dlc,
    labelme,
    labelme_shape,
    picture,
    studio,
    studio_box,
    studio_points,
    tps,
    via,
    via_point,
    wing,
    write,
    yolo,
)

DOCS = Path(__file__).resolve().parents[3] / "docs" / "formats.md"

ZERO = {**WING, "notch": (0, 0)}
SMALL = (5, 28, 70, 68)  # a box that the tip is outside of
POLYGON = labelme_shape("outline", [(1, 1), (9, 1), (9, 9)], "polygon")
RULER = '<box label="ruler" xtl="2" ytl="70" xbr="30" ybr="78"/>'
VIA_POLYGON = {
    "shape_attributes": {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]},
    "region_attributes": {"landmark": "outline"},
}
PART = "<part name='{}' x='{}' y='{}'/>"
BOX = "<box left='5' top='10' width='90' height='60' {}>{}</box>"


def imglab(*boxes: str) -> str:
    return f"<dataset><images><image file='a.png'>{''.join(boxes)}</image></images></dataset>"


def supervisely(*objects: dict) -> dict:
    return {"size": {"height": 80, "width": 100}, "objects": list(objects)}


def geometry(kind: str, title: str, *corners: tuple[float, float]) -> dict:
    places = {"exterior": [list(one) for one in corners], "interior": []}
    return {"classTitle": title, "geometryType": kind, "points": places, "nodes": {"n": {"loc": [1, 2]}}}


def markups(z: float = 0.0, system: str = "LPS") -> dict:
    points = [{"label": "tip", "position": [1, 2, 0]}, {"label": "base", "position": [3, 4, z]}]
    return {"markups": [{"coordinateSystem": system, "controlPoints": points}]}


def fcsv(z: float = 0.0, system: str = "LPS") -> str:
    return f"# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n1,1,2,0,,,,,,,,tip\n2,3,4,{z},,,,,,,,base\n"


YAML = {"data.yaml": "kpt_shape: [4, 3]\n"}
BOXED = "image,x0,y0,x1,y1,left,top,right,bottom\na.png,{},{},30,30,5,10,95,70\n"
TWO_KINDS = coco({"a.png": WING})
TWO_KINDS["categories"].append({"id": 2, "name": "leg", "keypoints": ["knee"]})
TWO_KINDS["annotations"].append({"image_id": 0, "category_id": 2, "keypoints": [1, 1, 2]})
CROWD = coco({"a.png": WING})
CROWD["annotations"].append({"image_id": 0, "category_id": 1, "iscrowd": 1, "keypoints": [0] * 12})
BOXES_ONLY = coco({"a.png": WING}, bbox=[5, 28, 65, 40])
del BOXES_ONLY["annotations"][0]["keypoints"]
OUTSIDE = coco({"a.png": WING}, bbox=[5, 28, 65, 40])

# What the table names, the file that shows it, and the words in which it comes out.
REMARKS: dict[str, dict[str, tuple[str, object, str]]] = {
    "pts": {"(0, 0), (-1, -1)": ("a.pts", "version: 1\nn_points: 2\n{\n0 0\n3 4\n}\n", r"\(0, 0\)")},
    "coco": {
        "(0, 0), (-1, -1)": ("a.json", coco({"a.png": ZERO}), r"notch.*\(0, 0\)"),
        "landmarks outside their box": ("a.json", OUTSIDE, "outside their box"),
        "crowds": ("a.json", CROWD, "crowds"),
        "predictions": ("a.json", coco({"a.png": WING}, score=1), "predictions"),
        "no key points": ("a.json", BOXES_ONLY, r"no keypoints.*boxes are read \(1\)"),
    },
    "dlc": {
        "(0, 0), (-1, -1)": ("a.csv", dlc({"a.png": ZERO}), r"notch.*\(0, 0\)"),
        "predictions": ("a.csv", dlc({"a.png": WING}, likelihood=1), "predictions"),
        "unique body parts": (
            "a.csv",
            "scorer,A,A,A,A\nindividuals,m,m,single,single\nbodyparts,n,n,corner,corner\ncoords,x,y,x,y\na.png,1,2,3,4\n",
            "corner",
        ),
    },
    "tps": {
        "(0, 0), (-1, -1)": ("a.tps", "LM=2\n0 0\n3 4\nIMAGE=a.png\n", r"\(0, 0\)"),
        "curves that differ": (
            "a.tps",
            "LM=1\n3 4\nCURVES=1\nPOINTS=2\n1 1\n2 2\nIMAGE=a.png\nLM=2\n3 4\n5 6\nIMAGE=a.png\n",
            "different curves",
        ),
    },
    "labelme": {
        "polygons": ("a.json", labelme("a.png", WING, POLYGON), "evenly spaced"),
        "other shapes": (
            "a.json",
            labelme("a.png", WING, labelme_shape("eye", [(1, 1), (2, 2)], "circle")),
            r"circle 'eye' \(1\)",
        ),
        "boxes without landmarks": (
            "a.json",
            labelme("a.png", WING, labelme_shape("ruler", [(2, 70), (30, 78)], "rectangle")),
            "'ruler' holds none",
        ),
        "landmarks outside their box": (
            "a.json",
            labelme("a.png", WING, labelme_shape("wing", [SMALL[:2], SMALL[2:]], "rectangle")),
            "outside their box",
        ),
        "scores": ("a.json", labelme("a.png", WING, {**labelme_shape("x", [(1, 1)]), "score": 0.5}), "score"),
        "an older imagePath": ("a.json", labelme("gone.png", WING), r"gone\.png"),
    },
    "cvat": {
        "polygons": ("a.xml", cvat(a='<polygon label="w" points="1,1;2,2;3,1"/>'), "evenly spaced"),
        "other shapes": (
            "a.xml",
            cvat(a='<cuboid label="c"/><mask label="m"/><mask label="m"/>'),
            r"mask 'm' \(2\), cuboid 'c' \(1\)",
        ),
        "boxes without landmarks": ("a.xml", cvat(a=cvat_each(WING) + RULER), "'ruler' holds none"),
        "contours of different lengths": (
            "a.xml",
            cvat(a=cvat_points("w", (1, 1), (2, 2)), b=cvat_points("w", (1, 1), (2, 2), (3, 3))),
            "2 to 3 points",
        ),
    },
    "labelstudio": {
        "several annotations": (
            "a.json",
            studio({"result": studio_points(WING)}, {"result": studio_points(WING)}),
            "several annotations",
        ),
        "other shapes": (
            "a.json",
            studio({"result": [{"type": "brushlabels", "value": {"rle": [1]}}, *studio_points(WING)]}),
            r"brushlabels \(1\)",
        ),
        "image_rotation": ("a.json", studio({"result": studio_points(WING, image_rotation=90)}), "image_rotation"),
        "predictions": ("a.json", studio(predictions=[{"result": studio_points(WING)}]), "predictions"),
        "boxes without landmarks": (
            "a.json",
            studio({"result": [studio_box("ruler", (2, 70, 30, 78)), *studio_points(WING)]}),
            "'ruler' holds none",
        ),
    },
    "imglab": {
        "(0, 0), (-1, -1)": ("a.xml", imglab(BOX.format("", PART.format("a", 0, 0) + PART.format("b", 9, 20))), r"\(0, 0\)"),
        "boxes marked ignore": ("a.xml", imglab(BOX.format("ignore='1'", ""), BOX.format("", "")), "ignore"),
    },
    "yolo": {
        "predictions": ("a.txt", yolo(wing(), end=" 0.9"), "predictions"),
        "landmarks outside their box": ("a.txt", yolo(wing(), box=SMALL), "outside their box"),
    },
    "via": {
        "polygons": ("a.json", via({"a.png": [*(via_point(*one) for one in WING.items()), VIA_POLYGON]}), "evenly spaced"),
        "other shapes": (
            "a.json",
            via({"a.png": [{"shape_attributes": {"name": "circle", "cx": 1, "cy": 2, "r": 3}, "region_attributes": {}}]}),
            r"circle \(1\)",
        ),
        "(0, 0), (-1, -1)": ("a.json", via({"a.png": [via_point(*one) for one in ZERO.items()]}), r"\(0, 0\)"),
    },
    "supervisely": {
        "other shapes": ("a.png.json", supervisely(geometry("bitmap", "mask")), r"bitmap 'mask' \(1\)"),
        "polygons": ("a.png.json", supervisely(geometry("polygon", "w", (1, 1), (2, 2), (3, 1))), "evenly spaced"),
        "boxes without landmarks": (
            "a.png.json",
            supervisely(geometry("point", "tip", (1, 1)), geometry("rectangle", "ruler", (20, 70), (30, 78))),
            "'ruler' holds none",
        ),
    },
    "imagej": {
        "images with different numbers of points": ("a.csv", " ,Label,X,Y\n1,a.png,1,2\n2,a.png,1,2\n3,b.png,1,2\n", "1 to 2"),
    },
    "csv": {
        "(0, 0), (-1, -1)": ("a.csv", csv({"a.png": ZERO}), r"notch.*\(0, 0\)"),
        "predictions": ("a.csv", "image,x0,y0,score\na.png,1,2,0.5\n", "predictions"),
        "other columns": ("a.csv", "image,x0,y0,sex\na.png,1,2,f\n", "sex"),
        "y counted upwards": ("a.csv", "id,X1,Y1\na.png,1,2\n", "upwards"),
        "landmarks outside their box": ("a.csv", BOXED.format(1, 1), "outside their box"),
    },
}
REFUSED: dict[str, dict[str, tuple[str, object, str]]] = {
    "pts": {"another number of points than announced": ("a.pts", "n_points: 3\n{\n1 2\n}\n", "announces")},
    "coco": {
        "several kinds of objects with key points": ("a.json", TWO_KINDS, "several kinds"),
        "results without images": ("a.json", [{"image_id": 1, "keypoints": [1, 2, 2]}], "list of results"),
    },
    "dlc": {"predictions of a video": ("a.csv", dlc({"0": WING, "1": WING}, likelihood=1), "frames of a video")},
    "tps": {
        "LM3": ("a.tps", "LM3=1\n1 2 3\nIMAGE=a.png\n", "plane"),
        "labels without IMAGE or an image of their ID": ("a.tps", tps({"": wing()}), "no IMAGE"),
    },
    "labelme": {"a name twice in an object": ("a.json", labelme("a.png", WING, labelme_shape("tip", [(1, 1)])), "'tip'")},
    "cvat": {
        "skeletons of several kinds": (
            "a.xml",
            cvat(a='<skeleton label="fore"/><skeleton label="hind"/>'),
            "several kinds",
        ),
    },
    "labelstudio": {
        "a name twice in an object": ("a.json", studio({"result": [*studio_points(WING), *studio_points(WING)]}), "two points"),
    },
    "imglab": {"a name twice in an object": ("a.xml", imglab(BOX.format("", PART.format("a", 9, 20) * 2)), "two points")},
    "yolo": {
        "pixels": ("a.txt", "0 50 40 90 60 1 1 2 2 2 2 3 3 2 4 4 2\n", "fractions"),
        "outlines": ("a.txt", "0 0.1 0.1 0.5 0.05 0.9 0.1 0.95 0.5\n", "YOLO-seg"),
        "several classes": ("a.txt", yolo(wing()) + yolo(wing()).replace("0 ", "1 ", 1), "several classes"),
    },
    "via": {
        "a name twice in an object": ("a.json", via({"a.png": [via_point("tip", (1, 2)), via_point("tip", (3, 4))]}), "'tip'")
    },
    "supervisely": {
        "graphs of several kinds": ("a.png.json", supervisely(geometry("graph", "fore"), geometry("graph", "hind")), "several"),
    },
    "slicer": {
        "points in space": ("a.mrk.json", markups(z=3), "plane"),
        "other coordinate systems": ("a.mrk.json", markups(system="IJK"), "LPS or RAS"),
    },
    "fcsv": {
        "points in space": ("a.fcsv", fcsv(z=3), "plane"),
        "other coordinate systems": ("a.fcsv", fcsv(system="IJK"), "LPS or RAS"),
    },
    "imagej": {"rows without Label": ("a.csv", " ,Label,X,Y\n1,,1,2\n", "'Label'")},
    "morphoj": {"rows of another length": ("a.txt", "ID\tX1\tY1\tX2\tY2\na\t1\t2\n", "expected 5 cells")},
    "csv": {
        "numbers left out": ("a.csv", "image,x0,y0,x2,y2\na.png,1,2,3,4\n", "one after the other"),
        "signs between thousands": ("a.csv", 'image,x0,y0\na.png,"1,234.5",2\n', "between thousands"),
        "one coordinate without the other": ("a.csv", "image,x0,y0\na.png,1,\n", "without the other"),
    },
}


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the first table under a heading, by their first cell."""
    text = DOCS.read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows[2:]}


def phrases(cell: str) -> set[str]:
    return {phrase.strip() for phrase in cell.split(";") if phrase.strip() not in ("", "–")}


EXAMPLES = [
    (kind, name, phrase, example)
    for kind, known in (("remarked", REMARKS), ("refused", REFUSED))
    for name, own in known.items()
    for phrase, example in own.items()
]


@pytest.mark.parametrize(("kind", "name", "phrase", "example"), EXAMPLES, ids=[f"{e[1]}-{e[2]}" for e in EXAMPLES])
def test_what_is_remarked_and_refused(tmp_path: Path, kind: str, name: str, phrase: str, example: tuple) -> None:
    file, content, says = example
    write(tmp_path, {"a.png": picture(), **(YAML if name == "yolo" and phrase != "outlines" else {}), file: content})
    if kind == "refused":
        with pytest.raises(DataError, match=f"(?s){says}"):
            read_annotations(tmp_path / file, format=FORMATS[name])
    else:
        notes = read_annotations(tmp_path / file, format=FORMATS[name], images=[tmp_path / "a.png"]).notes
        assert any(re.search(says, note) for note in notes), notes


def test_the_table_names_just_that() -> None:
    rows = table("Remarks and refusals")
    assert list(rows) == list(FORMATS)
    for name, (remarked, refused) in rows.items():
        assert phrases(remarked) == set(REMARKS.get(name, {})), name
        assert phrases(refused) == set(REFUSED.get(name, {})), name


def test_the_table_names_what_gets_lost_on_writing() -> None:
    rows = table("Formats")
    assert list(rows) == list(FORMATS)
    for name, (files, _, lost) in rows.items():
        format = FORMATS[name]
        assert [one.strip(" `") for one in files.split(",")] == list(format.suffixes), name
        assert phrases(lost) == {text for feature, text in FEATURES.items() if feature in format.loses}, name
