"""Requests whose client is gone aren't computed, and options where nobody reads them are refused."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("python_multipart")
pytest.importorskip("prometheus_client")
httpx = pytest.importorskip("httpx")

from starlette.requests import Request  # noqa: E402

from brule.web.errors import Refused  # noqa: E402
from brule.web.service.app import Service  # noqa: E402
from brule.web.service.limits import Limits  # noqa: E402
from brule.web.service.uploads import read_uploads  # noqa: E402


def request(sent: Any, after: list[dict[str, Any]]) -> Request:
    """A request as a server hands it over: its body, and what the client does then."""
    coming = [{"type": "http.request", "body": sent.read(), "more_body": False}, *after]

    async def receive() -> dict[str, Any]:
        while not coming:
            await asyncio.sleep(0.01)
        return coming.pop(0)

    headers = [(name.lower(), value) for name, value in sent.headers.raw]
    return Request(
        {"app": None, "type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": headers}, receive
    )


@pytest.mark.parametrize("gone", [True, False])
def test_nothing_is_computed_for_a_client_that_is_gone(gone: bool) -> None:
    computed: list[int] = []

    def predict(images: list[Image.Image], **_: Any) -> Any:
        computed.append(len(images))
        raise Refused("bad_request", "computed")

    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    sent = httpx.Request("POST", "http://x/predict", content=picture.getvalue(), headers={"content-type": "image/png"})
    detector: Any = SimpleNamespace(predict=predict)

    async def asked() -> None:
        service = Service(detector, Limits(), token=False)
        asking = request(sent, [{"type": "http.disconnect"}] if gone else [])
        if gone:
            assert (await service.predict(asking)).status_code == 400
        else:
            with pytest.raises(Refused, match="computed"):
                await service.predict(asking)

    with ThreadPoolExecutor(1) as apart:  # tests of the page leave an event loop running in this thread
        apart.submit(asyncio.run, asked()).result()
    assert computed == ([] if gone else [1])


@pytest.mark.parametrize("name", ["tta", "refine", "objects", "box"])
def test_options_as_fields_of_a_form_are_refused(name: str) -> None:
    sent = httpx.Request("POST", "http://x/predict", files=[("images", ("a.png", b"abc", "image/png"))], data={name: "4"})
    with (
        ThreadPoolExecutor(1) as apart,
        pytest.raises(Refused, match=f"{name}: options belong in the address, .*/predict.tta=4") as refused,
    ):
        apart.submit(asyncio.run, read_uploads(request(sent, []), Limits())).result()
    assert refused.value.code == "bad_request"
