"""What guesses are learnt from: the newest annotations, the present pixels, and nothing twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.web import guesses as module
from brule.web.events import Hub
from brule.web.guesses import Guesses

from .conftest import NAMES, picture


def finish(project: Project, name: str, shift: float = 0.0, *, changed: int | None = None) -> str:
    """Annotate an image, as if it were done at a second of its own."""
    image = next(image for image, entry in project.entries.items() if entry.name == name)
    record = project.record(image)
    places = {"left": (10, 20), "right": (40, 21), "top": (25, 5)}
    points = {one: Mark(x + shift, y + shift) for one, (x, y) in places.items()}
    project.change(image, record.version, Marks(points, "accepted"))
    if changed is not None:
        os.utime(project.annotation_file(image), (changed, changed))
        project.summaries.use(project.entries)
    return image


@pytest.fixture
def six(tmp_path: Path) -> Project:
    for k in range(6):
        picture(tmp_path / "photos" / f"{k}.png", seed=k)
    return Project(tmp_path / "project", [tmp_path / "photos"], template=Template(names=NAMES, pairs=()))


def test_the_model_learns_from_the_newest(six: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    order = [3, 5, 1, 0, 4, 2]  # the first of the names are the newest but one
    ids = {k: finish(six, f"{k}.png", shift=k, changed=1000 + place) for place, k in enumerate(order)}
    found, _ = six.annotated(4)
    assert found == [ids[k] for k in order[-4:]]  # the newest last
    assert six.annotated()[0] == [ids[k] for k in range(6)]
    learnt: list[list[float]] = []
    monkeypatch.setattr(module, "MAX_IMAGES", 3)
    monkeypatch.setattr(
        module.GuessModel, "fit", lambda examples, **_: learnt.append([float(one.points[0, 0] - 10) for one in examples])
    )
    guesses = Guesses(six, Hub())
    assert guesses.work.wait(60)
    guesses.work.close()
    assert learnt == [[0, 4, 2]]


def test_an_image_that_was_replaced_is_seen_anew(six: Project, tmp_path: Path) -> None:
    image = finish(six, "0.png")
    guesses = Guesses(six, Hub())
    assert guesses.work.wait(60)
    before, version = guesses.example(image), guesses.fitted.version
    path = tmp_path / "photos" / "0.png"
    Image.new("RGB", (64, 48), (7, 7, 7)).save(path)
    os.utime(path, (5, 5))
    after = guesses.example(image)
    assert (after.grey == 7).all() and not np.array_equal(before.grey, after.grey)
    six.refresh()
    assert guesses.work.wait(60)
    guesses.work.close()
    assert guesses.fitted.version > version  # learnt anew, too


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    original: Callable[..., Image.Image] = module.load_reduced

    def noted(path: Path, side: int) -> Image.Image:
        found.append(path.name)
        return original(path, side)

    monkeypatch.setattr(module, "load_reduced", noted)
    return found


def test_each_image_is_decoded_once(six: Project, decoded: list[str]) -> None:
    for k in range(4):
        finish(six, f"{k}.png", shift=k)
    guesses = Guesses(six, Hub())
    assert guesses.work.wait(60)
    assert sorted(decoded) == [f"{k}.png" for k in range(4)]
    version = guesses.fitted.version
    six.set_settings(annotator="somebody")  # nothing that guesses depend on
    assert guesses.work.wait(60) and guesses.fitted.version == version
    finish(six, "4.png")
    assert guesses.work.wait(60)
    guesses.work.close()
    assert sorted(decoded) == [f"{k}.png" for k in range(5)]


def test_what_was_used_last_is_forgotten_last(six: Project, decoded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.KEPT > module.NEWEST  # or a guess between two fits would make them decode everything again
    monkeypatch.setattr(module, "KEPT", 2)
    guesses = Guesses(six, Hub())
    first, second, third, *_ = six.entries
    for image in (first, second, first, third, first):
        guesses.example(image)
    guesses.work.close()
    assert decoded == ["0.png", "1.png", "2.png"]


def test_an_image_that_is_missing_is_left_out_until_it_is_back(six: Project, tmp_path: Path) -> None:
    finish(six, "0.png")
    gone = finish(six, "1.png")
    path, apart = tmp_path / "photos" / "1.png", tmp_path / "apart.png"
    path.rename(apart)
    guesses = Guesses(six, Hub())
    assert guesses.work.wait(60) and guesses.fitted.trained_on == 1
    apart.rename(path)
    guesses.work.ask()
    assert guesses.work.wait(60) and guesses.fitted.trained_on == 2
    assert gone in guesses.fitted.images
    guesses.work.close()
