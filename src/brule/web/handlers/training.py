"""Training and prediction, and their results."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints
from starlette.responses import Response

from brule.annotating.template import Strict
from brule.web.calls import Call
from brule.web.errors import Refused

Setting = Annotated[str, StringConstraints(max_length=200, pattern=r"^[a-z_0-9.]+=[^\x00]*$")]
RunName = Annotated[str, StringConstraints(max_length=40, pattern=r"^round-[0-9]{1,6}$")]
Preset = Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z0-9_-]+$")]


PRESETS = {
    "cpu": "The best error on two CPU cores in about 20 minutes.",
    "gpu": "For a modern GPU and up to an hour: twice the resolution, larger batches, more steps.",
    "paper": "The paper's method at its full size: made for a GPU and for long runs.",
    "paper-small": "The paper's method with small networks, at 64 px: made for two CPU cores.",
}


class TrainBody(Strict):
    """How to train."""

    minutes: Annotated[float, Field(gt=0, le=100_000)] | None = None
    preset: Preset | None = None
    start_from: bool = False
    settings: Annotated[tuple[Setting, ...], Field(alias="set", max_length=50)] = ()


class RunBody(Strict):
    """Which run."""

    run: RunName | None = None


def show(call: Call) -> dict[str, Any]:
    """``GET /api/train``."""
    return call.page.training.state()


def start(call: Call) -> dict[str, Any]:
    """``POST /api/train``."""
    body = call.body(TrainBody)
    return call.page.training.start(
        minutes=body.minutes, preset=body.preset, start_from=body.start_from, settings=body.settings
    )


def stop(call: Call) -> dict[str, Any]:
    """``POST /api/train/stop``."""
    return call.page.training.stop()


def resume(call: Call) -> dict[str, Any]:
    """``POST /api/train/resume``."""
    return call.page.training.resume()


def presets(_: Call) -> dict[str, Any]:
    """``GET /api/train/presets``: the presets, the usual one first, each with a sentence about it."""
    return {"presets": [{"name": name, "text": text} for name, text in PRESETS.items()]}


def preview(call: Call) -> Response:
    """``GET /api/train/preview``."""
    path = call.page.training.preview()
    if path is None:
        raise Refused("not_found", "there is no preview yet")
    return Response(path.read_bytes(), media_type="image/png")  # at once: training replaces the file meanwhile


def predict(call: Call) -> dict[str, Any]:
    """``POST /api/predict``."""
    return {"predicting": call.page.training.predict(call.body(RunBody).run)}


def predicting(call: Call) -> dict[str, Any]:
    """``GET /api/predict``."""
    return {"predicting": call.page.training.predicting()}


def runs(call: Call) -> dict[str, Any]:
    """``GET /api/runs``."""
    return {"runs": call.page.training.runs()}
