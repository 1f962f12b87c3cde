"""Files as the tools write them, written here by hand, and where their pixels lie in ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import Annotations, read_annotations, read_folder
from brule.errors import DataError

NAN = float("nan")


def read(folder: Path, name: str, content: object, *, skip_bad: bool = False) -> Annotations:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_annotations(path, skip_bad=skip_bad)


def coco(**annotation: object) -> dict:
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 48, "height": 40}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, **annotation}],
        "categories": [{"id": 1, "name": "face", "keypoints": ["nose", "eye", "ear"], "skeleton": [[1, 2], [2, 3]]}],
    }


def test_coco(tmp_path: Path) -> None:
    found = read(tmp_path, "a.json", coco(keypoints=[3, 4, 2, 0, 0, 0, 5.5, 6, 1], bbox=[2, 3, 30, 15]))
    (item,) = found.items
    np.testing.assert_array_equal(item.points, [[3, 4], [NAN, NAN], [5.5, 6]])
    assert item.occluded.tolist() == [False, False, True]
    assert item.box == (1.5, 2.5, 31.5, 17.5) and item.size == (48, 40)
    assert found.layout.names == ("nose", "eye", "ear") and found.layout.edges == ((0, 1), (1, 2))
    assert found.layout.kind == "face" and found.notes == []


def test_coco_with_boxes_only_crowds_and_a_skeleton_from_0(tmp_path: Path) -> None:
    content = coco(bbox=[1, 2, 3, 4], iscrowd=0)
    content["annotations"].append({"image_id": 7, "category_id": 1, "iscrowd": 1, "keypoints": [0] * 9})
    content["categories"][0]["skeleton"] = [[0, 1]]
    content["images"].append({"id": "8", "file_name": "empty.png"})
    found = read(tmp_path, "a.json", content)
    assert [(item.image, item.points, item.box) for item in found.items] == [
        ("a.png", None, (0.5, 1.5, 3.5, 5.5)),
        ("empty.png", None, None),
    ]
    assert found.layout.edges == ((0, 1),)
    assert len(found.notes) == 2 and "from 0" in found.notes[0] and "1 annotation of crowds" in found.notes[1]


@pytest.mark.parametrize("index", ["{}", "labeled-data/video one/{}", "labeled-data,video one,{}"])
def test_deeplabcut(tmp_path: Path, index: str) -> None:
    gap = "," * index.count(",")
    rows = [f"scorer{gap},me,me,me,me", f"bodyparts{gap},nose,nose,tail,tail", f"coords{gap},x,y,x,y"]
    rows += [f"{index.format('a.png')},1.5,2,,", f"{index.format('b.png')},,,NaN,", f"{index.format('c.png')},3,4,5,6"]
    found = read(tmp_path, "CollectedData_me.csv", "\n".join(rows))
    assert found.layout.names == ("nose", "tail")
    assert [item.image for item in found.items] == [index.format(f"{letter}.png").replace(",", "/") for letter in "abc"]
    np.testing.assert_array_equal(found.items[0].points, [[1.5, 2], [NAN, NAN]])
    assert not found.items[1].labelled
    np.testing.assert_array_equal(found.items[2].points, [[3, 4], [5, 6]])


def test_deeplabcut_of_one_animal_and_of_two(tmp_path: Path) -> None:
    rows = ["scorer,me,me", "individuals,{},{}", "bodyparts,nose,nose", "coords,x,y", "a.png,1,2"]
    assert len(read(tmp_path, "one.csv", "\n".join(rows).format("m1", "m1"))) == 1
    rows = ["scorer,me,me,me,me", "individuals,m1,m1,m2,m2", "bodyparts,n,n,n,n", "coords,x,y,x,y", "a.png,1,2,3,4"]
    found = read(tmp_path, "two.csv", "\n".join(rows))
    assert [item.points.tolist() for item in found.items] == [[[1, 2]], [[3, 4]]]


def test_tps_counts_from_the_lower_left_corner(tmp_path: Path) -> None:
    Image.new("RGB", (48, 40)).save(tmp_path / "a wing.png")
    content = "LM=2\n0.0 1.0\n48 40\nCURVES=1\nPOINTS=3\n1 39.5\nNA NA\n-1 -1\nIMAGE=a wing.png\nID=0\nSCALE=0.25\nCOMMENT=x\n"
    found = read(tmp_path, "wings.tps", content + "\n" + content.replace("\n", "\r\n"))
    for item in found.items:
        expected = [[-0.5, 38.5], [47.5, -0.5], [0.5, 0], [NAN, NAN], [NAN, NAN]]
        np.testing.assert_array_equal(item.points, expected)
        assert (item.image, item.scale, item.size) == ("a wing.png", 0.25, (48, 40))
    assert found.layout.curves == ((2, 3, 4),) and found.layout.edges == ((2, 3), (3, 4)) and len(found) == 2


def test_tps_wants_the_image_for_its_height(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"wings\.tps: the image 'far\.png' isn't there"):
        read(tmp_path, "wings.tps", "LM=1\n1 2\nIMAGE=far.png\n")
    with pytest.raises(DataError, match=r"wings\.tps: line 1: the specimen has no IMAGE="):
        read(tmp_path, "wings.tps", "LM=1\n1 2\nID=1\n")
    with pytest.raises(DataError, match=r"wings\.tps: line 1: LM3=.*plane"):
        read(tmp_path, "wings.tps", "LM3=1\n1 2 3\nID=1\n")


def labelme(*shapes: tuple[str, list, str, object], **more: object) -> dict:
    return {
        "version": "5.0.1",
        "shapes": [{"label": a, "points": b, "shape_type": c, "group_id": d, "flags": {}} for a, b, c, d in shapes],
        "imagePath": "..\\images\\a.png",
        "imageData": None,
        "imageHeight": 40,
        "imageWidth": 48,
        **more,
    }


def test_labelme_counts_from_the_corner_and_sorts_by_name(tmp_path: Path) -> None:
    points = [("p10", [[10.5, 1.5]], "point", None), ("p2", [[2.5, 1]], "point", None)]
    others = [("face", [[30, 20], [0, 0]], "rectangle", None), ("hair", [[1, 1], [2, 2], [3, 3]], "polygon", None)]
    found = read(tmp_path, "a.json", labelme(*points, *others))
    (item,) = found.items
    np.testing.assert_array_equal(item.points, [[2, 0.5], [10, 1]])
    assert found.layout.names == ("p2", "p10") and item.box == (-0.5, -0.5, 29.5, 19.5)
    assert len(found.notes) == 1 and "1 polygon passed over" in found.notes[0]


def test_labelme_groups_make_objects(tmp_path: Path) -> None:
    shapes = [("nose", [[1, 1]], "point", 1), ("nose", [[5, 5]], "point", 2), ("ear", [[9, 9]], "point", 2)]
    found = read(tmp_path, "a.json", labelme(*shapes))
    np.testing.assert_array_equal(found.items[0].points, [[NAN, NAN], [0.5, 0.5]])
    np.testing.assert_array_equal(found.items[1].points, [[8.5, 8.5], [4.5, 4.5]])
    assert len(read(tmp_path, "b.json", labelme()).items) == 1
    with pytest.raises(DataError, match=r"c\.json: two points are called 'nose'"):
        read(tmp_path, "c.json", labelme(("nose", [[1, 1]], "point", None), ("nose", [[5, 5]], "point", None)))


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>{meta}
<image id="0" name="a.png" width="48" height="40">{elements}</image>
<image id="1" name="b.png" width="48" height="40"/></annotations>"""
META = """<meta><project><labels>
<label><name>face</name><type>skeleton</type><svg>&lt;line x1="1" data-type="edge" data-node-from="2" data-node-to="1" /&gt;
&lt;circle r="1" data-type="element node" data-element-id="1" data-node-id="1" data-label-name="eye" /&gt;
&lt;circle r="1" data-type="element node" data-element-id="2" data-node-id="2" data-label-name="nose" /&gt;</svg></label>
<label><name>nose</name><type>points</type><parent>face</parent></label>
<label><name>eye</name><type>points</type><parent>face</parent></label></labels></project></meta>"""


def test_cvat_skeletons(tmp_path: Path) -> None:
    skeleton = """<skeleton label="face"><points label="eye" outside="0" occluded="1" points="5.50,6.00"/>
        <points label="nose" outside="1" occluded="0" points="1,1"/></skeleton>
        <box label="face" xtl="0" ytl="0" xbr="30" ybr="20"/><polygon points="1,1;2,2;3,3"/>"""
    found = read(tmp_path, "a.xml", CVAT.format(meta=META, elements=skeleton))
    first, second = found.items
    np.testing.assert_array_equal(first.points, [[NAN, NAN], [5, 5.5]])
    assert first.occluded.tolist() == [False, True] and first.box == (-0.5, -0.5, 29.5, 19.5)
    assert (second.image, second.points) == ("b.png", None)
    assert found.layout.names == ("nose", "eye") and found.layout.edges == ((0, 1),)
    assert "1 polygon" in found.notes[0]


def test_cvat_points(tmp_path: Path) -> None:
    single = '<points label="nose" points="1.5,2.5"/><points label="eye" points="3,4"/>'
    found = read(tmp_path, "a.xml", CVAT.format(meta="<meta/>", elements=single))
    np.testing.assert_array_equal(found.items[0].points, [[2.5, 3.5], [1, 2]])
    assert found.layout.names == ("eye", "nose")
    contour = '<points label="wing" points="1.5,2.5;3,4;5,6"/>'
    found = read(tmp_path, "b.xml", CVAT.format(meta="", elements=contour))
    np.testing.assert_array_equal(found.items[0].points, [[1, 2], [2.5, 3.5], [4.5, 5.5]])
    two = '<points label="nose" group_id="1" points="1,1"/><points label="nose" group_id="2" points="2,2"/>'
    assert len(read(tmp_path, "c.xml", CVAT.format(meta="", elements=two))) == 3
    with pytest.raises(DataError, match="holds no images"):
        read(tmp_path, "d.xml", "<annotations><meta/><track/></annotations>")
    with pytest.raises(DataError, match="the number of a frame of a track, got 'x'"):
        read(
            tmp_path, "e.xml", '<annotations><meta/><track label="nose"><points frame="x" points="1,2"/></track></annotations>'
        )


def label_studio(**result: object) -> list:
    value = {"x": 50, "y": 25, "width": 1, "keypointlabels": ["nose"]}
    point = {"type": "keypointlabels", "original_width": 48, "original_height": 40, "value": value, **result}
    return [{"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a.png"}, "annotations": [{"result": [point]}]}]


def test_label_studio_counts_percent_from_the_corner(tmp_path: Path) -> None:
    box = {"x": 0, "y": 0, "width": 100, "height": 50, "rectanglelabels": ["face"]}
    content = label_studio()
    results = content[0]["annotations"][0]["result"]
    results.append({**results[0], "type": "rectanglelabels", "value": box})
    results.append({"type": "choices", "value": {}})
    content[0]["annotations"].insert(0, {"was_cancelled": True, "result": []})
    found = read(tmp_path, "a.json", content)
    np.testing.assert_allclose(found.items[0].points, [[23.5, 9.5]])
    assert found.items[0].box == (-0.5, -0.5, 47.5, 19.5) and found.items[0].size == (48, 40)
    assert found.layout.names == ("nose",) and "1 shape " in found.notes[0]
    with pytest.raises(DataError, match="original_width"):
        read(tmp_path, "b.json", label_studio(original_width=None))


def test_imglab_counts_pixels_and_sorts_parts(tmp_path: Path) -> None:
    parts = "<part name='10' x='1' y='2'/><part name='02' x='3' y='4'/>"
    boxes = (
        f"<box top='5' left='10' width='20' height='10'>{parts}</box><box top='1' left='1' width='2' height='2' ignore='1'/>"
    )
    content = f"<dataset><images><image file='a.png'>{boxes}</image><image file='b.png'/></images></dataset>"
    found = read(tmp_path, "a.xml", content)
    np.testing.assert_array_equal(found.items[0].points, [[3, 4], [1, 2]])
    assert found.items[0].box == (9.5, 4.5, 29.5, 14.5) and found.layout.names == ("02", "10")
    assert (found.items[1].image, found.items[1].points) == ("b.png", None) and "ignore" in found.notes[0]


@pytest.mark.parametrize(
    "content",
    [
        "image,x0,y0,x1,y1\na.png,1,2,,\n",
        "image;x1;y1;x2;y2\na.png;1;2;NA;nan\n",
        "\ufeffimage\ty_0\tx_0\ty_1\tx_1\r\na.png\t2\t1\r\n",
        "image,x0,y0,x1,y1,note\n\n'a.png',1,2,,,hello\n".replace("'", '"'),
    ],
)
def test_wide_csv_without_names(tmp_path: Path, content: str) -> None:
    found = read(tmp_path, "a.csv", content)
    np.testing.assert_array_equal(found.items[0].points, [[1, 2], [NAN, NAN]])
    assert found.layout.names is None and found.items[0].image == "a.png"
    assert found.notes == (["columns passed over: note"] if "note" in content else [])


def test_wide_csv_with_names_box_and_size_and_long_csv(tmp_path: Path) -> None:
    head = "image,nose_x,nose_y,left ear_x,left ear_y,left,top,right,bottom,width,height\n"
    found = read(tmp_path, "a.csv", head + "a.png,1,2,3,4,0,0,9,9,48,40\nb.png,,,,,,,,,,\n")
    assert found.layout.names == ("nose", "left ear") and found.items[0].box == (0, 0, 9, 9)
    assert found.items[0].size == (48, 40) and found.items[1].points is None and found.items[1].box is None
    found = read(tmp_path, "b.csv", "image,point,x,y\na.png,nose,1,2\na.png,eye,3,4\nb.png,eye,,\nb.png,nose,7,8\n")
    assert found.layout.names == ("eye", "nose")
    np.testing.assert_array_equal(found.items[1].points, [[NAN, NAN], [7, 8]])


def test_the_table_of_predictions_is_read_when_asked_for_only(tmp_path: Path) -> None:
    path = tmp_path / "landmarks.csv"
    path.write_text("path,x0,y0,spread\na.png,1,2,0.3\n")
    found = read_annotations(path)
    assert len(found) == 1 and found.predicted and "predictions" in found.notes[0]
    Image.new("RGB", (48, 40)).save(tmp_path / "a.png")
    assert [sample.points for sample in read_folder(tmp_path)] == [None]


def test_a_bad_record_is_left_out_alone(tmp_path: Path) -> None:
    content = coco(bbox=[1, 2, -3, 4])
    content["annotations"].append({"image_id": 7, "category_id": 1, "keypoints": [1, 1, 2] * 3})
    with pytest.raises(DataError, match=r"a\.json: annotation 1 \(a\.png\): expected a box with an area"):
        read(tmp_path, "a.json", content)
    found = read(tmp_path, "a.json", content, skip_bad=True)
    assert len(found) == 1 and len(found.problems) == 1
