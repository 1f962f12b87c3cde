"""What goes in and out, as pydantic models, and the OpenAPI description that follows from them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from brule import __version__
from brule.web.service.limits import Limits

Box = Annotated[tuple[float, float, float, float], Field(description="left, top, right, bottom in pixels")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ImageBody(_Strict):
    """An image in a JSON request."""

    data: str = Field(description="the content of an image file, base64")
    name: str | None = Field(None, max_length=200, description="is repeated in the response")
    box: Box | None = Field(None, description="the object's box; without it the detector finds the object")


class PredictBody(_Strict):
    """A JSON request."""

    images: list[ImageBody]


class ObjectResult(BaseModel):
    """One object; coordinates are pixels of the upright image, the centre of the first pixel at (0, 0)."""

    points: list[tuple[float, float]] | None = Field(description="one pair (x, y) per landmark; null if nothing was found")
    spread: list[float] | None = Field(description="how far off each landmark may be, pixels")
    score: float | None = Field(description="how sure the detector is, 0 to 1")
    flagged: bool = Field(description="the prediction is probably wrong, or there is no object")
    box: Box | None = Field(description="where the landmarks were found")
    angle: float | None = Field(description="degrees by which the object is turned, clockwise")


class ImageResult(BaseModel):
    """The objects of one image, the surest first."""

    name: str
    width: int
    height: int
    objects: list[ObjectResult]


class PredictResponse(BaseModel):
    """The response to a request: one entry per image, in its order."""

    landmarks: int = Field(description="number of landmarks of an object")
    names: list[str] | None = Field(description="their names, where the detector knows them")
    images: list[ImageResult]


class ErrorResponse(BaseModel):
    """Why a request was refused."""

    error: dict[str, str] = Field(description="`code` for programs, `message` for people")


_REFUSALS = {
    "400": "the request or an image isn't understood",
    "401": "the token is missing or wrong",
    "403": "the request comes from another web page, or to another host name",
    "408": "the body didn't arrive in time",
    "413": "more bytes, pixels or images than the limits allow",
    "415": "another Content-Type",
    "503": "too many requests are waiting; try again after `Retry-After` seconds",
}


def openapi(limits: Limits, *, token: bool) -> dict[str, Any]:
    """The description of the service, OpenAPI 3.1.

    Args:
        limits: are part of it.
        token: whether requests need one.
    """
    models = (PredictBody, ImageBody, PredictResponse, ImageResult, ObjectResult, ErrorResponse)
    schemas = {model.__name__: model.model_json_schema(ref_template="#/components/schemas/{model}") for model in models}
    for schema in schemas.values():
        schema.pop("$defs", None)
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "brule serve", "version": __version__, "description": "Landmarks (keypoints) of images."},
        "paths": {
            "/predict": {"post": _predict(limits)},
            "/health": {"get": _plain("Whether the service answers, and what it predicts. Needs no token.")},
            "/metrics": {"get": _plain("Counts and times in Prometheus' text format.")},
        },
        "components": {"schemas": schemas},
    }
    if token:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _predict(limits: Limits) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    files = {"type": "object", "properties": {"images": {"type": "array", "items": binary["schema"]}}}
    return {
        "summary": "Find the landmarks of one image or a batch",
        "description": (
            f"At most {limits.batch} images, {limits.megabytes:g} MiB and {limits.megapixels:g} million pixels in a request. "
            "Images of any kind that Pillow reads; EXIF orientation is applied."
        ),
        "parameters": [
            _query("objects", {"enum": ["best", "all"], "default": "best"}, "the surest object of each image, or all"),
            _query("box", {"type": "string"}, "of a single image: left,top,right,bottom in pixels"),
            _query("refine", {"type": "integer", "minimum": 0, "maximum": 8}, "refinement passes"),
            _query("tta", {"type": "integer", "minimum": 1, "maximum": 6}, "views of each crop to average"),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": binary,
                "application/octet-stream": binary,
                "multipart/form-data": {"schema": files},
                "application/json": {"schema": {"$ref": "#/components/schemas/PredictBody"}},
            },
        },
        "responses": {
            "200": _json("PredictResponse", "one entry per image"),
            **{code: _json("ErrorResponse", why) for code, why in _REFUSALS.items()},
        },
    }


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _json(model: str, description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}},
    }


def _plain(summary: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "it answers"}}}
