"""Which landmark is which: names decide, whatever the order of the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from brule.data import read_shapes
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
    dlc,
    labelme,
    numbered,
    pictures,
    pts,
    studio,
    studio_points,
    tps,
    wing,
    write,
    yolo,
)

SIX = [f"{i}.png" for i in range(6)]


def six(odd: str) -> dict[str, object]:
    """Six labelme files, of which one calls the tip otherwise."""
    files: dict[str, object] = {**pictures(*SIX)}
    for i, image in enumerate(SIX):
        points = {(odd if name == "tip" and i == 3 else name): point for name, point in WING.items()}
        files[f"{i}.json"] = labelme(image, points)
    return files


TENS = {f"p{i}": (float(10 * (i % 8)), float(5 * i)) for i in range(1, 12)}

CASES = {
    "coco-and-labelme-of-the-same-names": Case(
        {**pictures("a.png", "b.png"), "a.json": labelme("a.png", WING), "z.json": coco({"b.png": OTHER})},
        {"a.png": [WING], "b.png": [OTHER]},
        fine=True,
    ),
    "two-coco-files-of-other-orders": Case(
        {
            **pictures("a.png", "b.png"),
            "one.json": coco({"a.png": WING}),
            "two.json": coco({"b.png": OTHER}, order=("fork", "notch", "base", "tip")),
        },
        {"a.png": [WING], "b.png": [OTHER]},
        fine=True,
    ),
    "a-csv-with-one-landmark-more": Case(
        {
            **pictures("a.png", "b.png"),
            "one.csv": csv({"a.png": WING}),
            "two.csv": csv({"b.png": {**OTHER, "hook": (70, 40)}}, order=("hook", "notch", "base", "tip", "fork")),
        },
        {"a.png": [{**WING, "hook": None}], "b.png": [{**OTHER, "hook": (70, 40)}]},
    ),
    "pts-without-names-beside-a-csv-with-names": Case(
        {**pictures("a.png", "b.png"), "a.pts": pts(wing()), "points.csv": csv({"b.png": OTHER})},
        labelled=2,
        remarks=[r"a\.pts.*no (landmark )?names|without names.*a\.pts"],
    ),
    "tps-without-names-beside-deeplabcut": Case(
        {
            **pictures("a.png", "b.png"),
            "a.tps": tps({"a.png": wing()}),
            "CollectedData_Ana.csv": dlc({"b.png": OTHER}),
        },
        labelled=2,
        remarks=[r"a\.tps.*no (landmark )?names|without names.*a\.tps"],
    ),
    "csv-without-names-beside-cvat": Case(
        {
            **pictures("a.png", "b.png"),
            "a.csv": f"image,x0,y0,x1,y1,x2,y2,x3,y3\na.png,{numbered(WING)}\n",
            "c.xml": cvat(b=cvat_each(OTHER)),
        },
        labelled=2,
        remarks=[r"a\.csv.*no (landmark )?names|without names.*a\.csv"],
    ),
    "coco-left-over-from-another-project": Case(
        {
            **pictures("a.png"),
            "a.pts": pts(wing()),
            "old.json": coco({"gone.png": {n: WING[n] for n in ("tip", "base")}}, ("tip", "base")),
        },
        {"a.png": [wing()]},
        names=None,
        remarks=[r"old\.json"],
    ),
    "labelme-left-over-from-another-project": Case(
        {
            **pictures("a.png"),
            "a.csv": csv({"a.png": WING}),
            "old.json": labelme("gone.png", {"snout": (3, 4), "tail": (50, 60)}),
        },
        {"a.png": [WING]},
        names=("tip", "base", "fork", "notch"),
        remarks=[r"old\.json"],
    ),
    "labelme-one-label-in-capitals": Case(six("Tip"), labelled=6, remarks=[r"'Tip'.*'tip'|'tip'.*'Tip'"]),
    "labelme-one-label-with-a-blank-behind": Case(six("tip "), labelled=6, remarks=[r"'tip '.*'tip'|'tip'.*'tip '"]),
    "labelme-one-label-mistyped": Case(six("tpi"), labelled=6, remarks=[r"'tpi'"]),
    "deeplabcut-capitals-in-the-second-folder": Case(
        {
            **pictures("v1/a.png", "v2/b.png"),
            "v1/CollectedData_Ana.csv": dlc({"a.png": WING}),
            "v2/CollectedData_Ana.csv": dlc(
                {"b.png": {name.title(): p for name, p in OTHER.items()}}, ("Tip", "Base", "Fork", "Notch")
            ),
        },
        labelled=2,
        remarks=[r"'Tip'.*'tip'|'tip'.*'Tip'"],
    ),
    "underscore-or-blank-in-a-name": Case(
        {
            **pictures("a.png", "b.png"),
            "a.csv": "image,left eye_x,left eye_y,nose_x,nose_y,chin_x,chin_y\na.png,10,10,50,40,50,70\n",
            "c.xml": cvat(b=cvat_points("left_eye", (11, 10)) + cvat_points("nose", (51, 40)) + cvat_points("chin", (51, 70))),
        },
        labelled=2,
        remarks=[r"'left eye'.*'left_eye'|'left_eye'.*'left eye'"],
    ),
    "label-studio-numbers-in-natural-order": Case(
        {**pictures("a.png"), "a.json": studio({"result": studio_points(dict(reversed(TENS.items())))})},
        {"a.png": [list(TENS.values())]},
        names=tuple(TENS),
        fine=True,
    ),
    "yolo-with-names-beside-labelme": Case(
        {
            **pictures("images/a.png", "b.png"),
            "labels/a.txt": yolo(wing()),
            "data.yaml": f"train: images\nkpt_shape: [4, 3]\nnames: {{0: wing}}\nkpt_names:\n  0: [{', '.join(WING)}]\n",
            "b.json": labelme("b.png", OTHER),
        },
        {"a.png": [WING], "b.png": [OTHER]},
        boxes={"a.png": [(4.5, 9.5, 94.5, 69.5)]},
        fine=True,
    ),
    "csv-of-single-points-beside-coco": Case(
        {
            **pictures("a.png", "b.png"),
            "long.csv": "image,point,x,y\n" + "".join(f"a.png,{name},{x},{y}\n" for name, (x, y) in WING.items()),
            "c.json": coco({"b.png": OTHER}),
        },
        {"a.png": [WING], "b.png": [OTHER]},
        fine=True,
    ),
}


@cases(CASES)
def test_names(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def test_shapes_of_two_formats_agree_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"a.json": labelme("a.png", WING), "b.json": coco({"b.png": WING}), "c.csv": csv({"c.png": WING})})
    first, *others = read_shapes(tmp_path).points
    assert len(others) == 2
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-6)
