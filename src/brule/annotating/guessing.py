"""A guess after a few annotated images, within seconds: shapes drawn to the image by a cascade of linear steps.

A locator finds the object (:mod:`brule.locating`), and the mean shape is put there. The cascade looks at the
gradients about every landmark, and moves the landmarks as ridge regression has learnt to (Xiong & De la Torre 2013,
"Supervised Descent Method"). It knows nothing but the annotated images: each of them teaches from many wrong starts,
mirrored, too, where the left–right pairs are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brule.annotating.examples import Example, mirrored
from brule.annotating.gradients import BINS, GradientMaps
from brule.annotating.statistics import Pose, ShapeStatistics, similarity
from brule.arrays import evenly_spread
from brule.locating import Locator, learn_locator

if TYPE_CHECKING:
    from brule.annotating.features import FeatureModel, LearntFeatures

MIN_IMAGES = 3
MAX_IMAGES = 60  # the last of them: more take longer and help little
RADIUS = 22.0  # pixels: to what root-mean-square radius of the shape an image is brought
MAX_SIDE = 400  # pixels of an image that is brought there
_WIDTHS = (4.0, 2.0, 1.0)
_STAGES = ((0, 0.7), (0, 0.5), (1, 0.35), (1, 0.25), (2, 0.18))  # smoothing, and half the side of a landmark's patch
_STARTS = 600  # wrong starts altogether
_RIDGE = 1.5  # of the features' mean variance: the surroundings of ten faces say little about the eleventh
_ANCHORS = 48  # landmarks whose surroundings are looked at, at most
_PATCH = 3  # places across a patch
_TRIES = 9  # starts of one guess
_PLACES = 4  # where features look for the object
_REFINING, _NEAR = 2, 0.3  # the first step that refines what features found, and how far from it the starts are, in _SD
_SD = np.array([0.18, 0.18, 0.1, 0.15])  # standard deviations of a start's place (x, y), logarithm of size, and angle


@dataclass(frozen=True, eq=False)
class Guess:
    """Where landmarks probably are.

    Args:
        points: ``(N, 2)`` in pixels.
        uncertainty: ``(N,)`` in pixels: how far guesses from several starts differ.
    """

    points: np.ndarray
    uncertainty: np.ndarray


class PosePrior:
    """Where in an image objects usually are, how large, and how turned.

    Args:
        statistics: of the annotated shapes.
        sizes: of their images, in the order of ``statistics.poses``.
    """

    def __init__(self, statistics: ShapeStatistics, sizes: Sequence[tuple[int, int]]) -> None:
        rows = []
        for pose, size in zip(statistics.poses, sizes, strict=True):
            side, turn = max(size), np.arctan2(pose.matrix[0, 1], pose.matrix[0, 0])
            middle = (pose.offset + 0.5 - np.array(size) / 2) / side
            rows.append([*middle, np.log(pose.scale / side), turn])
        found = np.array(rows)
        self.mean = np.median(found, axis=0)
        spread = found.std(axis=0) * np.sqrt(len(found) / max(len(found) - 1, 1)) if len(found) > 1 else np.zeros(4)
        radius = np.exp(self.mean[2])
        least = _SD * [radius, radius, 1.0, 1.0]
        self.sd = np.maximum(spread, least)
        self.pose_sd = (float(self.sd[:2].max() / radius), float(self.sd[2]), float(self.sd[3]))

    def pose(self, size: tuple[int, int], offset: np.ndarray | None = None) -> Pose:
        """The usual pose in an image of a size, or one ``offset`` standard deviations away from it."""
        x, y, log_scale, turn = self.mean + (0.0 if offset is None else offset * self.sd)
        side = max(size)
        scale = np.exp(log_scale) * side
        cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
        return Pose(np.array([[cosine, sine], [-sine, cosine]]), np.array([x, y]) * side + np.array(size) / 2 - 0.5)


@dataclass(frozen=True, eq=False)
class _Stage:
    level: int
    half: float  # of a patch, in units of the shape's radius
    mean: np.ndarray  # (D,) of the features
    weights: np.ndarray  # (D, 2N)
    bias: np.ndarray  # (2N,): the mean step

    def steps(self, values: np.ndarray) -> np.ndarray:
        """Features ``(S, D)`` → how far each landmark has to move, ``(S, N, 2)`` in units of the shape."""
        return ((values - self.mean) @ self.weights + self.bias).reshape(len(values), -1, 2)


class GuessModel:
    """A fitted cascade.

    Args:
        statistics: of the annotated shapes.
        pose_prior: of the objects.
        locator: of the object.
        anchors: the landmarks whose surroundings are looked at.
        stages: the steps.
    """

    def __init__(
        self,
        statistics: ShapeStatistics,
        pose_prior: PosePrior,
        *,
        locator: Locator,
        anchors: np.ndarray,
        stages: Sequence[_Stage],
    ) -> None:
        self.statistics, self.pose_prior = statistics, pose_prior
        self._locator, self._anchors, self._stages = locator, anchors, stages

    @classmethod
    def fit(
        cls, examples: Sequence[Example], *, pairs: Sequence[tuple[int, int]] | None = None, seed: int = 0
    ) -> GuessModel | None:
        """Learn from annotated images.

        Args:
            examples: annotated; of more than :data:`MAX_IMAGES`, the last.
            pairs: landmarks that change places in a mirror image.
            seed: of the wrong starts.

        Returns:
            The model; None where there are fewer than three images with landmarks, or a landmark is in none of them.
        """
        used = [one for one in examples if one.points is not None and np.isfinite(one.points).all(1).sum() >= 2][-MAX_IMAGES:]
        if len(used) < MIN_IMAGES:
            return None
        given = list(used)  # the locator mirrors by itself
        if pairs:
            used += [mirrored(one, pairs) for one in used]
        statistics = ShapeStatistics.of(np.stack([np.asarray(one.points, dtype=np.float64) for one in used]))
        if statistics is None or len(statistics.poses) != len(used):
            return None
        pose_prior = PosePrior(statistics, [one.size for one in used])
        truths = [_completed(np.asarray(one.points, dtype=np.float64), statistics) for one in used]
        anchors = evenly_spread(len(statistics.mean), _ANCHORS)
        rng = np.random.default_rng(seed)
        times = max(4, _STARTS // len(used))
        owners = np.repeat(np.arange(len(used)), times)
        shapes = np.stack([_start(truths[k], statistics, rng) for k in owners])
        targets = np.stack(truths)[owners]
        locator = learn_locator([one.grey for one in given], [one.to_grey(one.annotated()) for one in given], seed=seed)
        maps = [_maps(one, pose.scale) for one, pose in zip(used, statistics.poses, strict=True)]
        stages = []
        for level, half in _STAGES:
            view = _View([maps[k] for k in owners], anchors, level, half)
            stage, shapes = _learnt(view, shapes, targets, statistics=statistics)
            stages.append(stage)
        return cls(statistics, pose_prior, locator=locator, anchors=anchors, stages=stages)

    def guess(self, example: Example, features: FeatureModel | None = None) -> Guess:
        """Find the landmarks of an image.

        Args:
            example: the image.
            features: finds them first; the last steps of the cascade then refine them.
        """
        poses = self.found_poses(example, 1 if features is None else _PLACES)
        pose = poses[0]
        rng = np.random.default_rng(0)
        offsets = np.concatenate([np.zeros((1, 4)), 0.7 * rng.standard_normal((_TRIES - 1, 4))])
        if features is None:
            shapes = np.stack([_jittered(pose, own * _SD)(self.statistics.mean) for own in offsets])
            stages = self._stages
        else:
            found = features.guess(example, poses)
            pose = similarity(self.statistics.mean, found) or pose
            shapes = np.stack([_jittered(pose, _NEAR * own * _SD)(pose.back(found)) for own in offsets])
            stages = self._stages[_REFINING:]
        maps = _maps(example, pose.scale)
        for stage in stages:
            poses = _poses(shapes, self.statistics)
            values = _View([maps] * len(shapes), self._anchors, stage.level, stage.half).features(shapes, poses)
            shapes = shapes + np.stack([step @ pose.matrix for step, pose in zip(stage.steps(values), poses, strict=True)])
        points = np.median(shapes, axis=0)
        return Guess(points, np.sqrt(((shapes - points) ** 2).sum(-1).mean(0)))

    def found_poses(self, example: Example, most: int = 1) -> list[Pose]:
        """Where the locator sees objects, the surest first; where objects usually are, if it sees fewer."""
        found = self._locator.locate([example.grey], most=most)
        corners = [example.from_grey(box.reshape(2, 2)) for box in found.boxes]
        poses = [_pose_in(own, float(angle), self.statistics.mean) for own, angle in zip(corners, found.angle, strict=True)]
        return [*poses, self.pose_prior.pose(example.size)][:most]


def mean_guess(statistics: ShapeStatistics, pose_prior: PosePrior, size: tuple[int, int]) -> np.ndarray:
    """The mean shape where objects usually are: ``(N, 2)`` in pixels."""
    return pose_prior.pose(size)(statistics.mean)


def held_out_errors(
    examples: Sequence[Example],
    *,
    pairs: Sequence[tuple[int, int]] | None = None,
    folds: int = 3,
    learnt: LearntFeatures | None = None,
) -> dict[str, list[float]]:
    """The mean error in pixels on each annotated image, of guesses that haven't seen it.

    Args:
        examples: annotated.
        pairs: landmarks that change places in a mirror image.
        folds: how many parts the images are divided into.
        learnt: what ImageNet features show of the examples, in their order, where they are installed.

    Returns:
        ``mean``, ``model`` and, with ``learnt``, ``features``, for the examples in their order; NaN where there are too few
        others.
    """
    names = ("mean", "model", "features") if learnt is not None else ("mean", "model")
    found = {name: [np.nan] * len(examples) for name in names}
    folds = min(folds, len(examples))
    for fold in range(folds):
        others = [k for k in range(len(examples)) if k % folds != fold]
        model = GuessModel.fit([examples[k] for k in others], pairs=pairs)
        features = None if learnt is None or model is None else learnt.model(model.statistics, others)
        for k, one in enumerate(examples):
            if k % folds != fold or one.points is None or model is None:
                continue
            constant = mean_guess(model.statistics, model.pose_prior, one.size)
            found["mean"][k] = point_error(constant, one.points)
            found["model"][k] = point_error(model.guess(one).points, one.points)
            if features is not None:
                found["features"][k] = point_error(model.guess(one, features).points, one.points)
    return found


def point_error(found: np.ndarray, truth: np.ndarray) -> float:
    """The mean distance of the points that are annotated; NaN without any."""
    apart = np.linalg.norm(found - truth, axis=1)
    return float(apart[np.isfinite(apart)].mean()) if np.isfinite(apart).any() else float("nan")


def _maps(example: Example, scale: float) -> GradientMaps:
    """Maps in which a shape of a scale (pixels of the image) has the radius that the cascade works at."""
    from PIL import Image

    factor = min(RADIUS / scale, MAX_SIDE / max(example.size), 1.5 * example.factor)
    width, height = (max(8, round(side * factor)) for side in example.size)
    grey = np.asarray(Image.fromarray(example.grey).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))
    return GradientMaps.of(grey, widths=_WIDTHS, factor=width / example.size[0])


def _start(truth: np.ndarray, statistics: ShapeStatistics, rng: np.random.Generator) -> np.ndarray:
    """A wrong start: the mean shape, upright or nearly, about where the object is."""
    low_high = np.stack([truth.min(0), truth.max(0)])
    pose = _pose_in(low_high, 0.0, statistics.mean)
    return _jittered(pose, rng.standard_normal(4) * _SD)(statistics.mean)


def _pose_in(box: np.ndarray, degrees: float, mean: np.ndarray) -> Pose:
    """The pose in which a shape fills a box (its corners, ``(2, 2)``) that is turned about its centre."""
    low, high = mean.min(0), mean.max(0)
    scale = float(np.sqrt(np.prod(box[1] - box[0]) / np.prod(np.maximum(high - low, 1e-3))))
    cosine, sine = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    return Pose(matrix, box.mean(0) - (low + high) / 2 @ matrix)


def _jittered(pose: Pose, offset: np.ndarray) -> Pose:
    """A pose moved by an offset: place in units of the shape, logarithm of the size, angle."""
    grown, turn = np.exp(offset[2]), offset[3]
    cosine, sine = grown * np.cos(turn), grown * np.sin(turn)
    return Pose(pose.matrix @ np.array([[cosine, sine], [-sine, cosine]]), pose.offset + offset[:2] * pose.scale)


@dataclass(frozen=True, eq=False)
class _View:
    """How a step looks at images: maps of each shape's image, the landmarks, the smoothing and half the side of a patch."""

    maps: Sequence[GradientMaps]
    anchors: np.ndarray
    level: int
    half: float

    def features(self, shapes: np.ndarray, poses: Sequence[Pose]) -> np.ndarray:
        """The gradients on a grid about every anchor, turned and sized as the shape: ``(S, D)``."""
        steps = np.linspace(-self.half, self.half, _PATCH)
        grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
        values = np.empty((len(shapes), len(self.anchors) * len(grid) * BINS), dtype=np.float32)
        for row, (shape, pose, own) in enumerate(zip(shapes, poses, self.maps, strict=True)):
            places = shape[self.anchors][:, None] + (grid @ pose.matrix)[None]
            values[row] = own.at(places, self.level).ravel()
        return values


def _learnt(view: _View, shapes: np.ndarray, targets: np.ndarray, *, statistics: ShapeStatistics) -> tuple[_Stage, np.ndarray]:
    """One step, and the shapes after it."""
    poses = _poses(shapes, statistics)
    values = view.features(shapes, poses)
    wanted = np.stack([(b - a) @ np.linalg.inv(pose.matrix) for a, b, pose in zip(shapes, targets, poses, strict=True)])
    mean = values.mean(0)
    centred = values - mean
    kernel = centred @ centred.T
    kernel[np.diag_indices_from(kernel)] += _RIDGE * np.trace(kernel) / len(kernel) + 1e-6
    flat = wanted.reshape(len(wanted), -1)
    bias = flat.mean(0)  # features and steps are centred, so the ridge doesn't shrink it
    stage = _Stage(view.level, view.half, mean, centred.T @ np.linalg.solve(kernel, flat - bias), bias)
    moved = shapes + np.stack([step @ pose.matrix for step, pose in zip(stage.steps(values), poses, strict=True)])
    return stage, moved


def _poses(shapes: np.ndarray, statistics: ShapeStatistics) -> list[Pose]:
    """Where each shape is; one that has shrunk to nothing keeps a size."""
    found = []
    for shape in shapes:
        pose = similarity(statistics.mean, shape)
        found.append(pose or Pose(np.eye(2), shape.mean(0)))
    return found


def _completed(points: np.ndarray, statistics: ShapeStatistics) -> np.ndarray:
    """A shape whose missing points are where the mean has them."""
    pose = similarity(statistics.mean, points)
    return points if pose is None else np.where(np.isfinite(points), points, pose(statistics.mean))
