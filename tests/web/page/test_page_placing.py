"""Placing landmarks: what a press of the pointer means, second annotations, hints, the list, and what ends with the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brule.annotating import Mark, Marks, Project, Template

THREE = Template(names=("nose", "chin", "brow"))
PLACES = np.array([(30.0, 40.0), (90.0, 44.0), (60.0, 100.0)])


def accept(project: Project, image: str, places: Any) -> None:
    names = project.template.names
    marks = {name: Mark.at(float(x), float(y)) for name, (x, y) in zip(names, places, strict=True)}
    project.change(image, 0, Marks(marks, "accepted"))


@pytest.fixture
def project(draw: Callable, tmp_path: Path) -> Project:
    """Three annotated images."""
    found = Project(tmp_path / "project", [draw(3, size=128).folder], template=THREE)
    for image in found.entries:
        accept(found, image, PLACES)
    return found


@pytest.fixture
def person(project: Project, serve: Callable, visit: Callable) -> Any:
    return visit(serve(project)).at("face_000.png")


VIEW = "() => ({...brule.page().stage.canvasStage.view})"


def test_a_landmark_at_the_edge_of_the_stage_is_dragged_without_a_jump(person: Any) -> None:
    person.ask(
        "() => brule.page().stage.canvasStage.setView({ scale: 8, x: 10 - 8 * 90, y: 100 })"
    )  # chin: 14 px from the edge
    before = person.ask(VIEW)
    person.drag(PLACES[1], PLACES[1] + (4, 0))
    assert person.selected == 1
    assert person.ask(VIEW) == before
    np.testing.assert_allclose(person.points[1], PLACES[1] + (4, 0), atol=0.2)
    person.click(*PLACES[1] + (4, 0))
    assert person.ask(VIEW) == before
    person.ask("() => brule.page().stage.canvasStage.setView({ scale: 8, x: -5000, y: 100 })")
    person.press("Tab")  # the keyboard brings a landmark into view
    assert person.ask(VIEW)["x"] > -5000


def test_a_second_annotation_starts_blank(person: Any, project: Project) -> None:
    image = person.ask("() => brule.page().editor.id")
    person.page.wait_for_function("() => brule.app.project.value.guess.ready")
    person.page.click("text=Annotate it a second time")
    person.page.wait_for_function("() => brule.page().layer === 'repeat'")
    person.opened("face_000.png")
    assert np.isnan(person.points).all()
    person.press("g", "Enter")
    person.page.wait_for_selector(".toast:has-text('set yet')")
    assert np.isnan(person.points).all()
    person.click(*PLACES[0])
    person.saved()
    person.page.wait_for_function("() => brule.app.news.value?.topic === 'image' || brule.page().editor.record.version > 0")
    person.page.wait_for_timeout(400)
    assert project.record(image, "repeat").marks.placed == 1
    row = person.page.locator(".image-row[aria-current]")
    assert "accepted" in row.inner_text() and " of " not in row.inner_text()  # the list is about the first annotation


def test_late_answers_of_an_earlier_filter_are_dropped(person: Any) -> None:
    person.page.evaluate(
        """() => { const { api } = brule.app, images = api.images.bind(api);
             api.images = async (filter) => { const page = await images(filter);
               if (filter.status === 'accepted') await new Promise((done) => setTimeout(done, 500));
               return page; }; }"""
    )
    person.page.select_option("select[aria-label='Which images']", "accepted")
    person.page.select_option("select[aria-label='Which images']", "rejected")
    person.page.wait_for_selector(".image-count:has-text('0 images')")
    person.page.wait_for_timeout(700)
    assert person.page.inner_text(".image-count") == "0 images"
    assert person.page.locator(".image-row").count() == 0


def test_what_a_page_listens_to_ends_with_it(person: Any) -> None:
    counts = "() => ['settings', 'news', 'model', 'project'].map((name) => brule.app[name].watchers.size)"
    watchers = "() => [editor.changed.watchers.size, editor.selected.watchers.size, stage.leaving.signal.aborted]"
    person.goto("setup")
    before = person.ask(counts)
    for _ in range(3):
        person.goto("annotate").opened()
        person.page.evaluate("() => { window.editor = brule.page().editor; window.stage = brule.page().stage; }")
        person.goto("setup")
        assert person.ask(watchers) == [0, 0, True]
    assert person.ask(counts) == before


def test_measurements_from_suggestions_are_provisional(
    draw: Callable, serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    project = Project(tmp_path / "project", [draw(2, size=128).folder], template=THREE)
    measure = {"name": "width", "landmarks": [0, 1]}
    project.set_settings(measurements={"distances": [measure], "angles": []})
    accept(project, next(iter(project.entries)), PLACES)
    person = visit(serve(project)).goto("setup")
    person.page.wait_for_function("() => brule.app.project.value.guess.ready")
    person.at("face_001.png")
    assert person.states == [1, 1, 1]
    assert person.page.inner_text(".measured div:first-child dd").startswith("≈")
    assert person.page.locator("text=from suggestions").is_visible()
    person.press("1", "Enter", "f", "2", "Enter", "f", "f")
    person.saved()
    assert not person.page.inner_text(".measured div:first-child dd").startswith("≈")
    assert person.page.locator("text=from suggestions").is_hidden()


def test_an_accepted_image_is_compared_with_the_others(
    draw: Callable, serve: Callable, visit: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(8)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    for image, entry in project.entries.items():
        points = faces.named(entry.name)
        if entry.name == "face_005.png":
            points[9] += [60, -60]  # the nose
        accept(project, image, points)
    person = visit(serve(project)).goto("setup")
    person.page.wait_for_function("() => brule.app.project.value.guess.trained_on === 8")
    person.at("face_005.png")
    person.page.wait_for_selector(".hints >> text=nose is far from where other images have it")
    person.page.select_option("select[aria-label='Order of the images']", "worst_hint")
    person.page.wait_for_function("() => brule.page().images.item(0)?.name === 'face_005.png'")


@pytest.mark.parametrize("size", [(820, 1180), (1366, 768)])
def test_images_and_states_without_a_keyboard(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, tmp_path: Path, size: tuple[int, int]
) -> None:
    project = Project(tmp_path / "project", [draw(3, size=128).folder], template=THREE)
    narrow = size[0] <= 1100
    person = visit(serve(project), width=size[0], height=size[1]).goto("annotate").opened()
    onward = person.page.get_by_role("button", name="Next image", exact=True)
    assert onward.is_visible() is narrow and person.page.locator(".image-list").is_visible() is not narrow
    person.click(*PLACES[0])
    person.page.evaluate("() => brule.page().choose(0)")
    for text, state in (("Hidden", 3), ("Visible", 2), ("Absent", 4), ("Visible", 0)):
        person.page.get_by_role("button", name=text, exact=True).click()
        assert person.states[0] == state
        person.page.evaluate("() => brule.page().choose(0)")
    person.click(*PLACES[0])
    person.page.evaluate("() => brule.page().choose(0)")
    assert person.page.get_by_role("button", name="Visible", exact=True).get_attribute("aria-pressed") == "true"
    person.page.get_by_role("button", name="Remove the landmark").click()
    assert person.states[0] == 0
    if narrow:
        first = person.name
        onward.click()
        person.page.wait_for_function("name => brule.page().editor.record.name !== name", arg=first)
        person.page.get_by_role("button", name="Previous image", exact=True).click()
        person.opened(first)
    assert person.ask("() => document.documentElement.scrollWidth") <= size[0]


def test_the_bar_and_the_steps_name_what_is_shown(draw: Callable, serve: Callable, visit: Callable, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", [draw(2, size=64).folder])
    person = visit(serve(project)).goto("")
    titles = """() => [...document.querySelectorAll('.card')].filter((one) => !one.hidden)
                  .map((one) => one.querySelector('h2').textContent)"""
    assert person.ask(titles) == ["1  Images", "2  Landmarks", "3  Which images to annotate"]
    person.page.get_by_label("Add landmarks, separated by commas").fill("nose, chin")
    person.page.keyboard.press("Enter")
    person.page.wait_for_selector("#name-1")
    assert person.ask(titles) == ["1  Images", "2  Landmarks", "3  Contours and pairs", "4  Which images to annotate"]
    assert person.page.inner_text(".step[aria-current]").startswith("Set up")
    person.page.click("a:has-text('Start annotating')")
    person.opened()
    assert person.page.inner_text(".step[aria-current]").startswith("Annotate")
    person.page.click(".tool[data-tool=ruler]")
    person.click(10, 10)
    person.click(50, 10)
    gap = """() => { const left = (what) => document.querySelector(what).getBoundingClientRect().left;
               return left('dialog input') - left('.dialog-content'); }"""
    assert person.ask(gap) >= 4  # the ring about what is in focus isn't cut off
