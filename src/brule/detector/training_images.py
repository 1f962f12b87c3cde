"""Which images a detector was trained on, so that nobody measures it on them by mistake."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brule.errors import CheckpointError
from brule.files import parse_json, write_text
from brule.tracking.run_files import TRAINING_IMAGES

FORMAT = "brule-training-images-1"


@dataclass(frozen=True)
class TrainingImages:
    """The images that a detector was trained on, by their keys.

    Attributes:
        images: keys of the unlabelled ones.
        labelled: keys of those whose landmarks were learnt from, or that the locator learnt from.
        recorded: whether the keys were kept at all; earlier versions kept none.
    """

    images: frozenset[str] = frozenset()
    labelled: frozenset[str] = frozenset()
    recorded: bool = False

    def __or__(self, other: TrainingImages) -> TrainingImages:
        """The training images of either."""
        return TrainingImages(self.images | other.images, self.labelled | other.labelled, self.recorded or other.recorded)

    def overlap(self, keys: Iterable[str]) -> tuple[int, int]:
        """How many of the images were trained on without and with their landmarks."""
        own = set(keys)
        return len(own & self.images - self.labelled), len(own & self.labelled)

    def write(self, folder: Path) -> None:
        """Write ``training_images.json``; nothing if no keys were kept."""
        if self.recorded:
            content = {"format": FORMAT, "images": sorted(self.images), "labelled": sorted(self.labelled)}
            write_text(folder / TRAINING_IMAGES, json.dumps(content) + "\n")

    @classmethod
    def read(cls, folder: Path) -> TrainingImages:
        """Those of a detector's folder.

        Raises:
            CheckpointError: the file is damaged.
        """
        path = folder / TRAINING_IMAGES
        if not path.is_file():
            return cls()
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"expected format {FORMAT}")
            return cls(frozenset(map(str, content["images"])), frozenset(map(str, content["labelled"])), True)
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path}: damaged ({error}); remove it to continue without warnings of training images"
            ) from None


def image_keys(images: Iterable[Any]) -> list[str]:
    """A short key for each image: of a file its name and size, of an image in memory its pixels.

    A copy of a file in another folder has the same key.

    Args:
        images: paths, arrays or Pillow images.
    """
    return [_key(image) for image in images]


def _key(image: Any) -> str:
    if isinstance(image, (str, Path)):
        path = Path(image)
        size = path.stat().st_size if path.is_file() else -1
        content = f"{path.name}\n{size}".encode("utf-8", "surrogateescape")
    else:
        array = np.asarray(image)
        content = f"{array.shape} {array.dtype}\n".encode() + np.ascontiguousarray(array).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]
