"""What is one object: groups, boxes and kinds."""

from __future__ import annotations

from pathlib import Path

from tests.data.cases.case import (
    OTHER,
    WING,
    Case,
    cases,
    check,
    coco,
    cvat,
    cvat_each,
    cvat_points,
    flat,
    labelme,
    labelme_shape,
    pictures,
    studio,
    studio_box,
    studio_point,
    studio_points,
    via,
    via_point,
    wing,
    yolo,
)

IMAGE = pictures("a.png")
PAIR = [{"a": (20, 15), "b": (40, 15)}, {"a": (30, 60), "b": (70, 60)}]
TRIPLE = [(10, 10), (20, 10), (15, 20)], [(60, 50), (80, 50), (70, 65)]


def two_animals(second: str, *, unique: str = "") -> dict[str, object]:
    """DeepLabCut's table of two animals of two parts each, and of a unique part."""
    more = (
        ",Ana,Ana" if unique else "",
        ",single,single" if unique else "",
        ",corner,corner" if unique else "",
        ",x,y" if unique else "",
    )
    rows = [
        "scorer,,," + ",".join(["Ana"] * 8) + more[0],
        "individuals,,,m1,m1,m1,m1,m2,m2,m2,m2" + more[1],
        "bodyparts,,,snout,snout,tail,tail,snout,snout,tail,tail" + more[2],
        "coords,,," + ",".join("xyxyxyxy") + more[3],
        f"labeled-data,v1,img1.png,20,15,80,15,{second}" + (f",{unique}" if unique else ""),
    ]
    return {"labeled-data/v1/CollectedData_Ana.csv": "\n".join(rows) + "\n", **pictures("labeled-data/v1/img1.png")}


def supervisely(*objects: dict) -> dict:
    return {"description": "", "tags": [], "size": {"height": 80, "width": 100}, "objects": list(objects)}


META = {
    "classes": [
        {
            "title": "wing",
            "shape": "graph",
            "geometry_config": {
                "nodes": {"u1": {"label": "base"}, "u2": {"label": "tip"}},
                "edges": [{"src": "u1", "dst": "u2"}],
            },
        }
    ]
}


def graph(base: tuple[float, float], tip: tuple[float, float]) -> dict:
    return {"classTitle": "wing", "geometryType": "graph", "nodes": {"u1": {"loc": list(base)}, "u2": {"loc": list(tip)}}}


CASES = {
    "cvat-one-point-a-label-and-a-contour": Case(
        {**IMAGE, "a.xml": cvat(a=cvat_points("tip", (88, 22)) + cvat_points("edge", (12, 50), (60, 55), (40, 33)))},
        {"a.png": [{"tip": (88, 22), "edge/0": (12, 50), "edge/1": (60, 55), "edge/2": (40, 33)}]},
    ),
    "cvat-the-same-contour-twice-is-two-objects": Case(
        {**IMAGE, "a.xml": cvat(a=cvat_points("wing", *TRIPLE[0]) + cvat_points("wing", *TRIPLE[1]))},
        {"a.png": [TRIPLE[0], TRIPLE[1]]},
    ),
    "cvat-contours-by-group": Case(
        {
            **IMAGE,
            "a.xml": cvat(
                a=cvat_points("fore", *TRIPLE[0], more='group_id="1"')
                + cvat_points("hind", (11, 30), (21, 30), more='group_id="1"')
                + cvat_points("fore", *TRIPLE[1], more='group_id="2"')
                + cvat_points("hind", (61, 70), (81, 70), more='group_id="2"')
            ),
        },
        {
            "a.png": [
                {f"fore/{i}": p for i, p in enumerate(TRIPLE[0])} | {"hind/0": (11, 30), "hind/1": (21, 30)},
                {f"fore/{i}": p for i, p in enumerate(TRIPLE[1])} | {"hind/0": (61, 70), "hind/1": (81, 70)},
            ]
        },
    ),
    "cvat-skeletons-of-two-kinds": Case(
        {
            **IMAGE,
            "a.xml": cvat(
                a=f'<skeleton label="fore">{cvat_each(WING)}</skeleton>'
                f'<skeleton label="hind">{cvat_points("base", (9, 9))}{cvat_points("root", (5, 70))}</skeleton>'
            ),
        },
        refused=[r"a\.xml.*(several|two) kinds.*fore, hind"],
        labelled=0,
    ),
    "cvat-box-of-the-scale-bar": Case(
        {**IMAGE, "a.xml": cvat(a=cvat_each(WING) + '<box label="scale bar" xtl="2" ytl="70" xbr="30" ybr="78"/>')},
        {"a.png": [WING]},
        boxes={"a.png": [None]},
        remarks=[r"scale bar"],
    ),
    "label-studio-box-of-the-colour-chart": Case(
        {**IMAGE, "a.json": studio({"result": [studio_box("chart", (70, 60, 99, 79)), *studio_points(WING)]})},
        {"a.png": [WING]},
        boxes={"a.png": [None]},
        remarks=[r"chart"],
    ),
    "coco-a-landmark-outside-its-box": Case(
        {**IMAGE, "a.json": coco({"a.png": WING}, bbox=[5, 28, 70, 40])},
        {"a.png": [WING]},
        boxes={"a.png": [(4.5, 27.5, 74.5, 67.5)]},
        remarks=[r"a\.json.*outside their box: 1 of 1 object "],
    ),
    "labelme-a-box-in-the-box": Case(
        {
            **IMAGE,
            "a.json": labelme(
                "a.png",
                WING,
                labelme_shape("wing", [(4.5, 9.5), (94.5, 69.5)], "rectangle"),
                labelme_shape("spot", [(55, 25), (65, 35)], "rectangle"),
            ),
        },
        {"a.png": [WING]},
        boxes={"a.png": [(4.5, 9.5, 94.5, 69.5)]},
        remarks=[r"spot"],
    ),
    "labelme-two-boxes-and-no-groups": Case(
        {
            **IMAGE,
            "a.json": labelme(
                "a.png",
                PAIR[0],
                labelme_shape("fish", [(0, 0), (50, 40)], "rectangle"),
                labelme_shape("fish", [(20, 45), (90, 75)], "rectangle"),
                labelme_shape("a", [(30, 60)]),
                labelme_shape("b", [(70, 60)]),
            ),
        },
        {"a.png": PAIR},
        boxes={"a.png": [(0, 0, 50, 40), (20, 45, 90, 75)]},
    ),
    "cvat-box-turned-by-a-right-angle": Case(
        # 60 wide and 20 high about (50, 40): from (20, 30) to (80, 50); turned by 90° from (40, 10) to (60, 70).
        {**IMAGE, "a.xml": cvat(a='<box label="wing" rotation="90.0" xtl="20" ytl="30" xbr="80" ybr="50"/>')},
        boxes={"a.png": [(39.5, 9.5, 59.5, 69.5)]},
        labelled=0,
    ),
    "cvat-box-turned-by-45-degrees": Case(
        # A square of side 20 about (50, 40): half of its diagonal is 14.142.
        {**IMAGE, "a.xml": cvat(a='<box label="wing" rotation="45" xtl="40" ytl="30" xbr="60" ybr="50"/>')},
        boxes={"a.png": [(50 - 14.142 - 0.5, 40 - 14.142 - 0.5, 50 + 14.142 - 0.5, 40 + 14.142 - 0.5)]},
        labelled=0,
    ),
    "label-studio-box-turned-about-its-corner": Case(
        # From (50, 20), 30 wide and 16 high, clockwise by 90° about (50, 20): x from 34 to 50, y from 20 to 50.
        {**IMAGE, "a.json": studio({"result": [studio_box("wing", (50, 20, 80, 36), rotation=90)]})},
        boxes={"a.png": [(33.5, 19.5, 49.5, 49.5)]},
        labelled=0,
    ),
    "label-studio-parents-without-a-second-box": Case(
        {
            **IMAGE,
            "a.json": studio(
                {
                    "result": [
                        studio_box("fish", (0, 0, 50, 40), id="one"),
                        studio_box("fish", (20, 45, 90, 75), id="two"),
                        studio_point("b", (70, 60), parentID="two"),
                        studio_point("a", (20, 15), parentID="one"),
                        studio_point("a", (30, 60), parentID="two"),
                        studio_point("b", (40, 15), parentID="one"),
                    ]
                }
            ),
        },
        {"a.png": PAIR},
        boxes={"a.png": [(-0.5, -0.5, 49.5, 39.5), (19.5, 44.5, 89.5, 74.5)]},
    ),
    "deeplabcut-two-animals": Case(
        two_animals("22,60,70,62"),
        {"img1.png": [{"snout": (20, 15), "tail": (80, 15)}, {"snout": (22, 60), "tail": (70, 62)}]},
    ),
    "deeplabcut-second-animal-never-labelled": Case(
        two_animals(",,,"), {"img1.png": [{"snout": (20, 15), "tail": (80, 15)}]}, names=("snout", "tail")
    ),
    "deeplabcut-a-unique-part": Case(
        two_animals(",,,", unique="3,4"),
        {"img1.png": [{"snout": (20, 15), "tail": (80, 15)}]},
        remarks=[r"corner"],
    ),
    "coco-a-category-of-boxes-beside-the-wings": Case(
        {
            **IMAGE,
            "a.json": {
                **(own := coco({"a.png": WING})),
                "annotations": [*own["annotations"], {"id": 9, "image_id": 0, "category_id": 2, "bbox": [70, 60, 20, 10]}],
                "categories": [*own["categories"], {"id": 2, "name": "ruler"}],
            },
        },
        {"a.png": [WING]},
        boxes={"a.png": [None]},
        remarks=[r"other kinds of objects"],
    ),
    "coco-two-objects-in-an-image": Case(
        {
            **IMAGE,
            "a.json": {
                **(own := coco({"a.png": WING})),
                "annotations": [
                    *own["annotations"],
                    {
                        "id": 9,
                        "image_id": 0,
                        "category_id": 1,
                        "keypoints": flat([OTHER["tip"], None, OTHER["fork"], OTHER["notch"]]),
                    },
                ],
            },
        },
        {"a.png": [WING, {**OTHER, "base": None}]},
    ),
    "yolo-two-objects": Case(
        {
            **pictures("images/a.png"),
            "labels/a.txt": yolo(wing(), wing(OTHER)),
            "data.yaml": "kpt_shape: [4, 3]\nnames: [wing]\n",
        },
        {"a.png": [wing(), wing(OTHER)]},
    ),
    "via-polygon-beside-points": Case(
        {
            **IMAGE,
            "via.json": via(
                {
                    "a.png": [
                        *(via_point(name, point) for name, point in WING.items()),
                        {
                            "shape_attributes": {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]},
                            "region_attributes": {"landmark": "outline"},
                        },
                    ]
                }
            ),
        },
        {"a.png": [WING]},
        remarks=[r"1 (polygon|outline|region).*evenly spaced"],
    ),
    "supervisely-two-graphs": Case(
        {
            **pictures("ds/img/a.png"),
            "ds/ann/a.png.json": supervisely(graph((12, 50), (88, 22)), graph((15, 70), (70, 75))),
            "meta.json": META,
        },
        {"a.png": [{"base": (12, 50), "tip": (88, 22)}, {"base": (15, 70), "tip": (70, 75)}]},
    ),
    "labelme-polygon-beside-points": Case(
        {**IMAGE, "a.json": labelme("a.png", WING, labelme_shape("outline", [(1, 1), (9, 1), (9, 9)], "polygon"))},
        {"a.png": [WING]},
        remarks=[r"a\.json.*evenly spaced"],
    ),
}


@cases(CASES)
def test_objects(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)
