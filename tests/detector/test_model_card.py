"""Model cards: true counts and figures, and no shape left where shapes were left out."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors import safe_open

from brule import LandmarkDetector, __version__
from brule.cli import main
from brule.data.synthetic import synthetic_faces, write_synthetic_faces
from brule.detector.model_card import ModelCard
from brule.errors import ConfigError

FACES = synthetic_faces(40, size=64)
OWN_PRESET = """
iterations = 1
batch_size = 4
threads = 1
[crop]
image_size = 32
[encoder]
backbone = "compact"
stem_stride = 2
stacks = 1
width = 8
depth = 2
[gan]
enabled = false
[loss]
geometric = 0
image_reconstruction = 0
landmark_reconstruction = 0
adversarial = 0
"""


@pytest.fixture(scope="module")
def detector() -> LandmarkDetector:
    return LandmarkDetector(iterations=1, batch_size=8, quiet=True, seed=3).fit(FACES.images, shapes=FACES.points[:10])


@pytest.fixture
def saved(detector: LandmarkDetector, tmp_path: Path) -> Path:
    detector.save(tmp_path / "detector")
    return tmp_path / "detector"


def test_it_counts_what_was_trained_on(saved: Path) -> None:
    facts = ModelCard.read(saved).facts
    trained = facts["trained_on"]
    assert (trained["images"], trained["labelled"], trained["shapes"]) == (40, 0, 10)
    assert trained["version"] == __version__ and trained["device"] == "cpu"
    assert facts["changed_settings"] == {"iterations": 1, "batch_size": 8}
    assert (facts["preset"], facts["seed"], facts["landmarks"]) == ("cpu", 3, 68)


def test_a_preset_of_ones_own_needs_no_file_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "secret" / "mine.toml"
    own.parent.mkdir()
    own.write_text(OWN_PRESET, encoding="utf-8")
    LandmarkDetector(str(own), quiet=True, seed=4).fit(FACES.images, shapes=FACES.points[:10]).save(tmp_path / "detector")
    own.unlink()
    (tmp_path / "mine.toml").write_text("iterations = 7\n", encoding="utf-8")  # of somebody else
    monkeypatch.chdir(tmp_path)
    card = ModelCard.read(tmp_path / "detector")
    assert "secret" not in (tmp_path / "detector" / "README.md").read_text(encoding="utf-8")
    assert card.facts["preset"] == "mine.toml" and card.facts["changed_settings"]["encoder.width"] == 8
    assert "encoder.width=8" in dict(card.training)["settings unlike cpu"]
    again = LandmarkDetector.load(tmp_path / "detector").set_params(quiet=True, iterations=2).fit(
        FACES.images, shapes=FACES.points[:10]
    )  # fmt: skip
    before = LandmarkDetector.load(tmp_path / "detector").config_
    assert again.config_.encoder == before.encoder and again.config_.loss == before.loss and again.config_.iterations == 2


def test_figures_stand_beside_the_floor(saved: Path, tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path / "held-out", 4, size=64, start=500)
    detector = LandmarkDetector.load(saved)
    measured = detector.evaluate(tmp_path / "held-out")
    detector.add_figures(measured, "held-out")
    detector.save(tmp_path / "measured")
    ((name, text),) = ModelCard.read(tmp_path / "measured").figures
    scores = measured.first.scores
    assert name == "held-out" and "4 objects (whole images)" in text
    assert f"NME {scores.nme:.2f} %" in text and f"constant prediction (floor) {scores.floor_nme:.2f} %" in text


def test_the_page_is_one_that_hubs_read(saved: Path) -> None:
    text = (saved / "README.md").read_text(encoding="utf-8")
    _, fields, page = text.split("---\n", 2)
    assert yaml.safe_load(fields)["library_name"] == "brule"
    assert "| annotated shapes | 10 |" in page and "yes: 10 landmark sets" in page
    assert all(len([cell for cell in line.replace("\\|", "").split("|")]) == 4 for line in page.splitlines() if line[:1] == "|")


def test_a_text_of_ones_own_stays(detector: LandmarkDetector, saved: Path) -> None:
    (saved / "README.md").write_text("mine")
    detector.save(saved)
    assert (saved / "README.md").read_text() == "mine"


def test_without_shapes_no_file_holds_one(detector: LandmarkDetector, saved: Path, tmp_path: Path) -> None:
    detector.save(tmp_path / "shared", shapes=False)
    own = [shape.numpy().astype("<f4")[0].tobytes() for shape in detector.shapes_]  # its first point

    def holding(folder: Path) -> list[str]:
        return [path.name for path in folder.iterdir() if any(one in path.read_bytes() for one in own)]

    assert holding(saved) == ["model.safetensors"] and holding(tmp_path / "shared") == []
    with safe_open(tmp_path / "shared" / "model.safetensors", "pt") as file:
        assert "shapes" not in file.keys()  # noqa: SIM118
    assert dict(ModelCard.read(tmp_path / "shared").reveals)["annotated shapes"] == "no"


def test_without_shapes_it_predicts_the_same(saved: Path, detector: LandmarkDetector, tmp_path: Path) -> None:
    detector.save(tmp_path / "shared", shapes=False)
    shared, whole = LandmarkDetector.load(tmp_path / "shared"), LandmarkDetector.load(saved)
    assert shared.frame() == whole.frame()
    np.testing.assert_allclose(shared.predict(FACES.images[:4]).points, whole.predict(FACES.images[:4]).points, atol=1e-4)
    shared.save(tmp_path / "again")
    assert LandmarkDetector.load(tmp_path / "again").frame() == whole.frame()


def test_predict_warns_of_another_kind_of_images(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    detector = LandmarkDetector.load(saved)
    with caplog.at_level(logging.WARNING, "brule"):
        detector.predict(synthetic_faces(8, size=64, start=900).images)
        assert "look unlike" not in caplog.text
        detector.predict(np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8))
    assert "8 of 8 images look unlike" in caplog.text


def test_the_command_warns_too(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "noise").mkdir()
    for k in range(6):
        noise = np.random.default_rng(k).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "noise" / f"{k}.png")
    assert main(["predict", str(saved), str(tmp_path / "noise"), "-o", str(tmp_path / "out"), "--no-overlays"]) == 0
    assert "6 of 6 images look unlike" in capsys.readouterr().err


def test_info_fits_80_columns(saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["info", str(saved)]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for word in ("Detector", "Trained on", "Figures", "What it reveals", "images without labels  40", "none yet"):
        assert word in shown


def test_info_as_json(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(saved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(ModelCard.read(saved).facts))


def test_info_of_a_folder_without_a_detector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path)]) == 2
    assert "expected a trained detector or a run" in capsys.readouterr().err


def test_a_run_is_passed_on_without_its_leftovers(detector: LandmarkDetector, tmp_path: Path) -> None:
    run = tmp_path / "run"
    detector.save(run)
    record = {"images": ["/home/me/secret"], "exclude_validation": False, "n_images": 40, "shapes": ["a"], "device": "cuda"}
    (run / "data.json").write_text(json.dumps(record))
    assert dict(ModelCard.read(run).reveals)["paths of folders"].startswith("yes")
    (run / "evaluation" / "test").mkdir(parents=True)
    figures = {"nme": 5.0, "median_nme": 4.0, "found": 0.9, "w1": 4.5, "floor_nme": 19.0, "n": 7}
    (run / "evaluation" / "test" / "metrics.json").write_text(json.dumps({**figures, "boxes": "given", "normaliser": "eyes"}))
    assert main(["export", str(run), "-o", str(tmp_path / "shared"), "--hub", "--without-shapes"]) == 0
    shared = tmp_path / "shared"
    assert not any("secret" in path.read_text(errors="replace") for path in shared.iterdir())
    card = ModelCard.read(shared)
    ((_, text),) = [row for row in card.figures if row[0] == "test"]
    assert text.startswith("NME 5.00 % on 7 objects (inside the true boxes), median 4.00 %, found 90 %, W₁ 4.50 %")
    assert "constant prediction (floor) 19.00 %" in text and card.facts["trained_on"]["device"] == "cuda"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--without-shapes"], "belongs to --hub"),
        (["--hub", "--whole-image"], "writes no ONNX file, so --whole-image can't be given"),
    ],
)
def test_options_without_effect_are_refused(saved: Path, tmp_path: Path, capsys, options: list[str], message: str) -> None:
    assert main(["export", str(saved), "-o", str(tmp_path / "x"), *options]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_an_earlier_folder_is_kept(saved: Path, tmp_path: Path, capsys) -> None:
    assert main(["export", str(saved), "-o", str(saved), "--hub"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_measuring_changes_nothing_that_is_saved(saved: Path, tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path / "held-out", 4, size=64, start=500)
    detector = LandmarkDetector.load(saved)
    before = detector.provenance_
    detector.evaluate(tmp_path / "held-out", boxes="given")
    detector.score(tmp_path / "held-out")
    assert detector.provenance_ == before


def test_no_crops_have_no_landmarks(detector: LandmarkDetector) -> None:
    crops = np.empty((0, 64, 64, 3), dtype=np.uint8)
    found = detector.predict_crops(crops)
    assert found.uncertainty is not None
    assert (found.points.shape, found.spread.shape, found.uncertainty.shape) == ((0, 68, 2), (0, 68), (0,))
    some = detector.predict_crops(np.zeros((1, 64, 64, 3), dtype=np.uint8))
    assert [one.dtype for one in vars(found).values()] == [one.dtype for one in vars(some).values()]
    with pytest.raises(ConfigError, match="tta"):
        detector.predict_crops(crops, tta=7)
