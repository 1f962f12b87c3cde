"""How images are looked at: zoom that is kept, the loupe, hiding, display filters, and one landmark through all images."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template

THREE = Template(names=("nose", "chin", "brow"))
PLACES = np.array([(30.0, 40.0), (90.0, 44.0), (60.0, 100.0)])


@pytest.fixture
def person(draw: Callable, serve: Callable, visit: Callable, tmp_path: Path) -> Any:
    """A person at the first of three annotated images."""
    project = Project(tmp_path / "project", [draw(3, size=128).folder], template=THREE)
    for image in project.entries:
        marks = {name: Mark.at(x, y) for name, (x, y) in zip(THREE.names, PLACES, strict=True)}
        project.change(image, 0, Marks(marks, "accepted"))
    found = visit(serve(project)).at("face_000.png")
    found.project = project
    return found


def pixels_at(person: Any, place: Any, half: int = 12) -> Any:
    """What the screen shows about a place of the image."""
    x, y = person.on_screen(*place)
    clip = {"x": round(x) - half, "y": round(y) - half, "width": 2 * half + 1, "height": 2 * half + 1}
    return np.asarray(Image.open(io.BytesIO(person.page.screenshot(clip=clip))).convert("RGB")).astype(int)


def test_landmarks_are_hidden_while_v_is_held(person: Any) -> None:
    shown = pixels_at(person, PLACES[0])
    person.page.keyboard.down("v")
    person.page.wait_for_timeout(150)
    hidden = pixels_at(person, PLACES[0])
    person.page.keyboard.up("v")
    person.page.wait_for_timeout(150)
    assert np.abs(hidden - shown).max() > 40
    np.testing.assert_array_equal(pixels_at(person, PLACES[0]), shown)


def test_shift_holds_the_loupe_which_is_larger_than_life(person: Any) -> None:
    person.page.mouse.move(*person.on_screen(64, 64))
    before = pixels_at(person, (64, 64), 60)
    person.page.keyboard.down("Shift")
    person.page.wait_for_timeout(200)
    assert np.abs(pixels_at(person, (64, 64), 60) - before).max() > 40
    person.page.keyboard.up("Shift")
    person.page.wait_for_timeout(200)
    np.testing.assert_array_equal(pixels_at(person, (64, 64), 60), before)


def test_grey_and_inverted_are_for_display_alone(person: Any) -> None:
    away = (110.0, 15.0)  # no landmark is near
    colours = pixels_at(person, away, 3)
    person.press("i")
    person.page.wait_for_timeout(150)
    np.testing.assert_allclose(pixels_at(person, away, 3), 255 - colours, atol=3)
    person.press("i", "b")
    person.page.wait_for_timeout(150)
    grey = pixels_at(person, away, 3)
    assert np.ptp(grey, axis=-1).max() <= 2
    person.press("b")
    image = next(iter(person.project.entries))
    assert person.project.record(image).version == 1  # nothing of the project has changed


def test_z_keeps_the_zoom_from_image_to_image(person: Any) -> None:
    zoom = "() => brule.page().stage.zoom"
    fitted = person.ask(zoom)
    person.press("+", "+", "+")
    larger = person.ask(zoom)
    assert larger > 1.5 * fitted
    person.press("z", "n")
    person.opened("face_001.png")
    assert person.ask(zoom) == pytest.approx(larger)
    person.press("z", "n")
    person.opened("face_002.png")
    assert person.ask(zoom) == pytest.approx(fitted)
    person.press("+", "0")
    assert person.ask(zoom) == pytest.approx(fitted)


def test_one_landmark_through_all_images_is_corrected_by_a_click(person: Any, marks: Callable) -> None:
    person.press("2", "Enter", "l")
    person.page.wait_for_selector(".crop-cell >> nth=2")
    assert "chin" in person.page.locator(".crops").get_attribute("aria-label")
    cell = person.page.locator(".crop-cell").nth(1)
    view = cell.locator(".crop-view")
    view.click()  # selects
    box, side = view.bounding_box(), person.ask("() => brule.page().cells[1].item.side")
    person.page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
    person.page.wait_for_function("() => brule.page().cells[1].editor?.history.canUndo()")
    person.saved()
    point = marks(person.project, "face_001.png").points["chin"]
    assert np.allclose((point.x, point.y), PLACES[1] + np.array((side / 4, 0)), atol=side / box["width"])
    person.press("Control+z")
    person.page.wait_for_function("() => brule.page().cells[1].editor.history.canRedo()")
    person.saved()
    point = marks(person.project, "face_001.png").points["chin"]
    assert (point.x, point.y) == tuple(PLACES[1])
    person.press("l")
    person.opened("face_000.png")


def test_an_image_opened_right_after_its_landmark_was_moved_shows_the_move(person: Any, marks: Callable) -> None:
    person.press("2", "Enter", "l")
    person.page.wait_for_selector(".crop-cell >> nth=2")
    person.ask(
        """() => { const page = brule.page(), k = page.cells.findIndex((cell) => cell.item.name === 'face_000.png');
             page.select(k); page.grid.focus(); return page.editor(page.cells[k]).then(() => true); }"""
    )
    person.press("ArrowRight", "Enter")  # opened before the change is sent
    person.opened("face_000.png")
    assert np.allclose(person.points[1], PLACES[1] + (1, 0))
    person.press("1", "ArrowRight")
    person.page.wait_for_timeout(600)
    person.saved()
    found = marks(person.project, "face_000.png").points
    assert (found["chin"].x, found["nose"].x) == (PLACES[1][0] + 1, PLACES[0][0] + 1)


def test_one_landmark_is_shown_anew_when_another_window_reorders_landmarks(person: Any, marks: Callable) -> None:
    person.press("2", "Enter", "l")
    person.page.wait_for_selector(".crop-cell >> nth=2")
    template, project = person.project.template, person.project
    turned = template.model_copy(update={"names": (template.names[1], template.names[0], *template.names[2:]), "pairs": None})
    project.set_template(project.settings.version, turned, [1, 0, *range(2, len(template.names))])
    person.page.wait_for_function(f"() => brule.page().names?.[0] === '{turned.names[0]}'")
    person.page.wait_for_selector(".crop-cell >> nth=2")
    person.ask(
        """() => { const page = brule.page(), k = page.cells.findIndex((cell) => cell.item.name === 'face_000.png');
             page.select(k); page.grid.focus(); return true; }"""
    )
    before = marks(project, "face_000.png").points
    person.press("ArrowRight")
    person.page.wait_for_timeout(600)
    person.saved()
    found = marks(project, "face_000.png").points
    assert {name for name in found if found[name] != before[name]} == {turned.names[1]}
