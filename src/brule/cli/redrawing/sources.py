"""What ``brule generate`` draws from: rows of landmarks, columns of styles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from brule.cli.output import note, note_bad
from brule.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from brule.data import Sample, SampleList
    from brule.data.samples import BadFiles
    from brule.redrawing import Recipe, Redrawer

MAX_TILES = 2000  # a picture of 2000 tiles of 128 pixels has 33 million of them


@dataclass(frozen=True)
class Edits:
    """What is done to every landmark set.

    Attributes:
        move: to the right and down, in shares of the crop.
        turn: degrees, clockwise.
        scale: a factor.
        points: the indices; all if ``None``.
    """

    move: tuple[float, float]
    turn: float
    scale: float
    points: list[int] | None

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (*self.move, self.turn))):
            raise ConfigError("--move, --turn: expected finite numbers")
        if not self.scale > 0 or not math.isfinite(self.scale):
            raise ConfigError(f"--scale: expected a positive factor, got {self.scale}; 1.2 enlarges by a fifth")

    def __bool__(self) -> bool:
        return self.move != (0, 0) or self.turn != 0 or self.scale != 1


@dataclass(frozen=True, eq=False)
class Rows:
    """Landmark sets ``(R, N, 2)`` in the unit square, their names, and the crops they were found on, where there are any."""

    points: Tensor
    names: list[str]
    crops: list[np.ndarray | None]

    def __len__(self) -> int:
        return len(self.names)

    def edited(self, edits: Edits) -> Rows:
        """The same, edited."""
        from brule.redrawing import moved, scaled, turned

        n = self.points.shape[1]
        if edits.points is not None and max(edits.points) >= n:
            raise ConfigError(f"--points: expected landmarks from 0 to {n - 1}, got {max(edits.points)}")
        if edits.points is not None and not edits:
            raise ConfigError("--points names the landmarks to edit: give --move, --turn or --scale too")
        if not edits:
            return self
        points = scaled(self.points, edits.scale, indices=edits.points)
        points = moved(turned(points, edits.turn, indices=edits.points), edits.move, indices=edits.points)
        return Rows(points, self.names, self.crops)

    def between(self, steps: int) -> Rows:
        """The same, with ``steps`` further ones between each two."""
        from brule.redrawing import interpolated

        return Rows(interpolated(self.points, steps), _names_between(self.names, steps), _spread(self.crops, steps))


@dataclass(frozen=True, eq=False)
class Columns:
    """Styles ``(C, 2, D)``, their names, and the crops they were read off, where there are any."""

    styles: Tensor
    names: list[str]
    crops: list[np.ndarray | None]

    def __len__(self) -> int:
        return len(self.names)

    def between(self, steps: int) -> Columns:
        """The same, with ``steps`` further ones between each two."""
        from brule.redrawing import interpolated_styles

        return Columns(interpolated_styles(self.styles, steps), _names_between(self.names, steps), _spread(self.crops, steps))


def read_rows(redrawer: Redrawer, images: list[str] | None, landmarks: list[str] | None, *, skip_bad: bool) -> Rows:
    """The landmarks of images, then those of files; with neither, those of the annotated shapes.

    Raises:
        DataError: a bad file, or one with another number of landmarks.
    """
    import torch

    parts = []
    if images:
        crops, names = _crops(redrawer, images, skip_bad)
        parts.append(Rows(redrawer.landmarks_of(crops), names, list(crops)))
    for path in landmarks or ():
        parts.append(_landmarks(redrawer, path, skip_bad))
    if not parts:
        parts.append(_known_shapes(redrawer))
    points = torch.cat([part.points for part in parts])
    return Rows(points, [name for part in parts for name in part.names], [crop for part in parts for crop in part.crops])


def read_columns(
    redrawer: Redrawer, rows: Rows, paths: list[str] | None, *, count: int, mixing: float | None, seed: int, skip_bad: bool
) -> Columns:
    """The styles of images and records, or random ones; those of the rows' images where no random ones were learnt.

    Raises:
        DataError: a bad file, or styles of another decoder.
        ConfigError: a number out of range, or no image to take a style from.
    """
    if paths:
        return _columns_from(redrawer, paths, skip_bad)
    if not redrawer.knows_random_styles:
        return _own_styles(redrawer, rows, count)
    drawn = redrawer.random_styles(count, seed=seed, mixing=mixing)
    return Columns(drawn, [f"random {number}" for number in range(1, count + 1)], [None] * count)


def _own_styles(redrawer: Redrawer, rows: Rows, count: int) -> Columns:
    """The styles of the first images with landmarks, for runs that have no random styles."""
    import numpy as np

    crops = [(crop, name) for crop, name in zip(rows.crops, rows.names, strict=True) if crop is not None][:count]
    reason = "this run was trained without the adversarial term (gan.adversarial=0), so it has no random styles"
    if not crops:
        raise ConfigError(f"{reason}: --style-from IMAGES takes styles from images")
    note(f"{reason}: the columns have the styles of the images themselves; choose others with --style-from IMAGES")
    return Columns(
        redrawer.styles_of(np.stack([crop for crop, _ in crops])), [name for _, name in crops], [c for c, _ in crops]
    )


def _columns_from(redrawer: Redrawer, paths: list[str], skip_bad: bool) -> Columns:
    import torch

    styles: list[Tensor] = []
    names: list[str] = []
    crops: list[np.ndarray | None] = []
    recipes = {path: recipe for path in paths if (recipe := _recipe(path)) is not None}
    for path, recipe in recipes.items():
        if recipe.styles.shape[2] != redrawer.style_dim:
            raise DataError(f"{path}: its styles have {recipe.styles.shape[2]} entries, this decoder's {redrawer.style_dim}")
        styles.append(recipe.styles)
        names += recipe.style_names
        crops += [None] * len(recipe.styles)
    if others := [path for path in paths if path not in recipes]:
        found, found_names = _crops(redrawer, others, skip_bad)
        styles.append(redrawer.styles_of(found))
        names += found_names
        crops += list(found)
    return Columns(torch.cat(styles), names, crops)


def _crops(redrawer: Redrawer, paths: list[str], skip_bad: bool) -> tuple[np.ndarray, list[str]]:
    """The crops of images ``(B, S, S, 3)`` at the detector's size, and their files' names.

    They are cut as ``predict`` cuts them: about a given box, else about the object that the locator finds or as the annotated
    images were framed; turned objects are shown upright.
    """
    import numpy as np

    from brule.data import load_crop, read_samples

    crop = redrawer.detector.config_.crop
    samples = read_samples(paths, skip_bad=skip_bad)
    if len(samples) > MAX_TILES:
        raise ConfigError(f"{', '.join(paths)}: {len(samples)} images; a picture holds {MAX_TILES}: give fewer")
    bad = samples.bad
    crops, names = [], []
    for sample in _framed(redrawer, samples, bad):
        try:
            crops.append(load_crop(sample, crop.image_size, crop.scale)[0])
            names.append(str(sample.path))
        except DataError as error:
            bad.reject_error(sample.path, error)
    note_bad(bad)
    if not crops:
        raise DataError(f"{', '.join(paths)}: none of the {len(samples)} images could be read")
    return np.stack(crops), names


def _framed(redrawer: Redrawer, samples: SampleList, bad: BadFiles) -> list[Sample]:
    """Samples with the boxes and angles by which the detector reads them.

    Args:
        redrawer: whose detector it is.
        samples: the images; boxes of their own stay.
        bad: takes the files that can't be read.
    """
    import numpy as np

    from brule.data.training_data import log_missing_boxes
    from brule.detector.whereabouts import crop_boxes

    detector = redrawer.detector
    if detector.whereabouts_.locator is None and detector.whereabouts_.framing is None:
        log_missing_boxes(samples)
        return list(samples)
    framed, lost = [], 0
    for rows, found in detector.iter_predict(samples, skip_bad=True):
        boxes, angles = found.box.double().numpy(), found.angle.double().numpy()
        cut = crop_boxes(np.nan_to_num(boxes), angles, detector.frame(), scale=detector.config_.crop.scale)
        for sample, box, (place, angle) in zip(rows, boxes, cut, strict=True):
            if sample.crop() is not None:
                framed.append(replace(sample.unlabelled(), angle=angle))
            elif np.isfinite(box).all():
                framed.append(replace(sample, box=place, angle=angle))
            else:
                framed.append(sample)
                lost += 1
    for file in detector.bad_files_[len(samples.bad) :]:  # the first are those of the list itself
        bad.reject(file.path, file.reason)
    if lost:
        note(f"in {lost} of {len(framed)} images no object was found: they are taken whole")
    return framed


def _landmarks(redrawer: Redrawer, path: str, skip_bad: bool) -> Rows:
    import numpy as np
    import torch

    from brule.data import read_shapes

    recipe = _recipe(path)
    if recipe is not None:
        sets, names = list(recipe.points), recipe.names
    else:
        shapes = read_shapes(path, scale=redrawer.detector.config_.crop.scale, skip_bad=skip_bad)
        note_bad(shapes.bad)
        sets, names = shapes.points, shapes.names
    for own, name in zip(sets, names, strict=True):
        if len(own) != redrawer.n_points:
            raise DataError(f"{path}: {name} has {len(own)} landmarks, this detector {redrawer.n_points}")
        if not np.isfinite(own).all():
            raise DataError(f"{path}: {name} lacks landmarks; an image is drawn from all of them")
    return Rows(torch.from_numpy(np.stack(sets)).float(), names, [None] * len(names))


def _recipe(path: str) -> Recipe | None:
    from brule.redrawing import Recipe

    file = Path(path)
    return Recipe.read(file) if file.suffix.lower() == ".json" and file.is_file() else None


def _known_shapes(redrawer: Redrawer) -> Rows:
    detector = redrawer.detector
    if detector.shapes_ is None:
        return Rows(detector.barycenter_[None].float(), ["barycenter"], [None])
    count = len(detector.shapes_)
    return Rows(detector.shapes_.float(), [f"shape {number}" for number in range(1, count + 1)], [None] * count)


def _names_between(names: Sequence[str], steps: int) -> list[str]:
    more = [[f"{a} to {b}, {step} of {steps}" for step in range(1, steps + 1)] for a, b in itertools.pairwise(names)]
    return [name for own, between in zip(names, [*more, []], strict=True) for name in (own, *between)]


def _spread(crops: Sequence[np.ndarray | None], steps: int) -> list[np.ndarray | None]:
    spread: list[np.ndarray | None] = [None] * (len(crops) + (len(crops) - 1) * steps)
    spread[:: steps + 1] = crops
    return spread
