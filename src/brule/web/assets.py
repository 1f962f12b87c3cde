"""The page's own files, from memory.

Their addresses hold a hash of all their contents, so that a browser keeps them until another version is installed. The page
names its modules beforehand: a browser that met them import by import would wait for one round of requests after the other.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from brule.web.errors import Refused

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
PREFIX = "/static/"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}  # on any system
_KEPT = "public, max-age=31536000, immutable"


class Assets:
    """The files below a folder, as they are when the server starts.

    Args:
        folder: of the page's files.

    Attributes:
        version: hexadecimal digits that change with any of the files.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
        self._files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        digest = hashlib.sha256()
        for name, content in self._files.items():
            digest.update(f"{name} {len(content)} ".encode() + content)
        self.version = digest.hexdigest()[:16]

    async def file(self, request: Request) -> Response:
        """One of the files.

        Raises:
            Refused: there is none of this name.
        """
        version, name = request.path_params["version"], request.path_params["name"]
        content = self._files.get(name) if version == self.version else None
        if content is None:
            raise Refused("not_found", "there is no such file; open the page again")
        return Response(content, media_type=_type(name), headers={"cache-control": _KEPT})

    async def index(self, _: Request) -> Response:
        """The page itself, with the addresses of this version, all modules among them."""
        if INDEX not in self._files:
            return Response("The page's files are missing from this installation of brule; install it again.", 500)
        modules = (name for name in self._files if name.endswith(".js"))
        links = "".join(f'    <link rel="modulepreload" href="{PREFIX}{name}">\n' for name in modules)
        text = self._files[INDEX].decode().replace("  </head>", f"{links}  </head>")
        text = text.replace(f'"{PREFIX}', f'"{PREFIX}{self.version}/')
        return Response(text, media_type="text/html", headers={"cache-control": "no-cache"})


def _type(name: str) -> str:
    return _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
