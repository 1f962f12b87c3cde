"""How many actions a person needs who begins with the mean shape, and how quick a drag is with 500 landmarks."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brule.annotating import Project, Template, named_template

WITHIN = 3.0  # px
HARD = 8.0  # px: mean error of the mean shape after the best similarity
MAX_ACTIONS = 40  # actions


def annotate(address: str, points: dict[str, Any]) -> None:
    """Annotate images without the page."""
    listed = _ask(address, "GET", "/api/images?limit=1000")["items"]
    for item in listed:
        if item["name"] in points:
            wire = [{"x": float(x), "y": float(y), "state": "visible"} for x, y in points[item["name"]]]
            body = {"version": item.get("version", 0), "points": wire, "status": "accepted"}
            _ask(address, "PUT", f"/api/images/{item['id']}", body)


def _ask(address: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"X-Brule": "1", "Content-Type": "application/json", "Origin": address}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address + path, data, headers, method=method)) as answer:
        return json.load(answer)


def correct(person: Any, truth: Any) -> int:
    """Drag the worst landmark onto its place until each is within three pixels; answers the number of actions."""
    before = person.actions
    while True:
        off = np.linalg.norm(person.points - truth, axis=1)
        worst = int(off.argmax())
        if off[worst] <= WITHIN:
            break
        assert person.actions - before < len(truth), "as many actions as landmarks: plain clicking is as quick"
        person.drag(person.points[worst], truth[worst], steps=2)
    person.press("Enter")
    return person.actions - before


@pytest.fixture
def without_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean shape alone: no model is fitted beside the work, which would only take the processor's time."""
    monkeypatch.setattr("brule.web.guesses.GuessModel.fit", lambda *args, **kwargs: None)


@pytest.mark.usefixtures("without_guesses")
def test_few_drags_correct_the_mean_shape(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, tmp_path: Path
) -> None:
    _measure(draw, serve, visit, marks, tmp_path, images=1)


# The constants of the shapes' statistics were chosen with seed 0; the other seeds draw faces that nothing was chosen with.
@pytest.mark.long
@pytest.mark.usefixtures("without_guesses")
@pytest.mark.parametrize("seed", [0, 20, 40, 60])
def test_forty_actions_at_the_median_correct_the_mean_shape(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, tmp_path: Path, seed: int
) -> None:
    _measure(draw, serve, visit, marks, tmp_path, images=10, seed=seed)


def _measure(
    draw: Callable, serve: Callable, visit: Callable, marks: Callable, folder: Path, *, images: int, seed: int = 0
) -> None:
    known = draw(10, size=512, seed=seed, landmarks=range(68), folder="known")
    mean = mean_shape(known.points)
    unseen = draw(3 * images, size=512, seed=seed + 1, landmarks=range(68), folder="unseen")
    errors = [np.linalg.norm(best_similarity(mean, truth) - truth, axis=1).mean() for truth in unseen.points]
    hard = [k for k, error in enumerate(errors) if error >= HARD][:images]
    assert len(hard) == images
    for k in set(range(3 * images)) - set(hard):
        (unseen.folder / f"face_{k:03d}.png").unlink()
    for k in hard:
        (unseen.folder / f"face_{k:03d}.png").rename(unseen.folder / f"new_{k:03d}.png")
    project = Project(folder / "project", [known.folder, unseen.folder], template=named_template("face68"))
    address = serve(project)
    annotate(address, {f"face_{k:03d}.png": points for k, points in enumerate(known.points)})
    person = visit(address, width=1400, height=900)
    person.goto("setup")
    person.ask("() => brule.app.settings.change({start: 'mean'})")
    counts = []
    for k in hard:
        name = f"new_{k:03d}.png"
        item = next(one for one in _ask(address, "GET", "/api/images?limit=1000")["items"] if one["name"].endswith(name))
        person.goto(f"annotate/{item['id']}").opened(item["name"])
        counts.append(correct(person, unseen.points[k]))
        person.saved()
        found = marks(project, item["name"])
        placed = found.array(project.template.names)
        assert np.linalg.norm(placed - unseen.points[k], axis=1).max() <= WITHIN + 0.01
        assert found.status == "accepted"
    print(f"seed {seed}, actions: median {np.median(counts):g}, {sorted(counts)}")
    assert np.median(counts) <= MAX_ACTIONS, counts


def mean_shape(shapes: Any) -> Any:
    mean = shapes[0]
    for _ in range(10):
        mean = np.mean([best_similarity(shape, mean) for shape in shapes], axis=0)
    return mean


def best_similarity(source: Any, target: Any) -> Any:
    """``source`` moved, turned and scaled onto ``target`` by least squares, as complex numbers."""
    a, b = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    factor = np.vdot(a - a.mean(), b - b.mean()) / np.vdot(a - a.mean(), a - a.mean())
    laid = factor * (a - a.mean()) + b.mean()
    return np.stack([laid.real, laid.imag], axis=1)


@pytest.mark.long
def test_dragging_among_500_landmarks_is_quick(
    draw: Callable, serve: Callable, visit: Callable, chromium: Any, tmp_path: Path
) -> None:
    """Script and layout of a frame take 8 ms at most at the 95th percentile, in time of the browser's own thread."""
    faces = draw(4, size=512)
    names = tuple(f"point {k}" for k in range(500))
    template = Template(names=names, edges=tuple((k, k + 1) for k in range(499)))
    project = Project(tmp_path / "project", [faces.folder], template=template)
    address = serve(project)
    t = np.linspace(0, 6 * np.pi, 500)
    spiral = np.stack([256 + (40 + 9 * t) * np.cos(t), 256 + (40 + 9 * t) * np.sin(t)], axis=1)
    rng = np.random.default_rng(0)
    annotate(address, {f"face_{k:03d}.png": spiral + rng.normal(0, 2, spiral.shape) for k in range(3)})
    person = visit(address)
    person.goto("setup")
    person.ask("() => brule.app.settings.change({start: 'mean'})")
    item = next(one for one in _ask(address, "GET", "/api/images?limit=10")["items"] if one["name"] == "face_003.png")
    person.goto(f"annotate/{item['id']}").opened()
    assert np.isfinite(person.points).all()
    start = person.points[250]
    chromium.start_tracing(page=person.page, categories=["devtools.timeline", "disabled-by-default-devtools.timeline"])
    person.page.mouse.move(*person.on_screen(*start))
    person.page.mouse.down()
    for k in range(120):
        x, y = person.on_screen(start[0] + 30 * np.sin(k / 8), start[1] + k / 5)
        person.page.mouse.move(x, y)
    person.page.mouse.up()
    frames = frame_times(json.loads(chromium.stop_tracing()))
    print("frames", len(frames), "p50, p95, max:", np.percentile(frames, [50, 95, 100]).round(2))
    assert len(frames) >= 40
    assert np.percentile(frames, 95) <= 8


@pytest.mark.long
def test_twenty_thousand_images_open_at_once_and_the_next_one_too(
    draw: Callable, serve: Callable, visit: Callable, tmp_path: Path
) -> None:
    """The page of 20,000 images is there within 3 s, and the next image within 100 ms (median), as the page's clock has it."""
    faces = draw(8, size=256)
    for k in range(20_000 - 8):
        place = faces.folder / f"{k // 1000:02d}"
        place.mkdir(exist_ok=True)
        (place / f"copy_{k:05d}.png").hardlink_to(faces.folder / f"face_{k % 8:03d}.png")
    started = time.monotonic()
    project = Project(tmp_path / "project", [faces.folder], template=Template(names=("a", "b", "c")))
    person = visit(serve(project)).goto("annotate").opened()
    opened = time.monotonic() - started
    person.page.select_option("select[aria-label='Order of the images']", "name")
    person.page.wait_for_function("() => brule.page().images.item(0)")
    person.page.locator(".stage-points").focus()
    person.ask(
        """() => { window.took = []; const shown = () => brule.page().stage.canvasStage;
            addEventListener('keydown', (event) => { if (event.key !== 'n') return;
              const [before, start] = [shown().record?.id, performance.now()];
              const look = () => shown().record?.id !== before && shown().picture.preview
                ? took.push(performance.now() - start) : requestAnimationFrame(look); look(); }, true); }"""
    )
    for k in range(20):
        person.press("n")
        person.page.wait_for_function("k => took.length > k", arg=k)
        person.page.wait_for_timeout(300)  # a person looks at it; the one after it is fetched meanwhile
    took = np.array(person.ask("() => took"))
    print(
        f"20,000 images: page there after {opened:.2f} s; next image: median {np.median(took):.0f} ms, {took.max():.0f} at most"
    )
    assert opened <= 3 and np.median(took) <= 100


def frame_times(trace: Any) -> Any:
    """Milliseconds of script, style and layout between one animation frame and the next, on the page's main thread."""
    work = ("EventDispatch", "FireAnimationFrame", "Layout", "UpdateLayoutTree", "FunctionCall", "RunMicrotasks", "TimerFire")
    events = [one for one in trace["traceEvents"] if one.get("ph") == "X" and one["name"] in work]
    frames = [one for one in events if one["name"] == "FireAnimationFrame"]
    thread = max({one["tid"] for one in frames}, key=lambda tid: sum(one["tid"] == tid for one in frames))
    events = sorted((one for one in events if one["tid"] == thread), key=lambda one: one["ts"])
    ends = sorted(one["ts"] + one["dur"] for one in frames if one["tid"] == thread)
    spent = np.zeros(len(ends) + 1)
    until = 0.0
    for one in events:  # a nested event is part of the one around it
        if one["ts"] >= until:
            until = one["ts"] + one["dur"]
            spent[np.searchsorted(ends, one["ts"])] += one.get("tdur", one["dur"]) / 1000
    return spent[:-1][spent[:-1] > 0]
