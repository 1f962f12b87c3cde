"""The file from which a grid of pictures can be drawn again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brule.errors import DataError
from brule.files import parse_json, read_text, write_text
from brule.networks.style import ROWS

FORMAT = "brule-redrawing-1"
FRAME = "unit square of the crop"


@dataclass(frozen=True, eq=False)
class Recipe:
    """Landmark sets and styles: all that a grid of pictures is drawn from.

    Attributes:
        points: ``(R, N, 2)`` float32 in the unit square of the crop.
        names: of the landmark sets.
        styles: ``(C, 2, style_dim)`` float32.
        style_names: of the styles.
    """

    points: np.ndarray
    names: list[str]
    styles: Tensor
    style_names: list[str]

    def write(self, path: Path | str, **facts: Any) -> None:
        """Write it as JSON, with every digit that float32 has; ``facts`` are kept beside it for the reader."""
        content = {
            "format": FORMAT,
            "frame": FRAME,
            **facts,
            "names": self.names,
            "shapes": _digits(self.points),
            "style_names": self.style_names,
            "styles": _digits(self.styles.numpy()),
        }
        write_text(path, json.dumps(content) + "\n")

    @classmethod
    def read(cls, path: Path | str) -> Recipe | None:
        """That of a JSON file; ``None`` if the file is JSON of another kind, or no JSON.

        Raises:
            DataError: it is damaged, or can't be read.
        """
        try:
            content = parse_json(read_text(path))
        except OSError as error:
            raise DataError(f"{path}: can't be read ({error.strerror})") from error
        except ValueError:
            return None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            return None
        try:
            points = np.array(content["shapes"], dtype=np.float32)
            styles = torch.tensor(content["styles"], dtype=torch.float32)
            names, style_names = [str(name) for name in content["names"]], [str(name) for name in content["style_names"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{path}: damaged ({error}); run brule generate again") from None
        if points.ndim != 3 or points.shape[2] != 2 or styles.ndim != 3 or styles.shape[1] != ROWS:
            raise DataError(f"{path}: damaged: its landmarks are {points.shape}, its styles {tuple(styles.shape)}")
        finite = np.isfinite(points).all() and bool(torch.isfinite(styles).all())
        if len(names) != len(points) or len(style_names) != len(styles) or not finite:
            raise DataError(f"{path}: damaged: names are missing, or numbers aren't finite")
        return cls(points, names, styles, style_names)


def _digits(values: np.ndarray) -> Any:
    """Nested lists with nine digits a number, which are enough to have the same float32 again."""
    if values.ndim > 1:
        return [_digits(part) for part in values]
    return [float(f"{value:.9g}") for value in values.astype(np.float64).tolist()]
