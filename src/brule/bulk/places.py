"""Folders here or elsewhere: local paths, and whatever fsspec reaches (``s3://``, ``gs://``, ``hdfs://``, ``memory://``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brule.errors import ConfigError, DataError, OutputError
from brule.files import atomic_write

SCHEME = "://"
_ATTEMPTS = 2  # where a file can't be read, though it may be there
_LASTING = (FileNotFoundError, IsADirectoryError, PermissionError, KeyError)  # another attempt wouldn't help


@dataclass(frozen=True)
class Place:
    """A folder that results are written to.

    Args:
        address: a local path, or an address that fsspec understands.
    """

    address: str

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine's file system."""
        return SCHEME not in self.address

    def names(self) -> set[str]:
        """The files in it; none if it isn't there."""
        if self.local:
            folder = Path(self.address)
            return {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()
        files, path = file_system(self.address)
        if not files.exists(path):
            return set()
        files.invalidate_cache()
        return {name.rsplit("/", 1)[-1] for name in files.ls(path, detail=False)}

    def read(self, name: str) -> bytes:
        """The content of a file in it."""
        if self.local:
            return (Path(self.address) / name).read_bytes()
        files, path = file_system(self.address)
        return bytes(files.cat_file(f"{path}/{name}"))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all: by renaming here, by a single upload elsewhere.

        Raises:
            OutputError: it can't be written.
        """
        if self.local:
            with atomic_write(Path(self.address) / name) as temporary:
                temporary.write_bytes(content)
            return
        files, path = file_system(self.address)
        try:
            files.makedirs(path, exist_ok=True)
            files.pipe_file(f"{path}/{name}", content)
        except OSError as error:
            raise OutputError(f"{self.address}/{name}: can't be written ({error})") from error


def file_system(address: str) -> tuple[Any, str]:
    """Fsspec's file system of an address, and the path there.

    Raises:
        ConfigError: fsspec, or its package for this kind of address, isn't installed.
    """
    try:
        import fsspec
    except ImportError:
        raise ConfigError("addresses need fsspec: pip install 'brule-landmarks[ray]'") from None
    try:
        files, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{address}: {error}") from None
    return files, str(path)


def fetch_all(addresses: Sequence[str]) -> list[bytes | DataError]:
    """The contents of files elsewhere, fetched at the same time where fsspec can; an error for each that can't be read.

    Raises:
        DataError: none can be read, though they aren't missing: then it is the connection, and later they may be.
    """
    found: list[bytes | Exception] = [FileNotFoundError()] * len(addresses)
    places = [file_system(address) for address in addresses]
    for files in {id(files): files for files, _ in places}.values():
        rows = [row for row, (own, _) in enumerate(places) if own is files]
        for _ in range(_ATTEMPTS):
            # Unlike `cat`, this takes no name for a pattern: `photo[1].jpg` is a file.
            contents = files.cat_ranges([places[row][1] for row in rows], None, None, on_error="return")
            for row, content in zip(rows, contents, strict=True):
                found[row] = content
            rows = [row for row in rows if isinstance(found[row], Exception) and not isinstance(found[row], _LASTING)]
            if not rows:
                break
    pairs = zip(addresses, found, strict=True)
    result = [_unreadable(a, one) if isinstance(one, Exception) else bytes(one) for a, one in pairs]
    if found and all(isinstance(one, Exception) and not isinstance(one, _LASTING) for one in found):
        raise next(one for one in result if isinstance(one, DataError))
    return result


def _unreadable(address: str, error: Exception) -> DataError:
    what = "there is no such file" if isinstance(error, (FileNotFoundError, KeyError)) else str(error) or type(error).__name__
    return DataError(f"{address}: can't be read ({what})")


def listed(address: str, suffixes: frozenset[str]) -> list[str]:
    """The files of an address that have one of these suffixes: of a folder all below it, of a glob what matches; sorted."""
    files, path = file_system(address)
    if files.isdir(path):
        found = files.find(path)
    elif any(sign in path for sign in "*?["):
        found = files.glob(path)
    else:
        found = [path] if files.exists(path) else []
    return sorted(files.unstrip_protocol(one) for one in found if os.path.splitext(one)[1].lower() in suffixes)
