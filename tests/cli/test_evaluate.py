"""``brule evaluate``."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

from PIL import Image

from brule.data import FORMATS, Annotation, Annotations, Layout, read_folder, write_annotations, write_pts


def test_figures_with_their_floors(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    out, look = tmp_path / "e.json", tmp_path / "look.png"
    found = brule("evaluate", trained, "--data", faces / "test", "-o", tmp_path, "--json", out, "--pictures", look)
    assert found.code == 0, found.err
    content = json.loads(out.read_text())
    wanted = {"nme", "w1", "floor_nme", "auc_8", "fr_8", "n", "auc_10", "fr_10", "nme_low", "nme_high", "floor_w1"}
    assert wanted | {"floor_mean_nme", "normaliser", "limits", "seed", "n_shapes", "device"} <= set(content)
    assert (content["n"], content["n_shapes"], content["image_size"]) == (6, 5, 64)
    assert content["normaliser"] == "outer eye corners" and len(content["images"]) == 6
    # Three iterations teach nothing: inside the true boxes the detector still gives the barycenter, or nearly.
    given = content["given_boxes"]
    assert (content["boxes"], given["boxes"]) == ("none", "given")
    assert abs(given["nme"] - given["floor_barycenter_nme"]) < 2 and given["floor_nme"] == content["floor_nme"]
    assert {"median_nme", "found", "nme_px"} <= set(content) and content["w1"] <= content["nme"]
    assert "no better than that constant prediction" in found.out and "6 annotated images are few" in found.out
    for text in ("NME", "W₁", "AUC at 8 %", "failures above 10 %", "given boxes", "mean shape", "1.3", "64 px", "seed"):
        assert text in found.out
    assert Image.open(look).width > 500


def test_only_validation(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    from brule.data.synthetic import write_synthetic_faces

    write_synthetic_faces(tmp_path / "many", 30, size=24, start=500)
    out = tmp_path / "e.json"
    found = brule("evaluate", trained, "--data", tmp_path / "many", "--only-validation", "--json", out, "-o", tmp_path)
    assert found.code == 0 and 1 <= json.loads(out.read_text())["n"] < 10


def test_normaliser(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.json"
    words = ["--data", faces / "test", "-o", tmp_path]
    assert brule("evaluate", trained, *words, "--normaliser", "box-diagonal", "--json", out).code == 0
    assert json.loads(out.read_text())["normaliser"] == "box diagonal"
    assert brule("evaluate", trained, "--data", faces / "test", "--normaliser", "nose").code == 2


def test_messages(brule, trained: Path, own_faces: Path, tmp_path: Path) -> None:
    test = own_faces / "test"
    assert "no such file" in brule("evaluate", trained, "--data", tmp_path / "none", "-o", tmp_path).err
    assert "detector.json" in brule("evaluate", tmp_path, "--data", test).err
    for path in test.rglob("*.pts"):
        write_pts(path, [[10, 10], [20, 30], [30, 10]])
    found = brule("evaluate", trained, "--data", test, "-o", tmp_path)
    assert found.code == 2 and "3 landmarks, the detector finds 68" in found.err
    for path in test.rglob("*.pts"):
        path.unlink()
    assert "no labelled image" in brule("evaluate", trained, "--data", test, "-o", tmp_path).err


def test_bad_image(brule, trained: Path, own_faces: Path, tmp_path: Path) -> None:
    image = next((own_faces / "test").glob("*.png"))
    image.write_bytes(image.read_bytes()[:300])
    refused = brule("evaluate", trained, "--data", own_faces / "test", "-o", tmp_path)
    assert refused.code == 2 and image.name in refused.err
    taken = brule("evaluate", trained, "--data", own_faces / "test", "-o", tmp_path, "--skip-bad")
    assert taken.code == 0 and image.name in taken.err and "left out 1 file" in taken.err


def test_page_and_files_lie_in_the_run(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    found = brule("evaluate", run, "--data", faces / "test")
    folder = run / "evaluation" / "test"
    assert found.code == 0 and f"page: {folder / 'index.html'}" in found.out
    figures = json.loads((folder / "metrics.json").read_text())
    assert (figures["n"], figures["run"], figures["n_shapes"]) == (6, str(run), 5)
    assert set(figures["by_region"]) == {"jaw", "brows", "nose", "eyes", "mouth"} and len(figures["by_landmark"]) == 68
    with (folder / "per_image.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and all(float(row["mean_spread"]) > 0 and Path(row["image"]).is_file() for row in rows)
    text = (folder / "index.html").read_text()
    assert "run on test" in text and text.count("<img ") == 6 and f"{figures['nme']:.2f} %" in text


def test_json_and_metrics_hold_the_same(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    brule("evaluate", trained, "--data", faces / "test", "-o", tmp_path / "e", "--json", tmp_path / "e.json")
    assert json.loads((tmp_path / "e.json").read_text()) == json.loads((tmp_path / "e" / "metrics.json").read_text())


def test_own_regions(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    regions = tmp_path / "regions.json"
    regions.write_text('{"chin": [7, 8, 9]}')
    words = ["evaluate", trained, "--data", faces / "test", "-o", tmp_path, "--regions", regions]
    assert brule(*words).code == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["regions"] == {"chin": [7, 8, 9]}
    regions.write_text('{"chin": [68]}')
    found = brule(*words)
    assert found.code == 2 and found.err.startswith(f"brule: {regions}: region 'chin'")


def test_a_run_that_cannot_be_written_to(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    shutil.rmtree(run / "evaluation", ignore_errors=True)  # of another test
    (run / "evaluation").write_text("in the way")
    found = brule("evaluate", run, "--data", faces / "test")
    assert found.code == 0 and "NME" in found.out and "choose another folder with -o" in found.err and "page:" not in found.out


def test_annotations_of_another_format(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    assert brule("data", "convert", faces / "test", tmp_path / "faces.csv").code == 2  # csv or dlc?
    assert brule("data", "convert", faces / "test", tmp_path / "faces.csv", "--to", "csv").code == 0
    figures = []
    for data in ([faces / "test"], [tmp_path / "faces.csv", faces / "test"]):
        found = brule("evaluate", trained, "--data", *data, "--json", tmp_path / "e.json", "--pictures", tmp_path / "look.png")
        assert found.code == 0, found.err
        figures.append(json.loads((tmp_path / "e.json").read_text())["nme"])
    assert abs(figures[0] - figures[1]) < 1e-3


def test_landmarks_are_called_by_their_names(brule, trained: Path, own_faces: Path, tmp_path: Path) -> None:
    names, test = tuple(f"mark {i}" for i in range(68)), own_faces / "test"
    items = [Annotation(str(sample.path.relative_to(test)), sample.points) for sample in read_folder([test])]
    for path in test.rglob("*.pts"):
        path.unlink()
    write_annotations(test / "named.csv", Annotations(items, Layout(names)), format=FORMATS["csv"])
    found = brule("evaluate", trained, "--data", test, "-o", tmp_path / "e")
    assert found.code == 0, found.err
    figures = json.loads((tmp_path / "e" / "metrics.json").read_text())
    means = [one[0] for one in figures["given_boxes"]["by_landmark"]]
    worst = names[means.index(max(means))]
    text = " ".join(found.out.split())
    assert figures["landmark_names"] == list(names) and f"inside the true boxes: {worst} {max(means):.2f} %" in text
    with (tmp_path / "e" / "per_image.csv").open(newline="") as file:
        assert {row["worst_landmark_name"] for row in csv.DictReader(file)} <= set(names)
    compared = brule("compare", tmp_path / "e", tmp_path / "e")
    assert compared.code == 0 and "most often the worst landmark" in compared.out and "mark " in compared.out
