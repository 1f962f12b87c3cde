"""News for open pages: server-sent events, from any thread."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from brule.web.errors import refusal

MAX_WAITING = 1000  # events that a page may be behind
MAX_PAGES = 64
PULSE = 15.0  # seconds between signs of life
_LOOK_AGAIN = "event: project\ndata: {}\n\n"


class Hub:
    """Hands events to all open pages."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pages: set[asyncio.Queue[str | None]] = set()

    def publish(self, event: str, content: dict[str, Any]) -> None:
        """Send an event to every page; a page that doesn't keep up is disconnected, and reconnects by itself."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        text = f"event: {event}\ndata: {json.dumps(content, allow_nan=False)}\n\n"
        loop.call_soon_threadsafe(self._put, text)

    def close(self) -> None:
        """End all streams."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, None)

    async def stream(self, _: Request) -> Response:
        """The endpoint that a page listens at.

        The first event has the page look at the project again: something may have changed between its first look and now.
        """
        self._loop = asyncio.get_running_loop()
        if len(self._pages) >= MAX_PAGES:
            return refusal("busy", f"{MAX_PAGES} pages listen already; close some")
        return _Stream(self._pages)

    def _put(self, text: str | None) -> None:
        for queue in list(self._pages):
            if queue.full():
                self._pages.discard(queue)
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(text)


class _Stream(StreamingResponse):
    """Events for one page, from before its headers are sent until it is gone, however it goes.

    Args:
        pages: where its queue is, for as long.
    """

    def __init__(self, pages: set[asyncio.Queue[str | None]]) -> None:
        self._pages, self._queue = pages, asyncio.Queue[str | None](MAX_WAITING)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(self._lines(), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is."""
        self._pages.add(self._queue)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pages.discard(self._queue)

    async def _lines(self) -> AsyncIterator[str]:
        yield ": hello\n\n"
        yield _LOOK_AGAIN
        while True:
            try:
                text = await asyncio.wait_for(self._queue.get(), PULSE)
            except asyncio.TimeoutError:
                text = ": still here\n\n"
            if text is None:
                return
            yield text
