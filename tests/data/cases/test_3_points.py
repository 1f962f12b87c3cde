"""What is a point: missing ones, fractions, other units, photographs that their EXIF data turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.data.cases.case import (
    OTHER,
    WING,
    Case,
    Point,
    cases,
    check,
    coco,
    csv,
    dlc,
    labelme,
    numbered,
    picture,
    pictures,
    pts,
    studio,
    studio_points,
    tps,
    wing,
    yolo,
)

IMAGE = pictures("a.png")
GAP: dict[str, Point] = {**WING, "notch": None}


def spoilt(name: str, point: tuple[float, float]) -> dict[str, Point]:
    return {**WING, name: point}


def turned_6(points: dict[str, Point]) -> dict[str, Point]:
    """From the stored image of 100 × 80 to the upright one of 80 × 100."""
    return {name: None if point is None else (79 - point[1], point[0]) for name, point in points.items()}


def turned_8(points: dict[str, Point]) -> dict[str, Point]:
    return {name: None if point is None else (point[1], 99 - point[0]) for name, point in points.items()}


def ten_pts(change: dict[int, list[tuple[float, float]]]) -> dict[str, object]:
    """Ten photographs of wings that hardly differ, but for some."""
    rng = np.random.default_rng(3)
    files: dict[str, object] = {}
    for i in range(10):
        own = [(x + rng.normal(0, 0.7), y + rng.normal(0, 0.7)) for x, y in wing()]
        files |= {f"{i}.png": picture(), f"{i}.pts": pts(change.get(i, own))}
    return files


CASES = {
    "coco-zero-zero-marked-visible": Case(
        {**IMAGE, "a.json": coco({"a.png": spoilt("notch", (0, 0))})}, {"a.png": [GAP]}, remarks=[r"notch.*\(0, 0\)"]
    ),
    "coco-minus-one": Case(
        {**IMAGE, "a.json": coco({"a.png": spoilt("notch", (-1, -1))})}, {"a.png": [GAP]}, remarks=[r"notch.*\(-1, -1\)"]
    ),
    "csv-zero-zero": Case(
        {**IMAGE, "a.csv": csv({"a.png": spoilt("notch", (0, 0))})}, {"a.png": [GAP]}, remarks=[r"notch.*\(0, 0\)"]
    ),
    "csv-minus-one": Case(
        {**IMAGE, "a.csv": csv({"a.png": spoilt("notch", (-1, -1))})}, {"a.png": [GAP]}, remarks=[r"notch.*\(-1, -1\)"]
    ),
    "deeplabcut-zero-zero": Case(
        {**IMAGE, "CollectedData_Ana.csv": dlc({"a.png": spoilt("notch", (0, 0))})},
        {"a.png": [GAP]},
        remarks=[r"notch.*\(0, 0\)"],
    ),
    "pts-minus-one-and-zero": Case(
        {**IMAGE, "a.pts": "version: 1\nn_points: 4\n{\n13 51\n-1 -1\n0 0\n41 34\n}\n"},
        {"a.png": [[(12, 50), None, None, (40, 33)]]},
        remarks=[r"a\.pts.*\((0, 0|-1, -1)\)"],
    ),
    "imglab-zero-zero": Case(
        {
            **IMAGE,
            "a.xml": "<dataset><images><image file='a.png'><box left='5' top='10' width='90' height='60'>"
            "<part name='base' x='12' y='50'/><part name='fork' x='40' y='33'/><part name='notch' x='0' y='0'/>"
            "<part name='tip' x='88' y='22'/></box></image></images></dataset>",
        },
        {"a.png": [GAP]},
        remarks=[r"notch.*\(0, 0\)"],
    ),
    "yolo-three-numbers-a-point": Case(
        {**pictures("images/a.png"), "labels/a.txt": yolo(list(GAP.values())), "data.yaml": "kpt_shape: [4, 3]\n"},
        {"a.png": [list(GAP.values())]},
    ),
    "yolo-two-numbers-a-point": Case(
        {
            **pictures("images/a.png"),
            "labels/a.txt": yolo(list(GAP.values()), third=False),
            "data.yaml": "kpt_shape: [4, 2]\n",
        },
        {"a.png": [list(GAP.values())]},
    ),
    "tps-zero-zero": Case(
        {**IMAGE, "a.tps": "LM=4\n12.5 29.5\n88.5 57.5\n0 0\n40.5 46.5\nIMAGE=a.png\nID=0\n"},
        {"a.png": [list(GAP.values())]},
        remarks=[r"\(0, 0\)"],
    ),
    "coco-fractions-and-a-box": Case(
        {
            **IMAGE,
            "a.json": coco({"a.png": {name: (x / 100, y / 80) for name, (x, y) in WING.items()}}, bbox=[5, 10, 90, 60]),
        },
        refused=[r"a\.json.*fractions"],
        labelled=0,
    ),
    "csv-fractions-and-a-box": Case(
        {
            **IMAGE,
            "a.csv": "image,x0,y0,x1,y1,x2,y2,left,top,right,bottom\na.png,0.12,0.62,0.88,0.28,0.6,0.7,5,10,95,70\n",
        },
        refused=[r"a\.csv.*fractions"],
        labelled=0,
    ),
    "yolo-pixels-instead-of-fractions": Case(
        {
            **pictures("images/a.png"),
            "labels/a.txt": "0 50 40 90 60 12 50 2 88 22 2 60 55 2\n",
            "data.yaml": "kpt_shape: [3, 3]\n",
        },
        refused=[r"a\.txt.*fractions"],
        labelled=0,
    ),
    "csv-millimetres": Case(
        # 0.05 mm a pixel, three images.
        {
            **pictures("a.png", "b.png", "c.png"),
            "a.csv": csv(
                {f"{i}.png": {n: (x / 20 + 0.1 * k, y / 20) for n, (x, y) in WING.items()} for k, i in enumerate("abc")}
            ),
        },
        labelled=3,
        remarks=[r"a\.csv.*(unit|millimetres)"],
    ),
    "csv-of-a-photograph-turned-by-90-degrees": Case(
        {
            "a.jpg": picture(kind="JPEG", turned=6),
            "a.csv": csv({"a.jpg": {n: (30 + x / 4, 30 + y / 4) for n, (x, y) in WING.items()}}),
        },
        labelled=1,
        remarks=[r"EXIF"],
    ),
    "tps-digitised-unturned": Case(
        # In the upright image of 80 × 100, the tip would be at x = 88: only the stored one of 100 × 80 holds all of it.
        {"a.jpg": picture(kind="JPEG", turned=6), "a.tps": tps({"a.jpg": wing()})},
        {"a.jpg": [list(turned_6(WING).values())]},
        remarks=[r"a\.tps.*EXIF"],
    ),
    "coco-annotated-unturned": Case(
        {"a.jpg": picture(kind="JPEG", turned=6), "a.json": coco({"a.jpg": WING})},
        {"a.jpg": [turned_6(WING)]},
        remarks=[r"a\.json.*EXIF"],
    ),
    "labelme-annotated-unturned-the-other-way": Case(
        {"a.jpg": picture(kind="JPEG", turned=8), "a.json": labelme("a.jpg", WING)},
        {"a.jpg": [turned_8(WING)]},
        remarks=[r"a\.json.*EXIF"],
    ),
    "coco-annotated-upright-of-a-turned-photograph": Case(
        {"a.jpg": picture(80, 100, kind="JPEG", turned=6), "a.json": coco({"a.jpg": WING})},
        {"a.jpg": [WING]},
        fine=True,
    ),
    "csv-upside-down": Case(
        {"a.jpg": picture(kind="JPEG", turned=3), "a.csv": csv({"a.jpg": WING})}, labelled=1, remarks=[r"EXIF"]
    ),
    "coco-square-and-turned": Case(
        {
            "a.jpg": picture(100, 100, kind="JPEG", turned=6),
            "a.json": {**(own := coco({"a.jpg": WING})), "images": [{**own["images"][0], "height": 100}]},
        },
        labelled=1,
        remarks=[r"EXIF"],
    ),
    "label-studio-picture-turned-in-the-tool": Case(
        {**IMAGE, "a.json": studio({"result": studio_points(WING, image_rotation=90)})},
        labelled=1,
        remarks=[r"image_rotation"],
    ),
    "tps-decimal-commas-and-scale": Case(
        {**IMAGE, "a.tps": "LM=4\n12,5 29,5\n88,5 57,5\n60,5 24,5\n40,5 46,5\nIMAGE=a.png\nID=0\nSCALE=0,05\n"},
        {"a.png": [wing()]},
        fine=True,
    ),
    "csv-of-ml-morph-counts-upwards": Case(
        {**IMAGE, "a.csv": "id,X1,Y1,X2,Y2,X3,Y3,X4,Y4\na.png,12,30,88,58,60,25,40,47\n"},
        {"a.png": [wing()]},
        remarks=[r"a\.csv.*(upwards|from the bottom)"],
    ),
    "one-click-far-off": Case(ten_pts({6: [(12, 50), (88, 22), (5, 3), (40, 33)]}), labelled=10, remarks=[r"6\.png"]),
    "one-wing-with-two-points-exchanged": Case(
        ten_pts({4: [(88, 22), (12, 50), (60, 55), (40, 33)]}), labelled=10, remarks=[r"4\.png"]
    ),
    "csv-numbered-rows-stay-as-they-are": Case(
        {**IMAGE, "a.csv": f"image,x1,y1,x2,y2,x3,y3,x4,y4\na.png,{numbered(OTHER)}\n"},
        {"a.png": [wing(OTHER)]},
        names=None,
        fine=True,
    ),
}


@cases(CASES)
def test_points(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)
