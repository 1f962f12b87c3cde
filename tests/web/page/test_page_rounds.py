"""The whole work in the browser: annotate, train, review, correct, train again, export; and what reviews look at."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating.predictions import FORMAT

TINY = "encoder.width=8\ncrop.image_size=32\nbatch_size=4\ncheckpoint_every=2\npreview_every=2\niterations=4"
LONG_MS = 400_000


def train(person: Any) -> None:
    person.goto("train")
    person.page.click("summary:has-text('More settings')")
    person.page.fill("textarea", TINY)
    person.page.click("button.primary:has-text('Train again'), button:has-text('Start training')")
    person.page.wait_for_selector("text=Review the predictions", timeout=LONG_MS)


def until(person: Any, expression: str) -> None:
    """Wait for something that the page has to ask the server for: `wait_for_function` takes a promise for true."""
    end = time.monotonic() + LONG_MS / 1000
    while not person.ask(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.3)


def review(person: Any) -> None:
    person.goto("review")
    # The predictions of the round that has just ended appear by themselves.
    person.page.wait_for_selector(".review-large .decide", timeout=LONG_MS)


@pytest.mark.long
def test_a_person_annotates_trains_corrects_and_exports(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(14)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    person = visit(serve(project)).goto("setup")
    person.ask("() => brule.app.settings.change({start: 'none'})")  # every landmark by a click
    clicked: dict[str, Any] = {}
    person.at("face_000.png")
    for k in range(10):
        name = f"face_{k:03d}.png"
        person.opened(name)
        clicked[name] = np.array([person.click(*place) for place in faces.points[k]])
        person.press("Enter")
    person.saved()
    for name, places in clicked.items():
        found = marks(project, name)
        assert found.status == "accepted"
        assert np.allclose(found.array(twelve.names), places, rtol=0, atol=1.5e-3), name
        assert np.abs(places - faces.named(name)).max() < 0.5

    train(person)
    review(person)
    first = person.page.inner_text(".review-large .image-title")
    person.press("Enter")
    person.page.wait_for_function("() => brule.page().selected === 1")
    second = person.page.inner_text(".review-large .image-title")
    person.press("Backspace")
    person.page.wait_for_function("() => brule.page().selected === 2")
    third = person.page.inner_text(".review-large .image-title")
    person.saved()
    assert marks(project, first).status == "accepted"
    assert marks(project, second).status == "rejected"
    person.press("e")
    person.opened(third)
    truth = faces.named(third)
    for k in range(12):
        person.drag(person.points[k], truth[k], steps=2)
    person.press("Enter")
    person.page.wait_for_selector(".review-grid")
    person.saved()
    assert marks(project, third).status == "accepted"
    assert np.linalg.norm(marks(project, third).array(twelve.names) - truth, axis=1).max() < 3

    train(person)
    second_round = "() => brule.app.api.runs().then((answer) => answer.runs.some((run) => run.name === 'round-2'))"
    until(person, second_round)
    command = person.ask("() => brule.app.api.training().then((train) => train.command)")
    assert f"--start-from {project.folder / 'runs' / 'round-1'}" in command  # later rounds start from the last detector

    person.goto("measure")
    person.page.select_option("select[aria-label='Format']", "labelme")
    person.page.click("text=Export the annotations")
    with person.page.expect_download() as download:
        person.page.click("p:has-text('12 images exported') >> a:has-text('Download')")
    archive = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert len([name for name in archive.namelist() if name.endswith(".json")]) == 12
    assert not (tmp_path / "project" / "nothing").exists()


@pytest.mark.long
def test_a_training_is_stopped_and_resumed(
    draw: Callable, serve: Callable, visit: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(6)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    for image, entry in list(project.entries.items())[:4]:
        places = zip(twelve.names, (Mark.at(x, y) for x, y in faces.named(entry.name)), strict=True)
        project.change(image, 0, Marks(dict(places), "accepted"))
    person = visit(serve(project)).goto("train")
    person.page.click("summary:has-text('More settings')")
    person.page.fill("textarea", TINY.replace("iterations=4", "iterations=300"))
    person.page.click("button:has-text('Start training')")
    begun = "() => brule.app.api.training().then((train) => train.iteration >= 2)"
    until(person, begun)
    person.page.click("button:has-text('Stop')")
    person.page.wait_for_selector("h2:has-text('Stopped')", timeout=LONG_MS)
    at = person.ask("() => brule.app.api.training().then((train) => train.iteration)")
    assert 2 <= at < 300
    person.reload()
    person.page.click("button:has-text('Resume')")
    person.page.wait_for_selector("text=Review the predictions", timeout=LONG_MS)
    assert person.ask("() => brule.app.api.training().then((train) => [train.run, train.iteration])") == ["round-1", 300]


def test_the_pages_have_no_serious_fault_for_people_who_cannot_see_or_point(
    draw: Callable, serve: Callable, visit: Callable, twelve: Template, tmp_path: Path
) -> None:
    axe = Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.exists():
        pytest.skip("axe-core isn't installed; `make lint` installs it where npm is")
    faces = draw(3)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    address = serve(project)
    for scheme in ("light", "dark"):
        person = visit(address, color_scheme=scheme, bypass_csp=True)  # axe itself is put into the page as a script
        for place in ("setup", "annotate", "train", "review", "measure", "landmark/1"):
            person.goto(place)
            if place == "annotate":
                person.opened()
                person.press("?")
            person.page.wait_for_timeout(300)
            person.page.add_script_tag(path=str(axe))
            found = person.ask("() => axe.run().then((result) => result.violations)")
            faults = [one for one in found if one["impact"] in ("serious", "critical")]
            assert not faults, (
                scheme,
                place,
                [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in faults],
            )
            if place == "annotate":
                person.press("Escape")


def predicted(faces: Any, template: Template, folder: Path) -> Project:
    """A project in which every image has a prediction, nine pixels off."""
    project = Project(folder, [faces.folder], template=template)
    lines = [json.dumps({"format": FORMAT, "landmarks": 12, "calibrated": False})]
    for entry in project.entries.values():
        found = {"points": (faces.named(entry.name) + 9).tolist(), "spread": [1] * 12}
        lines.append(json.dumps({"name": entry.name, "uncertainty": 1, "expected": None, **found}))
    (project.folder / "predictions").mkdir()
    (project.folder / "predictions" / "found.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return project


@pytest.mark.parametrize("heard", [True, False])
def test_review_knows_what_another_window_has_corrected(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path, heard: bool
) -> None:
    project = predicted(draw(2), twelve, tmp_path / "project")
    person = visit(serve(project))
    review(person)
    person.ask("() => Promise.all(brule.page().cards.map((card) => brule.page().fetch(card))).then(() => true)")
    if not heard:  # the event was lost
        person.ask("() => { brule.page().changed = async () => undefined; }")
    image = person.ask("() => brule.page().cards[1].item.id")
    name = project.entries[image].name
    places = [(5 + i, 7) for i in range(12)]
    own = {landmark: Mark.at(x, y) for landmark, (x, y) in zip(twelve.names, places, strict=True)}
    project.change(image, 0, Marks(own, "accepted"))
    person.goto(f"annotate/{image}").opened(name)  # this window now knows the new version
    person.goto("review")
    person.page.wait_for_function("() => brule.page().cards?.[1].done === 'accepted'")
    person.page.evaluate("() => brule.page().select(1)")
    person.press("Enter")
    person.saved()
    assert np.allclose(marks(project, name).array(twelve.names), places)


def test_what_was_corrected_elsewhere_is_not_overwritten_by_its_prediction(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path
) -> None:
    project = predicted(draw(2), twelve, tmp_path / "project")
    person = visit(serve(project))
    review(person)
    person.ask("() => Promise.all(brule.page().cards.map((card) => brule.page().fetch(card))).then(() => true)")
    # As the page for annotating does it, while this one is kept.
    corrected = person.page.evaluate(
        """() => {
            const { id } = brule.page().cards[1].item;
            const points = Array.from({ length: 12 }, (_, i) => ({ x: 5 + i, y: 7, state: "visible" }));
            brule.app.saver.add({ image: id, step: "", base: 0, points, status: "accepted", action: "change" });
            return brule.page().cards[1].item.name;
        }"""
    )
    person.saved()
    person.page.wait_for_function("() => brule.page().cards[1].done === 'accepted'")
    person.page.evaluate("() => brule.page().select(1)")
    person.press("Enter")
    person.saved()
    assert np.allclose(marks(project, corrected).array(twelve.names), [(5 + i, 7) for i in range(12)])


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (1024, 768), (768, 1024)])
def test_nothing_is_cut_off(
    draw: Callable, serve: Callable, visit: Callable, twelve: Template, tmp_path: Path, size: tuple[int, int]
) -> None:
    faces = draw(2)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    width, height = size
    person = visit(serve(project), width=width, height=height)
    for place in ("setup", "annotate", "train", "review", "measure"):
        person.goto(place)
        person.page.wait_for_timeout(150)
        assert person.ask("() => document.documentElement.scrollWidth") <= width, place
        outside = """() => [...document.querySelectorAll('button, select, input')].filter((one) => {
            const box = one.getBoundingClientRect();
            return box.width && !one.closest('.steps, dialog, .visually-hidden') && !one.classList.contains('visually-hidden')
              && (box.right > innerWidth + 1 || box.left < -1);
        }).map((one) => one.outerHTML.slice(0, 120))"""
        assert person.ask(outside) == [], place


def test_another_preset_has_its_own_time(
    draw: Callable, serve: Callable, visit: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(3, size=64)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    for image, points in zip(project.entries, faces.points.tolist(), strict=True):
        project.change(image, 0, Marks({name: Mark(*at) for name, at in zip(twelve.names, points, strict=True)}, "accepted"))
    person = visit(serve(project)).goto("train")
    sent: list[Any] = []

    def heard(route: Any) -> None:
        if route.request.method == "POST":
            sent.append(json.loads(route.request.post_data))
        route.fulfill(status=400, json={"error": {"code": "bad_request", "message": "not now"}})

    person.page.route("**/api/train", heard)
    person.page.click("summary:has-text('More settings')")
    time_, preset = person.page.get_by_label("Train for"), person.page.get_by_label("Preset")
    preset.locator("option[value=paper]").wait_for(state="attached")

    def started() -> Any:
        with person.page.expect_response("**/api/train"):
            person.page.click("button:has-text('Start training')")
        return sent[-1]

    assert started()["minutes"] == 20
    preset.select_option("paper")  # which has no limit: its iterations end it
    assert "minutes" not in started() and sent[-1]["preset"] == "paper"
    time_.select_option("60")
    assert started()["minutes"] == 60
    preset.select_option("cpu")
    assert started()["minutes"] == 20
