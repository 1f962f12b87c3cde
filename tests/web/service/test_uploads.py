"""The images of a request and the box in its address, without a server."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("python_multipart")
httpx = pytest.importorskip("httpx")

from starlette.requests import Request  # noqa: E402

from brule.web.errors import Refused  # noqa: E402
from brule.web.service.limits import Limits  # noqa: E402
from brule.web.service.uploads import Upload, decoded, read_uploads  # noqa: E402

BOX = (4.0, 6.0, 40.0, 44.0)
OWN = {"data": base64.b64encode(b"abc").decode()}


def read(box: str | None, **body: Any) -> list[Upload]:
    sent = httpx.Request("POST", "http://x/predict", **body)
    content = sent.read()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    headers = [(name.lower(), value) for name, value in sent.headers.raw]
    query = b"" if box is None else f"box={box}".encode()
    scope = {"app": None, "type": "http", "method": "POST", "path": "/predict", "query_string": query, "headers": headers}
    with ThreadPoolExecutor(1) as apart:  # tests of the page leave an event loop running in this thread
        return apart.submit(asyncio.run, read_uploads(Request(scope, receive), Limits())).result()


def form(count: int) -> dict[str, Any]:
    return {"files": [("images", (f"{k}.png", b"abc", "image/png")) for k in range(count)]}


def as_json(*images: dict[str, Any]) -> dict[str, Any]:
    return {"content": json.dumps({"images": images}), "headers": {"content-type": "application/json"}}


SINGLE = {
    "image": {"content": b"abc", "headers": {"content-type": "image/png"}},
    "form": form(1),
    "json": as_json(OWN),
    "json with the same box": as_json({**OWN, "box": BOX}),
}


@pytest.mark.parametrize("kind", SINGLE)
def test_a_box_counts_in_a_body_of_any_kind(kind: str) -> None:
    (upload,) = read("4,6,40,44", **SINGLE[kind])
    assert (upload.content, upload.box) == (b"abc", BOX)
    with pytest.raises(Refused, match="box: expected left,top,right,bottom"):
        read("nonsense", **SINGLE[kind])


@pytest.mark.parametrize("body", [form(2), as_json(OWN, OWN)], ids=["form", "json"])
def test_a_box_beside_several_images_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"box: expected a single image beside .box=, got 2"):
        read("4,6,40,44", **body)


def test_two_boxes_that_differ_are_refused() -> None:
    with pytest.raises(Refused, match="box: expected one box for the image"):
        read("4,6,40,44", **as_json({**OWN, "box": [1, 2, 3, 4]}))


@pytest.mark.parametrize("count", [65, 128, 129, 300])
def test_the_number_of_images_in_a_form_is_compared_with_the_limit(count: int) -> None:
    with pytest.raises(Refused, match=f"at most 64 images in a request, got (a form of )?{count}") as refused:
        read(None, **form(count))
    assert refused.value.code == "too_large"


def test_a_form_of_as_many_images_as_are_taken_is_read() -> None:
    assert len(read(None, **form(64), data={"note": "a field beside the images"})) == 64


def test_a_damaged_form_is_not_called_too_large() -> None:
    body = {"content": b"--x\r\nnonsense\r\n--x--", "headers": {"content-type": "multipart/form-data; boundary=x"}}
    with pytest.raises(Refused) as refused:
        read(None, **body)
    assert refused.value.code == "bad_request"


def test_an_image_that_is_too_large_is_told_from_one_that_is_broken() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "PNG")
    codes = {}
    named = "too many pixels; expected at most nothing.png"  # the message of another fault, in a name
    for name, content in (("fine.png", buffer.getvalue()), (named, b"junk")):
        with pytest.raises(Refused) as refused:
            decoded([Upload(name, content)], Limits(megapixels=0.0005))
        codes[name] = refused.value.code
    assert codes == {"fine.png": "too_large", named: "bad_request"}
