"""A run that begins with the weights of another: its encoder, its own schedule, and landmarks that have to fit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.detector import Origin, read_detector, shapes_of_detector
from brule.errors import CheckpointError, ConfigError, DataError
from brule.training import sections

FACES = synthetic_faces(12, size=32)
TINY = {
    "crop.image_size": 32,
    "encoder.width": 8,
    "encoder.depth": 2,
    "batch_size": 4,
    "iterations": 3,
    "time_limit": 0,
    "preview_every": 0,
    "precision": "float32",
}


def detector(**changes: object) -> LandmarkDetector:
    return LandmarkDetector(quiet=True, **(TINY | {key.replace("__", "."): value for key, value in changes.items()}))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    detector(optimizer__learning_rate=0.01).fit(FACES.images, shapes=FACES.points[:5], directory=folder)
    return folder


def test_it_begins_with_the_other_runs_weights_and_a_new_schedule(first: Path) -> None:
    """With a learning rate of next to nothing the encoder stays where it started; shapes come from the other detector."""
    found = detector(optimizer__learning_rate=1e-12, optimizer__muon=1e-12, iterations=1, seed=7).fit(
        FACES.images, start_from=first
    )
    expected, actual = LandmarkDetector.load(first).model_.encoder, found.model_.encoder
    for name, parameter in expected.named_parameters():
        assert torch.allclose(parameter, dict(actual.named_parameters())[name], atol=1e-6), name
    assert found.progress_.iteration == 1 and found.finished_
    fresh = detector(optimizer__learning_rate=1e-12, optimizer__muon=1e-12, iterations=1, seed=7).fit(
        FACES.images, shapes=FACES.points[:5]
    )
    assert not torch.allclose(next(fresh.model_.encoder.parameters()), next(expected.parameters()), atol=1e-3)


def test_other_landmarks_are_refused(first: Path) -> None:
    with pytest.raises(ConfigError, match="finds 68 landmarks, and the shapes have 5"):
        detector().fit(FACES.images, shapes=np.stack(FACES.points)[:5, [36, 45, 30, 48, 54]], start_from=first)


def test_other_networks_are_refused(first: Path) -> None:
    with pytest.raises(CheckpointError, match="start from a run with the same encoder"):
        detector(encoder__width=16).fit(FACES.images, shapes=FACES.points[:5], start_from=first)


def test_a_run_can_not_be_resumed_and_started_anew(first: Path) -> None:
    with pytest.raises(ConfigError, match="leave start_from out"):
        detector().fit(FACES.images, directory=first, resume=True, start_from=first)


def test_there_must_be_a_detector_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no"):
        detector().fit(FACES.images, shapes=FACES.points[:5], start_from=tmp_path)


def test_where_the_weights_came_from_is_kept(first: Path, tmp_path: Path) -> None:
    run = tmp_path / "second"
    found = detector(iterations=1).fit(FACES.images, start_from=first, directory=run)
    weights = hashlib.sha256((first / "model.safetensors").read_bytes()).hexdigest()
    assert found.origin_ == Origin(first.name, "cpu", 3, weights)
    assert LandmarkDetector.load(run).origin_ == found.origin_
    assert LandmarkDetector.load(first).origin_ is None
    longer = detector(iterations=2).fit(FACES.images, directory=run, resume=True)
    assert longer.origin_ == found.origin_
    longer.save(tmp_path / "copy")
    assert LandmarkDetector.load(tmp_path / "copy").origin_ == found.origin_
    content = json.loads((run / "detector.json").read_text(encoding="utf-8"))
    (run / "detector.json").write_text(json.dumps(content | {"started_from": {"folder": "x"}}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"detector\.json: started_from: damaged"):
        LandmarkDetector.load(run)


def test_the_earlier_shapes_lie_in_the_crops_of_the_new_run(first: Path) -> None:
    """A crop twice as wide about the same centre: what was 0.3 of the crop away from it is 0.15 away."""
    stored = read_detector(first)
    assert stored.shapes is not None
    same = shapes_of_detector(stored, first, scale=stored.config.crop.scale)
    assert len(same) == 5 and np.allclose(same.points[2], stored.shapes[2].numpy())
    wider = shapes_of_detector(stored, first, scale=2 * stored.config.crop.scale)
    assert np.allclose(wider.points[0] - 0.5, (same.points[0] - 0.5) / 2)
    assert same.edges == stored.edges
    with pytest.raises(DataError, match="holds no annotated shapes"):
        shapes_of_detector(replace(stored, shapes=None), first, scale=1.3)


def test_training_images_of_the_earlier_detector_are_kept(first: Path) -> None:
    found = detector(iterations=1).fit(FACES.images[4:], start_from=first)
    assert found.training_images_.images == LandmarkDetector.load(first).training_images_.images
    assert found.seen_ is found.training_images_  # the former name


def test_a_detector_trained_without_an_index_can_be_fine_tuned_with_labels(tmp_path: Path) -> None:
    """Its outputs come in an order of their own; annotated images teach in the order of the annotation."""
    small = {"encoder.stacks": 1, "gan.enabled": False, "warp.elastic": 0.0}
    own = LandmarkDetector("paper-small", quiet=True, **(TINY | small))
    own.fit(FACES.images, shapes=FACES.points[:5], directory=tmp_path / "unsupervised")
    order = torch.arange(68).roll(7)
    own.model_.set_order(order)
    own.save(tmp_path / "turned")
    still = {"optimizer.learning_rate": 1e-12, "iterations": 1}
    tuned = LandmarkDetector("paper-small", quiet=True, **(TINY | small | still))
    tuned.fit(FACES.images, labelled=(FACES.images[:6], FACES.points[:6]), start_from=tmp_path / "turned")
    assert tuned.model_.order.tolist() == list(range(68))
    before, after = (dict(one.model_.encoder.named_parameters()) for one in (own, tuned))
    for name in ("heads.0.prior", "hourglass.maps.0.weight", "hourglass.maps.0.bias"):
        assert torch.allclose(after[name], before[name][order], atol=1e-6), name


def test_what_is_saved_names_no_folder(first: Path, tmp_path: Path) -> None:
    """Neither that of the earlier run nor that of a preset of one's own."""
    preset = tmp_path / "somebody" / "mine.toml"
    preset.parent.mkdir()
    preset.write_text((Path(sections.__file__).parent / "presets" / "cpu.toml").read_text(encoding="utf-8"), encoding="utf-8")
    own = LandmarkDetector(str(preset), **{**detector(iterations=1).overrides, "quiet": True})
    own.fit(FACES.images, start_from=first).save(tmp_path / "saved")
    own.fit(FACES.images, start_from=tmp_path / "saved").save(tmp_path / "again")
    for folder in ("saved", "again"):
        for path in (tmp_path / folder).iterdir():
            assert str(tmp_path).encode() not in path.read_bytes(), path
        card = (tmp_path / folder / "README.md").read_text(encoding="utf-8")
        assert "| preset, seed | mine.toml, 0 |" in card
    origin = LandmarkDetector.load(tmp_path / "again").origin_
    assert origin is not None and (origin.folder, origin.preset) == ("saved", "mine.toml")


@pytest.mark.parametrize("folder", ["/home/somebody/runs/first", "C:\\Users\\somebody\\first", "runs/first/", "first"])
def test_the_paths_of_an_earlier_version_are_cut_down_to_names(folder: str) -> None:
    facts = {"folder": folder, "preset": "/home/somebody/mine.toml", "iterations": 3, "sha256": "ab"}
    assert Origin.from_facts(facts) == Origin("first", "mine.toml", 3, "ab")
