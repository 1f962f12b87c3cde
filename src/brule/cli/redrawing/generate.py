"""``brule generate``: images drawn from landmarks and styles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from brule.cli.options import Device, Images, Many, Output, SkipBad, checked_device, images_of
from brule.cli.output import note, say
from brule.cli.redrawing.sources import MAX_TILES, Columns, Edits, Rows, read_columns, read_rows
from brule.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

GRID, RECORD, EACH = "grid.png", "generated.json", "each"
MIN_TILE_SIDE = 128  # pixels: what is drawn smaller is enlarged in the grid
EACH_NAME = "[0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9].png"


@Parameter(name="*")
@dataclass(frozen=True)
class Styles:
    """The styles that images are drawn in.

    Args:
        styles: Number of random styles.
        style_from: Images to read the styles from instead; or a `generated.json`, whose styles are taken.
        mixing: Share of the random styles whose coarse and fine halves come from different noise; by default that of the
            training.
        seed: Random seed of the styles.
        interpolate_styles: Number of styles between each two that follow each other.
    """

    styles: int = 6
    style_from: Annotated[list[str] | None, Many] = None
    mixing: float | None = None
    seed: int = 0
    interpolate_styles: int = 0


@Parameter(name="*")
@dataclass(frozen=True)
class Changes:
    """How landmarks are edited before images are drawn.

    Args:
        move: Shift landmarks to the right and down, in shares of the crop: `--move 0.05 -0.02`.
        turn: Turn landmarks about their centre, clockwise, in degrees.
        scale: Enlarge landmarks about their centre by this factor.
        points: The indices to edit, from 0: `36-47` or `17-26,48-67`; by default all.
    """

    move: tuple[float, float] | None = None
    turn: float = 0.0
    scale: float = 1.0
    points: str | None = None

    def edits(self) -> Edits:
        """The same, checked."""
        return Edits(move=self.move or (0.0, 0.0), turn=self.turn, scale=self.scale, points=_indices(self.points))


def generate(
    run: Path,
    paths: list[str] | None = None,
    /,
    *,
    output: Annotated[Path, Output],
    images: Images = None,
    landmarks: Annotated[list[str] | None, Many] = None,
    chosen: Styles = Styles(),
    changes: Changes = Changes(),
    interpolate: int = 0,
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
    indices (`--points`). The styles are drawn at random, or read from images (`--style-from`). A run without the adversarial
    term (the preset `cpu`) learns no random styles; they are then read from `--images`.

    **Examples**

        brule generate runs/first --images photos/ -o drawn

        brule generate runs/first --images me.jpg --style-from you.jpg -o transfer

        brule generate runs/first --images a.jpg b.jpg --interpolate 5 --styles 3 -o between --each

        brule generate runs/first --images a.jpg --points 48-67 --move 0 0.03 --scale 1.2 -o mouth

        brule generate runs/first --landmarks drawn/generated.json --style-from drawn/generated.json -o again

    Args:
        run: The folder of a run, or of a saved detector.
        output: The folder to write to: `grid.png`, `generated.json`, with --each `each/ROW-COLUMN.png`.
        paths: Images: files, folders, globs; taken in the order of their paths. An annotation beside one gives the box to
            cut out, and nothing else.
        landmarks: Landmark sets: `.pts` files, folders of them, JSON `{"shapes": [[[x, y], …], …]}`, each placed in its own
            crop as in training; or a `generated.json`, taken as it is.
        interpolate: Number of landmark sets between each two that follow each other; a turn stays a turn.
        each: Write every drawn image too, at its own size.
        overwrite: Replace what an earlier call wrote to that folder.
    """
    edits, between = changes.edits(), chosen.interpolate_styles
    _check_numbers(chosen.styles, interpolate, between)
    _check_output(output, overwrite)
    from brule.redrawing import Recipe, Redrawer

    redrawer = Redrawer.load(run, device=checked_device(device))
    rows = read_rows(redrawer, images_of(paths, images) or None, landmarks, skip_bad=skip_bad)
    columns = read_columns(
        redrawer, rows, chosen.style_from, count=chosen.styles, mixing=chosen.mixing, seed=chosen.seed, skip_bad=skip_bad
    )
    _check_size(_count(len(rows), interpolate), _count(len(columns), between))
    rows, columns = rows.edited(edits).between(interpolate), columns.between(between)
    drawn = redrawer.grid(rows.points, columns.styles)
    _clear(output)
    _write_pictures(output, drawn, rows, columns=columns, each=each)
    facts: dict[str, Any] = {"run": str(run), "seed": chosen.seed, "edits": asdict(edits), "image_size": redrawer.image_size}
    Recipe(points=rows.points.numpy(), names=rows.names, styles=columns.styles, style_names=columns.names).write(
        output / RECORD, **facts
    )
    say(f"{len(rows)} landmark sets under {len(columns)} styles, {redrawer.image_size} px: written to {output}")
    return 0


def _indices(text: str | None) -> list[int] | None:
    """``36-47,60`` → the indices it names."""
    if text is None:
        return None
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise ConfigError(f"--points: expected indices such as 36-47 or 17-26,60, got {text!r}")
        # No detector has that many landmarks; a typing error shouldn't fill the memory.
        found.update(range(int(first), min(int(last if dash else first), int(first) + 100_000) + 1))
    return sorted(found)


def _check_numbers(styles: int, interpolate: int, interpolate_styles: int) -> None:
    if not 1 <= styles <= MAX_TILES:
        raise ConfigError(f"--styles: expected 1 to {MAX_TILES}, got {styles}")
    for name, steps in (("--interpolate", interpolate), ("--interpolate-styles", interpolate_styles)):
        if not 0 <= steps <= MAX_TILES:
            raise ConfigError(f"{name}: expected 0 to {MAX_TILES} steps, got {steps}")


def _count(ends: int, steps: int) -> int:
    return ends + (ends - 1) * steps


def _check_size(rows: int, columns: int) -> None:
    if rows * columns > MAX_TILES:
        raise ConfigError(
            f"{rows} landmark sets under {columns} styles are {rows * columns} images; a picture holds {MAX_TILES}: give fewer"
        )


def _check_output(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise ConfigError(f"-o {output}: expected a folder, and there is a file of that name")
    there = list(_written_before(output))
    if there and not overwrite:
        raise ConfigError(f"{there[0]}: exists already; choose another folder, or replace it with --overwrite")


def _written_before(output: Path) -> Iterator[Path]:
    yield from (path for path in (output / GRID, output / RECORD) if path.exists())
    yield from sorted((output / EACH).glob(EACH_NAME))


def _clear(output: Path) -> None:
    for path in list(_written_before(output)):
        path.unlink()


def _write_pictures(output: Path, drawn: np.ndarray, rows: Rows, *, columns: Columns, each: bool) -> None:
    from PIL import Image

    from brule.plots import save_picture
    from brule.redrawing import style_grid

    tile = max(MIN_TILE_SIDE, drawn.shape[2])
    outside = ((rows.points < 0) | (rows.points > 1)).any(-1)
    if bool(outside.any()):
        note(f"{int(outside.any(-1).sum())} of {len(rows)} landmark sets reach outside the crop, where nothing is drawn")
    save_picture(style_grid(drawn, rows.points.numpy(), originals=rows.crops, models=columns.crops, tile=tile), output / GRID)
    for row, images in enumerate(drawn if each else ()):
        for column, image in enumerate(images):
            save_picture(Image.fromarray(image), output / EACH / f"{row:04d}-{column:04d}.png")
