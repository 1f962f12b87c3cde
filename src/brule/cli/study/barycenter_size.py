"""``brule study barycenter-size``: how many annotated shapes are enough."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from brule.cli.options import Many, Output, SkipBad
from brule.cli.output import note, note_bad, progress_bar, say


def barycenter_size(
    *,
    shapes: Annotated[list[str], Many],
    output: Annotated[Path, Output],
    sizes: Annotated[list[int] | None, Many] = None,
    draws: int = 20,
    seed: int = 0,
    n_shapes: int | None = None,
    exclude_validation: bool = False,
    skip_bad: SkipBad = False,
    quiet: bool = False,
) -> int:
    """How many annotated shapes are enough: the barycenter of n shapes against that of all (Fig. 5).

    For each n, that many shapes are drawn repeatedly, and their barycenter is compared with that of all: by W₂, and
    landmark by landmark in % of the distance of the eyes (box diagonal for other objects). The exponent of the power law
    by which the squared error falls is fitted with its interval; the paper's is 1/n. Nothing is trained; the time grows with
    the number of shapes, minutes for a thousand.

    A study that was stopped continues with the same command; you can add sizes or draws later. The folder gets
    `barycenter-size.md` (the table), `barycenter-size.svg`, `barycenters.svg` (that of ten shapes over that of all) and
    `barycenter-size.json`.

    **Examples**

        brule study barycenter-size --shapes annotated/ -o studies/size

        brule study barycenter-size --shapes 300w --sizes 3 5 10 20 50 100 200 --draws 20 -o studies/size

    Args:
        shapes: The annotated shapes: annotations of any format, folders of them, data sets, or JSON files.
        output: The study's folder.
        sizes: The numbers n of shapes; those larger than the number of shapes are left out. By default 3 5 10 20 50 100.
        draws: Draws of each size.
        seed: Random seed of the draws.
        n_shapes: Use only this many shapes, drawn with the seed.
        exclude_validation: Leave out the shapes whose image's name falls into the validation tenth.
        quiet: No progress bar.
    """
    from brule.data.training_data import annotated_shapes
    from brule.studies import report_barycenter_size, run_barycenter_size
    from brule.studies.barycenter_size import SIZES

    given = annotated_shapes(
        shapes, n_shapes=n_shapes, seed=seed, exclude_validation=exclude_validation, skip_bad=skip_bad, warn=False
    )
    note_bad(given.bad)
    if left_out := sorted({n for n in sizes or () if n > len(given)}):
        which = f"size {left_out[0]}" if len(left_out) == 1 else f"sizes {', '.join(map(str, left_out))}"
        note(f"--sizes: {which} left out: there are only {len(given)} shapes")
    with progress_bar("shapes in barycenters", quiet=quiet) as progress:
        found = run_barycenter_size(output, given, sizes=sizes or SIZES, draws=draws, seed=seed, progress=progress)
    say(report_barycenter_size(output, found))
    return 0
