"""What Review and Train say, and that it is true."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating.predictions import FORMAT

THREE = Template(names=("nose", "chin", "brow"))
PLACES = np.array([(30.0, 40.0), (90.0, 44.0), (60.0, 100.0)])


def predicted(project: Project, *, places: Any = PLACES, calibrated: bool = False) -> Project:
    """The project, with a prediction for every image."""
    lines = [json.dumps({"format": FORMAT, "landmarks": 3, "calibrated": calibrated})]
    for entry in project.entries.values():
        found = {"points": places.tolist(), "spread": [61.3, 2, 1], "uncertainty": 1}
        lines.append(json.dumps({"name": entry.name, "expected": 21.4 if calibrated else None, **found}))
    (project.folder / "predictions").mkdir()
    (project.folder / "predictions" / "found.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return project


@pytest.fixture
def project(draw: Callable, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", [draw(2, size=128).folder], template=THREE)


def status(person: Any, text: str) -> None:
    person.page.wait_for_selector(f".review .note[role=status]:has-text('{text}')")


def test_without_predictions_review_offers_to_predict(project: Project, serve: Callable, visit: Callable) -> None:
    person = visit(serve(project)).goto("setup")
    person.ask(
        """() => { const { value } = brule.app.project; brule.app.refresh = async () => undefined;
             brule.app.project.value = { ...value, can: { ...value.can, start_from: true } }; }"""
    )
    person.ask("() => { location.hash = '#/review'; }")
    status(person, "No image has a prediction yet")
    button = person.page.get_by_role("button", name="Predict all images", exact=True)
    assert button.is_visible() and person.page.locator(".review .empty").is_hidden()
    person.page.evaluate("() => brule.page().predicting({ state: 'running', done: 1, total: 2, message: null })")
    status(person, "is predicting the landmarks")
    assert person.page.inner_text(".page-head button") == "Predicting… 1 of 2"
    assert "accepted" not in person.page.inner_text(".review .note[role=status]")


def test_without_a_detector_review_leads_to_training(project: Project, serve: Callable, visit: Callable) -> None:
    person = visit(serve(project)).goto("review")
    person.page.wait_for_selector(".review .empty:has-text('No predictions yet')")
    assert person.page.locator(".page-head button").is_hidden()


def test_everything_is_accepted_only_where_it_is(project: Project, serve: Callable, visit: Callable) -> None:
    predicted(project)
    for image in project.entries:
        marks = {name: Mark.at(x, y) for name, (x, y) in zip(THREE.names, PLACES, strict=True)}
        project.change(image, 0, Marks(marks, "accepted"))
    person = visit(serve(project)).goto("review")
    status(person, "Every image with a prediction is accepted.")
    assert person.page.inner_text(".page-head button") == "Predict all images again"


@pytest.mark.parametrize("calibrated", [False, True])
def test_a_spread_is_shown_in_pixels_only_if_it_is_calibrated(
    project: Project, serve: Callable, visit: Callable, calibrated: bool
) -> None:
    person = visit(serve(predicted(project, calibrated=calibrated))).goto("review")
    text = person.page.wait_for_selector(".review-large p:has-text('Least certain')").inner_text()
    assert text == (
        "Least certain: nose (± 61.3 px), chin (± 2.0 px), brow (± 1.0 px)" if calibrated else "Least certain: nose, chin, brow"
    )


def test_a_decision_is_taken_back_by_a_button(project: Project, serve: Callable, visit: Callable, marks: Callable) -> None:
    person = visit(serve(predicted(project)), width=820, height=1180).goto("review")
    back = person.page.get_by_role("button", name="Undo", exact=True)
    person.page.wait_for_selector(".review-large .decide")
    assert back.is_visible() and back.is_disabled()
    name = person.page.inner_text(".review-large .image-title")
    person.page.get_by_role("button", name="Accept", exact=True).click()
    person.page.wait_for_function("() => brule.page().selected === 1")
    person.saved()
    assert marks(project, name).status == "accepted"
    back.click()
    person.page.wait_for_function("() => brule.page().selected === 0 && !brule.page().cards[0].done")
    person.page.wait_for_function("() => brule.page().cards[0].record.status === 'new'")
    person.saved()
    assert {project.record(image).marks.status for image in project.entries} == {"new"}
    assert back.is_disabled()


def test_decisions_are_undone_one_after_the_other(project: Project, serve: Callable, visit: Callable, marks: Callable) -> None:
    person = visit(serve(predicted(project))).goto("review")
    person.page.wait_for_selector(".review-large .decide")
    person.press("Enter")
    person.page.wait_for_function("() => brule.page().selected === 1")
    person.press("Backspace")
    person.saved()
    assert {project.record(image).marks.status for image in project.entries} >= {"accepted", "rejected"}
    person.press("u", "u")
    person.page.wait_for_function("() => brule.page().selected === 0 && brule.page().cards.every((card) => !card.done)")
    person.saved()
    assert {project.record(image).marks.status for image in project.entries} == {"new"}
    person.press("u")
    person.page.wait_for_selector(".toast:has-text('no decision to undo')")


def test_review_begins_at_the_first_image_that_is_undecided(project: Project, serve: Callable, visit: Callable) -> None:
    address = serve(predicted(project))
    person = visit(address).goto("review")
    person.page.wait_for_selector(".review-large .decide")
    person.press("Backspace")
    person.saved()
    person.reload()
    person.page.wait_for_selector(".review-large .decide")
    assert person.ask("() => brule.page().cards[0].done") == "rejected"
    assert person.ask("() => brule.page().selected") == 1


def test_a_prediction_outside_the_image_is_not_accepted_unseen(project: Project, serve: Callable, visit: Callable) -> None:
    person = visit(serve(predicted(project, places=PLACES + np.array((0, 60))))).goto("review")  # the brow is below the image
    person.page.wait_for_selector(".review-large .decide")
    person.press("Enter")
    person.page.wait_for_selector(".toast:has-text('inside the image')")
    assert {project.record(image).marks.status for image in project.entries} == {"new"}


def test_every_loss_has_its_curve_and_time_is_estimated_after_the_first_step(
    project: Project, serve: Callable, visit: Callable
) -> None:
    person = visit(serve(project)).goto("train")
    person.ask(
        """() => { const { value } = brule.app.project;
             const terms = ['R_b', 'R_g', 'labels', 'shape_prior', 'equivariance', 'gradient', 'loss'];
             brule.app.refresh = async () => undefined; clearInterval(brule.page().timer);
             brule.app.project.value = { ...value, train: { ...value.train,
               state: 'running', run: 'round-1', share: 0, iteration: 0, seconds_left: 300,
               curve: Object.fromEntries(terms.map((name, k) => [name, [[1, 10 ** -k], [2, 2 * 10 ** -k]]])),
               term_labels: Object.fromEntries(terms.map((name) => [name, `in words (${name})`])) } }; }"""
    )
    charts = person.page.locator(".chart")
    assert charts.count() == 7
    assert charts.nth(0).inner_text().startswith("loss")  # the sum of all is the large one
    assert person.page.locator(".small-charts .axis:has-text('(labels)')").count() == 1
    assert "left" not in person.page.inner_text(".train")
    person.ask(
        """() => { const { value } = brule.app.project;
             brule.app.project.value = { ...value, train: { ...value.train, iteration: 1 } }; }"""
    )
    assert "about 5 min left" in person.page.inner_text(".train")
