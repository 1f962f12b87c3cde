"""Four times the file takes no more than about four times as long: no reader grows with the square of its file."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from brule.data import FORMATS
from brule.errors import DataError
from tests.data.cases.case import cvat, labelme_shape, picture, studio_box, studio_point, via, via_point

SMALL, FACTOR = 1500, 4
MAX_SLOWDOWN = 6.0  # of a factor of 4, in the time of the processor
TRIES = 4
FLOOR = 0.15  # seconds: below, nothing is measured


def imglab_comment(n: int) -> str:
    return f"<dataset><comment>{'landmarks [' * (20 * n)}</comment><images><image file='a.png'/></images></dataset>"


def imglab_boxes(n: int) -> str:
    box = "<box left='1' top='1' width='9' height='9'><part name='p{}' x='3' y='4'/></box>"
    return f"<dataset><images><image file='a.png'>{''.join(box.format(i % 9) for i in range(n))}</image></images></dataset>"


def cvat_svg(n: int) -> str:
    svg = "&lt;circle " * n + "a" * (20 * n) + "&lt;line x=" * n
    label = f"<label><name>w</name><type>skeleton</type><svg>{svg}</svg></label><label><name>p</name><parent>w</parent></label>"
    return cvat(a="").replace("<meta/>", f"<meta><labels>{label}</labels></meta>")


def cvat_groups(n: int) -> str:
    return cvat(a="".join(f'<points label="p" group_id="{i}" points="{i % 90},5"/>' for i in range(n)))


def cvat_loose(n: int) -> str:
    boxes = "".join(f'<box label="w" xtl="{i % 50}" ytl="0" xbr="{i % 50 + 9}" ybr="9"/>' for i in range(n))
    return cvat(a=boxes + "".join(f'<points label="p{i}" points="{i % 90},5"/>' for i in range(n)))


def csv_columns(n: int) -> str:
    columns = range(10 * n)
    return "image," + ",".join(f"c{i}" for i in columns) + ",x0,y0\na.png," + ",".join("1" for _ in columns) + ",1,2\n"


def csv_names(n: int) -> str:
    return "image,point,x,y\n" + "".join(f"{i}.png,p{i},1,2\n" for i in range(4 * n))


def csv_quotes(n: int) -> str:
    return 'image,x0,y0\n"' + '""' * (40 * n)


def dlc_wide(n: int) -> str:
    columns = [f"b{i // 2}" for i in range(4 * n)]
    rows = [["scorer", *["A" for _ in columns]], ["bodyparts", *columns], ["coords", *["x", "y"] * (2 * n)]]
    return "\n".join(",".join(row) for row in [*rows, ["a.png", *["3" for _ in columns]]])


def dlc_animals(n: int) -> str:
    columns = [f"m{i // 2}" for i in range(4 * n)]
    rows = [["scorer", *["A" for _ in columns]], ["individuals", *columns], ["bodyparts", *["b" for _ in columns]]]
    rows += [["coords", *["x", "y"] * (2 * n)], ["a.png", *["3" for _ in columns]]]
    return "\n".join(",".join(row) for row in rows)


def labelme_loose(n: int) -> str:
    shapes = [labelme_shape(f"p{i}", [(i % 90, 5)]) for i in range(n)]
    shapes += [labelme_shape("w", [(i % 50, 0), (i % 50 + 9, 9)], "rectangle") for i in range(n)]
    return json.dumps({"shapes": shapes, "imagePath": "a.png", "imageWidth": 100, "imageHeight": 80})


def labelme_groups(n: int) -> str:
    shapes = [labelme_shape("p", [(i % 90, 5)], group=i) for i in range(n)]
    return json.dumps({"shapes": shapes, "imagePath": "a.png", "imageWidth": 100, "imageHeight": 80})


def studio_parents(n: int) -> str:
    results = [studio_box("w", (i % 50, 0, i % 50 + 9, 9), id=f"b{i}") for i in range(n)]
    results += [studio_point("p", (i % 50 + 1, 5), parentID=f"b{i}") for i in range(n)]
    return json.dumps([{"data": {"image": "a.png"}, "annotations": [{"result": results}]}])


def via_images(n: int) -> str:
    return json.dumps(via({f"{i}.png": [via_point("p", (1, 2))] for i in range(n)}))


def via_unnamed(n: int) -> str:
    regions = [{**via_point("p", (1, 2)), "region_attributes": {}} for _ in range(n)]
    return json.dumps(via({"a.png": regions}))


def yolo_lines(n: int) -> str:
    return "0 0.5 0.5 0.2 0.2 0.5 0.5 2 0.4 0.4 2\n" * n


def coco_objects(n: int) -> str:
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(n)]
    objects = [{"image_id": i, "category_id": 1, "keypoints": [1, 2, 2]} for i in range(n)]
    return json.dumps({"images": images, "annotations": objects, "categories": [{"id": 1, "name": "w", "keypoints": ["p"]}]})


def tps_specimens(n: int) -> str:
    return "".join(f"LM=2\n1 2\n3 4\nIMAGE={i}.png\n" for i in range(n))


def supervisely_points(n: int) -> str:
    objects = [
        {"classTitle": f"p{i}", "geometryType": "point", "points": {"exterior": [[1, 2]]}, "instance": f"i{i // 3}"}
        for i in range(n)
    ]
    return json.dumps({"size": {"width": 100, "height": 80}, "objects": objects})


def slicer_points(n: int) -> str:
    points = [{"label": f"p{i}", "position": [1, 2, 0]} for i in range(n)]
    return json.dumps({"markups": [{"coordinateSystem": "LPS", "controlPoints": points}]})


def imagej_rows(n: int) -> str:
    return " ,Label,X,Y\n" + "".join(f"{i},{i // 4}.png,1,2\n" for i in range(4 * n))


def morphoj_rows(n: int) -> str:
    return "ID\tX1\tY1\tX2\tY2\n" + "".join(f"{i}\t1\t2\t3\t4\n" for i in range(4 * n))


GROWING: list[tuple[str, str, Callable[[int], str]]] = [
    ("imglab", "a.xml", imglab_comment),
    ("imglab", "a.xml", imglab_boxes),
    ("cvat", "a.xml", cvat_svg),
    ("cvat", "a.xml", cvat_groups),
    ("cvat", "a.xml", cvat_loose),
    ("csv", "a.csv", csv_columns),
    ("csv", "a.csv", csv_names),
    ("csv", "a.csv", csv_quotes),
    ("dlc", "a.csv", dlc_wide),
    ("dlc", "a.csv", dlc_animals),
    ("labelme", "a.json", labelme_loose),
    ("labelme", "a.json", labelme_groups),
    ("labelstudio", "a.json", studio_parents),
    ("via", "a.json", via_images),
    ("via", "a.json", via_unnamed),
    ("yolo", "a.txt", yolo_lines),
    ("coco", "a.json", coco_objects),
    ("tps", "a.tps", tps_specimens),
    ("supervisely", "a.png.json", supervisely_points),
    ("slicer", "a.mrk.json", slicer_points),
    ("imagej", "a.csv", imagej_rows),
    ("morphoj", "a.txt", morphoj_rows),
]


def seconds(path: Path, format: str, content: str) -> float:
    """The processor's time of recognising and parsing, without that of Python's collector of garbage."""
    path.write_text(content)
    gc.collect()
    gc.disable()
    start = time.process_time()
    try:
        loaded = FORMATS[format].load(path)
        FORMATS[format].recognises(loaded)
        FORMATS[format].parse(path, loaded, lambda image: (100, 80))
    except DataError as error:
        assert len(str(error)) < 3000
    finally:
        gc.enable()
    return time.process_time() - start


@pytest.mark.slow
@pytest.mark.parametrize(("format", "name", "build"), GROWING, ids=[build.__name__ for _, _, build in GROWING])
def test_time_grows_with_the_size(tmp_path: Path, format: str, name: str, build: Callable[[int], str]) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    found = []
    for _ in range(TRIES):  # other work on the machine makes one of the two slower
        small = seconds(tmp_path / name, format, build(SMALL))
        large = seconds(tmp_path / name, format, build(FACTOR * SMALL))
        found.append(f"{small:.3f} s for {SMALL}, {large:.3f} s for {FACTOR * SMALL}")
        if large < max(FLOOR, MAX_SLOWDOWN * small):
            return
    pytest.fail("; ".join(found))
