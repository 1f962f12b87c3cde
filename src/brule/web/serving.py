"""Starting the server, and ending it cleanly."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from brule.annotating import Project
from brule.annotating.lock import only_server
from brule.errors import ConfigError
from brule.web.app import create_app
from brule.web.guard import LOOPBACK
from brule.web.page import Page

PORT = 8421
TRIED = 20  # ports, where none was asked for
BACKLOG = 128


class Server(uvicorn.Server):
    """uvicorn's server, which ends open event streams when it is to end.

    Args:
        config: of uvicorn.
        page: whose streams they are.
    """

    def __init__(self, config: uvicorn.Config, page: Page) -> None:
        super().__init__(config)
        self._page = page

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal to end."""
        self._page.hub.close()
        super().handle_exit(sig, frame)


def serve(
    project: Project,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    announce: Callable[[str], object] = print,
) -> None:
    """Serve the page of a project until Ctrl-C.

    Args:
        project: to annotate.
        host: the address to bind to; on any but a loopback address the page asks for a token.
        port: to listen at, 0 for any free one; by default the first free one from 8421 on.
        open_browser: show the page in a browser.
        announce: is called with the page's address once it answers.

    Raises:
        AlreadyOpen: another server has the project open.
        ConfigError: the address can't be listened at.
    """
    local = is_loopback(host)
    token = None if local else secrets.token_urlsafe(24)
    with only_server(project.folder) as note_address, contextlib.closing(listen(host, port)) as listener:
        address = address_of(host, listener.getsockname()[1], token)
        note_address(address)
        page = Page(project, local=local)
        app = create_app(page, host=host, token=token)
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False, "ws": "none"}
        config = uvicorn.Config(app, timeout_graceful_shutdown=3, **quiet)
        announce(address)
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        # The socket listens already, so that a browser that is quicker than the server waits for it.
        with contextlib.suppress(KeyboardInterrupt):
            Server(config, page).run(sockets=[listener])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host.startswith("127.") or host in (*LOOPBACK, "::1")


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: the address can't be had.
    """
    tried = range(PORT, PORT + TRIED) if port is None else (port,)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem: OSError | None = None
    for number in (*tried, *((0,) if port is None else ())):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host.strip("[]"), number))
            listener.listen(BACKLOG)
        except (OSError, OverflowError) as error:
            listener.close()
            problem = error if isinstance(error, OSError) else OSError(str(error))
        else:
            return listener
    raise ConfigError(f"--host {host} --port {port}: can't listen there ({problem}); choose another port")


def address_of(host: str, port: int, token: str | None = None) -> str:
    """The address to open, for a server that is bound to ``host``."""
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    name = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
