"""Further inputs, of the kinds of the other six files: exports of more tools and habits of more people."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import inspect_data, load_image
from tests.data.cases.case import (
    OTHER,
    WING,
    Case,
    cases,
    check,
    coco,
    csv,
    cvat,
    cvat_each,
    cvat_points,
    flat,
    labelme,
    labelme_shape,
    numbered,
    picture,
    pictures,
    pts,
    studio,
    studio_points,
    tps,
    via,
    via_point,
    wing,
    write,
    yolo,
)

IMAGE = pictures("a.png")
TWO = pictures("a.png", "b.png")
ORDERED = wing()
HEAD = "image,x0,y0,x1,y1,x2,y2,x3,y3"
FINE = {**IMAGE, "a.pts": pts(wing())}
PAIR = [{"a": (20, 15), "b": (40, 15)}, {"a": (30, 60), "b": (70, 60)}]


def zipped(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def cvat_video() -> str:
    """CVAT for video 1.1: a track for each label; the tip leaves the picture in the second frame."""
    tracks = ""
    for i, (name, (x, y)) in enumerate([(name, point or (0, 0)) for name, point in WING.items()]):
        frames = "".join(
            f'<points frame="{frame}" keyframe="1" outside="{int(frame == 1 and name == "tip")}" occluded="0" '
            f'points="{x + 0.5},{y + 0.5}"></points>'
            for frame in (0, 1)
        )
        tracks += f'<track id="{i}" label="{name}">{frames}</track>'
    return f'<?xml version="1.0"?><annotations><version>1.1</version><meta/>{tracks}</annotations>'


def cvat_skeleton(tip_outside: int) -> str:
    parts = "".join(
        f'<points label="{name}" outside="{tip_outside if name == "tip" else 0}" occluded="0" points="{x + 0.5},{y + 0.5}"/>'
        for name, (x, y) in [(name, point or (0, 0)) for name, point in WING.items()]
    )
    return f'<skeleton label="wing" source="manual" z_order="0">{parts}</skeleton>'


def studio_csv() -> str:
    """Label Studio's export as CSV keeps its JSON in a cell."""
    return (
        "annotation_id,annotator,created_at,id,image,kp,lead_time,updated_at\n"
        '1,1,2024-01-01,1,/data/upload/1/a.png,"[{""x"": 12.5, ""y"": 63.1, ""keypointlabels"": [""base""]}]",3.1,2024-01-01\n'
    )


def markups(undefined: str) -> dict:
    """A list of 3D Slicer's control points, one of which was never placed."""
    points = [
        {
            "id": str(i),
            "label": name,
            "position": [0.0, 0.0, 0.0] if name == undefined else [x, y, 0.0],
            "positionStatus": "undefined" if name == undefined else "defined",
        }
        for i, (name, (x, y)) in enumerate([(name, point or (0, 0)) for name, point in WING.items()])
    ]
    return {"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": points}]}


def coco_boxes_only() -> dict:
    """Instance segmentation: a mask in run lengths, and no key points."""
    mask = {"counts": [100, 5, 95, 5, 7795], "size": [80, 100]}
    one = {"id": 1, "image_id": 0, "category_id": 1, "segmentation": mask, "bbox": [5, 10, 90, 60], "iscrowd": 0, "area": 10}
    return {
        "images": [{"id": 0, "file_name": "a.png", "width": 100, "height": 80}],
        "annotations": [one],
        "categories": [{"id": 1, "name": "wing"}],
    }


def coco_of_roboflow() -> dict:
    """Roboflow puts a category without key points before the others, and a suffix into names of images."""
    found = coco({"a_png.rf.0123abcd.png": WING}, bbox=[5, 10, 90, 60])
    found["info"] = {"year": "2024", "description": "Exported from roboflow.com"}
    found["categories"] = [{"id": 0, "name": "wings", "supercategory": "none"}, *found["categories"]]
    return found


def labelme_groups() -> dict:
    shapes = []
    for group, points in enumerate(PAIR, 1):
        shapes += [labelme_shape(name, [place], group=group) for name, place in points.items()]
        (left, top), (right, bottom) = points["a"], points["b"]
        shapes.append(labelme_shape("wing", [(left - 5, top - 5), (right + 5, bottom + 5)], "rectangle", group))
    return labelme("a.png", {}, *shapes)


SUPERVISELY = {
    "size": {"height": 80, "width": 100},
    "objects": [
        {"classTitle": name, "geometryType": "point", "points": {"exterior": [list(point or (0, 0))], "interior": []}}
        for name, point in WING.items()
    ]
    + [{"classTitle": "mask", "geometryType": "bitmap", "bitmap": {"data": "eJwB", "origin": [3, 4]}}],
}
NFD, NFC = (unicodedata.normalize(form, "Flügel.png") for form in ("NFD", "NFC"))
KEY_NFD, KEY_NFC = (unicodedata.normalize(form, "äste") for form in ("NFD", "NFC"))
SEGMENTS = "0 0.1 0.1 0.5 0.05 0.9 0.1 0.95 0.5 0.9 0.9 0.5 0.95 0.1 0.9\n"

CASES = {
    # Which landmark is which
    "coco-category-without-names": Case(
        {
            **IMAGE,
            "c.json": {
                **coco({"a.png": WING}, tuple(WING)),
                "categories": [{"id": 1, "name": "wing", "keypoints": [], "skeleton": []}],
            },
        },
        {"a.png": [ORDERED]},
        names=None,
    ),
    "landmark-names-in-two-spellings-of-unicode": Case(
        {**TWO, "a.csv": csv({"a.png": {KEY_NFD: (12, 50), "tip": (88, 22)}}, (KEY_NFD, "tip")),
         "b.json": labelme("b.png", {"tip": (91, 20), KEY_NFC: (15, 48)})},
        {"a.png": [{KEY_NFC: (12, 50), "tip": (88, 22)}], "b.png": [{KEY_NFC: (15, 48), "tip": (91, 20)}]},
    ),
    "csv-of-r-with-row-numbers": Case(
        {**IMAGE, "a.csv": '"","image","x0","y0","x1","y1"\n"1","a.png",12,50,88,22\n'}, {"a.png": [[(12, 50), (88, 22)]]}
    ),
    "csv-of-pandas-with-its-index": Case(
        {**TWO, "a.csv": f",{HEAD}\n0,a.png,{numbered(WING)}\n1,b.png,{numbered(OTHER)}\n"},
        {"a.png": [ORDERED], "b.png": [wing(OTHER)]},
        names=None,
    ),
    # What is one object
    "labelme-points-and-rectangles-in-groups": Case(
        {**IMAGE, "a.json": labelme_groups()},
        {"a.png": PAIR},
        boxes={"a.png": [(15, 10, 45, 20), (25, 55, 75, 65)]},
    ),
    "labelme-line-beside-points": Case(
        {**IMAGE, "a.json": labelme("a.png", WING, labelme_shape("vein", [(1, 1), (20, 30), (40, 50)], "linestrip"))},
        {"a.png": [WING]},
        remarks=[r"a\.json.*(vein|line)"],
    ),
    "via-polyline-beside-points": Case(
        {
            **IMAGE,
            "via.json": via(
                {
                    "a.png": [
                        *(via_point(name, point or (0, 0)) for name, point in WING.items()),
                        {
                            "shape_attributes": {"name": "polyline", "all_points_x": [1, 9], "all_points_y": [2, 8]},
                            "region_attributes": {"landmark": "vein"},
                        },
                    ]
                }
            ),
        },
        {"a.png": [WING]},
        remarks=[r"via\.json.*(vein|polyline)"],
    ),
    "cvat-polyline-and-ellipse-beside-points": Case(
        {
            **IMAGE,
            "a.xml": cvat(
                a=cvat_each(WING)
                + '<polyline label="vein" occluded="0" points="1,1;9,9"></polyline>'
                + '<ellipse label="eye" occluded="0" cx="5" cy="5" rx="2" ry="3"></ellipse>'
            ),
        },
        {"a.png": [WING]},
        remarks=[r"a\.xml.*(vein|polyline)", r"a\.xml.*(eye|ellipse)"],
    ),
    "supervisely-mask-beside-points": Case(
        {**pictures("ds/img/a.png"), "ds/ann/a.png.json": SUPERVISELY},
        {"a.png": [WING]},
        remarks=[r"a\.png\.json.*(mask|bitmap)"],
    ),
    "csv-of-boxes-with-width-and-height": Case(
        {**IMAGE, "a.csv": "image,x,y,w,h\na.png,10,12,50,40\n"}, boxes={"a.png": [(10, 12, 60, 52)]}, labelled=0
    ),
    # What is a point
    "cvat-skeleton-with-a-point-outside": Case(
        {**IMAGE, "a.xml": cvat(a=cvat_skeleton(1))}, {"a.png": [{**WING, "tip": None}]}
    ),
    "slicer-point-that-was-never-placed": Case(
        {**IMAGE, "a.mrk.json": markups("tip")}, {"a.png": [{**WING, "tip": None}]}
    ),
    "tps-of-tpsdig-with-curves-and-comments": Case(
        {
            **IMAGE,
            "a.tps": "LM=2\n12.5 29.5\n88.5 57.5\nCURVES=1\nPOINTS=3\n20.5 40.5\n30.5 42.5\n40.5 46.5\n"
            "IMAGE=a.png\nID=0\nCOMMENT=left wing\nVARIABLES=sex=f\nSCALE=0.01\n",
        },
        {"a.png": [[(12, 50), (88, 22), (20, 39), (30, 37), (40, 33)]]},
    ),
    "tps-with-paths-of-windows": Case(
        {**IMAGE, "a.tps": tps({r"C:\Users\Ana\wings\a.png": wing()})}, {"a.png": [ORDERED]}, fine=True
    ),
    "tps-of-r-names-images-by-id": Case(
        {**TWO, "a.tps": "".join(
            f"LM=4\n{tps({'': own}).split(chr(10), 1)[1].split('IMAGE')[0]}ID={name}\n\n" for name, own in
            (("a", wing()), ("b", wing(OTHER))))},
        {"a.png": [ORDERED], "b.png": [wing(OTHER)]},
    ),
    "csv-with-thousands-separators": Case(
        {"a.png": picture(3000, 2000), "a.csv": 'image,x0,y0,x1,y1\na.png,"1,234.5",50,88,22\n'},
        refused=[r"a\.csv.*1,234\.5.*thousands"],
        labelled=0,
    ),
    "csv-missing-as-excel-and-r-write-it": Case(
        {**IMAGE, "a.csv": f"{HEAD}\na.png,12,50,#N/A,#N/A,60,55,-,-\n"}, {"a.png": [[(12, 50), None, (60, 55), None]]}
    ),
    "csv-with-bom-and-the-separator-in-the-first-line": Case(
        {**IMAGE, "a.csv": "\ufeffsep=;\r\nimage;x0;y0;x1;y1\r\na.png;12,5;50;88;22,25\r\n"},
        {"a.png": [[(12.5, 50), (88, 22.25)]]},
        names=None,
    ),
    "csv-with-columns-and-rows-that-excel-left-empty": Case(
        {**IMAGE, "a.csv": "image,x0,y0,x1,y1,,\na.png,12,50,88,22,,\n,,,,,,\n,,,,,,\n"}, {"a.png": [[(12, 50), (88, 22)]]}
    ),
    "morphoj-after-procrustes": Case(
        {**IMAGE, "a.txt": "ID\tX1\tY1\tX2\tY2\tX3\tY3\na.png\t-0.31\t0.12\t0.42\t-0.2\t-0.11\t0.08\n"},
        labelled=0,
        refused=[r"a\.txt.*(pixel|fraction)"],
    ),
    "yolo-outlines-instead-of-points": Case(
        {**pictures("images/a.png"), "labels/a.txt": SEGMENTS, "data.yaml": "names: [wing]\n"},
        labelled=0,
        refused=[r"a\.txt.*(segment|outline|kpt_shape)"],
    ),
    # What is a label
    "sleap-table-of-predictions": Case(
        {**IMAGE, "p.csv": "track,frame_idx,instance.score,nose.x,nose.y,nose.score\n,0,0.9,12.1,50.2,0.8\n"},
        labelled=0,
        remarks=[r"p\.csv.*(prediction|no known)"],
    ),
    "openpose-key-points": Case(
        {**FINE, "a_keypoints.json": {"version": 1.3, "people": [{"pose_keypoints_2d": [12, 50, 0.9]}]}},
        {"a.png": [ORDERED]},
        remarks=[r"a_keypoints\.json"],
    ),
    "coco-masks-without-key-points": Case(
        {**IMAGE, "c.json": coco_boxes_only()}, boxes={"a.png": [(4.5, 9.5, 94.5, 69.5)]}, labelled=0,
        remarks=[r"c\.json.*keypoints"],
    ),
    "label-studio-export-as-csv": Case({**IMAGE, "ls.csv": studio_csv()}, labelled=0, remarks=[r"ls\.csv.*JSON"]),
    # What is in the folder
    "hidden-files-of-other-systems": Case(
        {
            **FINE,
            "._a.png": b"\0\5\x16\7" + bytes(60),
            "._a.json": b"\0\5\x16\7" + bytes(60),
            ".DS_Store": b"\0\0\0\1Bud1",
            "Thumbs.db": b"\xd0\xcf\x11\xe0" + bytes(60),
            "desktop.ini": "[.ShellClassInfo]\n",
        },
        {"a.png": [ORDERED]},
        fine=True,
    ),
    "two-images-of-one-stem": Case(
        {"a.png": picture(), "a.jpg": picture(kind="JPEG"), "a.pts": pts(wing())},
        refused=[r"a\.pts.*a\.jpg.*a\.png"],
        labelled=0,
    ),
    "name-of-an-image-in-two-spellings-of-unicode": Case(
        {NFD: picture(), "a.csv": f"{HEAD}\n{NFC},{numbered(WING)}\n"}, {NFD: [ORDERED]}, fine=True
    ),
    "csv-names-images-without-suffix": Case(
        {**TWO, "a.csv": f"{HEAD}\na,{numbered(WING)}\nb,{numbered(OTHER)}\n"}, {"a.png": [ORDERED], "b.png": [wing(OTHER)]}
    ),
    "empty-annotation-file": Case({**FINE, "b.png": picture(), "b.json": ""}, refused=[r"b\.json.*empty"], labelled=1),
    "csv-of-a-first-row-alone": Case({**IMAGE, "a.csv": f"{HEAD}\n"}, labelled=0, remarks=[r"a\.csv.*no images"]),
    "annotations-in-a-zip": Case(
        {**IMAGE, "job_7_annotations.zip": zipped(a="x")}, labelled=0, remarks=[r"job_7_annotations\.zip.*(unpack|extract)"]
    ),
    "jpeg-that-is-called-png": Case({"a.png": picture(kind="JPEG"), "a.pts": pts(wing())}, {"a.png": [ORDERED]}, fine=True),
    "suffixes-in-capitals": Case({"A.JPG": picture(kind="JPEG"), "A.PTS": pts(wing())}, {"A.JPG": [ORDERED]}, fine=True),
    # Formats
    "cvat-tracks-of-a-video": Case(
        {**pictures("frame_000000.png", "frame_000001.png"), "annotations.xml": cvat_video()},
        {"frame_000000.png": [WING], "frame_000001.png": [{**WING, "tip": None}]},
    ),
    "cvat-in-a-folder-of-images": Case(
        {**pictures("images/a.png"), "annotations.xml": cvat(a=cvat_points("tip", (88, 22)) + cvat_points("base", (12, 50)))},
        {"a.png": [{"tip": (88, 22), "base": (12, 50)}]},
        fine=True,
    ),
    "yolo-of-roboflow": Case(
        {
            **pictures("train/images/a_png.rf.0123abcd.png"),
            "train/labels/a_png.rf.0123abcd.txt": yolo(wing()),
            "data.yaml": "train: ../train/images\nval: ../valid/images\nkpt_shape: [4, 3]\nflip_idx: [0, 1, 2, 3]\n\nnc: 1\n"
            "names: ['wing']\nroboflow:\n  workspace: ana\n  version: 1\n",
            "README.roboflow.txt": "wings - v1\n==============================\n\nThis dataset was exported via roboflow.com\n",
            "README.dataset.txt": "# wings > v1\n",
        },
        {"a_png.rf.0123abcd.png": [ORDERED]},
        fine=True,
    ),
    "yolo-of-label-studio": Case(
        {
            **pictures("images/1a2b3c4d-a.png"),
            "labels/1a2b3c4d-a.txt": yolo(wing(), third=False),
            "classes.txt": "wing\n",
            "notes.json": {"categories": [{"id": 0, "name": "wing"}], "info": {"year": 2024, "contributor": "Label Studio"}},
        },
        {"1a2b3c4d-a.png": [ORDERED]},
        fine=True,
    ),
    "coco-of-roboflow": Case(
        {**pictures("train/a_png.rf.0123abcd.png"), "train/_annotations.coco.json": coco_of_roboflow()},
        {"a_png.rf.0123abcd.png": [WING]},
    ),
    "deeplabcut-table-that-excel-saved": Case(
        {
            **pictures("labeled-data/v1/img1.png"),
            "labeled-data/v1/CollectedData_Ana.csv": "scorer;Ana;Ana;Ana;Ana\nbodyparts;snout;snout;tail;tail\ncoords;x;y;x;y\n"
            "labeled-data/v1/img1.png;12,5;50;88;22,25\n",
        },
        {"img1.png": [{"snout": (12.5, 50), "tail": (88, 22.25)}]},
    ),
    "label-studio-local-files": Case(
        {
            **pictures("wings/a.png"),
            "ls.json": studio({"id": 1, "result": studio_points(WING)}, image="/data/local-files/?d=study/wings/a.png"),
        },
        {"a.png": [WING]},
    ),
    "labelme-with-a-path-of-windows": Case(
        {**pictures("photos/a.png"), "json/a.json": labelme(r"..\photos\a.png", WING)}, {"a.png": [WING]}, fine=True
    ),
    "coco-of-another-machine": Case(
        {
            **pictures("val/a.png"),
            "c.json": {
                **coco({"a.png": WING}),
                "images": [{"id": 0, "file_name": "/home/ana/data/val/a.png", "width": 100, "height": 80}],
            },
        },
        {"a.png": [WING]},
    ),
    "imglab-with-its-stylesheet": Case(
        {
            **IMAGE,
            "a.xml": "<?xml version='1.0' encoding='ISO-8859-1'?>\n"
            "<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>\n"
            "<dataset><name>imglab dataset</name><comment>Created by imglab tool.</comment><images><image file='a.png'>"
            "<box top='10' left='5' width='90' height='60'><part name='0' x='12' y='50'/><part name='1' x='88' y='22'/></box>"
            "</image></images></dataset>",
            "image_metadata_stylesheet.xsl": "<xsl/>",
        },
        {"a.png": [[(12, 50), (88, 22)]]},
        fine=True,
    ),
    "coco-one-number-a-point-too-few": Case(
        {**IMAGE, "c.json": {**coco({"a.png": WING}), "annotations": [
            {"id": 1, "image_id": 0, "category_id": 1, "keypoints": flat(wing())[:-1]}]}},
        refused=[r"c\.json.*keypoints"],
        labelled=0,
    ),
}  # fmt: skip


@cases(CASES)
def test_further(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def dlc_of_windows() -> str:
    rows = ["scorer,Ana,Ana,Ana,Ana", "bodyparts,snout,snout,tail,tail", "coords,x,y,x,y"]
    return "\n".join([*rows, r"labeled-data\v1\img1.png,20,15,80,15"]) + "\n"


def coco_person_without_points() -> dict:
    found = coco({"a.png": WING, "b.png": dict.fromkeys(WING)})
    found["annotations"][1]["num_keypoints"] = 0
    return found


SECOND_ROUND = {
    "tps-of-windows-with-small-keys": Case(
        {**IMAGE, "a.TPS": tps({"a.png": wing()}).replace("LM=", "lm=").replace("IMAGE=", "Image=").replace("\n", "\r\n\r\n")},
        {"a.png": [ORDERED]},
    ),
    "deeplabcut-of-windows": Case(
        {**pictures("labeled-data/v1/img1.png"), "labeled-data/v1/CollectedData_Ana.csv": dlc_of_windows()},
        {"img1.png": [{"snout": (20, 15), "tail": (80, 15)}]},
    ),
    "coco-object-without-any-point": Case({**TWO, "c.json": coco_person_without_points()}, {"a.png": [WING]}),
    "coco-addresses-of-images": Case(
        {
            **IMAGE,
            "c.json": {
                **coco({"a.png": WING}),
                "images": [{"id": 0, "file_name": "https://example.org/set/a.png", "width": 100, "height": 80}],
            },
        },
        {"a.png": [WING]},
    ),
    "label-studio-in-a-bucket": Case(
        {**IMAGE, "ls.json": studio({"id": 1, "result": studio_points(WING)}, image="s3://bucket/wings/a.png")},
        {"a.png": [WING]},
    ),
    "via-3-is-named": Case(
        {**FINE, "via3.json": {"project": {"pname": "w"}, "config": {}, "attribute": {}, "file": {}, "metadata": {}}},
        {"a.png": [ORDERED]},
        remarks=[r"via3\.json"],
    ),
    "tables-of-r-and-python": Case(
        {**FINE, "land.rds": b"\x1f\x8b" + bytes(9), "land.RData": b"RDX3" + bytes(9), "land.parquet": b"PAR1" + bytes(9)},
        {"a.png": [ORDERED]},
        remarks=[r"land\.rds|land\.RData", r"land\.parquet"],
    ),
    "json-lines": Case(
        {**FINE, "points.jsonl": '{"image": "a.png"}\n{"image": "b.png"}\n'}, {"a.png": [ORDERED]}, remarks=[r"points\.jsonl"]
    ),
    "cvat-images-in-folders-that-are-flat-here": Case(
        {**IMAGE, "a.xml": cvat(a=cvat_each(WING)).replace('name="a.png"', 'name="wings/left/a.png"')}, {"a.png": [WING]}
    ),
    "csv-with-blanks-and-quotes": Case(
        {**pictures("my wing, 1.png"), "a.csv": f'{HEAD.replace(",", ", ")}\n"my wing, 1.png", {numbered(WING)}\n'},
        {"my wing, 1.png": [ORDERED]},
    ),
    "csv-with-a-row-of-units": Case(
        {**IMAGE, "a.csv": f"{HEAD}\n,px,px,px,px,px,px,px,px\na.png,{numbered(WING)}\n"},
        refused=[r"a\.csv.*row 2"],
        labelled=1,
    ),
    "csv-names-of-images-in-capitals-and-without-suffix": Case(
        {**pictures("wing_01.png"), "a.csv": f"{HEAD}\nWING_01,{numbered(WING)}\n"}, {"wing_01.png": [ORDERED]}
    ),
    "csv-of-whole-numbers-as-names": Case(
        {**pictures("001.png", "002.png"), "a.csv": f"{HEAD}\n001,{numbered(WING)}\n002,{numbered(OTHER)}\n"},
        {"001.png": [ORDERED], "002.png": [wing(OTHER)]},
    ),
    "labelme-numbers-as-names": Case(
        {**IMAGE, "a.json": labelme("a.png", {str(i): (10 * i, 7 * i) for i in (10, 9, 2, 1)})},
        {"a.png": [[(10, 7), (20, 14), (90, 63), (100, 70)]]},
    ),
    "labelme-of-a-picture-without-points": Case({**TWO, "a.json": labelme("a.png", WING), "b.json": labelme("b.png", {})},
        {"a.png": [WING]}, fine=True,
    ),
    "pts-with-comments-and-tabs": Case(
        {**IMAGE, "a.pts": "version: 1\r\nn_points:\t2\r\n{\r\n13.0\t51.0\r\n89.0\t23.0\r\n}\r\n"},
        {"a.png": [[(12, 50), (88, 22)]]},
    ),
    "two-tables-of-the-same-image-that-differ": Case(
        {**IMAGE, "a.csv": f"{HEAD}\na.png,{numbered(WING)}\n", "b.csv": f"{HEAD}\na.png,{numbered(OTHER)}\n"},
        refused=[r"a\.png.*more than one annotation.*a\.csv.*b\.csv"],
        labelled=0,
    ),
    "pictures-of-other-programs-beside": Case(
        {**FINE, "b.jp2": bytes(30), "c.psd": b"8BPS" + bytes(30), "d.czi": bytes(30)},
        {"a.png": [ORDERED]},
        remarks=[r"b\.jp2", r"d\.czi"],
    ),
}  # fmt: skip


@cases(SECOND_ROUND)
def test_second_round(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def test_a_folder_that_is_a_link_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, {"disk/a.png": picture(), "disk/a.pts": pts(wing())})
    study = tmp_path / "study"
    study.mkdir()
    (study / "photos").symlink_to(tmp_path / "disk", target_is_directory=True)
    (study / "again").symlink_to(tmp_path / "disk", target_is_directory=True)
    found = inspect_data([str(study)])
    assert (found.n_images, found.n_labelled, list(found.bad)) == (1, 1, [])


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def halves(left: object, right: object, dtype: type) -> Image.Image:
    """Two values side by side."""
    values = np.empty((80, 100), dtype=dtype)
    values[:, :50], values[:, 50:] = left, right
    return Image.fromarray(values)


def palette() -> Image.Image:
    """Left red, right the colour that is transparent, which is laid on white."""
    image = Image.new("P", (100, 80))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (50, 0, 100, 80))
    return image


def alpha() -> Image.Image:
    """Left black, right black and half transparent: 127.5 on white."""
    image = Image.new("LA", (100, 80), (0, 255))
    image.paste((0, 128), (50, 0, 100, 80))
    return image


# Name of the file, its content, RGB of the left half, RGB of the right half.
PICTURES = {
    "palette": ("a.png", saved(palette(), "PNG", transparency=1), (255, 0, 0), (255, 255, 255)),
    "grey-and-alpha": ("a.png", saved(alpha(), "PNG"), (0, 0, 0), (127, 127, 127)),
    "cmyk": ("a.jpg", saved(Image.new("CMYK", (100, 80), (0, 0, 0, 0)), "JPEG"), (255, 255, 255), (255, 255, 255)),
    "one-bit": ("a.tif", saved(halves(0, 255, np.uint8).convert("1"), "TIFF"), (0, 0, 0), (255, 255, 255)),
    # 4095 is the largest value of 12 bits: 1024 / 4095 · 255 = 63.8.
    "grey-of-twelve-bits": ("a.png", saved(halves(1024, 4095, np.uint16), "PNG"), (64, 64, 64), (255, 255, 255)),
    "floats-of-one": ("a.tif", saved(halves(0.2, 1.0, np.float32), "TIFF"), (51, 51, 51), (255, 255, 255)),
    # Floats of no known range are stretched from the least to the largest.
    "floats-of-a-microscope": ("a.tif", saved(halves(100.0, 900.0, np.float32), "TIFF"), (0, 0, 0), (255, 255, 255)),
}


@pytest.mark.parametrize(("name", "content", "left", "right"), PICTURES.values(), ids=PICTURES)
def test_pictures_of_every_kind(
    tmp_path: Path, name: str, content: bytes, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    write(tmp_path, {name: content})
    image = np.asarray(load_image(tmp_path / name)).astype(int)
    np.testing.assert_allclose(image[40, 10], left, atol=1)
    np.testing.assert_allclose(image[40, 90], right, atol=1)
