"""Contours from the annotations, or from --edges, reach every picture of a detector."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import brule.plots
from brule.data import convert
from brule.detector import LandmarkDetector

SPEC = "0-16, 36-41 closed, 30:33"
SPELLED = {*(frozenset((i, i + 1)) for i in [*range(16), *range(36, 41)]), frozenset((41, 36)), frozenset((30, 33))}


def pairs(edges: object) -> set[frozenset[int]]:
    return {frozenset(map(int, edge)) for edge in edges}  # type: ignore[attr-defined]


@contextmanager
def drawn_edges(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, set[frozenset[int]]]]:
    """What the functions that draw are asked to join."""
    import brule.evaluation.reports.evaluation as page

    drawn: dict[str, set[frozenset[int]]] = {}

    def watched(module: object, name: str) -> None:
        draw = getattr(module, name)

        def watching(*arguments: object, **keywords: object) -> object:
            drawn[name] = pairs(keywords["edges"])
            return draw(*arguments, **keywords)

        monkeypatch.setattr(module, name, watching)

    with monkeypatch.context():
        for name in ("overlay_grid", "draw_objects", "barycenter_picture", "preview_sheet"):
            watched(brule.plots, name)
        watched(page, "landmark_map")
        watched(page, "landmark_overlay")
        yield drawn


def test_they_reach_every_picture(brule, words, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    with drawn_edges(monkeypatch) as drawn:
        found = brule(*words(faces, run, 2, "preview_every=2"), "--edges", SPEC)
        assert found.code == 0, found.err
        report = ("--pictures", tmp_path / "p.png", "-o", tmp_path / "e")
        assert brule("evaluate", run, "--data", faces / "test", *report).code == 0
        assert brule("predict", run, faces / "test", "-o", tmp_path / "found").code == 0
    assert {name: edges == SPELLED for name, edges in drawn.items()} == dict.fromkeys(
        ("preview_sheet", "landmark_map", "landmark_overlay", "overlay_grid", "draw_objects"), True
    )
    assert pairs(json.loads((run / "detector.json").read_text())["edges"]) == SPELLED


def test_lines_are_seen_in_an_overlay(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    """The same detector with and without its edges: the picture differs along them."""
    for name, edges in (("with", [[0, 16]]), ("without", []), ("again", [])):
        copy = Path(shutil.copytree(trained, tmp_path / name))
        description = json.loads((copy / "detector.json").read_text())
        (copy / "detector.json").write_text(json.dumps(description | {"edges": edges}))
        assert brule("predict", copy, faces / "test", "-o", tmp_path / f"{name}-out", "--format", "pts").code == 0
    lines, none, again = (
        np.asarray(Image.open(next((tmp_path / f"{name}-out" / "overlays").glob("*.jpg")))).astype(int)
        for name in ("with", "without", "again")
    )
    assert (none == again).all()
    assert (lines != none).any()


def test_those_of_the_files_are_taken(brule, words, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coco = tmp_path / "coco.json"
    convert(faces / "shapes", coco, write_as="coco")
    content = json.loads(coco.read_text())
    content["categories"][0]["skeleton"] = [[1, 2], [10, 68]]
    coco.write_text(json.dumps(content))
    expected = pairs([(0, 1), (9, 67)])
    with drawn_edges(monkeypatch) as drawn:
        assert brule("barycenter", coco, "-o", tmp_path / "b.json").code == 0
    assert drawn["barycenter_picture"] == expected
    for shapes in (coco, tmp_path / "b.json"):  # the barycenter's file keeps them
        run = tmp_path / f"run-{shapes.stem}"
        arguments = [shapes if word == faces / "shapes" else word for word in words(faces, run, 1)]
        assert brule(*arguments).code == 0
        assert pairs(LandmarkDetector.load(run).edges_) == expected


@pytest.mark.parametrize(
    ("spec", "said"),
    [("0-99", "leads to a landmark that isn't there"), ("loop", "can't be understood"), ("e.json", "can't be read")],
)
def test_edges_that_make_no_sense(spec: str, said: str, brule, words, faces: Path, tmp_path: Path) -> None:
    for more in ((), ("--dry-run",)):
        found = brule(*words(faces, tmp_path / "run", 1), "--edges", spec, *more)
        assert found.code == 2 and said in found.err
