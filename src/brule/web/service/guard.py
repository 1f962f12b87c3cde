"""Access control of the service: this machine, or anyone who has the token."""

from __future__ import annotations

from starlette.responses import Response

from brule.web.errors import refusal
from brule.web.guard import App, Guard, Scope, same_secret

OPEN = ("/health",)  # for load balancers, which have no token


class ServiceGuard(Guard):
    """The page's guard for programs: a bearer token instead of a cookie, and no header that only the page sends.

    Args:
        app: what is guarded.
        host: what the server is bound to.
        token: that requests need; None on a loopback address.
        limit: bytes of a body.
    """

    def __init__(self, app: App, *, host: str = "127.0.0.1", token: str | None = None, limit: int) -> None:
        super().__init__(app, host=host, token=token)
        self._bytes = limit

    def _limit(self, path: str) -> int:
        return self._bytes

    def _lacks_header(self, scope: Scope, headers: dict[str, str]) -> bool:
        return False

    def _unknown(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        if self._token is None or scope["path"] in OPEN:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same_secret(given.strip(), self._token):
            return None
        refused = refusal("unauthorized", "expected the header Authorization: Bearer TOKEN with the token of this server")
        refused.headers["www-authenticate"] = "Bearer"
        return refused
