"""What a biologist met on the way through the page: images on a tablet, hints, scales, messages, names, training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.training.config import preset_names
from brule.web.handlers.training import PRESETS

FOUR = Template(names=("left", "right", "nose", "chin"), pairs=((0, 1),))
PLACES = np.array([(30.0, 40.0), (90.0, 44.0), (60.0, 70.0), (60.0, 100.0)])
LONG = "a_very_long_name_of_a_specimen_that_was_photographed_in_the_museum_of_natural_history_0042.png"
SIZES = [(1280, 800), (900, 700), (820, 1180)]


def accept(project: Project, image: str, places: Any = PLACES) -> None:
    marks = {name: Mark.at(float(x), float(y)) for name, (x, y) in zip(project.template.names, places, strict=True)}
    project.change(image, 0, Marks(marks, "accepted"))


@pytest.fixture
def project(draw: Callable, tmp_path: Path) -> Project:
    """Three images, the first of them annotated."""
    found = Project(tmp_path / "project", [draw(3, size=128).folder], template=FOUR)
    accept(found, next(iter(found.entries)))
    return found


@pytest.fixture
def person(project: Project, serve: Callable, visit: Callable) -> Any:
    return visit(serve(project)).at("face_000.png")


def refusing(message: str, *, times: int = 1, content: Any = None) -> Callable[[Any], None]:
    """Refuses some requests, then grants them."""
    sent: list[str] = []

    def answer(route: Any) -> None:
        sent.append(route.request.url)
        if len(sent) <= times:
            return route.fulfill(status=400, json={"error": {"code": "bad_request", "message": message}})
        route.fulfill(json=content) if content is not None else route.continue_()

    return answer


@pytest.mark.parametrize("size", SIZES)
def test_the_images_can_be_chosen_in_every_window(
    project: Project, serve: Callable, visit: Callable, size: tuple[int, int]
) -> None:
    person = visit(serve(project), width=size[0], height=size[1]).goto("annotate").opened()
    page, narrow = person.page, size[0] <= 1100
    images = page.locator(".image-list")
    opener = page.get_by_role("button", name="Images", exact=True)
    assert images.is_visible() is not narrow and opener.is_visible() is narrow
    if narrow:
        opener.click()
        assert opener.get_attribute("aria-expanded") == "true"
        page.mouse.click(size[0] - 20, size[1] / 2)  # beside the list
        assert images.is_hidden()
        page.locator(".stage-points").focus()
        person.press("o")
        person.press("Escape")
        assert images.is_hidden() and opener.get_attribute("aria-expanded") == "false"
        opener.click()
    page.locator(".image-row:has-text('face_002')").click()
    person.opened("face_002.png")
    assert images.is_visible() is not narrow
    assert person.ask("() => document.documentElement.scrollWidth") <= size[0]


def hinted(person: Any, *found: dict[str, Any]) -> None:
    person.page.route("**/hints", lambda route: route.fulfill(json={"hints": list(found)}))


EXCHANGED = {"code": "exchanged", "landmarks": [0, 1], "message": "left and right look exchanged", "severity": "warning"}
FAR = {"code": "far", "landmarks": [2], "message": "nose is far from where other images have it", "severity": "warning"}


def test_hints_are_dismissed_and_left_and_right_swapped(person: Any, project: Project) -> None:
    page = person.page
    hinted(person, EXCHANGED, FAR)
    person.reload().opened("face_000.png")
    page.wait_for_selector(".hint >> nth=1")
    page.get_by_role("button", name="Dismiss: nose").click()
    assert page.locator(".hint").count() == 1 and page.locator("text=1 hint dismissed").is_visible()
    assert person.ask("() => [...brule.page().stage.marked]") == [0, 1]  # the image no longer marks it
    person.reload().opened("face_000.png")
    page.wait_for_selector("text=1 hint dismissed")
    assert page.locator(".hint").count() == 1
    page.click("text=Show again")
    assert page.locator(".hint").count() == 2
    assert page.locator(".hint button:has-text('Swap')").count() == 1  # not for the one that is far
    page.click(".hint button:has-text('Swap')")
    np.testing.assert_allclose(person.points, PLACES[[1, 0, 2, 3]])
    person.saved()
    image = next(iter(project.entries))
    np.testing.assert_allclose(project.record(image).marks.array(FOUR.names), PLACES[[1, 0, 2, 3]])
    person.press("Control+z")
    np.testing.assert_allclose(person.points, PLACES)


def test_a_scale_is_taken_back(person: Any, project: Project, marks: Callable) -> None:
    page = person.page

    def measure(everywhere: bool) -> None:
        page.click("button:has-text('Scale bar')")
        person.click(10, 100)
        person.click(110, 100)
        page.get_by_label("Its length in millimetres").fill("5")
        if everywhere:
            page.get_by_label("Use it for all images").check()
        page.click("button:has-text('Set the scale')")
        person.saved()
        page.wait_for_selector(".image-state:has-text('1 px is')")

    measure(everywhere=True)
    page.wait_for_function("() => brule.app.project.value.scale")
    page.click("button:has-text('Scale bar')")
    person.click(10, 100)
    person.click(110, 100)
    page.click("dialog button:has-text('No scale')")
    page.wait_for_selector(".image-state:has-text('mm in all images')")
    person.saved()
    assert marks(project, "face_000.png").scale is None and project.settings.scale is not None
    page.click(".image-state button:has-text('No scale')")
    page.click("dialog >> text=Remove it")
    page.wait_for_function("() => !document.querySelector('.image-state').textContent.includes('1 px')")
    assert project.settings.scale is None
    page.click("button:has-text('Scale bar')")
    person.click(10, 100)
    person.click(110, 100)
    page.wait_for_selector("dialog")
    assert page.locator("dialog button:has-text('No scale')").count() == 0  # there is none to take back
    page.click("dialog >> text=Cancel")
    measure(everywhere=False)
    person.press("Control+z")
    page.wait_for_function("() => !document.querySelector('.image-state').textContent.includes('1 px')")


def test_messages_are_sentences_and_go_once_the_request_succeeds(project: Project, serve: Callable, visit: Callable) -> None:
    person = visit(serve(project)).goto("setup")
    page = person.page
    page.route("**/api/project/pairs", refusing("no pair is found yet: annotate photos/a.png first", content={"pairs": None}))
    find = "() => brule.app.attempt(brule.app.api.findPairs())"
    person.ask(find)
    assert page.inner_text(".toast-error span") == "No pair is found yet: annotate photos/a.png first."
    person.ask("() => brule.app.attempt(brule.app.api.shape())")  # another request
    assert page.locator(".toast-error").count() == 1
    person.ask(find)
    assert page.locator(".toast-error").count() == 0
    for text in ("photos/a 1.png: not an image", "my photo.png: not an image"):
        person.ask("text => brule.app.fail(new Error(text))", text)
        assert page.inner_text(".toast-error span") == f"{text}."
    page.route("**/api/**", lambda route: route.abort())  # of the background too: one that succeeds takes the message away
    person.ask("() => brule.app.attempt(brule.app.api.shape())")
    assert "can't be reached" in page.inner_text(".toast-error")
    page.unroute("**/api/**")
    person.ask("() => brule.app.api.runs()")  # any request shows that the server is back
    assert page.locator(".toast-error").count() == 0


@pytest.mark.parametrize("size", SIZES)
def test_long_names_keep_their_end(
    draw: Callable, serve: Callable, visit: Callable, tmp_path: Path, size: tuple[int, int]
) -> None:
    faces = draw(1, size=96)
    (faces.folder / "face_000.png").rename(faces.folder / LONG)
    project = Project(tmp_path / "project", [faces.folder], template=FOUR)
    accept(project, next(iter(project.entries)))
    person = visit(serve(project), width=size[0], height=size[1]).goto("annotate").opened()
    cut = """what => { const box = document.querySelector(what), name = box.querySelector('bdi');
        const own = box.getBoundingClientRect(), all = name.getBoundingClientRect();
        return [box.title, all.width > own.width, Math.abs(all.right - own.right) < 8]; }"""
    assert person.ask(cut, ".image-title") == [LONG, True, True]
    person.goto("landmark/1").page.wait_for_selector(".crop-name")
    assert person.ask(cut, ".crop-name") == [LONG, True, True]


def test_the_table_of_repeats_explains_what_is_missing(project: Project, serve: Callable, visit: Callable) -> None:
    image = next(iter(project.entries))
    marks = {name: Mark.at(float(x), float(y)) for name, (x, y) in zip(FOUR.names, PLACES + 3, strict=True)}
    project.change(image, 0, Marks(marks, "accepted"), layer="repeat")
    person = visit(serve(project)).goto("measure")
    page = person.page
    page.wait_for_selector("text=“–” under detector: there is no detector yet")
    assert "no detector" in page.get_attribute("[aria-label='Repeat error of each landmark'] td:last-child", "title")
    page.route("**/api/project", lambda route: with_run(route))
    person.reload()
    page.wait_for_selector("text=none of these was annotated twice")


def with_run(route: Any) -> None:
    content = route.fetch().json()
    run = {"name": "round-1", "finished": True, "trained_on": 3, "held_out": None, "decoder": False}
    route.fulfill(json={**content, "runs": [run]})


def trains(person: Any, **more: Any) -> None:
    """Show a training that the server knows nothing of."""
    train = {"run": "round-1", "iteration": 500, "share": 0.5, "seconds": 60, **more}
    person.ask(
        """more => { const { app } = brule, { train } = app.project.value;
             app.heard = () => undefined; app.refresh = async () => undefined;
             app.api.training = async () => app.project.value.train;
             app.project.value = {...app.project.value, train: {...train, ...more}}; }""",
        train,
    )


def test_the_stages_of_a_training_are_named_and_what_cannot_be_resumed_is_not_offered(
    project: Project, serve: Callable, visit: Callable
) -> None:
    person = visit(serve(project))
    person.page.route("**/api/events", lambda route: route.abort())  # no news of the server's own state
    person.goto("train")
    status, resume = person.page.locator(".train .card:has(progress)"), person.page.get_by_role("button", name="Resume")
    trains(person, state="running", share=0.996)
    assert "99 %" in status.inner_text() and "Finishing" not in status.inner_text()
    trains(person, state="running", share=1.0, stage=None)
    assert "Finishing: calibrating, saving." in status.inner_text() and "100 %" not in status.inner_text()
    assert "finishing" in person.page.inner_text(".steps")
    trains(person, state="running", share=1.0, stage="learning to find objects")
    assert "Learning to find objects." in status.inner_text()
    for state in ("failed", "stopped"):
        trains(person, state=state, message="the disk is full", can_resume=False)
        assert resume.count() == 0 and "The disk is full." in status.inner_text()
        trains(person, state=state, can_resume=True)
        assert resume.count() == 1
    trains(person, state="finished", share=1.0, stage=None)
    assert resume.count() == 0 and "100 %" in status.inner_text()


def test_every_preset_is_described_and_can_be_chosen(project: Project, serve: Callable, visit: Callable) -> None:
    assert sorted(PRESETS) == sorted(preset_names())
    for image in list(project.entries)[1:]:
        accept(project, image)
    person = visit(serve(project)).goto("train")
    page = person.page
    page.click("summary:has-text('More settings')")
    page.wait_for_function("() => document.querySelectorAll('.train details select option').length > 1")
    choice = page.locator("label:has(> .field-name:text-is('Preset')) select")
    assert choice.input_value() == "cpu" and PRESETS["cpu"] in page.inner_text(".train details")
    sent: list[Any] = []

    def heard(route: Any) -> None:
        if route.request.method == "POST":
            sent.append(json.loads(route.request.post_data))
        route.fulfill(status=400, json={"error": {"code": "bad_request", "message": "not now"}})

    page.route("**/api/train", heard)
    start = page.get_by_role("button", name="Start training")
    start.click()
    page.wait_for_selector(".toast-error:has-text('Not now.')")
    choice.select_option("gpu")
    assert PRESETS["gpu"] in page.inner_text(".train details")
    start.click()
    page.wait_for_timeout(300)
    assert "preset" not in sent[0] and sent[1]["preset"] == "gpu"


def test_a_drawn_contour_leaves_the_landmark_that_was_set_by_hand(serve: Callable, visit: Callable, tmp_path: Path) -> None:
    names = tuple(f"margin {k}" for k in range(1, 9))
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (200, 200), (180, 170, 150)).save(tmp_path / "photos" / "leaf.png")
    template = Template(names=names, contours=({"name": "margin", "points": tuple(range(8)), "closed": True},))
    project = Project(tmp_path / "project", [tmp_path / "photos"], template=template)
    person = visit(serve(project)).goto("annotate").opened()

    def around(degrees: float) -> tuple[float, float]:
        return 100 + 60 * np.cos(np.radians(degrees)), 100 + 60 * np.sin(np.radians(degrees))

    tip = person.click(*around(0))
    person.press("1", "Enter", "c")
    for degrees in range(100, 460, 15):  # begun elsewhere
        person.click(*around(degrees))
    person.press("Enter")
    points = person.points
    np.testing.assert_allclose(points[0], tip, atol=1e-3)
    np.testing.assert_allclose(points, [around(45 * k) for k in range(8)], atol=2)
    person.press("c")
    for degrees in range(200, 560, 15):  # drawn again: what was drawn moves, the tip doesn't
        x, y = around(degrees)
        person.click(x + 6, y + 6)
    person.press("Enter")
    np.testing.assert_allclose(person.points[0], tip, atol=1e-3)
    assert np.linalg.norm(person.points[4] - points[4]) > 5


def test_problems_of_the_project_are_shown_until_dismissed(
    draw: Callable, serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    here, gone = draw(1, size=64).folder, draw(1, size=64, folder="elsewhere").folder
    Project(tmp_path / "project", [here, gone], template=FOUR).close()
    gone.rename(tmp_path / "moved")
    person = visit(serve(Project(tmp_path / "project"))).goto("annotate")
    notice = person.page.locator(".notice")
    assert notice.inner_text().startswith("The folder of images ") and str(gone) in notice.inner_text()
    person.page.get_by_label("Dismiss this notice").click()
    assert notice.is_hidden()
    person.ask("() => brule.app.refresh()")
    person.goto("setup")
    assert notice.is_hidden()  # until the page is opened again
    person.reload()
    assert notice.is_visible()


def test_alt_places_the_next_landmark_on_one_that_is_set(project: Project, serve: Callable, visit: Callable) -> None:
    person = visit(serve(project)).goto("setup")
    person.ask("() => brule.app.settings.change({start: 'none'})")
    person.at("face_001.png")
    place = person.click(*PLACES[0])
    person.click(*PLACES[0])
    assert person.selected == 0 and np.isnan(person.points[1]).all()  # a click selects the one that is there
    for key, index in (("Alt", 1), ("Control", 2)):
        person.page.keyboard.down(key)
        person.click(*PLACES[0])
        person.page.keyboard.up(key)
        np.testing.assert_allclose(person.points[index], place, atol=1e-3)
    person.press("?")
    assert person.page.locator(".keys div:has-text('Place the next landmark')").is_visible()
    assert "Alt + click" in person.page.inner_text(".keys div:has-text('Place the next landmark') dt")
