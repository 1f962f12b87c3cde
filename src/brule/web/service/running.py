"""Starting the service, and ending it cleanly."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn

from brule.errors import ConfigError
from brule.web.service.app import create_service
from brule.web.service.limits import Limits
from brule.web.serving import address_of, is_loopback, listen

if TYPE_CHECKING:
    from brule.detector import LandmarkDetector

PORT = 8422
_MIN_TOKEN = 16  # characters
_CONNECTIONS = 256
_IDLE_SECONDS = 15


def serve(
    detector: LandmarkDetector,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    limits: Limits | None = None,
    announce: Callable[[str, str | None], object] = print,
) -> None:
    """Serve a detector until Ctrl-C or SIGTERM; requests that are being computed are answered first.

    Args:
        detector: a trained one.
        host: the address to bind to.
        port: to listen at, 0 for any free one.
        token: that requests need. By default none on a loopback address, elsewhere a random one.
        limits: of requests.
        announce: is called with the address and the token once it answers.

    Raises:
        ConfigError: the address can't be listened at, or the token is too short.
    """
    if token is not None and len(token) < _MIN_TOKEN:
        raise ConfigError(f"token: expected at least {_MIN_TOKEN} characters, got {len(token)}")
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    with contextlib.closing(listen(host, port)) as listener:
        app = create_service(detector, limits=limits, host=host, token=token)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=10,
        )
        announce(address_of(host, listener.getsockname()[1]), token)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
