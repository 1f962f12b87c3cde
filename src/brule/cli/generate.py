"""``brule generate``: images drawn from landmarks and styles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from brule.cli.inputs import note_boxes
from brule.cli.options import Device, Many, Output, SkipBad, checked_device
from brule.cli.output import note, note_bad, say
from brule.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from brule.data import BadFiles
    from brule.redrawing import Redrawer

GRID, RECORD, EACH = "grid.png", "generated.json", "each"
MOST_TILES = 2000  # a picture of 2000 tiles of 128 pixels has 33 million of them
SMALLEST_TILE = 128  # pixels: what is drawn smaller is enlarged in the grid
EACH_NAME = "[0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9].png"


def generate(
    run: Path,
    /,
    *,
    output: Annotated[Path, Output],
    images: Annotated[list[str] | None, Many] = None,
    landmarks: Annotated[list[str] | None, Many] = None,
    styles: int = 6,
    style_from: Annotated[list[str] | None, Many] = None,
    mixing: float | None = None,
    seed: int = 0,
    move: tuple[float, float] | None = None,
    turn: float = 0.0,
    scale: float = 1.0,
    points: str | None = None,
    interpolate: int = 0,
    interpolate_styles: int = 0,
    each: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    device: Device = None,
    skip_bad: SkipBad = False,
) -> int:
    """Draw images from landmarks and styles.

    Writes `grid.png`: a row for each landmark set, a column for each style, on the left the landmarks, on the image they
    were found on. Beside it `generated.json` keeps landmarks and styles. The run must have been trained with a
    decoder: `brule train … --set gan.enabled=true`.

    The landmarks are those that the detector finds on `--images`, and those of `--landmarks`; with neither, those of the
    annotated shapes that the run was trained with. `--move`, `--turn`, `--scale` edit all of them alike, or some
    indices (`--points`). The styles are drawn at random, or read off images (`--style-from`).

    **Examples**

        brule generate runs/first --images photos/ -o drawn

        brule generate runs/first --images me.jpg --style-from you.jpg -o transfer

        brule generate runs/first --images a.jpg b.jpg --interpolate 5 --styles 3 -o between --each

        brule generate runs/first --images a.jpg --points 48-67 --move 0 0.03 --scale 1.2 -o mouth

        brule generate runs/first --landmarks drawn/generated.json --style-from drawn/generated.json -o again

    Args:
        run: The folder of a run, or of a saved detector.
        output: The folder to write to: `grid.png`, `generated.json`, with --each `each/ROW-COLUMN.png`.
        images: Images: files, folders, globs; taken in the order of their paths. An annotation beside one gives the box to
            cut out, and nothing else.
        landmarks: Landmark sets: `.pts` files, folders of them, JSON `{"shapes": [[[x, y], …], …]}`, each laid into its own
            crop as in training; or a `generated.json`, taken as it is.
        styles: How many random styles.
        style_from: Images to read the styles off instead; or a `generated.json`, whose styles are taken.
        mixing: The share of random styles whose coarse and fine halves are drawn apart; by default that of the training.
        seed: Of the random styles.
        move: Shift landmarks to the right and down, in shares of the crop: `--move 0.05 -0.02`.
        turn: Turn landmarks about their centre, clockwise, in degrees.
        scale: Enlarge landmarks about their centre by this factor.
        points: The indices to edit, from 0: `36-47` or `17-26,48-67`; by default all.
        interpolate: So many landmark sets between each two that follow each other; a turn stays a turn.
        interpolate_styles: So many styles between each two that follow each other.
        each: Write every drawn image too, at its own size.
        overwrite: Replace what an earlier call wrote to that folder.
    """
    edits = Edits(move or (0.0, 0.0), turn, scale, _indices(points))
    _check_numbers(styles, interpolate, interpolate_styles)
    _check_output(output, overwrite)
    from brule.redrawing import Recipe, Redrawer

    redrawer = Redrawer.load(run, device=checked_device(device))
    rows = _rows(redrawer, images, landmarks, skip_bad)
    columns = _columns(redrawer, style_from, styles, mixing, seed, skip_bad)
    rows, columns = rows.edited(edits).between(interpolate), columns.between(interpolate_styles)
    if len(rows) * len(columns) > MOST_TILES:
        raise ConfigError(
            f"{len(rows)} landmark sets under {len(columns)} styles are {len(rows) * len(columns)} images; a picture holds "
            f"{MOST_TILES}: give fewer"
        )
    drawn = redrawer.grid(rows.points, columns.styles)
    _clear(output)
    _write_pictures(output, drawn, rows, columns, each=each)
    facts: dict[str, Any] = {"run": str(run), "seed": seed, "edits": asdict(edits), "image_size": redrawer.image_size}
    Recipe(rows.points.numpy(), rows.names, columns.styles, columns.names).write(output / RECORD, **facts)
    say(f"{len(rows)} landmark sets under {len(columns)} styles, {redrawer.image_size} px: written to {output}")
    return 0


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
        import math

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
        from brule.geometry import moved, scaled, turned

        n = self.points.shape[1]
        if edits.points is not None and max(edits.points) >= n:
            raise ConfigError(f"--points: expected landmarks from 0 to {n - 1}, got {max(edits.points)}")
        if edits.points is not None and not edits:
            raise ConfigError("--points says which landmarks to edit: give --move, --turn or --scale too")
        if not edits:
            return self
        points = scaled(self.points, edits.scale, indices=edits.points)
        points = moved(turned(points, edits.turn, indices=edits.points), edits.move, indices=edits.points)
        return Rows(points, self.names, self.crops)

    def between(self, steps: int) -> Rows:
        """The same, with ``steps`` further ones between each two."""
        from brule.geometry import interpolated

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


def _rows(redrawer: Redrawer, images: list[str] | None, landmarks: list[str] | None, skip_bad: bool) -> Rows:
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


def _columns(
    redrawer: Redrawer, paths: list[str] | None, count: int, mixing: float | None, seed: int, skip_bad: bool
) -> Columns:
    import torch

    if not paths:
        if not redrawer.knows_random_styles:
            note(
                "this run had no adversarial term (gan.adversarial=0), which alone teaches random styles: they are as they "
                "were before training; --style-from IMAGES takes styles from images"
            )
        drawn = redrawer.random_styles(count, seed=seed, mixing=mixing)
        return Columns(drawn, [f"random {number}" for number in range(1, count + 1)], [None] * count)
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
    """The crops of images ``(B, S, S, 3)`` at the detector's size, and their files' names."""
    import numpy as np

    from brule.data import load_crop, read_folder

    crop = redrawer.detector.config_.crop
    samples = read_folder(paths, skip_bad=skip_bad)
    if len(samples) > MOST_TILES:
        raise ConfigError(f"{', '.join(paths)}: {len(samples)} images; a picture holds {MOST_TILES}: give fewer")
    note_boxes(samples)
    bad: BadFiles = samples.bad
    crops, names = [], []
    for sample in samples:
        try:
            crops.append(load_crop(sample, crop.image_size, crop.scale)[0])
            names.append(str(sample.path))
        except DataError as error:
            bad.reject_error(sample.path, error)
    note_bad(bad)
    if not crops:
        raise DataError(f"{', '.join(paths)}: none of the {len(samples)} images could be read")
    return np.stack(crops), names


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
    return Rows(torch.from_numpy(np.stack(sets)).float(), names, [None] * len(names))


def _recipe(path: str) -> Any:
    from brule.redrawing import Recipe

    file = Path(path)
    return Recipe.read(file) if file.suffix.lower() == ".json" and file.is_file() else None


def _known_shapes(redrawer: Redrawer) -> Rows:
    detector = redrawer.detector
    if detector.shapes_ is None:
        return Rows(detector.barycenter_[None].float(), ["barycenter"], [None])
    count = len(detector.shapes_)
    return Rows(detector.shapes_.float(), [f"shape {number}" for number in range(1, count + 1)], [None] * count)


def _indices(text: str | None) -> list[int] | None:
    """``36-47,60`` → the indices it names."""
    if text is None:
        return None
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise ConfigError(f"--points: expected indices such as 36-47 or 17-26,60, got {text!r}")
        # No detector has so many landmarks; a slip of the finger shouldn't fill the memory.
        found.update(range(int(first), min(int(last if dash else first), int(first) + 100_000) + 1))
    return sorted(found)


def _check_numbers(styles: int, interpolate: int, interpolate_styles: int) -> None:
    if not 1 <= styles <= MOST_TILES:
        raise ConfigError(f"--styles: expected 1 to {MOST_TILES}, got {styles}")
    for name, steps in (("--interpolate", interpolate), ("--interpolate-styles", interpolate_styles)):
        if not 0 <= steps <= MOST_TILES:
            raise ConfigError(f"{name}: expected 0 to {MOST_TILES} steps, got {steps}")


def _check_output(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise ConfigError(f"-o {output}: expected a folder, and there is a file of that name")
    there = list(_written_before(output))
    if there and not overwrite:
        raise ConfigError(f"{there[0]}: is there already; choose another folder, or replace it with --overwrite")


def _written_before(output: Path) -> Iterator[Path]:
    yield from (path for path in (output / GRID, output / RECORD) if path.exists())
    yield from sorted((output / EACH).glob(EACH_NAME))


def _clear(output: Path) -> None:
    for path in list(_written_before(output)):
        path.unlink()


def _write_pictures(output: Path, drawn: np.ndarray, rows: Rows, columns: Columns, *, each: bool) -> None:
    from PIL import Image

    from brule.plots import save_figure, style_grid

    tile = max(SMALLEST_TILE, drawn.shape[2])
    outside = ((rows.points < 0) | (rows.points > 1)).any(-1)
    if bool(outside.any()):
        note(f"{int(outside.any(-1).sum())} of {len(rows)} landmark sets reach outside the crop, where nothing is drawn")
    save_figure(style_grid(drawn, rows.points.numpy(), originals=rows.crops, models=columns.crops, tile=tile), output / GRID)
    for row, images in enumerate(drawn if each else ()):
        for column, image in enumerate(images):
            save_figure(Image.fromarray(image), output / EACH / f"{row:04d}-{column:04d}.png")


def _names_between(names: Sequence[str], steps: int) -> list[str]:
    more = [[f"{a} to {b}, {step} of {steps}" for step in range(1, steps + 1)] for a, b in itertools.pairwise(names)]
    return [name for own, between in zip(names, [*more, []], strict=True) for name in (own, *between)]


def _spread(crops: Sequence[np.ndarray | None], steps: int) -> list[np.ndarray | None]:
    spread: list[np.ndarray | None] = [None] * (len(crops) + (len(crops) - 1) * steps)
    spread[:: steps + 1] = crops
    return spread
