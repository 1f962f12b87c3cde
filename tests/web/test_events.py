"""News for open pages: none is lost, and no page that has left is kept."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.requests import Request

from brule.web import events as module
from brule.web.events import Hub

SCOPE = {"type": "http", "method": "GET", "path": "/api/events", "headers": [], "query_string": b""}


def apart(work: Any) -> Any:
    with ThreadPoolExecutor(1) as thread:  # other tests leave an event loop running in this one
        return thread.submit(asyncio.run, work).result(30)


class Client:
    """A browser that listens, until it goes."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.sent: list[str] = []

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message["type"] if "body" not in message else message["body"].decode())

    async def until(self, text: str) -> None:
        while not any(text in one for one in self.sent):
            await asyncio.sleep(0.01)


def test_what_happens_before_the_first_line_is_sent_is_not_lost() -> None:
    async def work() -> list[str]:
        hub, client = Hub(), Client()

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":  # from now on the page relies on being told
                hub.publish("image", {"version": 7})
            await client.send(message)

        response = await hub.stream(Request(SCOPE))
        listening = asyncio.create_task(response(SCOPE, client.receive, send))
        await client.until("version")
        client.gone.set()
        await listening
        return client.sent

    sent = apart(work())
    assert sent[:4] == [
        "http.response.start",
        ": hello\n\n",
        "event: project\ndata: {}\n\n",  # what has changed since the page's own first look is seen by another one
        'event: image\ndata: {"version": 7}\n\n',
    ]


@pytest.mark.parametrize("when", ["while it listens", "before the first line", "before anything", "at the end of the server"])
def test_a_page_that_has_left_is_forgotten(when: str) -> None:
    async def work() -> int:
        hub, client = Hub(), Client()
        response = await hub.stream(Request(SCOPE))
        if when == "before anything":  # the answer is never sent
            return len(hub._pages)

        async def send(message: dict[str, Any]) -> None:
            if when == "before the first line":
                raise ConnectionResetError
            await client.send(message)

        listening = asyncio.create_task(response(SCOPE, client.receive, send))
        if when == "before the first line":
            await asyncio.wait([listening])
            assert isinstance(listening.exception(), ConnectionResetError)
            return len(hub._pages)
        await client.until("hello")
        assert len(hub._pages) == 1
        hub.close() if when == "at the end of the server" else client.gone.set()
        await listening
        return len(hub._pages)

    assert apart(work()) == 0


def test_pages_that_come_and_go_never_use_up_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 2)

    async def work() -> list[int]:
        hub, codes = Hub(), []
        for _ in range(6):
            response = await hub.stream(Request(SCOPE))
            codes.append(response.status_code)
        clients = [Client() for _ in range(2)]
        tasks = [asyncio.create_task((await hub.stream(Request(SCOPE)))(SCOPE, one.receive, one.send)) for one in clients]
        for one in clients:
            await one.until("hello")
        codes.append((await hub.stream(Request(SCOPE))).status_code)
        for one in clients:
            one.gone.set()
        await asyncio.gather(*tasks)
        return [*codes, (await hub.stream(Request(SCOPE))).status_code]

    assert apart(work()) == [200] * 6 + [409, 200]
