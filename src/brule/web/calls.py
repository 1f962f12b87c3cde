"""From a request to a plain function and back: handlers are ordinary functions that run in threads.

So nothing that a handler does (reading a file, decoding an image, waiting for a lock) holds up the other requests.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from brule.annotating.template import first_fault
from brule.errors import BruleError
from brule.web.errors import Refused

if TYPE_CHECKING:
    from brule.web.page import Page

_log = logging.getLogger("brule.web")

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Call:
    """A request, as a handler gets it.

    Args:
        page: what the server works on.
        path: the parts of the address.
        query: what follows its question mark.
        content: the body.
    """

    page: Page
    path: Mapping[str, Any]
    query: Mapping[str, str]
    content: bytes = b""

    def body(self, model: type[Model]) -> Model:
        """The body as a model.

        Raises:
            Refused: it isn't one.
        """
        try:
            return model.model_validate_json(self.content or b"{}", strict=True)
        except ValidationError as error:
            raise Refused("bad_request", f"the request isn't understood: {first_fault(error)}") from None

    def number(self, name: str, default: int, *, low: int = 0, high: int = 10**9) -> int:
        """A whole number of the query.

        Raises:
            Refused: it is none, or out of range.
        """
        text = self.query.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and low <= int(text) <= high):
            raise Refused("bad_request", f"{name}: expected a whole number from {low} to {high}, got {text[:40]!r}")
        return int(text)

    def real(self, name: str) -> float:
        """A finite number of the query, at most a million.

        Raises:
            Refused: it is none.
        """
        try:
            value = float(self.query.get(name, ""))
        except ValueError:
            value = float("nan")
        if not abs(value) <= 1e6:
            raise Refused("bad_request", f"{name}: expected a number, got {self.query.get(name, '')[:40]!r}")
        return value

    def choice(self, name: str, default: str, options: tuple[str, ...]) -> str:
        """A word of the query.

        Raises:
            Refused: it is none of the options.
        """
        value = self.query.get(name, default)
        if value not in options:
            raise Refused("bad_request", f"{name}: expected one of {', '.join(options)}, got {value[:40]!r}")
        return value


Handler = Callable[[Call], Any]


def endpoint(handler: Handler, *, limiter: str = "files") -> Callable[[Request], Awaitable[Response]]:
    """A Starlette endpoint for a handler.

    Args:
        handler: returns what is to be answered as JSON, or a response.
        limiter: of the page's limits on threads, the one that applies: ``files`` or ``decoding``.
    """

    async def answer(request: Request) -> Response:
        page: Page = request.app.state.page
        if request.method not in ("GET", "HEAD") and not _is_expected(request):
            raise Refused("unsupported", "expected Content-Type: application/json")
        try:
            content = await request.body() if request.method not in ("GET", "HEAD") else b""
        except ClientDisconnect:
            return Response(status_code=400)
        call = Call(page, request.path_params, request.query_params, content)
        try:
            found = await anyio.to_thread.run_sync(handler, call, limiter=page.limiters[limiter])
        except (Refused, BruleError):
            raise
        except Exception as error:  # a fault of ours; the page gets a plain answer, the terminal the rest
            _log.exception("%s %s failed", request.method, request.url.path)
            raise Refused("internal", "something went wrong in the server; the terminal shows more") from error
        return found if isinstance(found, Response) else as_json(found)

    return answer


def as_json(content: Any) -> Response:
    """JSON in pure ASCII, so that a browser can read any file name."""
    return Response(json.dumps(content, allow_nan=False, separators=(",", ":")), media_type="application/json")


def _is_expected(request: Request) -> bool:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    return kind == ("application/octet-stream" if request.url.path == "/api/upload" else "application/json")
