"""Guesses for images that nobody has annotated yet: fitted in the background, again after every finished image."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from brule.annotating import Project
from brule.annotating.features import FeatureModel, LearntFeatures
from brule.annotating.guessing import Example, GuessModel, Whereabouts, held_out_errors, mean_guess
from brule.annotating.project import StaleTemplate
from brule.annotating.statistics import ShapeStatistics, conditioned
from brule.annotating.symmetry import project_pairs
from brule.data.images import image_size, load_reduced
from brule.errors import DataError
from brule.web.background import Latest
from brule.web.events import Hub

NEWEST = 200  # shapes that the statistics are made of
LEARNT = 60  # images that the model is fitted to
SIDE = 512  # pixels of an image that it looks at
KEPT = 100  # such images in memory
MIN_PAIRED = 5  # images that left–right pairs are found from
_SURE = (0.15, 0.08, 0.08)  # of a model's pose: place, size, angle


@dataclass(frozen=True, eq=False)
class Fitted:
    """What is known after the images that are finished so far.

    Args:
        version: increases whenever it changes.
        statistics: of the shapes; None before the first.
        whereabouts: of the objects.
        model: the cascade; None before the third image.
        features: what finds the landmarks first, from ImageNet features; None where these aren't installed.
        trained_on: how many images there are.
        held_out: mean error in pixels on annotated images that were left out, by source.
    """

    version: int = 0
    statistics: ShapeStatistics | None = None
    whereabouts: Whereabouts | None = None
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
        self._examples: OrderedDict[str, Example] = OrderedDict()
        self._known: frozenset[tuple[str, int]] = frozenset()
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
        statistics, whereabouts = fitted.statistics, fitted.whereabouts
        if statistics is None or whereabouts is None or len(statistics.mean) != len(fixed):
            return None
        entry = self._project.entry(image)
        wanted = source or ("detector" if prediction is not None else fitted.source)
        if wanted == "detector" and prediction is not None:
            return "detector", conditioned(prediction, fixed, statistics, pose_sd=_SURE), None
        if wanted == "model" and fitted.model is not None:
            found = fitted.model.guess(self.example(image), fitted.used_features)
            return "model", conditioned(found.points, fixed, statistics, pose_sd=_SURE), found.uncertainty
        prior = mean_guess(statistics, whereabouts, image_size(entry.path))
        return "mean", conditioned(prior, fixed, statistics, pose_sd=whereabouts.pose_sd), None

    def example(self, image: str, points: np.ndarray | None = None) -> Example:
        """An image as a guess sees it.

        Raises:
            DataError: it is missing or broken.
        """
        with self._guard:
            kept = self._examples.get(image)
        if kept is None:
            path = self._project.entry(image).path
            grey = np.asarray(load_reduced(path, SIDE).convert("L"))
            kept = Example(grey, image_size(path))
            with self._guard:
                self._examples[image] = kept
                while len(self._examples) > KEPT:
                    self._examples.popitem(last=False)
        return Example(kept.grey, kept.size, points)

    def _heard(self, event: str, facts: dict[str, Any]) -> None:
        if event == "project" or (event == "image" and facts.get("layer") == "first"):
            self.work.ask()

    def _fit(self) -> None:
        project = self._project
        ids, shapes, sizes = self._readable()
        known = frozenset({(image, project.record(image).version) for image in ids} | {("", project.settings.version)})
        if known == self._known:
            return
        self._known = known
        self._find_pairs(len(ids))
        pairs = project.template.pairs
        before = self.fitted
        statistics = ShapeStatistics.of(shapes, pairs=pairs) if ids else None
        if statistics is None or len(statistics.poses) != len(ids):
            self._publish(Fitted(before.version + 1, trained_on=len(ids)))
            return
        usual = Whereabouts(statistics, sizes)
        now = replace(before, version=before.version + 1, statistics=statistics, whereabouts=usual, trained_on=len(ids))
        if before.statistics is not None and len(before.statistics.mean) != len(statistics.mean):
            now = replace(now, model=None, features=None, held_out={})  # of other landmarks
        self._publish(now)
        chosen = list(zip(ids, shapes, strict=True))[-LEARNT:]
        examples = [self.example(image, points) for image, points in chosen]
        now = replace(now, version=now.version + 1, model=GuessModel.fit(examples, pairs=pairs))
        self._publish(now)
        if now.model is not None:
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

    def _readable(self) -> tuple[list[str], np.ndarray, list[tuple[int, int]]]:
        """The finished images that are there, their shapes and sizes."""
        ids, shapes = self._project.annotated(NEWEST)
        sizes: dict[str, tuple[int, int]] = {}
        for image in ids:
            with suppress(DataError):
                self.example(image)
                sizes[image] = image_size(self._project.entry(image).path)
        kept = [k for k, image in enumerate(ids) if image in sizes]
        return [ids[k] for k in kept], shapes[kept], [sizes[ids[k]] for k in kept]

    def _publish(self, fitted: Fitted) -> None:
        self.fitted = fitted
        self._hub.publish("guess", self.state())
