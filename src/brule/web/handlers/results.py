"""Measures, repeat errors, exports and redrawn images."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from typing import Annotated, Any

import numpy as np
from pydantic import Field, StringConstraints
from starlette.responses import FileResponse, Response

from brule.annotating.exporting import default_target, export_project
from brule.annotating.measured import measurable, measured, measurements_of, measures_csv
from brule.annotating.measuring import Measurements, repeat_error
from brule.annotating.predictions import Predictions
from brule.annotating.project import EXPORTS
from brule.annotating.rounds import has_detector, rounds, trained_on
from brule.annotating.template import MAX_LANDMARKS, Strict
from brule.data.formats import FORMATS
from brule.errors import BruleError
from brule.web.bodies import Place, finite, left_out_facts
from brule.web.calls import Call
from brule.web.errors import Refused
from brule.web.handlers.training import RunBody

ONNX_SECONDS = 1200
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class ExportBody(Strict):
    """Which format to export."""

    format: Annotated[str, StringConstraints(max_length=40)]


class RedrawBody(Strict):
    """Landmarks to redraw an image from."""

    id: Id
    points: Annotated[tuple[Place, ...], Field(min_length=1, max_length=MAX_LANDMARKS)]
    style_of: Id | None = None


def set_measurements(call: Call) -> dict[str, Any]:
    """``PUT /api/project/measurements``."""
    body = call.body(Measurements)
    count = len(call.page.project.template.names)
    used = [index for one in body.distances for index in one.landmarks]
    used += [index for one in body.angles for index in one.landmarks]
    if any(index >= count for index in used):
        raise Refused("bad_request", f"a measure uses landmark {max(used)}; there are {count}, counted from 0")
    twice = body.twice()
    if twice is not None:
        raise Refused("bad_request", f"there is a measure called {twice!r} already; choose another name")
    content = body.model_dump(mode="json")
    call.page.project.set_settings(measurements=content)
    return content


def measure(call: Call) -> dict[str, Any]:
    """``GET /api/measure``: finished annotations; with ``predicted=1`` also predictions in the other images."""
    project, own = call.page.project, measurements_of(call.page.project)
    offset, limit = call.number("offset", 0), call.number("limit", 100, low=1, high=1000)
    finished, everything = project.accepted(), measurable(project, call.page.training.predictions())
    predictions = _predictions(call)
    images = finished if predictions is None else everything
    found = measured(project, own, images[offset : offset + limit], predictions=predictions)
    rows = [
        {"id": one.image, "name": one.name, "source": one.source, "expected": one.expected, "values": finite(one.values)}
        for one in found
    ]
    predicted = len(everything) - len(finished)
    return {"columns": own.columns, "total": len(images), "predicted": predicted, "offset": offset, "rows": rows}


def measure_table(call: Call) -> Response:
    """``GET /api/measure.csv``: the whole table of :func:`measure`."""
    text = measures_csv(call.page.project, measurements_of(call.page.project), predictions=_predictions(call))
    return _download(text.encode(), "text/csv; charset=utf-8", "measures.csv")


def _predictions(call: Call) -> Predictions | None:
    """The newest predictions, if a request asks for them."""
    return call.page.training.predictions() if call.number("predicted", 0, high=1) else None


def repeat(call: Call) -> dict[str, Any]:
    """``GET /api/repeat``."""
    page, project = call.page, call.page.project
    names = project.template.names
    predictions = page.training.predictions()
    trained = set() if predictions is None else trained_on(project, predictions.run)
    first, second, detected = {}, {}, {}
    for image in sorted(project.summaries.repeated):
        again = project.record(image, "repeat").marks
        if not again.placed or project.summaries[image].status != "accepted":
            continue
        first[image], second[image] = project.record(image).marks.array(names), again.array(names)
        name = project.entry(image).name
        found = None if predictions is None or name in trained else predictions.of(name)
        if found is not None:
            detected[image] = found.points
    return repeat_error(first, second, detected, count=len(names)).to_json(names)


def export(call: Call) -> dict[str, Any]:
    """``POST /api/export``."""
    project, name = call.page.project, call.body(ExportBody).format
    if name not in FORMATS:
        raise Refused("bad_request", f"format: expected one of {', '.join(FORMATS)}, got {name!r}")
    found = export_project(project, name)
    files = [path.relative_to(project.folder).as_posix() for path in found.files]
    download = f"/api/export/{name}.zip"
    facts = {"files": files, "n_images": found.n_images, "lost": found.lost, "download": download}
    return facts | left_out_facts(found.left_out)


def exported(call: Call) -> Response:
    """``GET /api/export/{name}.zip``."""
    project, name = call.page.project, call.path["name"]
    if name not in FORMATS:
        raise Refused("not_found", "there is no such format")
    place = default_target(project, FORMATS[name])
    files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    root = project.folder / EXPORTS / name
    files = [path for path in files if path.is_file()]
    if not files:
        raise Refused("not_found", "nothing was exported in this format yet")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(root).as_posix())
    return _download(buffer.getvalue(), "application/zip", f"{name}.zip")


def export_detector(call: Call) -> dict[str, Any]:
    """``POST /api/export/onnx``: waits until the file is written and checked."""
    project, wanted = call.page.project, call.body(RunBody).run
    known = {path.name: path for path in rounds(project) if has_detector(path)}
    if not known or (wanted is not None and wanted not in known):
        raise Refused("not_ready", "there is no detector yet: train one first")
    run = known[wanted] if wanted else list(known.values())[-1]
    target = project.folder / EXPORTS / "onnx" / f"{run.name}.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "brule", "export", str(run), "-o", str(target), "--overwrite"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ONNX_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Refused("busy", "the export took too long; brule export does the same in a terminal") from None
    if done.returncode:
        messages = [line for line in done.stderr.splitlines() if line.startswith("brule: ")]
        raise BruleError(messages[-1].removeprefix("brule: ") if messages else "the detector couldn't be exported")
    return {"download": f"/api/export/onnx/{run.name}.onnx"}


def exported_detector(call: Call) -> Response:
    """``GET /api/export/onnx/{run}.onnx``."""
    project = call.page.project
    known = {path.name for path in rounds(project)}
    if call.path["run"] not in known:
        raise Refused("not_found", "there is no such run")
    path = project.folder / EXPORTS / "onnx" / f"{call.path['run']}.onnx"
    if not path.is_file():
        raise Refused("not_found", "this detector wasn't exported yet")
    return FileResponse(path, filename=path.name, media_type="application/octet-stream")


def redraw(call: Call) -> Response:
    """``POST /api/redraw``."""
    from PIL import Image

    body = call.body(RedrawBody)
    page = call.page
    for image in (body.id, body.style_of):
        if image is not None:
            page.picture(image)
    drawn = page.redrawing.draw(body.id, np.array(body.points, dtype=np.float64), body.style_of or body.id)
    buffer = io.BytesIO()
    Image.fromarray(drawn).save(buffer, "PNG")
    return Response(buffer.getvalue(), media_type="image/png")


def _download(content: bytes, kind: str, name: str) -> Response:
    return Response(content, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})
