"""Damage to files: to their bytes, to their words and lines, and to what JSON, safetensors and HDF5 hold."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

NUMBERS = (b"1e999", b"-1", b"0", b"NaN", b"9" * 400, b"4294967296", b"-0.0", b"1e-320", b"true", b"null", b'""', b"[]", b"{}")
INSERTS = (
    b"../../../../etc/passwd",
    b"\x1b[31m",
    b"\x00",
    b"\xff\xfe",
    b"[" * 3000,
    b"<a>" * 2000,
    b"\r\n",
    b'"',
    b",",
    b"=cmd|'x'!A0",
)
_DEEP: Any = json.loads("[" * 500 + "]" * 500)
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 7, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, -1e308, 1e-320),
    *(float("nan"), float("inf"), "", "0", "nan", "a" * 100_000, "\ud800", "\x1b[31m\n", "\0", "../../../../etc/passwd", "."),
    *([], {}, [[]], [None], [1, 2], [[1, 2], [3]], {"": ""}, _DEEP),
)
_WORD = re.compile(r"[^\s,;:<>\"'={}\[\]()|/&]+")
_HEAD = 2048  # bytes: where the headers of most files are


def damaged(content: bytes, random_: random.Random) -> bytes:
    """One to four random changes of a file, of the kinds that transfers, editors, programs and attackers make."""
    for _ in range(random_.randint(1, 4)):
        content = random_.choice((_bytes, _bytes, _words, _lines, _values))(content, random_)
    return content


def _place(content: bytes | bytearray, random_: random.Random) -> int:
    """Anywhere, or in the head; most of a large file is numbers."""
    return random_.randrange((len(content) if random_.random() < 0.5 else min(len(content), _HEAD)) + 1)


def _bytes(content: bytes, random_: random.Random) -> bytes:
    data = bytearray(content)
    at, kind = _place(data, random_), random_.randrange(8)
    if kind == 0 and data:
        data[at % len(data)] ^= 1 << random_.randrange(8)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        del data[at : at + random_.choice((1, 7, 64, 1000))]
    elif kind == 3:
        end = at + random_.choice((1, 16, 300))
        data[at:at] = data[at:end] * random_.choice((1, 2, 50))
    elif kind == 4:
        data[at:at] = random_.choice(INSERTS)
    elif kind in (5, 6):
        _replace_number(data, random_)
    else:
        data[at : at + random_.randint(1, 8)] = random_.randbytes(random_.randint(1, 8))
    return bytes(data)


def _replace_number(data: bytearray, random_: random.Random) -> None:
    start = next((i for i in range(_place(data, random_), len(data)) if chr(data[i]).isdigit()), None)
    if start is None:
        return
    end = start
    while end < len(data) and chr(data[end]) in "0123456789.eE+-":
        end += 1
    data[start:end] = random_.choice(NUMBERS)


def _words(content: bytes, random_: random.Random) -> bytes:
    """A word of a text becomes another one: a cell, a name, a number, a tag."""
    text = content.decode("latin-1")
    words = list(_WORD.finditer(text))
    if not words:
        return content
    one, other = random_.choice(words), random_.choice(words)
    new = random_.choice((other.group(), str(random_.choice(VALUES))[:2000], random_.choice(NUMBERS).decode("latin-1")))
    return (text[: one.start()] + new + text[one.end() :]).encode("latin-1", "replace")


def _lines(content: bytes, random_: random.Random) -> bytes:
    """A line is gone, there twice, or elsewhere."""
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return content
    one, other = (random_.randrange(len(lines)) for _ in range(2))
    kind = random_.randrange(3)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def _values(content: bytes, random_: random.Random) -> bytes:
    """A value of JSON, of a line of JSON, or of the header of safetensors; bytes of anything else."""
    with contextlib.suppress(ValueError, RecursionError):
        return _json(content, random_)
    with contextlib.suppress(ValueError, RecursionError, struct.error):
        (length,) = struct.unpack("<Q", content[:8])
        header = _json(content[8 : 8 + length], random_)
        return struct.pack("<Q", len(header)) + header + content[8 + length :]
    with contextlib.suppress(ValueError, RecursionError, IndexError):
        lines = content.splitlines(keepends=True)
        one = random_.randrange(len(lines))
        lines[one] = _json(lines[one], random_) + b"\n"
        return b"".join(lines)
    return _bytes(content, random_)


def _json(content: bytes, random_: random.Random) -> bytes:
    root = [json.loads(content)]
    holders: list[Any] = []
    waiting: list[Any] = [root]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (dict, list)) and one:
            holders.append(one)
            waiting += one.values() if isinstance(one, dict) else one
    holder, other = random_.choice(holders), random_.choice(holders)
    _change(holder, other, random_)
    return json.dumps(root[0] if root else None).encode()


def _change(holder: Any, other: Any, random_: random.Random) -> None:
    """Change an entry of a list or of an object."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    key, kind = random_.choice(keys), random_.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = json.loads(json.dumps(random_.choice(list(other.values()) if isinstance(other, dict) else other)))
    elif kind == 2 and isinstance(holder, list):
        holder *= random_.choice((2, 3, 40))
    elif kind == 2:
        holder[str(random_.choice(VALUES))[:2000]] = holder.pop(key)
    else:
        holder[key] = random_.choice(VALUES)


def damaged_hdf5(content: bytes, random_: random.Random) -> bytes:
    """The same for HDF5: half of the files have other bytes, half another structure."""
    if random_.random() < 0.5:
        return damaged(content, random_)
    import h5py

    file = io.BytesIO(content)
    with h5py.File(file, "r+") as root:
        nodes: list[Any] = [root]
        root.visititems(lambda name, node: nodes.append(node))
        for _ in range(random_.randint(1, 3)):
            node = random_.choice(nodes)
            with contextlib.suppress(Exception):  # an array can do what a group can't
                random_.choice(_HDF5)(root, node, random_)
    return file.getvalue()


def _drop(root: Any, node: Any, random_: random.Random) -> None:
    del root[node.name]


def _move(root: Any, node: Any, random_: random.Random) -> None:
    root.move(node.name, node.name + "x")


def _attribute(root: Any, node: Any, random_: random.Random) -> None:
    import numpy as np

    name = random_.choice(list(node.attrs))
    old = node.attrs[name]
    if isinstance(old, bytes) and random_.random() < 0.7:
        node.attrs[name] = np.bytes_(damaged(old, random_).replace(b"\0", b"") or b"0")
    else:
        node.attrs[name] = random_.choice((0, -1, 10**9, float("nan"), "", b"multi", np.zeros(3), "x" * 50_000))


def _array(root: Any, node: Any, random_: random.Random) -> None:
    import h5py
    import numpy as np

    name, old = node.name, node[()]
    other = random_.choice((0, 1, 3))
    makes: tuple[Callable[[], Any], ...] = (
        lambda: old[:-1],
        lambda: np.concatenate([old] * 40),
        lambda: old.reshape(-1, 1),
        lambda: np.zeros(other),
        lambda: np.full(old.shape, np.nan),
        lambda: np.full(old.shape, 2**62),
        lambda: np.array([b"\xff\xfe", b"x"]),
        lambda: h5py.ExternalLink("/etc/hostname", "x"),
        lambda: h5py.SoftLink(name),
        lambda: h5py.Empty("f8"),
    )
    new = random_.choice(makes)()
    del root[name]
    root[name] = new


def _large(root: Any, node: Any, random_: random.Random) -> None:
    """A little file with an array that takes much memory."""
    name, dtype, shape = node.name, node.dtype, (random_.choice((2**18, 2**22, 2**26, 2**40)), *node.shape[1:])
    del root[name]
    root.create_dataset(name, shape=shape, dtype=dtype, chunks=(1024, *shape[1:]), compression="gzip")


def _same(root: Any, node: Any, random_: random.Random) -> None:
    """A second name for it, which may make a ring of groups."""
    root[f"{random_.choice([one for one in root if one])}/{node.name.rsplit('/')[-1]}x"] = node


_HDF5: tuple[Callable[[Any, Any, random.Random], None], ...] = (_drop, _move, _attribute, _attribute, _array, _large, _same)
