"""From the body of a request to decoded images."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from email.message import Message
from typing import Any

from PIL import Image
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from brule.annotating.template import first_fault
from brule.data import Box
from brule.data.images import decode_image
from brule.errors import DataError, ImageTooLarge
from brule.web.errors import Refused
from brule.web.service.limits import Limits
from brule.web.service.schema import PredictBody

OPTIONS = frozenset(("objects", "refine", "tta", "box"))  # in the address of a request


@dataclass(frozen=True)
class Upload:
    """An image as it was sent.

    Args:
        name: of the image.
        content: the bytes of an image file.
        box: the object's box in pixels, if the request has it.
    """

    name: str
    content: bytes
    box: Box | None = None


async def read_uploads(request: Request, limits: Limits) -> list[Upload]:
    """The images of a request, in any of its three forms.

    Raises:
        Refused: the body is of another kind, can't be understood, or holds more images than the limits allow; or the address
            has a box that is none, or that isn't for a single image.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    box = _box(request.query_params.get("box"))
    if kind.startswith("image/") or kind == "application/octet-stream":
        found = [Upload("image", await request.body())]
    elif kind == "application/json":
        found = _from_json(await request.body())
    elif kind == "multipart/form-data":
        found = await _from_form(request, limits)
    else:
        raise Refused(
            "unsupported",
            "expected an image (Content-Type image/… or application/octet-stream), multipart/form-data with files, or JSON",
        )
    if not found:
        raise Refused("bad_request", "expected at least one image, got none")
    if len(found) > limits.batch:
        raise Refused("too_large", f"expected at most {limits.batch} images in a request, got {len(found)}")
    return found if box is None else [_boxed(found, box)]


def _boxed(found: Sequence[Upload], box: Box) -> Upload:
    """The single image of a request, with the box in its address."""
    if len(found) > 1:
        raise Refused(
            "bad_request",
            f"box: expected a single image beside ?box=, got {len(found)}; as JSON, each image can have its own box",
        )
    if found[0].box not in (None, box):
        raise Refused("bad_request", "box: expected one box for the image, got one in the address and another one in the body")
    return replace(found[0], box=box)


def decoded(uploads: Sequence[Upload], limits: Limits) -> list[Image.Image]:
    """The images, upright RGB.

    Raises:
        Refused: one is no image, or they have more pixels than the limits allow; the message names it.
    """
    found: list[Image.Image] = []
    left = limits.pixels
    for number, upload in enumerate(uploads):
        name = upload.name if len(uploads) == 1 else f"image {number} ({upload.name})"
        try:
            found.append(decode_image(upload.content, name, max_pixels=left))
        except ImageTooLarge as error:
            raise Refused("too_large", str(error)) from None
        except DataError as error:
            raise Refused("bad_request", str(error)) from None
        left -= found[-1].width * found[-1].height
    return found


def _from_json(content: bytes) -> list[Upload]:
    try:
        body = PredictBody.model_validate_json(content)
    except ValidationError as error:
        raise Refused("bad_request", f"the request isn't understood: {first_fault(error)}") from None
    found = []
    for number, image in enumerate(body.images):
        try:
            data = base64.b64decode(image.data, validate=True)
        except (binascii.Error, ValueError):
            raise Refused("bad_request", f"images.{number}.data: expected base64") from None
        found.append(Upload(image.name or f"image {number}", data, _checked(image.box)))
    return found


async def _from_form(request: Request, limits: Limits) -> list[Upload]:
    most = 2 * limits.batch  # parts: images, and fields beside them, which are passed over
    found = _n_parts(await request.body(), request.headers.get("content-type", ""))
    if found > most:
        raise Refused("too_large", f"expected at most {limits.batch} images in a request, got a form of {found} parts")
    try:
        async with request.form(max_files=most, max_fields=most) as form:
            files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            if options := [name for name, value in form.multi_items() if name in OPTIONS and isinstance(value, str)]:
                raise Refused(
                    "bad_request", f"{options[0]}: options belong in the address, as in /predict?tta=4, not in the form"
                )
            return [Upload((one.filename or "image")[:200], await one.read()) for one in files]
    except HTTPException as error:  # starlette's word for a form that is damaged
        raise Refused("bad_request", f"the form isn't understood: {error.detail}") from None


def _n_parts(content: bytes, kind: str) -> int:
    """How many parts a form has at most, from the boundaries in its body alone."""
    message = Message()
    message["content-type"] = kind
    boundary = message.get_boundary("")
    return content.count(b"--" + boundary.encode("latin-1", "replace")) - 1 if boundary else 0  # the last one ends the form


def _box(text: str | None) -> Box | None:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    return _checked(values)


def _checked(values: Sequence[float] | None) -> Box | None:
    if values is None:
        return None
    usable = len(values) == 4 and all(math.isfinite(value) and abs(value) < 1e6 for value in values)
    if not usable or not (values[0] < values[2] and values[1] < values[3]):
        raise Refused("bad_request", "box: expected left,top,right,bottom in pixels with left < right and top < bottom")
    left, top, right, bottom = values
    return left, top, right, bottom


def options_of(query: Mapping[str, str]) -> dict[str, Any]:
    """The options of :meth:`LandmarkDetector.predict` in the address of a request.

    Raises:
        Refused: one is unknown or out of range.
    """
    unknown = set(query) - OPTIONS
    if unknown:
        raise Refused("bad_request", f"expected the options objects, box, refine and tta, got {sorted(unknown)[0][:40]!r}")
    objects = query.get("objects", "best")
    if objects not in ("best", "all"):
        raise Refused("bad_request", f"objects: expected best or all, got {objects[:40]!r}")
    options: dict[str, Any] = {"objects": objects}
    for name, low, high in (("refine", 0, 8), ("tta", 1, 6)):
        text = query.get(name)
        if text is not None:
            if not (text.isascii() and text.isdigit() and len(text) < 3 and low <= int(text) <= high):
                raise Refused("bad_request", f"{name}: expected a whole number from {low} to {high}, got {text[:40]!r}")
            options[name] = int(text)
    return options
