"""The server's addresses, put together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from brule.annotating.project import StaleTemplate
from brule.errors import BruleError
from brule.web import errors
from brule.web.assets import Assets
from brule.web.calls import endpoint
from brule.web.guard import Guard
from brule.web.handlers import folders, help, images, project, results, training
from brule.web.page import Page


def create_app(page: Page, *, host: str = "127.0.0.1", token: str | None = None) -> Starlette:
    """The application.

    Args:
        page: what it works on.
        host: what the server is bound to.
        token: that a person has to know; None on a loopback address.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        page.close()

    async def on_stale(_: Request, error: Exception) -> Response:
        return errors.refusal("conflict", str(error), current=project.template_json(page))

    app = Starlette(
        routes=routes(page),
        middleware=[Middleware(Guard, host=host, token=token)],
        exception_handlers={
            StaleTemplate: on_stale,
            errors.Refused: errors.on_refused,
            BruleError: errors.on_brule_error,
            HTTPException: errors.on_http_error,
        },
        lifespan=lifespan,
    )
    app.state.page = page
    return app


def routes(page: Page) -> list[Route]:
    """All addresses; docs/annotate.md lists what they are for."""
    one, assets = "/api/images/{image}", Assets()
    return [
        Route("/", assets.index),
        Route("/static/{version}/{name:path}", assets.file),
        Route("/api/events", page.hub.stream),
        Route("/api/project", endpoint(project.show)),
        Route("/api/project/template", endpoint(project.set_template), methods=["PUT"]),
        Route("/api/project/settings", endpoint(project.set_settings), methods=["PUT"]),
        Route("/api/project/folders", endpoint(project.add_folders), methods=["POST"]),
        Route("/api/project/folders/{folder}/remove", endpoint(folders.remove), methods=["POST"]),
        Route("/api/project/folders/{folder}/locate", endpoint(folders.locate), methods=["POST"]),
        Route("/api/project/pairs", endpoint(help.pairs), methods=["POST"]),
        Route("/api/project/contours", endpoint(project.place_outlines), methods=["POST"]),
        Route("/api/shape", endpoint(help.shape)),
        Route("/api/landmarks/{index:int}", endpoint(help.landmark)),
        Route("/api/templates", endpoint(project.templates)),
        Route("/api/upload", endpoint(project.upload), methods=["POST"]),
        Route("/api/train", endpoint(training.show)),
        Route("/api/train", endpoint(training.start), methods=["POST"]),
        Route("/api/train/stop", endpoint(training.stop), methods=["POST"]),
        Route("/api/train/resume", endpoint(training.resume), methods=["POST"]),
        Route("/api/train/presets", endpoint(training.presets)),
        Route("/api/train/preview", endpoint(training.preview)),
        Route("/api/predict", endpoint(training.predicting)),
        Route("/api/predict", endpoint(training.predict), methods=["POST"]),
        Route("/api/runs", endpoint(training.runs)),
        Route("/api/project/measurements", endpoint(results.set_measurements), methods=["PUT"]),
        Route("/api/measure", endpoint(results.measure)),
        Route("/api/measure.csv", endpoint(results.measure_table)),
        Route("/api/repeat", endpoint(results.repeat)),
        Route("/api/export", endpoint(results.export), methods=["POST"]),
        Route("/api/export/onnx", endpoint(results.export_detector, limiter="slow"), methods=["POST"]),
        Route("/api/export/onnx/{run}.onnx", endpoint(results.exported_detector)),
        Route("/api/export/{name}.zip", endpoint(results.exported)),
        Route("/api/redraw", endpoint(results.redraw, limiter="slow"), methods=["POST"]),
        Route("/api/images", endpoint(images.listed)),
        Route(one, endpoint(images.show)),
        Route(one, endpoint(images.change), methods=["PUT"]),
        Route(f"{one}/undo", endpoint(images.undo), methods=["POST"]),
        Route(f"{one}/redo", endpoint(images.redo), methods=["POST"]),
        Route(f"{one}/history", endpoint(images.history)),
        Route(f"{one}/guess", endpoint(help.guess, limiter="decoding"), methods=["POST"]),
        Route(f"{one}/hints", endpoint(help.hint), methods=["POST"]),
        Route(f"{one}/view", endpoint(images.view, limiter="decoding")),
        Route(f"{one}/tile/{{level:int}}/{{column:int}}/{{row:int}}", endpoint(images.tile, limiter="decoding")),
        Route(f"{one}/crop", endpoint(images.crop, limiter="decoding")),
    ]
