"""What is to be predicted, divided into parts that are done one by one."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from brule.bulk.places import SCHEME, Place, listed
from brule.data import find_images
from brule.data.images import IMAGE_SUFFIXES
from brule.errors import CheckpointError, ConfigError, DataError
from brule.files import parse_json

SHARD_SUFFIXES = frozenset((".tar",))
PLAN = "_plan.json"  # readers of Parquet folders skip names that begin with an underscore
_FORMAT = 1
PART_SIZE = 2000  # images: some minutes of work for a core


@dataclass(frozen=True)
class Part:
    """The images of one file of results.

    Attributes:
        name: of the file, without suffix.
        items: paths or addresses of images; or one, of a shard.
        shard: whether it is a shard: a tar file of images, such as WebDataset's.
    """

    name: str
    items: tuple[str, ...]
    shard: bool = False

    @property
    def file(self) -> str:
        """Where its results go."""
        return f"{self.name}.parquet"


@dataclass(frozen=True)
class Plan:
    """All parts, and what they are predicted with.

    Attributes:
        parts: in order.
        detector: the fingerprint of the detector and the options.
    """

    parts: tuple[Part, ...]
    detector: str

    def fingerprint(self) -> str:
        """A hash of everything that decides the results."""
        found = hashlib.sha256(self.detector.encode())
        for part in self.parts:
            found.update(json.dumps([part.name, part.items, part.shard]).encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    def open(self, output: Place) -> list[Part]:
        """Write the plan to the output, or compare it with the plan there; returns the parts that are still to be done.

        Raises:
            CheckpointError: the output holds results of other images, options or another detector.
        """
        there = output.names()
        ours = {"format": _FORMAT, "parts": len(self.parts), "fingerprint": self.fingerprint()}
        if PLAN not in there:
            if any(name.endswith(".parquet") for name in there):
                raise CheckpointError(f"{output.address}: holds Parquet files already, but no {PLAN}; choose another folder")
            output.write(PLAN, json.dumps(ours, indent=1).encode() + b"\n")
        elif _noted(output) != ours:
            raise CheckpointError(
                f"{output.address}: holds predictions of other images, or with another detector or other options; repeat the "
                "command that started them, or choose another folder"
            )
        return [part for part in self.parts if part.file not in there]


def plan_parts(paths: Sequence[str], *, detector: str, part_size: int = PART_SIZE) -> Plan:
    """Divide images into parts.

    The same paths give the same parts, as long as no image is added or removed.

    Args:
        paths: image files, folders, globs, shards (``.tar``), here or as addresses that fsspec reaches.
        detector: the fingerprint of the detector and the options.
        part_size: images of a part; a shard is a part of its own.

    Raises:
        DataError: there is nothing at one of the paths.
        ConfigError: ``part_size`` isn't positive.
    """
    if part_size < 1:
        raise ConfigError(f"part_size: expected at least 1, got {part_size}")
    images: list[str] = []
    shards: list[str] = []
    for path in paths:
        found = _found(path)
        if not found:
            raise DataError(f"{path}: expected images or shards (.tar), found none")
        for one in found:
            (shards if _is_shard(one) else images).append(one)
    images, shards = list(dict.fromkeys(images)), list(dict.fromkeys(shards))
    groups = [(tuple(images[start : start + part_size]), False) for start in range(0, len(images), part_size)]
    groups += [((shard,), True) for shard in shards]
    return Plan(tuple(Part(f"part-{k:06d}", items, shard) for k, (items, shard) in enumerate(groups)), detector)


def _found(path: str) -> list[str]:
    if SCHEME in path:
        return listed(path, IMAGE_SUFFIXES | SHARD_SUFFIXES)
    if _is_shard(path):
        return sorted(os.path.abspath(one) for one in glob.glob(path)) if glob.has_magic(path) else _existing(path)
    shards: Iterable[Path] = Path(path).rglob("*.tar") if os.path.isdir(path) else ()
    inside = sorted(os.path.abspath(one) for one in shards)
    try:
        images = [os.path.abspath(one) for one in find_images([path])]
    except DataError:
        if not inside:
            raise
        images = []
    return [*images, *inside]


def _existing(path: str) -> list[str]:
    return [os.path.abspath(path)] if os.path.isfile(path) else []


def _is_shard(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in SHARD_SUFFIXES


def _noted(output: Place) -> object:
    try:
        return parse_json(output.read(PLAN))
    except (OSError, ValueError):
        return None
