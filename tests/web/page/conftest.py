"""A real browser that looks at a real server, both on this machine."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Marks, Project, Template
from brule.annotating.files import read_marks
from brule.data.synthetic import synthetic_faces

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Twelve of the 68 points of a drawn face: outer ends of the jaw, chin, brows, eyes, nose, mouth.
TWELVE = (0, 8, 16, 19, 24, 36, 39, 42, 45, 30, 48, 54)
TWELVE_NAMES = (
    "right ear", "chin", "left ear", "right brow", "left brow", "right eye out", "right eye in", "left eye in",
    "left eye out", "nose", "mouth right", "mouth left",
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """Drawn faces in a folder, and where their landmarks are: ``(n, N, 2)`` pixels."""

    folder: Path
    points: Any

    def named(self, name: str) -> Any:
        return self.points[int(Path(name).stem.split("_")[1])]


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Drawn]:
    def drawn(
        n: int, *, size: int = 256, seed: int = 3, start: int = 0, landmarks: Any = TWELVE, folder: str = "photos"
    ) -> Drawn:
        faces = synthetic_faces(n, size=size, seed=seed, start=start)
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for k, image in enumerate(faces.images):
            Image.fromarray(image).save(place / f"face_{k:03d}.png", compress_level=1)
        return Drawn(place, faces.points[:, list(landmarks)].astype(float))

    return drawn


@pytest.fixture
def twelve() -> Template:
    return Template(names=TWELVE_NAMES, edges=((5, 6), (7, 8), (10, 11)))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Serves a project in a thread; answers its address."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    from brule.web.app import create_app
    from brule.web.page import Page

    with contextlib.ExitStack() as stack:

        def served(project: Project) -> str:
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen(64)
            page = Page(project, local=True)
            app = create_app(page, host="127.0.0.1", token=None)
            server = uvicorn.Server(
                uvicorn.Config(app, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=1)
            )
            thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
            thread.start()

            def end() -> None:
                page.hub.close()
                server.should_exit = True
                thread.join(timeout=20)
                listener.close()

            stack.callback(end)
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield served


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's chromium, driven by Playwright."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("chromium isn't installed: the page is tested in it (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright: the page is tested with it")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """A person at the page: clicks, drags and keys, in pixels of the image."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.actions = 0
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        refused = (
            "Failed to load resource" in message.text
        )  # of requests that a test breaks on purpose, and of what's not there yet
        if message.type == "error" and not refused:
            self.problems.append(message.text)

    def goto(self, place: str = "") -> Visitor:
        self.page.goto(f"{self.address}/#/{place}")
        self.page.wait_for_selector("html[data-ready=true]")
        return self

    def reload(self) -> Visitor:
        self.page.reload()
        self.page.wait_for_selector("html[data-ready=true]")
        return self

    def ask(self, expression: str, argument: Any = None) -> Any:
        return self.page.evaluate(expression, argument)

    def at(self, name: str) -> Visitor:
        """Open an image, with all images listed by name: which ones are proposed first isn't settled at once."""
        self.goto("setup")
        items = self.ask("() => brule.app.api.images({limit: 1000}).then((page) => page.items)")
        identity = next(item["id"] for item in items if item["name"] == name)
        self.goto(f"annotate/{identity}")
        self.page.select_option("select[aria-label='Order of the images']", "name")
        self.page.wait_for_function("() => brule.page().images.item(0)")
        self.page.locator(".stage-points").focus()
        return self.opened(name)

    def opened(self, name: str | None = None) -> Visitor:
        """Wait until an image is open, with its picture and its suggestion."""
        self.page.wait_for_function(
            """name => { const page = brule.page(), editor = page?.editor;
                 return editor && (!name || editor.record?.name === name) && page.stage?.canvasStage.record?.id === editor.id
                   && page.stage.canvasStage.picture.preview && page.settledFor === editor.id; }""",
            arg=name,
        )
        return self

    @property
    def name(self) -> str:
        return self.ask("() => brule.page().editor.record.name")

    @property
    def points(self) -> Any:
        """``(N, 2)``; NaN where a landmark has no position."""
        xy = self.ask(
            "() => { const s = brule.page().editor.shape; return [...s.x].map((x, i) => [String(x), String(s.y[i])]); }"
        )
        return np.array(xy, float).reshape(-1, 2)

    @property
    def states(self) -> list[int]:
        return self.ask("() => [...brule.page().editor.shape.state]")

    @property
    def selected(self) -> int:
        return self.ask("() => brule.page().editor.selected.value")

    @property
    def view(self) -> tuple[dict[str, float], dict[str, float]]:
        """How the image is shown, and where on the page."""
        return tuple(
            self.ask(
                """() => { const { canvasStage: stage } = brule.page().stage, { x, y } = stage.above.getBoundingClientRect();
                     return [{...stage.view}, { x, y }]; }"""
            )
        )

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        view, box = self.view
        return box["x"] + view["x"] + view["scale"] * (x + 0.5), box["y"] + view["y"] + view["scale"] * (y + 0.5)

    def in_image(self, sx: float, sy: float) -> Any:
        view, box = self.view
        return np.array([(sx - box["x"] - view["x"]) / view["scale"] - 0.5, (sy - box["y"] - view["y"]) / view["scale"] - 0.5])

    def click(self, x: float, y: float) -> Any:
        """Click on a place of the image; answers where exactly the click was, for screens have whole pixels."""
        self.actions += 1
        sx, sy = (round(value) for value in self.on_screen(x, y))
        self.page.mouse.click(sx, sy)
        return self.in_image(sx, sy)

    def drag(self, start: Any, end: Any, steps: int = 4) -> None:
        self.actions += 1
        self.page.mouse.move(*self.on_screen(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.on_screen(*end), steps=steps)
        self.page.mouse.up()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.actions += 1
            self.page.keyboard.press(key)

    def saved(self) -> Visitor:
        self.page.wait_for_selector(".save-state[data-state=saved]")
        return self

    @property
    def save_text(self) -> str:
        return self.page.inner_text(".save-state")


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Visitor]]:
    """Opens the page in a window of its own, or beside another one; fails if the page complains."""
    contexts: list[Any] = []
    visitors: list[Visitor] = []

    def visited(
        address: str, *, width: int = 1280, height: int = 800, beside: Visitor | None = None, **options: Any
    ) -> Visitor:
        context = (
            beside.page.context if beside else chromium.new_context(viewport={"width": width, "height": height}, **options)
        )
        if beside is None:
            contexts.append(context)
        context.set_default_timeout(20_000)
        visitors.append(Visitor(context.new_page(), address))
        return visitors[-1]

    yield visited
    for context in contexts:
        context.close()
    assert not [problem for visitor in visitors for problem in visitor.problems]


def marks_of(project: Project, name: str) -> Marks:
    """What the project's file of an image holds."""
    return read_marks(Path(project.folder) / "annotations" / f"{name}.json")


@pytest.fixture
def marks() -> Callable[[Project, str], Marks]:
    return marks_of
