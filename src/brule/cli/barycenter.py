"""``brule barycenter``: the Wasserstein barycenter of annotated landmark sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from brule.cli.options import Output, SkipBad
from brule.cli.output import note, note_bad, say, write_json
from brule.errors import BruleError, ConfigError

if TYPE_CHECKING:
    from brule.data import Shapes
    from brule.detector import ReadyShapes
    from brule.transport.barycenter import Barycenter


def barycenter(
    shapes: list[str],
    /,
    *,
    output: Annotated[Path, Output],
    n_shapes: int | None = None,
    seed: int = 0,
    n_points: int | None = None,
    picture: Path | None = None,
    skip_bad: SkipBad = False,
) -> int:
    """Compute the Wasserstein barycenter of annotated shapes, and draw it.

    Look at its picture before you train: the numbers should follow the object as in your annotations. The file also holds the
    shapes: give it to `brule train --shapes`, and you needn't keep the images of the ten shapes.

    **Examples**

        brule barycenter annotated/ -o barycenter.json

        brule barycenter face1.pts face2.pts face3.pts -o barycenter.json

        brule barycenter trainset/ --n-shapes 10 --seed 3 -o barycenter.json --picture look.png

    Args:
        shapes: Annotations of any format, folders of them (images beside them don't matter), data sets as
            `NAME:SPLIT:ROOT`, or JSON files `{"shapes": [[[x, y], …], …]}`. They may have different numbers of points, and
            points may be missing.
        output: The JSON file to write: barycenter, shapes, names, objective and its history. Coordinates are in the
            unit square of the crop (0 = left or top edge, 1 = right or bottom edge).
        n_shapes: Number of shapes to draw, without replacement; by default all are used.
        seed: Random seed of that draw.
        n_points: Landmarks of the barycenter; by default the most common number among the shapes.
        picture: The picture to write; by default OUTPUT with the ending `.png`.
        skip_bad: Leave broken files out, and list them, rather than stop at the first.
    """
    from brule.data.training_data import annotated_shapes
    from brule.detector import ready_shapes
    from brule.transport import free_support_barycenter

    if output.suffix.lower() in (".png", ".jpg", ".pts"):
        raise ConfigError(f"-o {output}: expected a name such as barycenter.json; --picture names the picture")
    given = annotated_shapes(shapes, n_shapes=n_shapes, seed=seed, skip_bad=skip_bad)
    ready = ready_shapes(given)
    found = free_support_barycenter(ready.sets, n_points=n_points, seed=seed)
    write_json(output, _content(given, ready, found))
    note_bad(given.bad)
    _report(ready, found)
    say(f"written: {output}")
    _draw(given, ready, found, target=picture or output.with_suffix(".png"), asked=picture is not None)
    return 0


def _content(shapes: Shapes, ready: ReadyShapes, found: Barycenter) -> dict[str, Any]:
    from brule.data.shapes import points_as_json

    return {
        "barycenter": found.points.tolist(),
        "n_points": len(found.points),
        "objective": found.objective,
        "history": list(found.history),
        "names": shapes.names,
        "shapes": [points_as_json(own.numpy()) for own in ready.sets],
        **({"landmarks": shapes.landmarks} if shapes.landmarks and len(shapes.landmarks) == len(found.points) else {}),
        **({"edges": shapes.edges} if shapes.edges else {}),
    }


def _report(ready: ReadyShapes, found: Barycenter) -> None:
    from brule.geometry import mirror_permutation

    say(f"barycenter of {len(ready.sets)} shapes, {len(found.points)} landmarks")
    say(f"spread      {100 * found.objective**0.5:.2f} % of the crop: how far landmarks typically are from their place here")
    say(f"            (mean squared W₂ {found.objective:.6f}, after {len(found.history) - 1} iterations)")
    indexed = ready.whole is not None and ready.whole.shape[1] == len(found.points)
    mirror = mirror_permutation(
        ready.whole if ready.whole is not None and indexed else found.points
    )  # as training looks for it
    counts = {len(points) for points in ready.sets}
    if len(counts) > 1:
        note(f"the shapes have {', '.join(map(str, sorted(counts)))} points: indices follow those of {len(found.points)}")
    if mirror is None:
        say("symmetry    none between left and right")
        return
    pairs = [(index, partner) for index, partner in enumerate(mirror.tolist()) if index < partner]
    middle = len(mirror) - 2 * len(pairs)
    both, alone = ("pair" if len(pairs) == 1 else "pairs"), ("landmark" if middle == 1 else "landmarks")
    say(f"symmetry    {len(pairs)} {both} left and right, {middle} {alone} on the axis")
    if pairs:
        say(f"            {', '.join(f'{left}:{right}' for left, right in pairs)}")


def _draw(shapes: Shapes, ready: ReadyShapes, found: Barycenter, *, target: Path, asked: bool) -> None:
    from brule.detector import usual_edges
    from brule.plots import barycenter_picture, save_picture

    stated = [edge for edge in shapes.edges if max(edge) < len(found.points)]
    try:
        save_picture(barycenter_picture(found.points, ready.sets, edges=stated or usual_edges(found.points)), target)
    except BruleError as error:
        if asked:
            raise
        note(f"no picture: {error}")
    else:
        say(f"picture: {target}")
