"""The service's addresses."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from brule import __version__
from brule.errors import BruleError
from brule.web import errors
from brule.web.errors import Refused
from brule.web.service.guard import ServiceGuard
from brule.web.service.limits import Limits
from brule.web.service.metrics import Metrics
from brule.web.service.page import STYLE, described
from brule.web.service.schema import openapi
from brule.web.service.uploads import Upload, decoded, options_of, read_uploads

if TYPE_CHECKING:
    from brule.detector import LandmarkDetector, Landmarks, ObjectLandmarks

_log = logging.getLogger("brule.web")
_RETRY_SECONDS = 1
_PLACES = 3  # decimals of a pixel in answers


class Service:
    """A detector behind an address: one request is computed at a time, others wait.

    Args:
        detector: a trained one.
        limits: of requests.
        token: whether requests need one.
    """

    def __init__(self, detector: LandmarkDetector, limits: Limits, *, token: bool) -> None:
        self.detector, self.limits = detector, limits
        self.metrics = Metrics()
        self.description = openapi(limits, token=token)
        self._turn = anyio.CapacityLimiter(1)
        self._inside = 0

    async def predict(self, request: Request) -> Response:
        """``POST /predict``."""
        began = time.perf_counter()
        code = 500
        try:
            answer = await self._answered(request)
            code = answer.status_code
        except Refused as refused:
            code = errors.STATUS[refused.code]
            raise
        except BruleError:
            code = 400
            raise
        finally:
            self.metrics.requests.labels(str(code)).inc()
            self.metrics.seconds.observe(time.perf_counter() - began)
        return answer

    async def _answered(self, request: Request) -> Response:
        options = options_of(request.query_params)
        if self._inside > self.limits.waiting:  # before the body is read: that many bodies are in memory at most
            raise Refused("not_ready", "too many requests are waiting; try again", headers={"retry-after": str(_RETRY_SECONDS)})
        self._inside += 1
        self.metrics.waiting.set(self._inside)
        try:
            return await self._in_turn(request, options)
        finally:
            self._inside -= 1
            self.metrics.waiting.set(self._inside)

    async def _in_turn(self, request: Request, options: dict[str, Any]) -> Response:
        try:
            uploads = await asyncio.wait_for(read_uploads(request, self.limits), self.limits.seconds)
        except asyncio.TimeoutError:
            raise Refused("timeout", f"the request's body didn't arrive within {self.limits.seconds:g} seconds") from None
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            async with self._turn:
                if await request.is_disconnected():  # nobody is there to read the answer
                    return Response(status_code=400)
                content = await anyio.to_thread.run_sync(self._computed, uploads, options)
        except (Refused, BruleError):
            raise
        except Exception as error:  # a fault of ours: the client gets a plain answer, the log the rest
            _log.exception("POST /predict failed")
            raise Refused("internal", "something went wrong in the server; its log shows more") from error
        return JSONResponse(content)

    def _computed(self, uploads: Sequence[Upload], options: dict[str, Any]) -> dict[str, Any]:
        began = time.perf_counter()
        images = decoded(uploads, self.limits)
        found = self.detector.predict(images, boxes=[upload.box for upload in uploads], **options)
        self.metrics.predicting.observe(time.perf_counter() - began)
        self.metrics.images.inc(len(images))
        self.metrics.objects.inc(sum(one.found for one in found))
        self.metrics.flagged.inc(int(found.flagged.sum()))
        return {
            "landmarks": found.points.shape[1],
            "names": None if found.names is None else list(found.names),
            "images": _image_results(uploads, images, found),
        }

    async def health(self, _: Request) -> Response:
        """``GET /health``."""
        return JSONResponse({"status": "ok", "version": __version__, "landmarks": len(self.detector.barycenter_)})

    async def show_metrics(self, _: Request) -> Response:
        """``GET /metrics``."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def show_description(self, _: Request) -> Response:
        """``GET /openapi.json``."""
        return JSONResponse(self.description)

    async def show_page(self, request: Request) -> Response:
        """``GET /``: the description for people."""
        return HTMLResponse(described(self.description, str(request.base_url)))


def create_service(
    detector: LandmarkDetector, *, limits: Limits | None = None, host: str = "127.0.0.1", token: str | None = None
) -> Starlette:
    """The application.

    Args:
        detector: a trained one.
        limits: of requests.
        host: what the server is bound to.
        token: that requests need; None on a loopback address.
    """
    limits = limits or Limits()
    service = Service(detector, limits, token=token is not None)
    return Starlette(
        routes=[
            Route("/predict", service.predict, methods=["POST"]),
            Route("/health", service.health),
            Route("/metrics", service.show_metrics),
            Route("/openapi.json", service.show_description),
            Route("/style.css", _style),
            Route("/", service.show_page),
        ],
        middleware=[Middleware(ServiceGuard, host=host, token=token, limit=limits.bytes)],
        exception_handlers={
            Refused: _with_headers(errors.on_refused),
            BruleError: errors.on_brule_error,
            HTTPException: errors.on_http_error,
        },
    )


async def _style(_: Request) -> Response:
    return Response(STYLE, media_type="text/css")


def _with_headers(handler: Callable[[Request, Exception], Awaitable[Response]]) -> Any:
    async def handled(request: Request, error: Exception) -> Response:
        headers = error.extra.pop("headers", {}) if isinstance(error, Refused) else {}
        response = await handler(request, error)
        response.headers.update(headers)
        return response

    return handled


def _image_results(uploads: Sequence[Upload], images: Sequence[Image.Image], found: Landmarks) -> list[dict[str, Any]]:
    return [
        {
            "name": upload.name,
            "width": image.width,
            "height": image.height,
            "objects": [_object_result(one) for one in found.of(number)],
        }
        for number, (upload, image) in enumerate(zip(uploads, images, strict=True))
    ]


def _object_result(one: ObjectLandmarks) -> dict[str, Any]:
    return {
        "points": [[round(x, _PLACES), round(y, _PLACES)] for x, y in one.points.tolist()] if one.found else None,
        "spread": [round(value, _PLACES) for value in one.spread.tolist()] if one.found else None,
        "score": _finite(one.score),
        "flagged": one.flagged,
        "box": [round(value, _PLACES) for value in one.box.tolist()] if one.found else None,
        "angle": _finite(one.angle),
    }


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
