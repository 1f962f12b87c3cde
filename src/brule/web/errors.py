"""What the server answers when it refuses: a status, a code for the page, a plain sentence for the person."""

from __future__ import annotations

import errno
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from brule.errors import BruleError, OutputError

STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method": 405,
    "timeout": 408,
    "conflict": 409,
    "busy": 409,
    "too_large": 413,
    "unsupported": 415,
    "internal": 500,
    "not_writable": 500,
    "not_ready": 503,
    "disk_full": 507,
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Refused(Exception):
    """An error response: its code gives the HTTP status, its message is shown to the user.

    Args:
        code: one of :data:`STATUS`.
        message: for the person.
        extra: further keys of the answer.
    """

    def __init__(self, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.extra = code, message, extra


def refusal(code: str, message: str, **extra: Any) -> JSONResponse:
    """The answer to a request that isn't granted."""
    text = message.encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"error": {"code": code, "message": text}, **extra}, STATUS[code])


async def on_refused(_: Request, error: Exception) -> Response:
    """The answer to :class:`Refused`."""
    assert isinstance(error, Refused)
    return refusal(error.code, error.message, **error.extra)


async def on_brule_error(_: Request, error: Exception) -> Response:
    """The answer to a mistake of the person, or to a disk that can't be written to."""
    if isinstance(error, OutputError):
        cause = error.__cause__
        full = isinstance(cause, OSError) and cause.errno in _FULL
        return refusal("disk_full" if full else "not_writable", str(error))
    assert isinstance(error, BruleError)
    return refusal("bad_request", str(error))


async def on_http_error(_: Request, error: Exception) -> Response:
    """The answer to an address or a method that isn't there."""
    assert isinstance(error, HTTPException)
    codes = {404: ("not_found", "there is no such address"), 405: ("method", "this address doesn't take that method")}
    code, message = codes.get(error.status_code, ("bad_request", str(error.detail)))
    return refusal(code, message)
