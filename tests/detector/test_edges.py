"""The lines of a detector's pictures: where they come from, where they are kept, where they are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.detector import usual_edges
from brule.errors import CheckpointError, DataError
from brule.evaluation import contours

FACES = synthetic_faces(6, size=48)
RING = 0.5 + 0.4 * np.stack([np.cos(np.arange(7) * 2 * np.pi / 7), np.sin(np.arange(7) * 2 * np.pi / 7)], -1)


def tiny() -> LandmarkDetector:
    return LandmarkDetector(iterations=1, batch_size=4, quiet=True, encoder__width=8, encoder__depth=2, threads=1)


def test_of_a_ring_each_point_is_joined_to_both_neighbours_once() -> None:
    expected = {frozenset((i, (i + 1) % 7)) for i in range(7)}
    found = usual_edges(torch.from_numpy(RING))
    assert {frozenset(edge) for edge in found} == expected and len(found) == 7


def test_of_faces_they_are_the_known_contours() -> None:
    assert usual_edges(torch.rand(68, 2)) == tuple(contours(68))
    assert usual_edges(torch.rand(1, 2)) == ()


def test_they_are_saved_read_and_kept_when_a_run_goes_on(tmp_path: Path) -> None:
    detector = tiny().fit(FACES.images, shapes=[RING] * 3, edges=[(0, 1), (5, 2)], directory=tmp_path / "run")
    assert detector.edges_ == ((0, 1), (5, 2))
    detector.save(tmp_path / "saved")
    for folder in ("run", "saved"):
        assert LandmarkDetector.load(tmp_path / folder).edges_ == ((0, 1), (5, 2))
    longer = LandmarkDetector(iterations=2, quiet=True).fit(FACES.images, directory=tmp_path / "run", resume=True)
    assert longer.edges_ == ((0, 1), (5, 2))


def test_a_detector_of_an_older_version_gets_the_usual_ones(tmp_path: Path) -> None:
    tiny().fit(FACES.images, shapes=[RING] * 3, edges=[(0, 3)]).save(tmp_path)
    description = json.loads((tmp_path / "detector.json").read_text())
    del description["edges"]
    (tmp_path / "detector.json").write_text(json.dumps(description))
    detector = LandmarkDetector.load(tmp_path)
    assert detector.edges_ == usual_edges(detector.barycenter_)


@pytest.mark.parametrize("edges", [3, [[0, 7]], [[0, 0]], "0-3", {}, [[0, "a"]]])
def test_damaged_edges_are_reported_as_such(tmp_path: Path, edges: object) -> None:
    tiny().fit(FACES.images, shapes=[RING] * 3).save(tmp_path)
    description = json.loads((tmp_path / "detector.json").read_text())
    (tmp_path / "detector.json").write_text(json.dumps(description | {"edges": edges}))
    with pytest.raises(CheckpointError, match=r"detector\.json: edges"):
        LandmarkDetector.load(tmp_path)


def test_edges_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="0:7 leads to a landmark that isn't there"):
        tiny().fit(FACES.images, shapes=[RING] * 3, edges=[(0, 7)])
