"""A person annotates in a real browser: what the page shows as saved is in the project's files, exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from brule.annotating import Project, Template

CLOSE = 1.5e-3  # px: three digits are kept


def near(value: Any, expected: Any) -> bool:
    return bool(np.allclose(value, expected, rtol=0, atol=CLOSE))


def test_clicks_and_keys_become_annotations(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(2)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    person = visit(serve(project)).at("face_000.png")
    clicked = [person.click(*place) for place in faces.points[0]]
    assert np.abs(np.array(clicked) - faces.points[0]).max() < 0.5  # the screen's pixels are finer than the image's
    person.press("3", "Enter", "ArrowRight", "ArrowDown", "Shift+ArrowLeft", "Alt+ArrowUp")  # the third landmark
    clicked[2] = clicked[2] + np.array((1 - 10, 1 - 0.1))
    person.press("1", "1", "Enter", "h", "1", "2", "Enter", "x")  # the eleventh is hidden, the twelfth isn't there
    person.saved()
    found = marks(project, "face_000.png")
    for k, name in enumerate(twelve.names[:11]):
        assert near((found.points[name].x, found.points[name].y), clicked[k]), name
        assert (found.points[name].state == "hidden") == (k == 10)
    assert not found.points[twelve.names[11]].placed
    assert found.status == "accepted"


def test_the_keyboard_alone_is_enough(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(2)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    person = visit(serve(project)).at("face_000.png")
    person.press("Shift+ArrowRight", "ArrowUp", "Tab", "Alt+ArrowLeft", "Shift+Tab")
    middle = (256 - 1) / 2
    assert person.selected == 0
    assert near(person.points[0], (middle + 10, middle - 1))
    for k in range(2, 12):
        person.press(*str(k + 1), "Enter", "x")
    person.press("Enter")
    person.opened("face_001.png").saved()
    found = marks(project, "face_000.png")
    assert found.status == "accepted"
    assert near(found.points["right ear"].x, middle + 10)
    # Escape, then Tab, leads out of the image.
    person.press("Escape", "Tab")
    assert person.ask("() => document.activeElement !== document.querySelector('.stage-points')")


def test_undo_survives_a_reload(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(1)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    person = visit(serve(project)).goto("annotate").opened()
    for place in faces.points[0][:5]:
        person.click(*place)
    five = person.saved().points
    person.press("Control+z", "Control+z", "Control+Shift+z")
    assert np.isfinite(person.points[:, 0]).sum() == 4
    person.saved().reload().opened()
    assert np.isfinite(person.points[:, 0]).sum() == 4
    person.press("Control+z", "Control+z", "Control+z")
    person.saved()
    assert np.isfinite(person.points[:, 0]).sum() == 1
    person.press("Control+y", "Control+y", "Control+y", "Control+y")
    person.saved()
    assert np.allclose(person.points[:5], five[:5], atol=CLOSE)
    assert len(marks(project, "face_000.png").points) == 5


def test_two_windows_lose_nothing_silently(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(1)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    address = serve(project)
    first = visit(address).goto("annotate").opened()
    second = visit(address, beside=first).goto("annotate").opened()
    at_first = first.click(100, 100)
    first.saved()
    # A window with nothing unsaved follows the other one.
    second.page.wait_for_function("() => Number.isFinite(brule.page().editor.shape.x[0])")
    assert near(second.points[0], at_first)
    # Both change the image at the same time: the second one can't reach the server at first.
    second.page.route("**/api/images/**", lambda route: route.abort() if route.request.method != "GET" else route.continue_())
    at_second = second.click(50, 60)
    second.page.wait_for_selector(".save-state[data-state=waiting]")
    assert "kept in this browser" in second.save_text
    first.click(200, 210)
    first.saved()
    second.page.unroute("**/api/images/**")
    dialog = second.page.wait_for_selector("dialog[open]")
    assert "another window" in dialog.inner_text()
    second.page.click("text=Keep mine")
    second.saved()
    second.page.wait_for_function("() => !document.querySelector('dialog')")
    assert near(marks(project, "face_000.png").points["chin"].x, at_second[0])


def test_an_open_question_comes_again_after_a_reload(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path
) -> None:
    """Until it is answered nothing is saved, so it must not be lost."""
    project = Project(tmp_path / "project", [draw(1).folder], template=twelve)
    address = serve(project)
    first = visit(address).goto("annotate").opened()
    second = visit(address, beside=first).goto("annotate").opened()
    second.page.route("**/api/images/**", lambda route: route.abort() if route.request.method != "GET" else route.continue_())
    at_second = second.click(50, 60)
    second.page.wait_for_selector(".save-state[data-state=waiting]")
    first.click(200, 210)
    first.saved()
    second.page.unroute("**/api/images/**")
    second.page.wait_for_selector("dialog[open]")
    second.page.reload()
    second.page.wait_for_selector("dialog[open] >> text=another window")
    for _ in range(6):  # Chromium lets Escape close any dialog in the end
        second.press("Escape")
        second.page.wait_for_timeout(100)
    assert second.page.locator("dialog").count() == 0
    second.page.click(".save-state button")
    second.page.click("text=Keep mine")
    second.saved()
    assert near(marks(project, "face_000.png").points[twelve.names[0]].x, at_second[0])


def test_a_change_outlives_server_and_tab(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(1)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    person = visit(serve(project)).goto("annotate").opened()
    person.page.route(
        "**/api/images/*?*",
        lambda route: (
            route.fulfill(status=507, json={"error": {"code": "disk_full", "message": "The disk is full."}})
            if route.request.method == "PUT"
            else route.continue_()
        ),
    )
    place = person.click(120, 90)
    person.page.wait_for_selector(".save-state[data-state=waiting]")
    assert "The disk is full" in person.save_text and "kept in this browser" in person.save_text
    person.page.unroute("**/api/images/*?*")
    context = person.page.context
    context.set_offline(True)  # and the tab is closed before it can try again
    person.page.close(run_before_unload=False)
    context.set_offline(False)
    page = context.new_page()
    page.goto(f"{person.address}/#/annotate")
    page.wait_for_selector("html[data-ready=true]")
    page.wait_for_function("() => brule.page().editor && Number.isFinite(brule.page().editor.shape.x[0])", timeout=25_000)
    page.wait_for_selector(".save-state[data-state=saved]")
    assert near(marks(project, "face_000.png").points["right ear"].x, place[0])


def test_names_are_text_and_never_run(draw: Callable, serve: Callable, visit: Callable, tmp_path: Path) -> None:
    faces = draw(1)
    evil = "<img src=x onerror=window.hit=1>"
    (faces.folder / "face_000.png").rename(faces.folder / "<img src=x onerror=hit=1>.png")
    template = Template(
        names=(evil, "<script>window.hit=1</script>", "'\"&amp;"), kind="<b>x</b>", pairs=((0, 1),), pairs_from="person"
    )
    project = Project(tmp_path / "project", [faces.folder], template=template)
    person = visit(serve(project)).goto("annotate").opened()
    for place in ((50, 50), (90, 90), (120, 120)):
        person.click(*place)
    person.saved()
    assert evil in person.page.inner_text(".landmark-rows")
    for place in ("setup", "train", "review", "measure", "landmark/1"):
        person.goto(place)
        person.page.wait_for_timeout(150)
    assert person.ask("() => window.hit") is None
    assert person.ask("() => document.querySelectorAll('main script, main b').length") == 0


def test_every_key_of_the_table_is_shown_and_understood(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(3)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    person = visit(serve(project)).at("face_000.png")
    person.press("?")
    shown = person.page.inner_text("dialog[open]")
    for word in ("Undo", "Hidden", "Absent", "Next image", "Hold for the loupe", "grey", "10 px"):
        assert word in shown
    person.press("Escape")
    person.press("n")
    person.opened("face_001.png").press("p")
    person.opened("face_000.png")
    fitted = person.ask("() => brule.page().stage.zoom")
    person.press("+", "+", "z")
    person.opened().press("n")
    person.opened("face_001.png")
    assert person.ask("() => brule.page().stage.zoom") > 1.4 * fitted
    person.press("0", "z")
    assert person.ask("() => brule.page().stage.zoom") == fitted
    person.press("b", "i")
    assert person.ask("() => getComputedStyle(document.querySelector('.stage-image')).filter") == (
        "brightness(1) contrast(1) grayscale(1) invert(1)"
    )
    for key, state in (("v", "stage.canvasStage.hidden"), (" ", "stage.pointer.panKey"), ("Shift", "stage.canvasStage.loupe")):
        person.page.mouse.move(*person.on_screen(100, 100))
        person.page.keyboard.down(key)
        assert person.ask(f"() => Boolean(brule.page().{state})"), key
        person.page.keyboard.up(key)
        assert not person.ask(f"() => Boolean(brule.page().{state})"), key
    person.press("Backspace")
    person.opened("face_002.png").saved()
    assert marks(project, "face_001.png").status == "rejected"


def test_the_hit_target_is_the_same_at_every_zoom(
    draw: Callable, serve: Callable, visit: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(1)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    person = visit(serve(project)).goto("annotate").opened()
    person.click(100, 100)
    person.saved()
    for presses in (0, 4, 2):
        person.press(*["+"] * presses)
        before = person.points[0]
        sx, sy = person.on_screen(*before)
        person.page.mouse.move(sx + 9, sy)  # beside the point: it is taken all the same, and doesn't jump to the pointer
        person.page.mouse.down()
        person.page.mouse.move(sx + 19, sy, steps=3)
        person.page.mouse.up()
        zoom = person.ask("() => brule.page().stage.zoom")
        assert near(person.points[0], before + np.array((10 / zoom, 0)))
        person.saved()


def test_a_contour_is_drawn_in_one_stroke(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, tmp_path: Path
) -> None:
    from brule.annotating import Contour

    faces = draw(1)
    names = tuple(f"p{k}" for k in range(6))
    template = Template(names=names, contours=(Contour(name="side", points=(1, 2, 3, 4, 5)),))
    project = Project(tmp_path / "project", [faces.folder], template=template)
    person = visit(serve(project)).goto("annotate").opened()
    person.click(20, 20)
    person.press("c")
    person.drag((40, 200), (200, 200), steps=20)
    person.saved()
    found = np.array(
        [(marks(project, "face_000.png").points[name].x, marks(project, "face_000.png").points[name].y) for name in names[1:]]
    )
    assert np.allclose(np.diff(found[:, 0]), 40, atol=0.5)
    assert np.allclose(found[:, 1], 200, atol=0.5)


def test_landmarks_that_another_window_has_renamed(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(2)
    project = Project(tmp_path / "project", [faces.folder], template=twelve)
    person = visit(serve(project)).at("face_000.png")
    person.click(*faces.points[0][0])
    person.saved()
    names = (twelve.names[1], twelve.names[0], *twelve.names[2:])  # the first two change names, and with them their order
    project.set_template(project.settings.version, Template(names=(*names[:11], "new")), list(range(12)))
    person.page.wait_for_function("() => brule.page().editor?.names[11] === 'new'")
    person.page.evaluate("() => brule.page().choose(1)")
    place = person.click(*faces.points[0][1])
    person.saved()
    found = marks(project, "face_000.png").points
    assert near((found[names[1]].x, found[names[1]].y), place) and set(found) == {names[0], names[1]}


def test_landmarks_that_another_window_names_first(
    draw: Callable, serve: Callable, visit: Callable, twelve: Template, tmp_path: Path
) -> None:
    faces = draw(1)
    project = Project(tmp_path / "project", [faces.folder])
    (image,) = project.entries
    person = visit(serve(project)).goto(f"annotate/{image}").opened()
    assert person.ask("() => brule.page().editor.names.length") == 0
    project.set_template(project.settings.version, twelve)
    person.page.wait_for_function("() => brule.page().editor?.names.length === 12")
