"""Access control: only the page itself, from the address it was opened at, may send requests.

A page elsewhere can make a browser send requests to this server (CSRF), or point a name of its own at it (DNS rebinding).
The checks of ``Host``, ``Origin`` and ``Sec-Fetch-Site``, and a header that no form can send, refuse both.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response

from brule.web.errors import Refused, refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 4 << 20
MAX_UPLOAD = 256 << 20
UPLOAD = "/api/upload"
COOKIE = "brule-{port}"  # of the address in the browser: a cookie belongs to a host, on which several servers may run
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


class TooLarge(Refused):
    """A request body is too large; handlers let it pass, so that it is answered as any other refusal.

    Args:
        limit: bytes that a body may have.
    """

    def __init__(self, limit: int) -> None:
        super().__init__("too_large", f"the request is too large: expected at most {limit / 2**20:g} MiB")


class Guard:
    """Middleware that lets the page's own requests through, with limited bodies.

    Args:
        app: what is guarded.
        host: what the server is bound to.
        token: that the person has to know; None on a loopback address, where only this machine can ask.
    """

    def __init__(self, app: App, *, host: str = "127.0.0.1", token: str | None = None) -> None:
        self._app, self._host, self._token = app, host, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        limit = self._limit(scope["path"])
        refused = self._stranger(scope, headers) or self._unknown(scope, headers) or _too_large(headers, limit)
        safely = _with_headers(send)
        if refused is not None:
            await refused(scope, receive, safely)
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await safely(message)

        try:
            await self._app(scope, _limited(receive, limit, lambda: started), noted)
        except TooLarge as error:  # outside of the application's own handlers
            await refusal(error.code, error.message)(scope, receive, safely)

    def _limit(self, path: str) -> int:
        return MAX_UPLOAD if path == UPLOAD else MAX_BODY

    def _lacks_header(self, scope: Scope, headers: dict[str, str]) -> bool:
        return scope["method"] not in ("GET", "HEAD") and headers.get("x-brule") != "1"

    def _stranger(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        hosts = [value for key, value in scope["headers"] if key.lower() == b"host"]
        host = headers.get("host", "")
        if len(hosts) != 1 or not self._known(host):
            return refusal("forbidden", "this server answers at the address that it printed, and at no other name")
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return refusal("forbidden", "requests from other pages are refused")
        opening = scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opening:
            return refusal("forbidden", "requests from other pages are refused")
        if self._lacks_header(scope, headers):
            return refusal("forbidden", "a change needs the header X-Brule: 1, which the page sends")
        return None

    def _known(self, host: str) -> bool:
        name, port = _apart(host)
        if port is None:
            return False
        if self._token is None or name in LOOPBACK:
            return name in LOOPBACK or name == self._host
        # Where a token is needed, a name that is pointed here gains nothing; addresses and the given name are plain.
        return name == self._host or _is_address(name) or self._host in ("0.0.0.0", "::")

    def _unknown(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        if self._token is None:
            return None
        cookie = COOKIE.format(port=_apart(headers.get("host", ""))[1])
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and scope["method"] == "GET" and same_secret(given, self._token):
            response = RedirectResponse("/", 303)
            response.set_cookie(cookie, self._token, httponly=True, samesite="strict", max_age=30 * 24 * 3600)
            return response
        # Cookies of other servers on this host come along, for which Python's http.cookies is too strict.
        if same_secret(cookie_parser(headers.get("cookie", "")).get(cookie, ""), self._token):
            return None
        return refusal("unauthorized", "open the address that the terminal shows: it holds the token that is needed here")


def same_secret(given: str, token: str) -> bool:
    """Whether a secret is the right one, in a time that doesn't depend on how much of it is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _apart(host: str) -> tuple[str, int | None]:
    """Name and port of a ``Host`` header; None as the port where it is no such header."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, 80 if host and all(sign.isalnum() or sign in "-._[]:" for sign in host) else None
    return name, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _too_large(headers: dict[str, str], limit: int) -> Response | None:
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        return refusal("bad_request", "expected a number as Content-Length")
    if len(length) <= 18 and int(length) <= limit:
        return None
    error = TooLarge(limit)
    return refusal(error.code, error.message)


def _limited(receive: Receive, limit: int, answering: Callable[[], bool]) -> Receive:
    """Bodies of at most ``limit`` bytes; where the answer has begun, a longer one ends the connection."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            if answering():
                return {"type": "http.disconnect"}
            raise TooLarge(limit)
        return message

    return counted


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {key.lower() for key, _ in message.get("headers", [])}
            extra = [(key, value) for key, value in HEADERS if key not in present]
            if b"cache-control" not in present:
                extra.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return sent
