"""What is a label: predictions aren't, and the right one of several annotations is."""

from __future__ import annotations

from pathlib import Path

from tests.data.cases.case import (
    OTHER,
    WING,
    Case,
    cases,
    check,
    coco,
    csv,
    dlc,
    flat,
    labelme,
    numbered,
    pictures,
    pts,
    studio,
    studio_points,
    wing,
    yolo,
)

IMAGE = pictures("a.png")
RESULTS = [{"image_id": 0, "category_id": 1, "keypoints": flat(wing()), "score": 0.9}]
VIDEO = dlc({str(i): WING for i in range(30)}, likelihood=0.9)
PROJECT = {
    "config.yaml": "Task: wings\nscorer: Ana\n",
    "labeled-data/v1/CollectedData_Ana.csv": dlc({"labeled-data/v1/img1.png": WING}),
    "labeled-data/v1/CollectedData_Ana.h5": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "labeled-data/v1/machinelabels.csv": dlc({"labeled-data/v1/img2.png": OTHER}, likelihood=0.1),
    "videos/v1DLC_resnet50_wingsJul1shuffle1_500.csv": VIDEO,
    "training-datasets/iteration-0/UnaugmentedDataSet_wings/CollectedData_Ana.csv": dlc({"labeled-data/v1/img1.png": WING}),
    "dlc-models/iteration-0/wings/train/learning_stats.csv": "1000,0.01,0.005\n2000,0.008,0.005\n",
    **pictures("labeled-data/v1/img1.png", "labeled-data/v1/img2.png"),
}

CASES = {
    "deeplabcut-machine-labels": Case(
        {**IMAGE, "machinelabels.csv": dlc({"a.png": WING}, likelihood=0.2)},
        labelled=0,
        remarks=[r"machinelabels\.csv.*predict"],
    ),
    "deeplabcut-predictions-beside-labels": Case(
        {
            **pictures("a.png", "b.png"),
            "CollectedData_Ana.csv": dlc({"a.png": WING}),
            "machinelabels-iter0.csv": dlc({"b.png": OTHER}, likelihood=0.2),
        },
        {"a.png": [WING]},
        remarks=[r"machinelabels-iter0\.csv.*predict"],
    ),
    "deeplabcut-predictions-given-by-name": Case(
        {**IMAGE, "machinelabels.csv": dlc({"a.png": WING}, likelihood=0.2)},
        {"a.png": [WING]},
        remarks=[r"machinelabels\.csv.*predict"],
        paths=["machinelabels.csv"],
    ),
    "deeplabcut-frames-of-a-video": Case(
        {**IMAGE, "a.pts": pts(wing()), "videoDLC_resnet50_wings.csv": VIDEO},
        {"a.png": [wing()]},
        remarks=[r"videoDLC_resnet50_wings\.csv.*(video|frames)"],
    ),
    "deeplabcut-a-whole-project": Case(
        PROJECT, {"img1.png": [WING]}, remarks=[r"machinelabels\.csv", r"v1DLC_resnet50", r"CollectedData_Ana\.h5"]
    ),
    "csv-with-a-likelihood-a-point": Case(
        {**IMAGE, "a.csv": "image,tip_x,tip_y,tip_likelihood,base_x,base_y,base_likelihood\na.png,88,22,0.9,12,50,0.8\n"},
        labelled=0,
        remarks=[r"a\.csv.*predict"],
    ),
    "csv-with-a-confidence": Case(
        {**IMAGE, "a.csv": f"image,x0,y0,x1,y1,x2,y2,x3,y3,confidence\na.png,{numbered(WING)},0.77\n"},
        labelled=0,
        remarks=[r"a\.csv.*predict"],
    ),
    "the-table-of-brule-predict": Case(
        {**IMAGE, "landmarks.csv": f"path,x0,y0,x1,y1,x2,y2,x3,y3,spread\na.png,{numbered(WING)},1.2\n"},
        labelled=0,
        remarks=[r"landmarks\.csv.*predict"],
    ),
    "coco-a-list-of-results": Case({**IMAGE, "results.json": RESULTS}, labelled=0, remarks=[r"results\.json.*predict"]),
    "coco-scores-in-the-annotations": Case(
        {**IMAGE, "a.json": coco({"a.png": WING}, score=0.93)}, labelled=0, remarks=[r"a\.json.*predict"]
    ),
    "yolo-confidence-at-the-end-of-a-line": Case(
        {**pictures("images/a.png"), "labels/a.txt": yolo(wing(), end=" 0.91"), "data.yaml": "kpt_shape: [4, 3]\n"},
        labelled=0,
        remarks=[r"a\.txt.*predict"],
    ),
    "label-studio-predictions-only": Case(
        {**IMAGE, "a.json": studio(predictions=[{"result": studio_points(WING), "score": 0.4}])},
        labelled=0,
        remarks=[r"a\.json.*predict"],
    ),
    "label-studio-empty-annotation-first": Case(
        {**IMAGE, "a.json": studio({"result": []}, {"result": studio_points(WING)})}, {"a.png": [WING]}
    ),
    "label-studio-ground-truth-third": Case(
        {
            **IMAGE,
            "a.json": studio(
                {"result": studio_points(OTHER)},
                {"result": studio_points(OTHER), "was_cancelled": True},
                {"result": studio_points(WING), "ground_truth": True},
            ),
        },
        {"a.png": [WING]},
    ),
    "label-studio-draft-beside-an-annotation": Case(
        {**IMAGE, "a.json": studio({"result": studio_points(WING)}, drafts=[{"result": studio_points(OTHER)}])},
        {"a.png": [WING]},
    ),
    "labelme-shapes-with-a-score": Case(
        {
            **IMAGE,
            "a.json": {
                **(own := labelme("a.png", WING)),
                "shapes": [{**shape, "score": 0.8} for shape in own["shapes"]],
            },
        },
        labelled=1,
        remarks=[r"a\.json.*score"],
    ),
    "csv-named-like-a-label-stays-one": Case({**IMAGE, "spread.csv": csv({"a.png": WING})}, {"a.png": [WING]}, fine=True),
}


@cases(CASES)
def test_labels(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)
