"""Predicted landmarks of objects in images: what :meth:`LandmarkDetector.predict` returns."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from torch import Tensor

from brule.data import Sample
from brule.detector.types import Images
from brule.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas
    from PIL.Image import Image

    from brule.data import Edges

_TENSORS = ("points", "image", "score", "flagged", "spread", "uncertainty", "box", "angle")
_MAX_ROWS = 10  # rows of a table in a notebook
_COLUMNS = 4  # of a picture of several objects


@dataclass(frozen=True, eq=False, repr=False)
class ObjectLandmarks:
    """The landmarks of one object: a row of :class:`Landmarks`, whose attributes it has without their first axis.

    Attributes:
        points: ``(N, 2)`` pixels; NaN where nothing was found.
        image: index of its image in the input.
        score: how sure the detector is, 0 to 1; NaN where nothing was found.
        flagged: whether the prediction is probably wrong, or there is no object.
        spread: ``(N,)`` pixels.
        uncertainty: the higher, the sooner a person should look.
        box: ``(4,)`` left, top, right, bottom.
        angle: degrees, clockwise on the screen.
    """

    points: Tensor
    image: int
    score: float
    flagged: bool
    spread: Tensor
    uncertainty: float
    box: Tensor
    angle: float

    @property
    def found(self) -> bool:
        """Whether there are landmarks at all."""
        return bool(self.points.isfinite().all(-1).any())

    def __repr__(self) -> str:
        if not self.found:
            return f"ObjectLandmarks(image {self.image}, nothing found)"
        left, top, right, bottom = (round(edge) for edge in self.box.tolist())
        flagged = ", flagged" if self.flagged else ""
        where = f"box ({left}, {top}, {right}, {bottom})"
        return f"ObjectLandmarks({len(self.points)} landmarks, image {self.image}, {where}, score {self.score:.2f}{flagged})"


@dataclass(frozen=True, eq=False, repr=False)
class Landmarks:
    """Landmarks (keypoints) of M objects. All coordinates are pixels of the image, the centre of its first pixel at (0, 0).

    ``landmarks[0]`` and iteration give single objects (:class:`ObjectLandmarks`); slices, masks and lists of indices give
    :class:`Landmarks`. In a notebook it shows itself as a table.

    Attributes:
        points: ``(M, N, 2)``; NaN where nothing was found.
        image: ``(M,)`` which image each object is in: its index in the input, from 0.
        score: ``(M,)`` how sure the detector is that the prediction is right, 0 to 1. A probability where the object was found
            by a locator; inside given boxes only its order counts. NaN where nothing was found.
        flagged: ``(M,)`` whether the prediction is probably wrong, or there is no object.
        spread: ``(M, N)``, how far off each landmark may be. Of a calibrated detector the expected distance from the truth;
            otherwise a standard deviation along one axis, whose size means little (``docs/confidence.md``).
        uncertainty: ``(M,)``, which predictions most need a person's look: the higher, the sooner. Of a calibrated detector the
            expected error in sides of the crop; otherwise only its order counts.
        box: ``(M, 4)`` the object's box that the landmarks were found in: left, top, right, bottom, in the object's upright
            frame. Turn it about its centre by ``angle`` to align it with the object.
        angle: ``(M,)`` degrees by which the object is turned, clockwise on the screen.
        edges: pairs of indices: the landmarks that :meth:`plot` joins by lines.
        names: the names of the landmarks, where the detector knows them.
    """

    points: Tensor
    image: Tensor
    score: Tensor
    flagged: Tensor
    spread: Tensor
    uncertainty: Tensor
    box: Tensor
    angle: Tensor
    edges: Edges = ()
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        """The number of objects."""
        return len(self.points)

    def __iter__(self) -> Iterator[ObjectLandmarks]:
        """The objects, one after the other."""
        return (self[k] for k in range(len(self)))

    @overload
    def __getitem__(self, rows: int) -> ObjectLandmarks: ...

    @overload
    def __getitem__(self, rows: slice | Tensor | np.ndarray | Sequence[int] | Sequence[bool]) -> Landmarks: ...

    def __getitem__(self, rows: Any) -> ObjectLandmarks | Landmarks:
        """One object by its row, or some of them by a slice, booleans ``(M,)`` or indices."""
        if isinstance(rows, (int, np.integer)):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"row {rows} of {len(self)} objects")
            own = {name: getattr(self, name)[rows] for name in _TENSORS}
            return ObjectLandmarks(**{name: value if value.ndim else value.item() for name, value in own.items()})
        if isinstance(rows, slice):
            rows = range(*rows.indices(len(self)))
        return self.chosen(list(rows) if isinstance(rows, range) else rows)

    def __repr__(self) -> str:
        objects = f"{len(self)} object{'' if len(self) == 1 else 's'}"
        images = len(self.image.unique())
        where = f" in {images} image{'' if images == 1 else 's'}" if images != len(self) else ""
        missing = int((~self.points.isfinite().all(-1).any(-1)).sum()) if len(self) else 0
        remarks = [f"{int(self.flagged.sum())} flagged"] if self.flagged.any() else []
        remarks += [f"{missing} not found"] if missing else []
        return f"Landmarks({', '.join([f'{objects}{where}', f'{self.points.shape[1]} landmarks each', *remarks])})"

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        import html

        head = "".join(f"<th>{name}</th>" for name in ("", "image", "score", "flagged", "mean spread", "centre"))
        rows = "".join(_html_row(k, self[k]) for k in range(min(len(self), _MAX_ROWS)))
        more = f"<p>… and {len(self) - _MAX_ROWS} more</p>" if len(self) > _MAX_ROWS else ""
        return f"<p>{html.escape(repr(self))}</p><table><tr>{head}</tr>{rows}</table>{more}"

    def of(self, image: int) -> Landmarks:
        """The objects of one image."""
        return self.chosen(self.image == image)

    def chosen(self, rows: Tensor | np.ndarray | Sequence[int] | Sequence[bool]) -> Landmarks:
        """Some of the objects: booleans ``(M,)`` or indices."""
        index = torch.as_tensor(rows)
        index = index.long() if index.numel() == 0 and index.dtype != torch.bool else index
        return replace(self, **{name: getattr(self, name)[index] for name in _TENSORS})

    def to_dataframe(self, *, tidy: bool = False) -> pandas.DataFrame:
        """A pandas table: one row per object, or with ``tidy`` one row per landmark.

        Args:
            tidy: columns ``image, object, landmark, x, y, spread, score, flagged``, ``landmark`` being its name if it has one.
                By default those of ``landmarks.csv``, with the image's index: ``image, x0, y0, …, spread, score, flagged``.

        Raises:
            ConfigError: pandas isn't installed.
        """
        try:
            import pandas
        except ImportError:
            raise ConfigError("to_dataframe needs pandas: pip install pandas") from None
        objects, landmarks = self.points.shape[:2]
        values = {name: getattr(self, name).cpu().numpy() for name in _TENSORS}
        if tidy:
            each = {name: np.repeat(values[name], landmarks) for name in ("image", "score", "flagged")}
            table = {
                "image": each["image"],
                "object": np.repeat(np.arange(objects), landmarks),
                "landmark": list(self.names or range(landmarks)) * objects,
                "x": values["points"][..., 0].ravel(),
                "y": values["points"][..., 1].ravel(),
                "spread": values["spread"].ravel(),
            }
            return pandas.DataFrame(table | {name: each[name] for name in ("score", "flagged")})
        flat = {f"{axis}{i}": values["points"][:, i, k] for i in range(landmarks) for k, axis in enumerate("xy")}
        spread = values["spread"].mean(axis=1) if landmarks else np.full(objects, np.nan)
        others = {"spread": spread, "score": values["score"], "flagged": values["flagged"]}
        return pandas.DataFrame({"image": values["image"], **flat, **others})

    def write(self, target: Path | str, images: Images, *, format: str | None = None, force: bool = False) -> list[str]:
        """Write the landmarks as annotations, which other programs and :command:`brule data convert` read.

        Objects of which nothing was found are left out; leave flagged ones out by ``landmarks[~landmarks.flagged].write(…)``.

        Args:
            target: the file; the folder, for formats with one file per image (``pts``, ``labelme``, ``yolo``, …).
            images: those that were predicted, in the same order: files, folders, globs or samples. They are named by their path
                from the target.
            format: the name of the format (``docs/formats.md``); by default from the suffix of ``target``, if only one has it.
            force: replace files that are there.

        Returns:
            What the format can't hold, in words.

        Raises:
            ConfigError: the format isn't known or isn't clear, or a file is there and ``force`` is not given.
            DataError: the images are others than those predicted, or aren't files; nothing was found; or the format can't
                hold an object at all, such as a second one in an image.
        """
        from brule.data.conversion import predicted, write_objects
        from brule.data.formats import format_for, format_named
        from brule.detector.items import predicted_files

        target, samples = Path(target), predicted_files(images)
        if missing := set(self.image.tolist()) - samples.keys():
            count = max(missing) + 1
            raise DataError(f"write: expected all {count} images that were predicted, in their order, got {len(samples)}")
        found = [one for one in self if one.found]
        items = [predicted(samples[one.image], one.points.cpu().numpy()) for one in found]
        into = format_for(target) if format is None else format_named(format)
        return write_objects(items, target, format=into, names=self.names, edges=self.edges, force=force)

    def plot(self, images: Images, *, columns: int | None = None, tile: int = 320, numbers: bool = False) -> Image:
        """A picture of the images with their landmarks, coloured by index.

        Args:
            images: those that were predicted: in memory, or image files one by one.
            columns: images in a row; by default four at most.
            tile: the longer side of an image in the picture, in pixels, if there are several.
            numbers: write each landmark's index beside it.

        Raises:
            DataError: an object is of an image that isn't there.
        """
        from brule.data.images import as_image, load_image
        from brule.detector.items import recognised
        from brule.plots import landmark_pictures

        given = recognised(images)[1]
        shown = sorted({int(k) for k in self.image.tolist()})
        if not shown:
            raise DataError("plot: expected landmarks of at least one image, there are none")
        if shown[-1] >= len(given):
            raise DataError(f"plot: expected all {shown[-1] + 1} images that were predicted, in their order, got {len(given)}")
        own = [given[k].path if isinstance(given[k], Sample) else given[k] for k in shown]
        pictures = [load_image(os.fspath(one)) if isinstance(one, (str, os.PathLike)) else as_image(one) for one in own]
        sets = [self.points[self.image == k].double().cpu().numpy() for k in shown]
        columns = columns or _COLUMNS
        return landmark_pictures(pictures, sets, columns=columns, edges=self.edges, numbers=numbers, tile=tile)


def _html_row(number: int, one: ObjectLandmarks) -> str:
    centre = one.points.nanmean(0).tolist()
    figures = [one.score, float(one.spread.nanmean()), *centre]
    score, spread, x, y = (f"{value:.3g}" if math.isfinite(value) else "–" for value in figures)
    cells = (str(number), str(one.image), score, "yes" if one.flagged else "", f"{spread} px", f"{x}, {y}")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def nothing_found(images: Sequence[int], landmarks: int) -> Landmarks:
    """One flagged row of NaN for each of the images in which nothing was found.

    Args:
        images: their indices in the input.
        landmarks: of an object.
    """
    count = len(images)
    gap = torch.full((count,), torch.nan)
    return Landmarks(
        points=torch.full((count, landmarks, 2), torch.nan),
        image=torch.as_tensor(images, dtype=torch.int64).reshape(count),
        score=gap,
        flagged=torch.ones(count, dtype=torch.bool),
        spread=torch.full((count, landmarks), torch.nan),
        uncertainty=gap,
        box=torch.full((count, 4), torch.nan),
        angle=gap,
    )


def joined(parts: Sequence[Landmarks]) -> Landmarks:
    """The objects of several results, one after the other."""
    columns = {name: torch.cat([getattr(part, name) for part in parts]) for name in _TENSORS}
    return Landmarks(**columns, edges=parts[0].edges, names=parts[0].names)
