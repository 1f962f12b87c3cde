"""The images to choose from: each once, as crops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from brule.arrays import Array
from brule.choosing.descriptors import encoder_descriptors, plain_descriptors
from brule.choosing.selection import Choice, choose, choose_next
from brule.data import CROP_SCALE, BadFiles, CropCache, Sample, SampleList, build_cache
from brule.detector import LandmarkDetector
from brule.detector.training_images import image_keys

_SIDE = 64  # pixels of the crops to compare where there is no detector
Progress = Callable[[int, int], object]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Images to choose from, and those that are annotated already.

    Attributes:
        cache: the crops of all, and their samples.
        annotated: ``(m,)`` indices of those that are annotated already.
        detector: by whose features images are compared; ``None``: by their pixels.
    """

    cache: CropCache
    annotated: Array
    detector: LandmarkDetector | None = None

    @classmethod
    def of(
        cls,
        samples: SampleList,
        *,
        annotated: Sequence[Sample] = (),
        detector: LandmarkDetector | None = None,
        skip_bad: bool = False,
        progress: Progress | None = None,
        finding: Progress | None = None,
    ) -> Candidates:
        """Cut the images out.

        Args:
            samples: the images; of several objects in one image, the first counts. Their landmarks decide nothing but, without
                a box, the crop.
            annotated: images that are annotated already. They may be among ``samples``, also as copies under the same name.
            detector: finds the objects in images without a box.
            skip_bad: leave out files that can't be read.
            progress: called as ``progress(done, total)`` while images are decoded.
            finding: the same, while the detector finds the objects.

        Raises:
            DataError: a bad file.
        """
        known = set(image_keys(sample.path for sample in annotated))
        keys = image_keys(sample.path for sample in samples) if known else [""] * len(samples)
        others = [sample for sample, key in zip(samples, keys, strict=True) if key not in known]
        every = one_per_image([*others, *annotated])
        bad = list(samples.bad)
        if detector is not None:
            every = _located(every, detector, skip_bad=skip_bad, progress=finding)
            bad += detector.bad_files_
        size, scale = (_SIDE, CROP_SCALE) if detector is None else _crop_of(detector)
        cache = build_cache(samples.replaced(every), size, scale=scale, skip_bad=skip_bad, progress=progress)
        cache = replace(cache, bad=BadFiles([*bad, *cache.bad], skip=True))
        paths = {sample.path for sample in annotated}
        own = np.array([k for k, sample in enumerate(cache.samples) if sample.path in paths], dtype=np.int64)
        return cls(cache, own, detector)

    @property
    def free(self) -> int:
        """How many of them can be chosen."""
        return len(self.cache) - len(self.annotated)

    def descriptors(self) -> Array:
        """``(B, D)``, see :mod:`brule.choosing.descriptors`."""
        crops = self.cache.images
        return plain_descriptors(crops) if self.detector is None else encoder_descriptors(self.detector, crops)

    def choose(self, n: int, descriptors: Array, *, seed: int = 0) -> Choice:
        """Choose n images: the centres of clusters or, if some are annotated, those that represent what these don't.

        Raises:
            DataError: there are fewer images.
        """
        if not len(self.annotated):
            return choose(descriptors, n, seed=seed)
        return choose_next(descriptors, n, annotated=self.annotated)


def _crop_of(detector: LandmarkDetector) -> tuple[int, float]:
    return detector.config_.crop.image_size, detector.config_.crop.scale


def one_per_image(samples: Iterable[Sample]) -> list[Sample]:
    """The first sample of each image."""
    first: dict[Path, Sample] = {}
    for sample in samples:
        first.setdefault(sample.path, sample)
    return list(first.values())


def _located(samples: list[Sample], detector: LandmarkDetector, *, skip_bad: bool, progress: Progress | None) -> list[Sample]:
    """The samples with boxes: those that the detector found where they have none."""
    bare = [sample.unlabelled() for sample in samples]
    truth = {sample.path: sample.points for sample in samples}
    found: dict[Path, Sample] = {}
    for rows, landmarks in detector.iter_predict(SampleList(bare), skip_bad=skip_bad):
        for sample, box, angle in zip(rows, landmarks.box.tolist(), landmarks.angle.tolist(), strict=True):
            if sample.box is None and np.isfinite(box).all():
                sample = replace(sample, box=tuple(box), angle=angle)
            found[sample.path] = replace(sample, points=truth[sample.path])
        if progress is not None:
            progress(len(found), len(samples))
    return list(found.values())
