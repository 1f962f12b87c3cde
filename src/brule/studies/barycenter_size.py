"""How many shapes a barycenter needs: that of n shapes against that of all (the paper's Fig. 5)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brule.data import Shapes
from brule.detector import ready_shapes
from brule.errors import CheckpointError, DataError
from brule.evaluation import normaliser, normalized_mean_error
from brule.files import parse_json, wrap_oserror, write_text
from brule.transport import free_support_barycenter, wasserstein2_squared

SIZES = (3, 5, 10, 20, 50, 100)
REFERENCE, DRAWS = "reference.json", "draws.jsonl"


@dataclass(frozen=True)
class Draw:
    """The barycenter of some shapes, compared with that of all.

    Attributes:
        n: how many shapes.
        number: of the draw, from 0.
        w2_squared: squared W₂ to the reference, in (% of the normalising distance)².
        nme: mean distance to the reference point of the same index, % of the normalising distance.
        points: ``(N, 2)`` in the unit square of the crop.
    """

    n: int
    number: int
    w2_squared: float
    nme: float
    points: list[list[float]]


@dataclass(frozen=True)
class SizeStudy:
    """Barycenters of few shapes and of all.

    Attributes:
        reference: ``(N, 2)``, the barycenter of all shapes, in the unit square of the crop.
        spread: root of the mean squared W₂ of the shapes to it, % of the normalising distance: the error of a single shape.
        n_shapes: how many there are.
        normaliser: the distance that errors are divided by, that of the reference.
        distance: its length, in sides of the crop.
        seed: of the draws.
        draws: by size and number.
    """

    reference: list[list[float]]
    spread: float
    n_shapes: int
    normaliser: str
    distance: float
    seed: int
    draws: list[Draw]


def run_barycenter_size(
    directory: Path,
    shapes: Shapes,
    *,
    sizes: Sequence[int] = SIZES,
    draws: int = 20,
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> SizeStudy:
    """Compute barycenters of n shapes, drawn again for each, and that of all; the results of an earlier call are read.

    Args:
        directory: of the study: ``reference.json`` and ``draws.jsonl``, to which a line is added with every draw.
        shapes: all of them, with one number of points. Missing points are completed first
            (:func:`brule.detector.ready_shapes`): the few shapes of a draw may lack a point altogether.
        sizes: n; those beyond the number of shapes are passed over. All shapes give the reference, whose error is 0.
        draws: of each size, without replacement.
        seed: of the draws. A draw depends on it, on n and on its own number, so more sizes or draws may be asked for later.
        progress: called with the number of shapes that went into barycenters, done and in all.

    Raises:
        DataError: shapes of different numbers of points, a size or number of draws below 1, or fewer than two shapes.
        CheckpointError: the directory holds a study of other shapes or another seed, or a damaged one.
    """
    cloud = _stacked(shapes)
    total = len(cloud)
    if min([*sizes, draws]) < 1:
        raise DataError(f"barycenter-size: expected sizes and draws of at least 1, got sizes {list(sizes)}, {draws} draws")
    wanted = [(n, number) for n in sorted({*sizes}) if n < total for number in range(draws)] + [(total, 0)]
    work, done = total + sum(n for n, _ in wanted[:-1]), 0
    report = progress or (lambda done, total: None)
    report(done, work)
    reference = _reference(directory, cloud, seed)
    report(done := done + total, work)
    name, distance = normaliser(reference[None])
    known = {(draw.n, draw.number): draw for draw in _read_draws(directory / DRAWS)}
    for n, number in wanted:
        if (n, number) not in known:
            points = reference if n == total else drawn_barycenter(cloud, n, number, seed=seed)
            known[n, number] = _compared(points, reference, float(distance[0]), n=n, number=number)
            _append(directory / DRAWS, known[n, number])
        report(done := done + (n if n < total else 0), work)
    spread = 100 * float(_squared(cloud, reference).mean()) ** 0.5 / float(distance[0])
    found = [known[one] for one in wanted]
    return SizeStudy(
        reference=reference.tolist(),
        spread=spread,
        n_shapes=total,
        normaliser=name,
        distance=float(distance[0]),
        seed=seed,
        draws=found,
    )


def drawn_barycenter(shapes: np.ndarray, n: int, number: int, *, seed: int) -> np.ndarray:
    """The barycenter ``(N, 2)`` of n of the shapes ``(K, N, 2)``; all of them stay in their order.

    Args:
        shapes: to draw from, without replacement.
        n: how many to draw.
        number: of the draw.
        seed: of the study; seed, n and number together say which shapes are drawn.
    """
    chosen = np.sort(np.random.default_rng((seed, n, number)).choice(len(shapes), n, replace=False))
    return free_support_barycenter([torch.from_numpy(shapes[i]) for i in chosen], seed=seed).points.numpy()


def _stacked(shapes: Shapes) -> np.ndarray:
    if shapes.n_points is None:
        counts = sorted({len(points) for points in shapes.points})
        raise DataError(
            f"barycenter-size: expected shapes with the same number of points, got {', '.join(map(str, counts))}; only then "
            "can barycenters be compared point by point"
        )
    if len(shapes) < 2:
        raise DataError("barycenter-size: expected at least two shapes, got one")
    whole = ready_shapes(shapes).whole
    assert whole is not None
    return whole.numpy()


def _reference(directory: Path, cloud: np.ndarray, seed: int) -> np.ndarray:
    """The barycenter of all shapes, kept with what it was made of."""
    path = directory / REFERENCE
    asked = {"shapes": hashlib.sha256(cloud.round(9).tobytes()).hexdigest(), "n_shapes": len(cloud), "seed": seed}
    if path.is_file():
        kept = _parsed(path.read_text(encoding="utf-8"), path, "remove the folder to start the study again")
        if any(kept.get(key) != value for key, value in asked.items()):
            raise CheckpointError(
                f"{path}: expected a study of these {len(cloud)} shapes with seed {seed}, this one has {kept.get('n_shapes')} "
                f"shapes and seed {kept.get('seed')}, perhaps others; choose another folder for another study"
            )
        return _points(kept.get("points"), cloud.shape[1], path)
    points = drawn_barycenter(cloud, len(cloud), 0, seed=seed)
    write_text(path, json.dumps(asked | {"points": points.tolist()}) + "\n")
    return points


def _points(given: object, count: int, path: Path) -> np.ndarray:
    try:
        points = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.shape != (count, 2) or not np.isfinite(points).all():
        raise CheckpointError(f"{path}: damaged: expected {count} points (x, y); remove the folder to start the study again")
    return points


def _squared(clouds: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Squared W₂ of each set ``(K, N, 2)`` to the reference, ``(K,)``."""
    return wasserstein2_squared(torch.from_numpy(clouds), torch.from_numpy(reference[None])).numpy()


def _compared(points: np.ndarray, reference: np.ndarray, distance: float, *, n: int, number: int) -> Draw:
    squared = float(_squared(points[None], reference)[0]) * (100 / distance) ** 2
    nme = float(normalized_mean_error(points[None], reference[None], distance=distance)[0])
    return Draw(n=n, number=number, w2_squared=squared, nme=nme, points=points.tolist())


def _append(path: Path, draw: Draw) -> None:
    with wrap_oserror(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(draw)) + "\n")


def _read_draws(path: Path) -> Iterator[Draw]:
    """The draws of a file; a last line that was cut off is taken away from it."""
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_text(path, whole)
    for number, line in enumerate(whole.splitlines(), 1):
        place = f"{path}: line {number}"
        hint = "remove the line to make the draw again"
        content = _parsed(line, place, hint)
        try:
            draw = Draw(**content)
            sound = bool(np.isfinite([draw.n, draw.number, draw.w2_squared, draw.nme]).all())
        except TypeError:
            sound = False
        if not sound:
            raise CheckpointError(f"{place}: damaged: expected a draw with n, number, w2_squared, nme, points; {hint}")
        yield draw


def _parsed(text: str, place: object, hint: str) -> dict[str, Any]:
    try:
        content = parse_json(text)
    except ValueError as error:
        raise CheckpointError(f"{place}: damaged ({error}); {hint}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{place}: damaged: expected a JSON object; {hint}")
    return content
