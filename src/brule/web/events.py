"""News for open pages: server-sent events, from any thread."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from brule.web.errors import refusal

MAX_WAITING = 1000  # events that a page may be behind
MAX_PAGES = 64
PULSE = 15.0  # seconds between signs of life


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
        """The endpoint that a page listens at."""
        self._loop = asyncio.get_running_loop()
        if len(self._pages) >= MAX_PAGES:
            return refusal("busy", f"{MAX_PAGES} pages listen already; close some")
        queue: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING)
        self._pages.add(queue)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._lines(queue), media_type="text/event-stream", headers=headers)

    async def _lines(self, queue: asyncio.Queue[str | None]) -> AsyncIterator[str]:
        try:
            yield ": hello\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), PULSE)
                except asyncio.TimeoutError:
                    text = ": still here\n\n"
                if text is None:
                    return
                yield text
        finally:
            self._pages.discard(queue)

    def _put(self, text: str | None) -> None:
        for queue in list(self._pages):
            if queue.full():
                self._pages.discard(queue)
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(text)
