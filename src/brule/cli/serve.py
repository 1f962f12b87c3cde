"""``brule serve``: landmarks over HTTP."""

from __future__ import annotations

import os
from pathlib import Path

from brule.cli.options import Device, checked_device
from brule.cli.output import note, say
from brule.errors import ConfigError

_TOKEN = "BRULE_TOKEN"


def serve(
    run: Path,
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8422,
    token_file: Path | None = None,
    max_megabytes: float = 32,
    max_megapixels: float = 64,
    max_batch: int = 64,
    max_waiting: int = 16,
    device: Device = None,
) -> int:
    """Answer HTTP requests with landmarks, as JSON.

    POST an image, or several as a form or as JSON, to `/predict`. `/` describes the interface, `/openapi.json` does so for
    programs; `/health` and `/metrics` (Prometheus) are for monitoring. On this machine's own address no other machine can ask;
    at any other one requests need a token, `Authorization: Bearer TOKEN`. For TLS, use a proxy. Needs
    `pip install 'brule-landmarks[web]'`.

    **Examples**

        brule serve runs/first

        curl --data-binary @photo.jpg -H "Content-Type: image/jpeg" http://127.0.0.1:8422/predict

        BRULE_TOKEN=… brule serve runs/first --host 0.0.0.0

    Args:
        run: The folder of a run, or of a saved detector.
        host: The address to listen at.
        port: The port to listen at; 0 for any free one.
        token_file: A file that holds the token. By default it is the environment variable `BRULE_TOKEN`, else random, and
            printed.
        max_megabytes: Largest request, MiB.
        max_megapixels: Most pixels of all images of a request together, millions.
        max_batch: Most images in a request.
        max_waiting: Most requests that wait; more are refused with 503.
    """
    _need_web()
    from brule.detector import LandmarkDetector
    from brule.web.service.limits import Limits
    from brule.web.service.running import serve as serve_detector

    limits = Limits(megabytes=max_megabytes, megapixels=max_megapixels, batch=max_batch, waiting=max_waiting)
    token = _read_token(token_file)
    detector = LandmarkDetector.load(run, device=checked_device(device))
    detector.finder()  # networks are ready before the first request
    random = token is None
    serve_detector(
        detector, host=host, port=port, token=token, limits=limits,
        announce=lambda address, used: _announce(address, used if random else None),
    )  # fmt: skip
    note("ended")
    return 0


def _announce(address: str, token: str | None) -> None:
    say(f"serving at {address}")
    if token is not None:
        say(f"token {token}")
    note("Ctrl-C ends the server")


def _read_token(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get(_TOKEN) or None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {path}: can't be read ({error})") from None
    if not token:
        raise ConfigError(f"--token-file {path}: expected a token, the file is empty")
    return token


def _need_web() -> None:
    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"brule serve needs {error.name}: pip install 'brule-landmarks[web]'") from None
