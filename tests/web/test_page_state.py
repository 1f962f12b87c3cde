"""The state behind the page: hints on images that are annotated, and what is imported before its threads begin."""

from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating.statistics import ShapeStatistics
from brule.data.synthetic import synthetic_faces

from .conftest import picture

pytest.importorskip("starlette")

NAMES = tuple(f"point {k}" for k in range(1, 69))
WRONG, LANDMARK = 3, 30  # the image with a gross error, and where


@pytest.fixture
def faces(tmp_path: Path) -> Project:
    """Twelve annotated images, one of them with a gross error."""
    points = 4 * synthetic_faces(12, size=64, seed=4).points.astype(float)
    points[WRONG, LANDMARK] += [60, -60]
    for k in range(len(points)):
        picture(tmp_path / "photos" / f"{k:02d}.png", size=(256, 256), seed=k)
    project = Project(tmp_path / "project", [tmp_path / "photos"], template=Template(names=NAMES))
    for image, shape in zip(project.entries, points, strict=True):
        marks = {name: Mark.at(x, y) for name, (x, y) in zip(NAMES, shape.tolist(), strict=True)}
        project.change(image, 0, Marks(marks, "accepted"))
    return project


def test_gross_errors_of_accepted_images_come_first(faces: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from brule.web import guesses
    from brule.web.page import Page

    monkeypatch.setattr(guesses.Guesses, "_fit", lambda self: None)
    page = Page(faces)
    try:
        ids, shapes = faces.annotated()
        page.guesses.fitted = guesses.Fitted(1, ShapeStatistics.of(shapes), tuple(ids))
        wrong = ids[WRONG]
        found = page.hints(wrong, shapes[WRONG])
        assert ("far", (LANDMARK,)) in [(hint.code, hint.landmarks) for hint in found]
        assert page.ordered(ids, "worst_hint")[0] == wrong
        others = [page.hints(image, shape) for image, shape in zip(ids, shapes, strict=True) if image != wrong]
        assert sum(bool(one) for one in others) <= 1
        outside = np.where(np.arange(68)[:, None] == 0, [300.0, 100.0], shapes[0])
        assert "outside" in [hint.code for hint in page.hints(ids[0], outside)]
    finally:
        page.close()


def test_the_statistics_know_whose_shapes_they_are(faces: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from brule.web import guesses
    from brule.web.events import Hub

    monkeypatch.setattr(guesses.GuessModel, "fit", lambda *args, **kwargs: None)
    found = guesses.Guesses(faces, Hub())
    try:
        assert found.work.wait(60)
        ids, shapes = faces.annotated()
        assert list(found.fitted.images) == ids and found.fitted.statistics is not None
        assert len(found.fitted.statistics.aligned) == len(shapes)
    finally:
        found.work.close()


def test_scipy_is_imported_before_two_threads_can_import_it(faces: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from brule.web.background import Latest
    from brule.web.page import Page

    events = []
    real = builtins.__import__

    def imported(name: str, *args: object, **kwargs: object) -> object:
        events.append(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(Latest, "ask", lambda self: events.append("a thread"))
    monkeypatch.setattr(builtins, "__import__", imported)
    Page(faces).close()
    before = events[: events.index("a thread")]
    assert {"scipy.cluster.vq", "scipy.optimize"} <= set(before)
