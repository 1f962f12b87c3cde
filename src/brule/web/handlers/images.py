"""Single images: lists, annotations, pictures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from brule.annotating.marks import STATUSES, Mark, Marks
from brule.annotating.predictions import Predictions
from brule.annotating.records import Conflict, Record
from brule.annotating.summaries import LAYERS
from brule.data.renaming import names_of, new_names
from brule.web.bodies import ChangeBody, VersionBody, finite, marks_of
from brule.web.calls import Call
from brule.web.errors import Refused
from brule.web.page import Page
from brule.web.pictures import SIZES, TILE, etag, levels_of

ORDERS = ("name", "uncertainty", "proposed", "changed", "worst_hint")
MAX_LIMIT = 1000


def listed(call: Call) -> dict[str, Any]:
    """``GET /api/images``."""
    page = call.page
    offset, limit = call.number("offset", 0), call.number("limit", 200, low=1, high=MAX_LIMIT)
    order = call.choice("order", "name", ORDERS)
    wanted = {status for status in call.query.get("status", "").split(",") if status} or set(STATUSES)
    if wanted - set(STATUSES):
        raise Refused("bad_request", f"status: expected some of {', '.join(STATUSES)}")
    query = call.query.get("query", "").casefold()
    summaries = page.project.summaries
    ids = [
        image
        for image, entry in page.project.entries.items()
        if summaries[image].status in wanted and (not query or query in entry.shown.casefold())
    ]
    ids, known = page.ordered(ids, order), page.training.predictions()
    return {"total": len(ids), "offset": offset, "items": [item(page, image, known) for image in ids[offset : offset + limit]]}


def item(page: Page, image: str, known: Predictions | None) -> dict[str, Any]:
    """An image, as lists show it, with what is known from predictions."""
    own, name = page.project.summaries[image], page.entry(image).name
    expected = None if known is None else known.expected.get(name)
    uncertainty = None if known is None else known.uncertainty.get(name)
    proposed = page.choices.ids.index(image) + 1 if image in page.choices.ids else None
    return {
        "id": image,
        "name": page.entry(image).shown,
        "uncertainty": None if uncertainty is None else round(uncertainty, 6),
        "expected_px": expected,
        "proposed": proposed,
        "predicted": uncertainty is not None,
        "status": own.status,
        "placed": own.placed,
        "repeated": image in page.project.summaries.repeated,
    }


def show(call: Call) -> dict[str, Any]:
    """``GET /api/images/{id}``."""
    page, image = call.page, call.path["image"]
    return described(page, page.record(image, _layer(call)))


def described(page: Page, record: Record) -> dict[str, Any]:
    """An image and what is annotated in it, as the page shows it."""
    marks, entry = record.marks, record.entry
    width, height = record.image_size()
    found = [marks.points.get(name) for name in page.project.template.names]
    before, after = page.neighbours(entry.id)
    return {
        "id": entry.id,
        "name": entry.shown,
        "width": width,
        "height": height,
        "version": record.version,
        "landmarks": page.project.settings.landmarks_version,
        "status": marks.status,
        "points": [None if mark is None else mark.to_json() for mark in found],
        "scale": marks.scale,
        "box": None if marks.box is None else list(marks.box),
        "annotator": marks.annotator,
        "undo": len(record.history.done),
        "redo": len(record.history.undone),
        "prediction": predicted(page, entry.id),
        "previous": before,
        "next": after,
        "view": {
            "sizes": [size for size in SIZES if size < 2 * max(width, height)] or [SIZES[0]],
            "tile": TILE,
            "levels": levels_of(width, height),
            "etag": etag(entry.path),
        },
    }


def predicted(page: Page, image: str) -> dict[str, Any] | None:
    """What the newest detector finds in an image, as the page shows it."""
    known = page.training.prediction(image)
    if known is None:
        return None
    run, found = known
    points = [
        {"x": round(x, 3), "y": round(y, 3), "state": "visible"} if math.isfinite(x + y) else None
        for x, y in found.points.tolist()
    ]
    return {
        "run": run,
        "points": points,
        "uncertainty": finite(found.spread.tolist()),
        "expected_px": found.expected,
        "flagged": found.flagged,
    }


def change(call: Call) -> dict[str, Any]:
    """``PUT /api/images/{id}``."""
    page, image, layer = call.page, call.path["image"], _layer(call)
    body = call.body(ChangeBody)
    record = page.record(image, layer)
    marks = _marks(page, record, body)
    try:
        record = page.project.change(image, body.version, marks, action=body.action, layer=layer)
    except Conflict as conflict:
        raise _conflict(page, conflict) from None
    return described(page, record)


def _marks(page: Page, record: Record, body: ChangeBody) -> Marks:
    template, width, height = page.project.template, *record.image_size()
    try:
        points = _points(page, body)
    except ValueError as error:
        raise Refused("bad_request", str(error)) from None
    for name, mark in points.items():
        if mark.placed and not (-width <= mark.x <= 2 * width and -height <= mark.y <= 2 * height):
            raise Refused("bad_request", f"{name} at ({mark.x:g}, {mark.y:g}) is far outside the image of {width} × {height}")
    given = body.model_dump(include={"scale", "box"}, exclude_unset=True)
    marks = replace(record.marks, points=points, **given)
    status = body.status or (
        "new"
        if not points and record.marks.status != "rejected"
        else "accepted"
        if marks.completed(template.names)
        else "draft"
    )
    if status == "new" and points:
        raise Refused("bad_request", "an image with landmarks isn't new; expected the status draft, accepted or rejected")
    if status == "accepted" and not marks.placed:
        raise Refused("bad_request", "an image without any landmark in it can't be accepted; reject it")
    return replace(marks, status=status, annotator=page.project.settings.annotator)


def _points(page: Page, body: ChangeBody) -> dict[str, Mark]:
    """The points of a change by the landmarks' present names; it may have been made with earlier landmarks."""
    settings = page.project.settings
    present, since = settings.template.names, settings.version if body.landmarks is None else body.landmarks
    given = marks_of(body.points, names_of(since, settings.renamings, present))
    names = new_names(since, settings.renamings, present)
    return given if names is None else {names[name]: mark for name, mark in given.items() if name in names}


def undo(call: Call) -> dict[str, Any]:
    """``POST /api/images/{id}/undo``."""
    return _step(call, redo=False)


def redo(call: Call) -> dict[str, Any]:
    """``POST /api/images/{id}/redo``."""
    return _step(call, redo=True)


def _step(call: Call, *, redo: bool) -> dict[str, Any]:
    page, image, layer = call.page, call.path["image"], _layer(call)
    page.entry(image)
    try:
        record = page.project.undo(image, call.body(VersionBody).version, layer=layer, redo=redo)
    except Conflict as conflict:
        raise _conflict(page, conflict) from None
    return described(page, record)


def history(call: Call) -> dict[str, Any]:
    """``GET /api/images/{id}/history``."""
    own = call.page.record(call.path["image"], _layer(call)).history
    return {"undo": [step.action for step in own.done], "redo": [step.action for step in own.undone]}


def view(call: Call) -> Response:
    """``GET /api/images/{id}/view``."""
    entry = call.page.picture(call.path["image"])
    size = call.number("size", 1024)
    if size not in SIZES:
        raise Refused("bad_request", f"size: expected one of {', '.join(map(str, SIZES))}, got {size}")
    return _picture(call, call.page.pictures.view(entry, size))


def tile(call: Call) -> Response:
    """``GET /api/images/{id}/tile/{level}/{column}/{row}``."""
    entry = call.page.picture(call.path["image"])
    level, column, row = (call.path[key] for key in ("level", "column", "row"))
    if max(level, column, row) > 10**5:
        raise Refused("not_found", "there is no such tile")
    return _picture(call, call.page.pictures.tile(entry, level, column=column, row=row))


def crop(call: Call) -> Response:
    """``GET /api/images/{id}/crop``."""
    entry = call.page.picture(call.path["image"])
    x, y, side = call.real("x"), call.real("y"), call.real("side")
    if not 1 <= side <= 20_000:
        raise Refused("bad_request", f"side: expected 1 to 20000 pixels, got {side:g}")
    half = side / 2
    size = call.number("size", 96, low=16, high=1024)
    return _picture(call, call.page.pictures.cut_out(entry, (x - half, y - half, x + half, y + half), size))


def _picture(call: Call, content: bytes) -> Response:
    # With the file's etag in the address, what it leads to never changes.
    lasting = "private, max-age=31536000, immutable" if call.query.get("v") else "no-cache"
    return Response(content, media_type="image/jpeg", headers={"cache-control": lasting})


def _layer(call: Call) -> str:
    return call.choice("layer", "first", tuple(LAYERS))


def _conflict(page: Page, conflict: Conflict) -> Refused:
    return Refused("conflict", str(conflict), current=described(page, conflict.record))
