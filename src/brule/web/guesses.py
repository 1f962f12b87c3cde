"""Guesses for images that nobody has annotated yet: fitted in the background, again after every finished image."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from brule.annotating import Project
from brule.annotating.examples import Example
from brule.annotating.features import FeatureModel, LearntFeatures
from brule.annotating.guessing import MAX_IMAGES, GuessModel, PosePrior, held_out_errors, mean_guess
from brule.annotating.project import StaleTemplate
from brule.annotating.statistics import ShapeStatistics, conditioned
from brule.annotating.symmetry import project_pairs
from brule.data.images import image_size, load_reduced
from brule.errors import DataError
from brule.web.background import Latest
from brule.web.events import Hub

NEWEST = 200  # shapes that the statistics are made of; the model is fitted to the newest MAX_IMAGES of them
SIDE = 512  # pixels of an image that it looks at
KEPT = NEWEST + 50  # such images in memory: those of the statistics, and those that guesses were asked for meanwhile
MIN_PAIRED = 5  # images that left–right pairs are found from
_SURE = (0.15, 0.08, 0.08)  # of a model's pose: place, size, angle


@dataclass(frozen=True, eq=False)
class Fitted:
    """Statistics, model and held-out errors of one fit; immutable, replaced as a whole.

    Args:
        version: increases whenever it changes.
        statistics: of the shapes; None before the first.
        images: whose shapes these are, in the same order.
        pose_prior: where objects are in their images.
        model: the cascade; None before the third image.
        features: what finds the landmarks first, from ImageNet features; None where these aren't installed.
        trained_on: how many images there are.
        held_out: mean error in pixels on annotated images that were left out, by source.
    """

    version: int = 0
    statistics: ShapeStatistics | None = None
    images: tuple[str, ...] = ()
    pose_prior: PosePrior | None = None
    model: GuessModel | None = None
    features: FeatureModel | None = None
    trained_on: int = 0
    held_out: dict[str, float | None] = field(default_factory=dict)

    @property
    def source(self) -> str | None:
        """What guesses come from."""
        if self.statistics is None:
            return None
        model, mean = self.model_error, self.held_out.get("mean")
        return "model" if self.model is not None and (model is None or mean is None or model < mean) else "mean"

    @property
    def model_error(self) -> float | None:
        """Held-out error of the model, with features or without, whichever is smaller."""
        known = [self.held_out.get(name) for name in ("model", "features")]
        return min((value for value in known if value is not None), default=None)

    @property
    def used_features(self) -> FeatureModel | None:
        """The features, where guesses that begin with them are better on images that were left out."""
        without, using = self.held_out.get("model"), self.held_out.get("features")
        return self.features if without is not None and using is not None and using < without else None


class Guesses:
    """The service behind the page's guesses.

    Args:
        project: whose images they are of.
        hub: hears when there is a better model.

    Attributes:
        fitted: what is known so far.
        detector_error: the newest detector's error on finished images that it hasn't seen, in pixels; None if that isn't known.
    """

    def __init__(self, project: Project, hub: Hub) -> None:
        self._project, self._hub = project, hub
        self._guard = threading.Lock()
        self._examples: OrderedDict[tuple[str, tuple[int, int]], Example] = OrderedDict()  # by id and the file's stamp
        self._known: frozenset[tuple[object, ...]] = frozenset()
        self._learnt: LearntFeatures | None = None
        self._paired_at = 0  # images from which pairs were last looked for
        self.fitted = Fitted()
        self.detector_error: Callable[[], float | None] = lambda: None
        self.work = Latest(self._fit, name="guesses")
        project.listen(self._heard)
        self.work.ask()

    def state(self) -> dict[str, Any]:
        """What the page shows of it."""
        fitted, error = self.fitted, self.detector_error()
        known = {"mean": fitted.held_out.get("mean"), "model": fitted.model_error, "detector": error}
        return {
            "ready": fitted.source is not None,
            "source": "detector" if fitted.source is not None and self.beaten_by(error) else fitted.source,
            "trained_on": fitted.trained_on,
            "held_out": {name: None if value is None else round(value, 3) for name, value in known.items()},
        }

    def beaten_by(self, error: float | None) -> bool:
        """Whether a detector with this held-out error, in pixels, is better than all guesses."""
        own = [value for value in (self.fitted.model_error, self.fitted.held_out.get("mean")) if value is not None]
        return error is not None and (not own or error < min(own))

    def guess(
        self, image: str, fixed: np.ndarray, *, source: str | None = None, prediction: np.ndarray | None = None
    ) -> tuple[str, np.ndarray, np.ndarray | None] | None:
        """A guess for an image, that leaves placed points where they are.

        Args:
            image: its id.
            fixed: ``(N, 2)`` in pixels, NaN where nothing is placed.
            source: ``mean`` for the mean shape, even where a better guess is there.
            prediction: ``(N, 2)`` of a detector that is better than the model, if there is one.

        Returns:
            The source, ``(N, 2)`` in pixels, and ``(N,)`` in pixels, how unsure each is; None before the first image.
        """
        fitted = self.fitted
        statistics, pose_prior = fitted.statistics, fitted.pose_prior
        if statistics is None or pose_prior is None or len(statistics.mean) != len(fixed):
            return None
        wanted = source or ("detector" if prediction is not None else fitted.source)
        if wanted == "detector" and prediction is not None:
            return "detector", conditioned(prediction, fixed, statistics, pose_sd=_SURE), None
        if wanted == "model" and fitted.model is not None:
            found = fitted.model.guess(self.example(image), fitted.used_features)
            return "model", conditioned(found.points, fixed, statistics, pose_sd=_SURE), found.uncertainty
        prior = mean_guess(statistics, pose_prior, image_size(self._project.entry(image).path))
        return "mean", conditioned(prior, fixed, statistics, pose_sd=pose_prior.pose_sd), None

    def example(self, image: str, points: np.ndarray | None = None) -> Example:
        """An image as a guess sees it.

        Raises:
            DataError: it is missing or broken.
        """
        path = self._project.entry(image).path
        key = (image, _stamp(path))
        with self._guard:
            kept = self._examples.get(key)
        if kept is None:
            kept = Example(np.asarray(load_reduced(path, SIDE).convert("L")), image_size(path))
        with self._guard:
            self._examples[key] = kept
            self._examples.move_to_end(key)
            while len(self._examples) > KEPT:
                self._examples.popitem(last=False)
        return Example(kept.grey, kept.size, points)

    def _heard(self, event: str, facts: dict[str, Any]) -> None:
        if event == "project" or (event == "image" and facts.get("layer") == "first"):
            self.work.ask()

    def _fit(self) -> None:
        project = self._project
        ids, shapes = project.annotated(NEWEST)
        files = [_stamp(project.entry(image).path) for image in ids]
        versions = {(image, project.record(image).version, file) for image, file in zip(ids, files, strict=True)}
        known = frozenset({*versions, ("", project.settings.version)})
        if known == self._known:
            return
        self._known = known
        ids, shapes, sizes = self._readable(ids, shapes)
        self._find_pairs(len(ids))
        pairs = project.template.pairs
        before = self.fitted
        statistics = ShapeStatistics.of(shapes, pairs=pairs) if ids else None
        if statistics is None or len(statistics.poses) != len(ids):
            self._publish(Fitted(before.version + 1, trained_on=len(ids)))
            return
        usual = PosePrior(statistics, sizes)
        now = replace(before, version=before.version + 1, statistics=statistics, images=tuple(ids))
        now = replace(now, pose_prior=usual, trained_on=len(ids))
        if before.statistics is not None and len(before.statistics.mean) != len(statistics.mean):
            now = replace(now, model=None, features=None, held_out={})  # of other landmarks
        self._publish(now)
        if self.work.ending:
            return
        chosen = list(zip(ids, shapes, strict=True))[-MAX_IMAGES:]
        examples = [self.example(image, points) for image, points in chosen]
        now = replace(now, version=now.version + 1, model=GuessModel.fit(examples, pairs=pairs))
        self._publish(now)
        if now.model is not None and not self.work.ending:
            learnt = self._learnt_features()
            if learnt is not None:
                learnt.learn(examples, [(image, project.record(image).version) for image, _ in chosen], pairs)
                now = replace(now, features=learnt.model(now.model.statistics))
            errors = held_out_errors(examples, pairs=pairs, learnt=learnt)
            means = {name: float(np.nanmean(values)) for name, values in errors.items() if np.isfinite(values).any()}
            self._publish(replace(now, held_out=dict(means)))

    def _learnt_features(self) -> LearntFeatures | None:
        """What keeps the features of the annotated images; None where they aren't installed."""
        if self._learnt is None:
            from brule.annotating.imagenet import Features, available

            if available():
                self._learnt = LearntFeatures(Features.load())
        return self._learnt

    def _find_pairs(self, n_images: int) -> None:
        """Find the left–right pairs, unless a person has set them: after five images, then whenever there are twice as many."""
        project = self._project
        version, template = project.settings.version, project.template
        if template.pairs is not None or n_images < max(MIN_PAIRED, 2 * self._paired_at):
            return
        self._paired_at = n_images
        found = project_pairs(project)
        if found:
            with suppress(StaleTemplate):  # then the landmarks have just been changed
                project.set_template(version, template.model_copy(update={"pairs": found, "pairs_from": "found"}))

    def _readable(self, ids: list[str], shapes: np.ndarray) -> tuple[list[str], np.ndarray, list[tuple[int, int]]]:
        """The finished images that can be read, their shapes and sizes."""
        sizes: dict[str, tuple[int, int]] = {}
        for image in ids:
            with suppress(DataError):
                sizes[image] = self.example(image).size
        kept = [k for k, image in enumerate(ids) if image in sizes]
        return [ids[k] for k in kept], shapes[kept], [sizes[ids[k]] for k in kept]

    def _publish(self, fitted: Fitted) -> None:
        self.fitted = fitted
        self._hub.publish("guess", self.state())


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when an image file does; zeros where it is missing."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
