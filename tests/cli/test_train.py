"""``brule train``."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest


def losses(run: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["iteration"], line["loss"]) for line in lines]


def held_out(path: Path) -> bool:
    return int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % 10 == 0


def test_writes_a_run_and_says_how_to_go_on(brule, words, faces: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = brule(*words(faces, run))
    assert found.code == 0, found.err
    names = {path.name for path in run.iterdir()}
    assert {"detector.json", "model.safetensors", "config.json", "checkpoint.safetensors", "data.json"} <= names
    record = json.loads((run / "data.json").read_text())
    assert (record["n_images"], len(record["shapes"]), record["exclude_validation"]) == (12, 5, False)
    assert f"evaluate {run}" in found.out and f"predict {run}" in found.out


def test_resume_needs_nothing_but_the_run_and_is_exact(brule, words, faces: Path, tmp_path: Path) -> None:
    # Without a schedule, so that the length of a run doesn't decide what happens in its first half.
    steady = ("optimizer.schedule=constant", "loss.anneal_until=0", "teacher.align=0", "teacher.regress=0")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert brule(*words(faces, whole, 6, *steady)).code == 0
    assert brule(*words(faces, parts, 3, *steady)).code == 0
    longer = brule("train", "-o", parts, "--resume", "--set", "iterations=6")
    assert longer.code == 0, longer.err
    assert losses(parts) == losses(whole) and len(losses(whole)) == 6
    config = json.loads((parts / "detector.json").read_text())["config"]
    assert config["iterations"] == 6 and config["encoder"]["width"] == 8


def test_interrupted_training_is_taken_up(brule, words, faces: Path, tmp_path: Path, monkeypatch) -> None:
    import os
    import signal

    import brule.training.loop as loop

    step, run = loop.encoder_step, tmp_path / "run"
    calls: list[int] = []

    def interrupted(*arguments: object, **options: object):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*arguments, **options)

    monkeypatch.setattr(loop, "encoder_step", interrupted)
    found = brule(*words(faces, run, 5))
    assert found.code == 130 and "--resume" in found.out and len(losses(run)) == 2
    again = brule("train", "-o", run, "--resume")
    assert again.code == 0 and len(losses(run)) == 5


def test_resume_refuses_other_settings(brule, words, faces: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    brule(*words(faces, run))
    other = brule("train", "-o", run, "--resume", "--set", "encoder.width=16")
    assert other.code == 2 and "encoder.width=8" in other.err
    assert "preset" in brule("train", "-o", run, "--resume", "--preset", "paper").err
    assert "found no" in brule("train", "-o", tmp_path / "none", "--resume").err


def test_resume_knows_the_preset_of_ones_own(brule, words, faces: Path, tmp_path: Path) -> None:
    run, (own, other) = tmp_path / "run", (tmp_path / name / "mine.toml" for name in ("a", "b"))
    for path in (own, other):
        path.parent.mkdir()
        path.write_text("log_every = 1\n", encoding="utf-8")
    started = brule(*words(faces, run), "--preset", own)
    assert started.code == 0, started.err
    assert "mine.toml" in brule("train", "-o", run, "--resume", "--preset", other).err
    again = brule("train", "-o", run, "--resume", "--preset", own, "--set", "iterations=4")
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--images", "images"), ("--labelled", "shapes"), ("--shapes", "shapes"), ("--n-shapes", 3), ("--n-labelled", 3),
        ("--boxes", "boxes.csv"), ("--start-from", "run"), ("--exclude-validation", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dry", [True, False])
def test_resume_refuses_options_that_cannot_apply_by_name(
    brule, trained: Path, faces: Path, tmp_path: Path, option: str, value: object, dry: bool
) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    before = contents(run)
    words = [option] if value is None else [option, faces / value if isinstance(value, str) else value]
    found = brule("train", "-o", run, "--resume", *words, *(["--dry-run"] if dry else []))
    assert found.code == 2 and found.err.startswith(f"brule: {option}: --resume continues a run"), found.err
    assert contents(run) == before


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file's content and the time of its last change."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_a_dry_resume_prints_what_would_go_on_and_writes_nothing(brule, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    before = contents(tmp_path)
    found = brule("train", "-o", run, "--resume", "--dry-run", "--set", "iterations=12")
    assert found.code == 0, found.err
    assert "done     3 of 12 iterations" in found.out and "25 %" in found.out and "images   12\n" in found.out
    assert "nothing was written" in found.err
    finished = brule("train", "-o", run, "--resume", "--dry-run")
    assert finished.code == 0 and "nothing is left to do" in finished.err
    assert contents(tmp_path) == before


def test_a_dry_resume_finds_a_damaged_checkpoint(brule, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    (run / "checkpoint.safetensors").write_bytes(b"cut")
    found = brule("train", "-o", run, "--resume", "--dry-run")
    assert found.code == 2 and "checkpoint.safetensors: damaged" in found.err


def test_a_checkpoint_of_another_run_is_refused(brule, words, trained: Path, faces: Path, tmp_path: Path) -> None:
    run, other = Path(shutil.copytree(trained, tmp_path / "run")), tmp_path / "other"
    assert brule(*words(faces, other)).code == 0  # the same settings and images: only the identifiers differ
    shutil.copy(other / "checkpoint.safetensors", run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for more in ([], ["--dry-run"]):
        found = brule("train", "-o", run, "--resume", *more)
        assert found.code == 2 and "belongs to another run than the detector in this folder" in found.err
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_resume_works_from_any_folder_and_where_everything_has_moved(
    brule, words, own_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, other = own_faces, tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(home)
    start = ["train", "--images", "images/*.png", "--shapes", "shapes", "-o", "run", "--quiet", "--data", "test"]
    assert brule(*start, "--set", "iterations=1", *words(home, "run")[8:]).code == 0
    record = json.loads((home / "run" / "data.json").read_text())
    assert record["images"] == ["images/*.png"] and record["working_directory"] == str(home)
    monkeypatch.chdir(other)
    found = brule("train", "-o", home / "run", "--resume", "--quiet", "--set", "iterations=2")
    assert found.code == 0 and "NME" in found.out, found.err
    assert json.loads((home / "run" / "data.json").read_text()) == record
    moved = home.rename(tmp_path / "moved")
    lost = brule("train", "-o", moved / "run", "--resume", "--set", "iterations=3")
    assert lost.code == 2 and "images/*.png: nothing matches" in lost.err
    monkeypatch.chdir(moved)
    assert brule("train", "-o", "run", "--resume", "--quiet", "--set", "iterations=3").code == 0
    monkeypatch.chdir(other)
    named = ["--images", "../moved/images", "--data", "../moved/test"]
    found = brule("train", "-o", moved / "run", "--resume", "--quiet", "--set", "iterations=4", *named)
    assert found.code == 0, found.err
    assert brule("train", "-o", moved / "run", "--resume", "--images", "../moved/images").code == 2  # they are known now


def test_annotated_images_that_joined_the_folder_do_not_change_the_run(brule, tiny, own_faces: Path, tmp_path: Path) -> None:
    from brule.data.synthetic import write_synthetic_faces

    run = tmp_path / "run"
    assert brule("train", "--labelled", own_faces / "shapes", "-o", run, "--quiet", "--set", *tiny, "iterations=1").code == 0
    before = json.loads((run / "data.json").read_text())
    write_synthetic_faces(own_faces / "shapes", 3, size=48, start=700)
    assert brule("train", "-o", run, "--resume", "--quiet", "--set", "iterations=2").code == 0
    assert json.loads((run / "data.json").read_text()) == before
    (line,) = [one for one in (run / "metrics.jsonl").read_text().splitlines() if '"iteration": 2' in one]
    assert "labels" in line


def test_unlabelled_images_that_joined_the_folder_are_mentioned(brule, words, own_faces: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert brule(*words(own_faces, run, 1, "--quiet")).code == 0
    shutil.copy(own_faces / "images" / "face_000000.png", own_faces / "images" / "one_more.png")
    for options in (["--dry-run"], ["--quiet", "--set", "iterations=2"]):
        found = brule("train", "-o", run, "--resume", *options)
        assert found.code == 0
        assert found.err.count("started with 12 unlabelled images, and now there are 13, 1 of them new") == 1


def test_existing_run_is_kept(brule, words, faces: Path, trained: Path) -> None:
    found = brule(*words(faces, trained))
    assert found.code == 2 and "--resume" in found.err


def test_draws_shapes_with_the_seed(brule, words, faces: Path, tmp_path: Path) -> None:
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 4)):
        assert brule(*words(faces, tmp_path / name, 1), "--n-shapes", 3, "--seed", seed).code == 0
        drawn.append(json.loads((tmp_path / name / "data.json").read_text())["shapes"])
    assert drawn[0] == drawn[1] != drawn[2]
    assert json.loads((tmp_path / "c" / "config.json").read_text())["seed"] == 4


def test_exclude_validation_holds_out_images_and_shapes(brule, words, faces: Path, tmp_path: Path) -> None:
    from brule.data.synthetic import write_synthetic_faces

    more = tmp_path / "more"
    images = write_synthetic_faces(more / "images", 30, size=16, start=500)
    shapes = write_synthetic_faces(more / "shapes", 30, size=16, start=600)
    run = tmp_path / "run"
    found = brule(*words(more, run, 1), "--exclude-validation")
    assert found.code == 0, found.err
    record = json.loads((run / "data.json").read_text())
    assert any(map(held_out, images)) and any(map(held_out, shapes))  # or this test tests nothing
    assert record["n_images"] == sum(not held_out(path) for path in images)
    assert record["shapes"] == [path.stem for path in shapes if not held_out(path)]
    again = brule("train", "-o", run, "--resume", "--set", "iterations=2")
    assert again.code == 0 and json.loads((run / "data.json").read_text()) == record


def test_exclude_validation_wants_to_know_the_images(brule, words, faces: Path, tmp_path: Path) -> None:
    brule("barycenter", faces / "shapes", "-o", tmp_path / "b.json")
    found = brule("train", "--images", faces / "images", "--shapes", tmp_path / "b.json", "-o", tmp_path / "run",
                  "--exclude-validation")  # fmt: skip
    assert found.code == 2 and "b.json" in found.err and not (tmp_path / "run").exists()


def test_dry_run_writes_nothing(brule, words, faces: Path, tmp_path: Path) -> None:
    found = brule(*words(faces, tmp_path / "run"), "--dry-run")
    assert found.code == 0 and not (tmp_path / "run").exists()
    assert "images   12" in found.out and "batches of 4" in found.out and "taken whole" not in found.err
    assert "3 iterations: about" in found.out or "at most" in found.out
    assert len(found.out.splitlines()) == 10
    details = json.loads(brule(*words(faces, tmp_path / "run"), "--dry-run", "--json").out)
    assert details["images"] == "12" and details["config"]["encoder"]["width"] == 8


def test_dry_run_finds_what_training_would(brule, words, faces: Path, tmp_path: Path) -> None:
    found = brule(*words(faces, tmp_path / "run"), "--set", "crop.image_size=60", "--dry-run")
    assert found.code == 2 and "can't be halved" in found.err
    brule(*words(faces, tmp_path / "run"))
    found = brule(*words(faces, tmp_path / "run"), "--dry-run")
    assert found.code == 2 and "holds a run already" in found.err


def test_few_images_make_small_batches(brule, words, faces: Path, tmp_path: Path) -> None:
    few = brule(*words(faces, tmp_path / "run"), "--set", "batch_size=50", "iterations=1", "--dry-run")
    assert few.code == 0 and "batches of 12" in few.out
    assert "12 images are fewer than a batch: batches of 12 instead of batch_size=50" in few.err
    assert brule(*words(faces, tmp_path / "run"), "--set", "batch_size=50", "iterations=1").code == 0
    assert '"batch_size": 12' in (tmp_path / "run" / "config.json").read_text()


def test_what_changes_places_is_printed_and_can_be_set(brule, words, faces: Path, tmp_path: Path) -> None:
    found = brule(*words(faces, tmp_path / "run"), "--dry-run")
    assert "mirrored 0:16, 1:15," in found.out
    pairs = tmp_path / "pairs.json"
    pairs.write_text("[[36, 45], [48, 54]]")
    for said in ("36:45, 48:54", pairs):
        found = brule(*words(faces, tmp_path / "run"), "--dry-run", "--mirror-pairs", said)
        assert "mirrored 36:45, 48:54\n" in found.out, found.err
    for said, wrong in (("0:99", "0 to 67"), ("0:1, 1:2", "landmark 1 is in two"), ("left:right", "got 'left:right'")):
        found = brule(*words(faces, tmp_path / "run"), "--mirror-pairs", said)
        assert found.code == 2 and wrong in found.err and not (tmp_path / "run").exists(), found.err


def test_a_run_that_never_began_leaves_nothing(brule, words, faces: Path, tmp_path: Path) -> None:
    found = brule(*words(faces, tmp_path / "run"), "--set", "loss.shape_prior=0")
    assert found.code == 2 and "no term keeps the landmarks" in found.err and not (tmp_path / "run").exists()


def test_images_without_a_box_are_mentioned(brule, words, faces: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for image in sorted((faces).rglob("*.png"))[:6]:
        shutil.copy(image, bare)
    found = brule("train", "--images", bare, "--shapes", faces, "-o", tmp_path / "run", "--dry-run", "--set", "batch_size=4")
    assert found.code == 0 and "6 of 6 images have no annotation" in found.err


def test_list_settings(brule) -> None:
    found = brule("train", "--list-settings", "--preset", "paper", "--set", "loss.sigma=7.5")
    assert found.code == 0 and "encoder.width" in found.out and "7.5" in found.out and "Random seed" in found.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--preset", "cpv"], "did you mean 'cpu'"),
        (["--set", "encoder.widht=3"], "did you mean 'encoder.width'"),
        (["--set", "iterations=0"], "iterations"),
        (["--set", "iterations"], "key=value"),
        (["--labelled", "x"], "x: no such file or folder"),
        (["--device", "warp9"], "--device cpu"),
        (["--n-shapes", "50"], "from 1 to 5"),
    ],
)
def test_messages(brule, faces: Path, tmp_path: Path, more: list[str], message: str) -> None:
    found = brule("train", "--images", faces / "images", "--shapes", faces / "shapes", "-o", tmp_path / "run", *more)
    assert found.code == 2 and message in found.err and "Traceback" not in found.err
    assert not (tmp_path / "run").exists()


def test_missing_arguments_and_folders(brule, faces: Path, tmp_path: Path) -> None:
    assert "-o is missing" in brule("train", "--images", faces).err
    assert "--images is missing" in brule("train", "--shapes", faces, "-o", tmp_path / "run").err
    assert "--shapes is missing" in brule("train", "--images", faces, "-o", tmp_path / "run").err
    missing = brule("train", "--images", tmp_path / "none", "--shapes", faces / "shapes", "-o", tmp_path / "run")
    assert missing.code == 2 and "none: no such file or folder" in missing.err


def test_bad_image(brule, words, own_faces: Path, tmp_path: Path) -> None:
    image = own_faces / "images" / "face_000003.png"
    image.write_bytes(image.read_bytes()[:300])  # the header is whole
    refused = brule(*words(own_faces, tmp_path / "run"))
    assert refused.code == 2 and "face_000003.png" in refused.err and "--skip-bad" in refused.err
    taken = brule(*words(own_faces, tmp_path / "run"), "--skip-bad")  # what the failed attempt left is no hindrance
    assert taken.code == 0 and "left out 1 file" in taken.err


def test_wrong_point_count(brule, words, own_faces: Path, tmp_path: Path) -> None:
    from brule.data import write_pts

    write_pts(own_faces / "images" / "face_000002.pts", [[10, 10], [20, 30], [30, 10]])
    refused = brule(*words(own_faces, tmp_path / "run"))
    assert refused.code == 2 and "face_000002" in refused.err and "3 points" in refused.err


def test_annotated_images_teach(brule, tiny, faces: Path, tmp_path: Path) -> None:
    """Beside unlabelled ones, with shapes of their own or not; some of them drawn; and taken up again."""
    run = tmp_path / "run"
    labels = ["--labelled", faces / "shapes", "--n-labelled", 4]
    start = ["train", "--images", faces / "images", *labels, "-o", run, "--quiet", "--seed", 3, "--set", *tiny]
    found = brule(*start, "iterations=2")
    assert found.code == 0, found.err
    record = json.loads((run / "data.json").read_text())
    assert (record["n_labelled"], record["labelled"], len(record["shapes"])) == (4, [str(faces / "shapes")], 4)
    drawn = record["shapes"]
    again = brule("train", "-o", run, "--resume", "--quiet", "--set", "iterations=3")
    assert again.code == 0, again.err
    assert json.loads((run / "data.json").read_text())["shapes"] == drawn
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert ["labels" in line for line in lines] == [False, True, True]  # from a quarter of the run on
    assert all("equivariance" in line for line in lines)


def test_annotated_images_teach_alone(brule, tiny, faces: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = brule("train", "--labelled", faces / "shapes", "-o", run, "--quiet", "--set", *tiny, "iterations=2")
    assert found.code == 0, found.err
    (line, _) = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    assert "labels" in line and "equivariance" not in line
    assert brule("evaluate", run, "--data", faces / "test").code == 0


def test_a_plan_with_annotated_images(brule, faces: Path, tmp_path: Path) -> None:
    found = brule("train", "--labelled", faces / "shapes", "-o", tmp_path / "run", "--dry-run")
    assert found.code == 0, found.err
    assert "labelled 5" in found.out and "shapes   5 of 68 landmarks" in found.out
    found = brule("train", "--labelled", faces / "shapes", "--n-labelled", 6, "-o", tmp_path / "run")
    assert found.code == 2 and "1 to 5" in found.err


def test_boxes_from_a_file_cut_the_object_out(brule, tiny, faces: Path, tmp_path: Path) -> None:
    """Bare images with a CSV of boxes are cut as annotated ones are; without it they are taken whole, which is said."""
    bare = tmp_path / "bare"
    bare.mkdir()
    rows = ["image,left,top,right,bottom"]
    for path in sorted((faces / "images").glob("*.png")):
        shutil.copy(path, bare)
        rows.append(f"{path.name},10,12,40,44")
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    start = ["train", "--images", bare, "--shapes", faces / "shapes", "--quiet"]
    whole = brule(*start, "-o", tmp_path / "whole", "--dry-run", "--set", *tiny)
    assert whole.code == 0 and "a locator learns to find the object" in whole.err.replace("\n", " ")
    boxed = brule(*start, "--boxes", tmp_path / "boxes.csv", "-o", tmp_path / "run", "--set", *tiny, "iterations=1")
    assert boxed.code == 0 and "taken whole" not in boxed.err, boxed.err
    assert json.loads((tmp_path / "run" / "data.json").read_text())["boxes"] == [str(tmp_path / "boxes.csv")]
    found = brule("predict", tmp_path / "run", bare, "--boxes", tmp_path / "boxes.csv", "-o", tmp_path / "out", "--no-overlays")
    assert found.code == 0 and "taken whole" not in found.err, found.err
    missing = brule(*start, "--boxes", tmp_path / "none.csv", "-o", tmp_path / "other")
    assert missing.code == 2 and "none.csv: no such file" in missing.err


def test_training_ends_with_a_report_where_it_can(brule, words, faces: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = brule(*words(faces, run, 2, "--quiet"), "--data", faces / "test")
    assert found.code == 0 and "NME" in found.out, found.err
    assert "During training" in (run / "evaluation" / "test" / "index.html").read_text(encoding="utf-8")


def test_annotated_images_are_measured_while_training_goes_on(brule, words, faces: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = brule(*words(faces, run, 4, "--quiet"), "--data", faces / "test", "--measure-every", 3)
    assert found.code == 0, found.err
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows if "validation NME" in row] == [3, 4]
    assert "validation W1" in brule("watch", run, "--once").out
    assert json.loads((run / "data.json").read_text())["measure_every"] == 3
    longer = brule("train", "-o", run, "--resume", "--quiet", "--set", "iterations=6")
    assert longer.code == 0, longer.err
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows if "validation NME" in row] == [3, 4, 6]

    none = brule(*words(faces, tmp_path / "none", 2, "--quiet"), "--data", faces / "test", "--measure-every", 0)
    assert none.code == 0 and "validation" not in (tmp_path / "none" / "metrics.jsonl").read_text()
    refused = brule(*words(faces, tmp_path / "x", 2), "--measure-every", 2)
    assert refused.code == 2 and "nothing to measure on" in refused.err
    refused = brule(*words(faces, tmp_path / "x", 2), "--data", tmp_path / "gone")
    assert refused.code == 2 and not (tmp_path / "x").exists()


def test_an_earlier_run_gives_weights_and_shapes(brule, words, tiny, faces: Path, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    asked = ["train", "--images", faces / "images", "--start-from", trained, "-o", run, "--set", *tiny, "iterations=2"]
    plan = brule(*asked, "--dry-run")
    assert plan.code == 0 and "shapes   5 of 68 landmarks" in plan.out, plan.err
    assert not run.exists()
    found = brule(*asked, "--quiet")
    assert found.code == 0, found.err
    record = json.loads((run / "data.json").read_text())
    assert record["start_from"] == str(trained) and len(record["shapes"]) == 5
    origin = json.loads((run / "detector.json").read_text())["started_from"]
    assert origin["folder"] == trained.name
    again = brule("train", "-o", run, "--resume", "--quiet", "--set", "iterations=3")
    assert again.code == 0, again.err
    assert json.loads((run / "data.json").read_text())["start_from"] == str(trained)
    assert json.loads((run / "detector.json").read_text())["started_from"] == origin
    refused = brule(*asked[:4], tmp_path / "gone", *asked[5:6], tmp_path / "other")
    assert refused.code == 2 and "gone" in refused.err
