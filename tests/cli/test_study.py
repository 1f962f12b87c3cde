"""``brule study``: runs that are kept, and what is reported of them."""

from __future__ import annotations

import json
from pathlib import Path

SETTINGS = ("iterations=2", "batch_size=4", "preview_every=0", "encoder.width=8", "encoder.depth=2", "threads=1")
SMALL = ("decoder.width=4", "decoder.max_width=8", "decoder.style_dim=8", "decoder.noise_dim=8", "decoder.mapping_depth=2")


def words(faces: Path, out: Path, *more: object, shapes: int = 4) -> list[object]:
    data = ["--images", faces / "images", "--shapes", faces / "shapes", "--data", faces / "test"]
    return ["study", "ablation", *data, "-o", out, "--n-shapes", shapes, "--quiet", "--set", *SETTINGS, *SMALL, *more]


def test_an_ablation_is_reported_and_can_be_repeated(brule, faces: Path, tmp_path: Path) -> None:
    chosen = ["--seeds", 0, "--arms", "full loss", "without R_g"]
    found = brule(*words(faces, tmp_path / "study", *chosen))
    assert found.code == 0, found.err
    assert "| without R_g |" in found.out and found.err.count("NME") == 2
    assert {path.name for path in (tmp_path / "study").glob("*.*")} == {"ablation.json", "ablation.md", "ablation.svg"}
    scores = json.loads((tmp_path / "study" / "ablation.json").read_text())["runs"]
    found_runs = [(score["arm"], score["seed"], len(score["errors"])) for score in scores]
    assert found_runs == [("full loss", 0, 6), ("without R_g", 0, 6)]
    again = brule(*words(faces, tmp_path / "study", *chosen))
    assert again.code == 0 and again.out == found.out


def test_what_is_wrong_is_said_first(brule, faces: Path, tmp_path: Path) -> None:
    found = brule(*words(faces, tmp_path / "study", "--arms", "without R_q"))
    assert found.code == 2 and "'without R_q' is none of the variants" in found.err and "without R_g" in found.err
    found = brule(*words(faces, tmp_path / "study", shapes=9))
    assert found.code == 2 and "at most 5" in found.err
    assert not (tmp_path / "study").exists()


def test_how_many_shapes_are_enough(brule, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "size"
    asked = ["study", "barycenter-size", "--shapes", faces / "shapes", "-o", out, "--sizes", 2, 3, "--draws", 2, "--quiet"]
    found = brule(*asked)
    assert found.code == 0, found.err
    assert "outer eye corners" in found.out and "| 5 | 1 | 0.00 | 0.00 | 0.00 |" in found.out and "a = " in found.out
    names = {"barycenter-size.json", "barycenter-size.md", "barycenter-size.svg", "barycenters.svg"}
    assert {path.name for path in out.iterdir()} == names | {"reference.json", "draws.jsonl"}
    assert brule(*asked).out == found.out
    assert brule(*asked, "--seed", 1).code == 2
    assert brule(*asked[:-1], "--draws", 0).code == 2


def test_a_sweep_is_reported_and_can_be_repeated(brule, faces: Path, tmp_path: Path) -> None:
    data = ["--images", faces / "images", "--shapes", faces / "shapes", "--data", faces / "test", "--n-shapes", 4, "--seeds", 0]
    settings = [*SETTINGS, *SMALL, "encoder.stacks=1"]
    asked = ["study", "sweep", "R_g", *data, "-o", tmp_path, "--preset", "paper-small", "--quiet", "--values", 0, 1]
    asked += ["--set", *settings]
    found = brule(*asked)
    assert found.code == 0, found.err
    assert "R_g (loss.geometric)" in found.out and "preset paper-small" in found.out and found.err.count("NME") == 2
    assert {path.name for path in tmp_path.glob("*.*")} == {"sweep.json", "sweep.md", "sweep.svg", "predictions.png"}
    assert brule(*asked).out == found.out
    found = brule(*asked[:2], "R_q", *asked[3:])
    assert found.code == 2 and "R_b, R_g" in found.err
    found = brule(*asked[:2], "L_g", *asked[3:], "gan.enabled=false")
    assert found.code == 2 and "gan.enabled is False" in found.err


def test_labels_alone_and_with_unlabelled_images(brule, faces: Path, tmp_path: Path) -> None:
    data = ["--labelled", faces / "shapes", "--images", faces / "images", "--data", faces / "test", "--n-labelled", 4]
    settings = ["--set", *SETTINGS, *SMALL, "gan.enabled=false"]
    asked = ["study", "regularizer", *data, "--seeds", 0, "-o", tmp_path, "--quiet", *settings]
    found = brule(*asked)
    assert found.code == 0, found.err
    assert "| labels alone |" in found.out and "| labels with BRULÈ |" in found.out and found.err.count("floor") == 2
    assert {path.name for path in tmp_path.glob("*.*")} == {f"regularizer.{end}" for end in ("json", "md", "svg")}
    curve = (tmp_path / "labels-alone" / "seed-0" / "curve.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in curve] == [1, 2]  # two iterations have no twenty points
    assert brule(*asked).out == found.out
    found = brule(*asked, "--data", faces / "shapes")
    assert found.code == 2 and "learnt from and measured on" in found.err


def test_shares_of_the_labels(brule, faces: Path, trained: Path, tmp_path: Path) -> None:
    data = ["--labelled", faces / "shapes", "--images", faces / "images", "--data", faces / "test", "--shares", 0.4]
    asked = [
        "study",
        "labels",
        *data,
        "--seeds",
        0,
        "-o",
        tmp_path / "study",
        "--quiet",
        "--set",
        *SETTINGS,
        "gan.enabled=false",
    ]
    found = brule(*asked)
    assert found.code == 0, found.err
    assert "| 40 %, 2 |" in found.out and "Protocol: preset cpu" in found.out and found.err.count("NME") == 2
    assert {path.name for path in (tmp_path / "study").glob("*.*")} == {f"labels.{end}" for end in ("json", "md", "svg")}
    assert brule(*asked).out == found.out
    begun = brule(*asked, "--start-from", trained)
    assert begun.code == 2 and "start_from" in begun.err  # the folder holds runs that began with random weights
    wrong = brule(*asked, "--shares", 2)
    assert wrong.code == 2 and "--shares" in wrong.err


def test_a_finished_evaluation_is_a_row(brule, faces: Path, trained: Path, tmp_path: Path) -> None:
    done = tmp_path / "report"
    assert brule("evaluate", trained, "--data", faces / "test", "-o", done).code == 0
    found = brule("study", "table", done, "-o", tmp_path / "table")
    assert found.code == 0, found.err
    assert f"| {trained} | {faces / 'test'}, 6 |" in found.out and "arXiv 2006.11643" in found.out
    assert "| 5 | 0 | 12 |" in found.out  # shapes, annotated and unlabelled images
    assert {path.name for path in (tmp_path / "table").iterdir()} == {"table.json", "table.md"}
    assert brule("study", "table", done).out == found.out
    assert brule("study", "table", tmp_path / "nothing").code == 2
