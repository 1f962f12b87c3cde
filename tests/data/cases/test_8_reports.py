"""Inputs rebuilt from public reports on the programs that wrote them: their values were written before the first run."""

from __future__ import annotations

import csv as csv_module
import io
import json
from collections.abc import Mapping
from pathlib import Path

from brule.data import inspect_data
from tests.data.cases.case import (
    OTHER,
    WING,
    Case,
    Point,
    cases,
    check,
    coco,
    csv,
    cvat,
    cvat_each,
    dlc,
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
HEAD = "image,x0,y0,x1,y1,x2,y2,x3,y3"
FINE = {**IMAGE, "a.pts": pts(wing())}
FRAMES = pictures("images/frame_000000.PNG", "images/frame_000010.PNG", "images/frame_000020.PNG")
PARTS = ("nose", "tail")


def tracked(frames: Mapping[int, tuple[Point, bool, bool]], label: str, tag: str = "points") -> str:
    """A track of one point: by frame where it is, whether it is outside, whether a person placed it."""
    parts = "".join(
        f'<{tag} frame="{frame}" keyframe="{int(key)}" outside="{int(outside)}" occluded="0" '
        f'points="{(place or (0, 0))[0] + 0.5},{(place or (0, 0))[1] + 0.5}" z_order="0"></{tag}>'
        for frame, (place, outside, key) in frames.items()
    )
    return f'<track id="0" label="{label}" source="manual">{parts}</track>'


def video(*tracks: str, meta: str = "") -> str:
    return f'<?xml version="1.0"?><annotations><version>1.1</version><meta>{meta}</meta>{"".join(tracks)}</annotations>'


def skeleton_track() -> str:
    """Frame 0 is placed by a person, frame 10 interpolated with the tip hidden from view, frame 20 ends the track."""
    frames = ""
    for frame, points, key in ((0, WING, 1), (10, {**OTHER, "tip": None}, 0), (20, dict.fromkeys(WING), 1)):
        nodes = "".join(
            f'<points label="{name}" keyframe="{key}" outside="{int(place is None)}" occluded="0" '
            f'points="{(place or (0, 0))[0] + 0.5},{(place or (0, 0))[1] + 0.5}"></points>'
            for name, place in points.items()
        )
        frames += f'<skeleton frame="{frame}" keyframe="{key}" z_order="0">{nodes}</skeleton>'
    return f'<track id="0" label="wing" source="manual">{frames}</track>'


def numbered_coco(**change: object) -> dict:
    """Programs that write numbers as text."""
    found = coco({"a.png": WING})
    found["images"][0]["id"] = "17"
    found["annotations"][0] = {**found["annotations"][0], "image_id": 17, "category_id": "1", **change}
    return found


def hidden_coco() -> dict:
    """A point that isn't labelled keeps the place where a program put it, outside the picture too (v = 0)."""
    found = coco({"a.png": WING}, tuple(WING))
    found["annotations"][0]["keypoints"] = [12, 50, 2, -456, 862, 0, 60, 55, 1, 40, 33, 2]
    return found


def species() -> dict:
    """AP-10K and its like: a category for each species, all with the same key points."""
    found = coco({"a.png": WING, "b.png": OTHER})
    found["categories"] = [{"id": i, "name": name, "keypoints": list(found["categories"][0]["keypoints"])} for i, name in
                           ((1, "antelope"), (2, "bison"))]  # fmt: skip
    found["annotations"][1]["category_id"] = 2
    return found


def one_category_a_point() -> dict:
    """RectLabel: each point is an annotation of its own, with a box of one pixel and no key points."""
    found = coco({"a.png": WING})
    found["annotations"] = [
        {"id": i, "image_id": 0, "category_id": i, "iscrowd": 0, "area": 0, "bbox": [x, y, 1, 1], "segmentation": [[x, y]]}
        for i, (x, y) in enumerate(wing(), 1)
    ]
    found["categories"] = [{"id": i, "name": name} for i, name in enumerate(WING, 1)]
    return found


def upright_coco() -> dict:
    """Label Studio's COCO of a photograph that EXIF turns: the stored size, but points of the upright picture."""
    found = coco({"a.jpg": {"a": (10, 20), "b": (70, 95), "c": (40, 60)}}, ("a", "b", "c"))
    found["images"][0] |= {"width": 100, "height": 80}
    return found


def studio_of_labels() -> list:
    """``<KeyPoint>`` with ``<Labels>``: a result for the place, and one of the same id for its label."""
    results = []
    for i, one in enumerate(studio_points(WING)):
        name = one["value"].pop("keypointlabels")
        place = dict(one["value"])
        results.append({**one, "id": f"k{i}", "type": "keypoint", "value": place})
        results.append({**one, "id": f"k{i}", "type": "labels", "from_name": "label", "value": {**place, "labels": name}})
    return studio({"id": 1, "result": results})


def circles() -> list:
    return [
        {"shape_attributes": {"name": "circle", "cx": x, "cy": y, "r": 2}, "region_attributes": {"landmark": name}}
        for name, (x, y) in ((name, place or (0, 0)) for name, place in WING.items())
    ]


def long_table() -> str:
    file = io.StringIO()
    table = csv_module.writer(file)
    table.writerow(["image", "individual", "bodypart", "x", "y"])
    for individual, x in (("mouse1", 20), ("mouse2", 60)):
        for i, part in enumerate(PARTS):
            table.writerow(["a.png", individual, part, x + 10 * i, 30])
    return file.getvalue()


def multi_two_files() -> dict:
    """DeepLabCut keeps a copy of the labels from before it converted the paths of Windows."""
    rows = dlc({"labeled-data/v1/img1.png": WING})
    return {
        **pictures("labeled-data/v1/img1.png"),
        "labeled-data/v1/CollectedData_Ana.csv": rows,
        "labeled-data/v1/CollectedData_Ana_windows.csv": rows.replace("labeled-data/v1/", "labeled-data\\v1\\"),
    }


def turned(shape: str) -> dict:
    """A turned rectangle of X-AnyLabeling: four corners."""
    corners = [(50, 10), (90, 40), (50, 70), (10, 40)]
    return {**labelme_shape("wing", corners, shape), "direction": 0.78}


CASES = {
    # CVAT, video
    "cvat-skeleton-track-with-interpolated-and-ended-frames": Case(
        {**FRAMES, "annotations.xml": video(skeleton_track())},
        {"frame_000000.PNG": [WING], "frame_000010.PNG": [{**OTHER, "tip": None}]},
        remarks=[r"annotations\.xml.*1 frame.*interpolated"],
    ),
    "cvat-point-tracks-of-which-one-leaves": Case(
        {
            **FRAMES,
            "annotations.xml": video(
                tracked({0: ((12, 50), False, True), 10: ((15, 48), False, True), 20: ((15, 48), True, True)}, "base"),
                tracked({0: ((88, 22), False, True), 10: ((88, 22), True, True)}, "tip"),
                tracked({0: ((60, 55), False, True), 10: ((63, 53), False, True), 20: ((63, 53), True, True)}, "notch"),
            ),
        },
        {
            "frame_000000.PNG": [{"base": (12, 50), "tip": (88, 22), "notch": (60, 55)}],
            "frame_000010.PNG": [{"base": (15, 48), "tip": None, "notch": (63, 53)}],
        },
    ),
    "cvat-video-without-its-frames": Case(
        {**FINE, "annotations.xml": video(skeleton_track())},
        {"a.png": [wing()]},
        refused=[r"annotations\.xml.*frame_000000.*(save|export).*images"],
    ),
    "cvat-skeleton-that-was-switched-off": Case(
        {
            **TWO,
            "a.xml": cvat(
                a='<skeleton label="wing">' + cvat_each(WING) + "</skeleton>",
                b='<skeleton label="wing">' + cvat_each(WING).replace("<points", '<points outside="1"') + "</skeleton>",
            ),
        },
        {"a.png": [WING]},
    ),
    "cvat-annotated-on-tiff-and-converted-since": Case(
        {**IMAGE, "a.xml": cvat(a=cvat_each(WING)).replace("a.png", "a.tif")}, refused=[r"a\.xml.*'a\.tif'.*a\.png"], labelled=0
    ),
    # TPS
    "tps-with-an-empty-scale": Case({**IMAGE, "a.tps": tps({"a.png": wing()}, more="SCALE=\n")}, {"a.png": [wing()]}),
    "tps-prepared-and-not-digitised-yet": Case(
        {
            **TWO,
            "a.tps": tps({"a.png": wing()}) + "LM=4\n" + "0 0\n" * 4 + "IMAGE=b.png\nID=1\n",
        },
        {"a.png": [wing()]},
        remarks=[r"a\.tps.*b\.png"],
    ),
    "tps-with-several-negative-points": Case(
        {**IMAGE, "a.tps": "LM=4\n12.5 29.5\n" + 2 * "-1.00000 -1.00000\n" + "40.5 46.5\nIMAGE=a.png\nID=a\nSCALE=0.000935\n"},
        {"a.png": [[(12, 50), None, None, (40, 33)]]},
    ),
    "tps-of-a-curve-alone": Case(
        {**IMAGE, "a.tps": "LM=0\nCURVES=1\nPOINTS=3\n20.5 40.5\n30.5 42.5\n40.5 46.5\nIMAGE=a.png\nID=0\n"},
        {"a.png": [[(20, 39), (30, 37), (40, 33)]]},
    ),
    # COCO
    "coco-points-that-are-not-labelled-keep-a-place": Case(
        {**IMAGE, "c.json": hidden_coco()}, {"a.png": [{**WING, "tip": None}]}
    ),
    "coco-numbers-as-text": Case({**IMAGE, "c.json": numbered_coco()}, {"a.png": [WING]}),
    "coco-empty-box": Case({**IMAGE, "c.json": coco({"a.png": WING}, bbox=[])}, {"a.png": [WING]}, boxes={"a.png": [None]}),
    "coco-a-category-for-each-species": Case({**TWO, "c.json": species()}, {"a.png": [WING], "b.png": [OTHER]}),
    "coco-of-rectlabel-one-category-a-point": Case(
        {**IMAGE, "c.json": one_category_a_point()}, labelled=0, remarks=[r"c\.json.*(key ?points?|landmark)"]
    ),
    "coco-of-label-studio-of-a-turned-photograph": Case(
        {"a.jpg": picture(kind="JPEG", turned=6), "c.json": upright_coco()},
        {"a.jpg": [{"a": (10, 20), "b": (70, 95), "c": (40, 60)}]},
        remarks=[r"c\.json.*a\.jpg"],
    ),
    # YOLO
    "yolo-not-labelled-but-with-a-place": Case(
        {
            **pictures("images/a.png"),
            "labels/a.txt": "0 0.5 0.5 0.9 0.75 0.125 0.63125 2 0.885 0.28125 0 0.605 0.69375 1\n",
            "data.yaml": "kpt_shape: [3, 3]\nnames: [wing]\n",
        },
        {"a.png": [[(12, 50), None, (60, 55)]]},
    ),
    "yolo-more-points-in-the-settings-than-in-the-files": Case(
        {**pictures("images/a.png"), "labels/a.txt": yolo(wing()), "data.yaml": "kpt_shape: [17, 3]\nnames: [wing]\n"},
        refused=[r"(labels/a\.txt|data\.yaml).*17"],
        labelled=0,
    ),
    "dots-in-names": Case(
        {
            **pictures("images/wing.v1.2020.png", "images/wing.v2.2020.png"),
            "labels/wing.v1.2020.txt": yolo(wing()),
            "images/wing.v2.2020.pts": pts(wing(OTHER)),
        },
        {"wing.v1.2020.png": [wing()], "wing.v2.2020.png": [wing(OTHER)]},
    ),
    # DeepLabCut
    "deeplabcut-copy-of-the-labels-of-windows": Case(multi_two_files(), {"img1.png": [WING]}),
    "deeplabcut-two-scorers": Case(
        {
            **pictures("labeled-data/v1/img1.png", "labeled-data/v2/img1.png"),
            "labeled-data/v1/CollectedData_Ana.csv": dlc({"labeled-data/v1/img1.png": WING}),
            "labeled-data/v2/CollectedData_Bo.csv": dlc({"labeled-data/v2/img1.png": OTHER}).replace("Ana", "Bo"),
        },
        labelled=2,
        names=("tip", "base", "fork", "notch"),
    ),
    # Label Studio
    "label-studio-points-and-labels-apart": Case({**IMAGE, "ls.json": studio_of_labels()}, {"a.png": [WING]}),
    "label-studio-blanks-in-an-uploaded-name": Case(
        {
            **pictures("my wing.png"),
            "ls.json": studio({"id": 1, "result": studio_points(WING)}, image="/data/upload/1/1a2b3c4d-my%20wing.png"),
        },
        {"my wing.png": [WING]},
    ),
    # labelme and VIA
    "anylabeling-turned-rectangle": Case(
        {**IMAGE, "a.json": labelme("a.png", WING, turned("rotation"), version="2.4.4")},
        {"a.png": [WING]},
        boxes={"a.png": [(10, 10, 90, 70)]},
    ),
    "labelme-copy-of-a-file": Case(
        {**IMAGE, "a.json": labelme("a.png", WING), "a copy.json": labelme("a.png", OTHER)},
        refused=[r"a\.png.*more than one annotation.*a copy\.json"],
        labelled=0,
    ),
    "via-circles-for-landmarks": Case(
        {**IMAGE, "via.json": via({"a.png": circles()})}, labelled=0, remarks=[r"via\.json.*circle"]
    ),
    "via-regions-of-two-kinds-of-names": Case(
        {
            **TWO,
            "via.json": via(
                {
                    "a.png": [via_point(name, place or (0, 0)) for name, place in WING.items()],
                    "b.png": [via_point(name, place or (0, 0)) for name, place in OTHER.items() if name != "fork"],
                }
            ),
        },
        {"a.png": [WING], "b.png": [{**OTHER, "fork": None}]},
    ),
    # Tables
    "csv-headed-name-without-suffixes": Case(
        {**pictures("wing_01.png", "wing_02.png"),
         "a.csv": f"name,x1,y1,x2,y2,x3,y3,x4,y4\nwing_01,{numbered(WING)}\nwing_02,{numbered(OTHER)}\n"},
        {"wing_01.png": [wing()], "wing_02.png": [wing(OTHER)]},
    ),
    "csv-headed-specimen-with-names": Case(
        {**pictures("wing_01.png"), "a.csv": csv({"wing_01": WING}).replace("image,", "Specimen,")}, {"wing_01.png": [WING]}
    ),
    "csv-of-measurements-headed-id": Case(
        {**FINE, "sites.csv": "id,site_x,site_y,altitude\nHB1,12.5,47.2,800\nHB2,12.9,47.9,900\n"},
        {"a.png": [wing()]},
        remarks=[r"sites\.csv"],
    ),
    "csv-a-row-a-point-of-two-animals": Case(
        {**IMAGE, "a.csv": long_table()},
        {"a.png": [{"nose": (20, 30), "tail": (30, 30)}, {"nose": (60, 30), "tail": (70, 30)}]},
    ),
    "csv-headings-with-blanks": Case(
        {**IMAGE, "a.csv": "File Name,Nose X,Nose Y,Tail X,Tail Y\na.png,20,30,80,40\n"},
        {"a.png": [{"Nose": (20, 30), "Tail": (80, 40)}]},
    ),
    # What is in the folder
    "files-of-no-known-suffix": Case(
        {**FINE, "wings.dat": "12 50\n", "b.shapes": "<shapes>", "b.mrk": "x"},
        {"a.png": [wing()]},
        remarks=[r"wings\.dat|\.dat", r"b\.shapes|\.shapes", r"b\.mrk|\.mrk"],
    ),
    "files-that-systems-leave": Case(
        {**FINE, "Thumbs.db": bytes(30), "desktop.ini": "[.ShellClassInfo]\n", ".DS_Store": bytes(9), "._a.png": bytes(30),
         "README": "Wings.\n", "notes.md": "# Wings\n", "__MACOSX/._a.pts": bytes(9)},
        {"a.png": [wing()]},
        fine=True,
    ),
    "text-of-another-landmark-program": Case(
        {**FINE, "b.txt": "<landmarks.pixel type=matrix rownames=TRUE>\nbase 12 50\ntip 88 22\n</landmarks.pixel>\n"},
        {"a.png": [wing()]},
        remarks=[r"b\.txt"],
    ),
    "prose-with-numbers-in-it": Case(
        {**FINE, "README.txt": "In 1 of 6 files the tip is missing, in 5 of 6 it isn't.\nTaken on 12 May and 13 May 2019.\n"},
        {"a.png": [wing()]},
        fine=True,
    ),
    "geojson-of-a-microscope": Case(
        {**FINE, "b.geojson": json.dumps({"type": "FeatureCollection", "features": []})},
        {"a.png": [wing()]},
        remarks=[r"\.geojson"],
    ),
    "a-spreadsheet-alone": Case({**TWO, "a.xlsx": b"PK\3\4" + bytes(30)}, labelled=0, remarks=[r"a\.xlsx.*CSV"]),
}  # fmt: skip


@cases(CASES)
def test_reports(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def test_objects_of_point_tracks_by_group(tmp_path: Path) -> None:
    """Two animals of the same labels, each with its number of a group."""
    tracks = "".join(
        tracked({0: ((x + 10 * i, 30), False, True)}, part).replace('source="manual"', f'group_id="{group}"')
        for group, x in ((1, 20), (2, 60))
        for i, part in enumerate(PARTS)
    )
    write(tmp_path, {**pictures("frame_000000.png"), "annotations.xml": video(tracks)})
    found = inspect_data([str(tmp_path)])
    assert found.layout.names == PARTS
    got = [sample.points.tolist() for sample in found.samples if sample.points is not None]
    assert got == [[[20, 30], [30, 30]], [[60, 30], [70, 30]]]
