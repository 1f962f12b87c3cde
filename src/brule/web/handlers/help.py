"""What helps while annotating: guesses, hints, the mean shape, one landmark through all images."""

from __future__ import annotations

from typing import Any

import numpy as np

from brule.annotating.marks import Marks
from brule.annotating.symmetry import project_pairs
from brule.web.bodies import PointsBody, finite, marks_of
from brule.web.calls import Call
from brule.web.errors import Refused


def guess(call: Call) -> dict[str, Any]:
    """``POST /api/images/{id}/guess``."""
    page, image = call.page, call.path["image"]
    body = call.body(PointsBody)
    page.picture(image)
    marks = _marks(call, body)
    known, error = page.training.prediction(image), page.guesses.detector_error()
    prediction = known[1].points if known is not None and page.guesses.beaten_by(error) else None
    if prediction is not None and not np.isfinite(prediction).all():
        prediction = None
    fixed = marks.array(page.project.template.names)
    found = page.guesses.guess(image, fixed, source=body.source, prediction=prediction)
    if found is None:
        return {"ready": False, "source": None, "points": None, "uncertainty": None}
    source, points, uncertainty = found
    placed = [{"x": round(x, 3), "y": round(y, 3), "state": "visible"} for x, y in points.tolist()]
    return {
        "ready": True,
        "source": source,
        "points": placed,
        "uncertainty": finite(None if uncertainty is None else uncertainty.tolist()),
    }


def hint(call: Call) -> dict[str, Any]:
    """``POST /api/images/{id}/hints``."""
    page = call.page
    points = _marks(call, call.body(PointsBody)).array(page.project.template.names)
    found = page.hints(page.entry(call.path["image"]).id, points)
    return {
        "hints": [
            {"code": one.code, "landmarks": list(one.landmarks), "message": one.message, "severity": one.severity}
            for one in found
        ]
    }


def shape(call: Call) -> dict[str, Any]:
    """``GET /api/shape``."""
    fitted = call.page.guesses.fitted
    own = fitted.statistics
    if own is None:
        return {"version": fitted.version, "n": 0, "mean": None, "modes": []}
    return {
        "version": fitted.version,
        "n": fitted.trained_on,
        "mean": own.mean.round(6).tolist(),
        "modes": own.modes.round(6).tolist(),
    }


def pairs(call: Call) -> dict[str, Any]:
    """``POST /api/project/pairs``."""
    found = project_pairs(call.page.project)
    return {"pairs": None if found is None else [list(pair) for pair in found]}


def landmark(call: Call) -> dict[str, Any]:
    """``GET /api/landmarks/{index}``."""
    project, index = call.page.project, call.path["index"]
    names = project.template.names
    if index >= len(names):
        raise Refused("not_found", f"there are {len(names)} landmarks; they count from 0")
    offset, limit = call.number("offset", 0), call.number("limit", 100, low=1, high=500)
    ids = [image for image in project.entries if project.summaries[image].placed]
    items = []
    for image in ids[offset : offset + limit]:
        record = project.record(image)
        points = record.marks.array(names)
        mark = record.marks.points.get(names[index])
        known = points[np.isfinite(points).all(1)]
        extent = float(np.ptp(known, axis=0).max()) if len(known) else 0.0
        items.append(
            {
                "id": image,
                "name": record.entry.shown,
                "version": record.version,
                "point": None if mark is None else mark.to_json(),
                "side": round(max(16.0, extent / 3), 1),
            }
        )
    return {"total": len(ids), "offset": offset, "items": items}


def _marks(call: Call, body: PointsBody) -> Marks:
    try:
        return Marks(marks_of(body.points, call.page.project.template.names))
    except ValueError as error:
        raise Refused("bad_request", str(error)) from None
