"""What users may give a detector, as types."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, Union

import numpy as np
from PIL import Image
from torch import Tensor

from brule.data import Box, Sample

if TYPE_CHECKING:
    from brule.data import Shapes


class BinaryFile(Protocol):
    """A file opened in binary mode."""

    def read(self) -> bytes:
        """All of it."""


Path: TypeAlias = Union[str, "os.PathLike[str]"]
EncodedImage: TypeAlias = bytes | bytearray | memoryview | BinaryFile  # the content of an image file
ImageInMemory: TypeAlias = Image.Image | np.ndarray | Tensor | EncodedImage
OneImage: TypeAlias = Path | ImageInMemory | Sample
# One image or many: a path may be a folder or a glob, an array or a tensor a batch.
Images: TypeAlias = OneImage | Sequence[OneImage] | Iterator[OneImage]
OneBox: TypeAlias = Box | Sequence[float]
Boxes: TypeAlias = OneBox | Iterable[OneBox | None] | np.ndarray | Tensor
PointSets: TypeAlias = Sequence[np.ndarray] | np.ndarray | Tensor | Sequence[Tensor]
ShapesInput: TypeAlias = Union[Path, Sequence[Path], PointSets, "Shapes"]
# Annotated images: files, samples, or (images, points) in memory.
AnnotatedInput: TypeAlias = Union[Path, Sequence[Path], Sequence[Sample], "tuple[Sequence[ImageInMemory], PointSets]"]
Setting: TypeAlias = bool | int | float | str | Sequence | Mapping | None
