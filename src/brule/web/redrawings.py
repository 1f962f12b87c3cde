"""Images redrawn from landmarks, where a round was trained with a decoder."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brule.annotating import Project
from brule.annotating.rounds import rounds
from brule.coordinates import pixels_to_unit
from brule.data.images import load_crop
from brule.data.samples import Sample, SampleList
from brule.errors import ConfigError, DataError

if TYPE_CHECKING:
    from brule.redrawing import Redrawer

DECODER = "decoder.safetensors"


class Redrawings:
    """The service behind the page's redrawing: one decoder in memory, that of the newest round that has one.

    Args:
        project: whose rounds and images they are.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._guard = threading.Lock()
        self._loaded: tuple[Path, int, Redrawer] | None = None

    @property
    def run(self) -> Path | None:
        """The newest round with a decoder."""
        return next((path for path in reversed(rounds(self._project)) if (path / DECODER).is_file()), None)

    def draw(self, image: str, points: np.ndarray, style_of: str) -> np.ndarray:
        """An image drawn from landmarks.

        Args:
            image: whose crop the landmarks are in.
            points: ``(N, 2)`` in pixels of that image.
            style_of: the image whose style is taken.

        Returns:
            ``(S, S, 3)`` uint8.

        Raises:
            ConfigError: no round has a decoder.
            DataError: the landmarks don't fit it, or an image has none to be cut out by.
        """
        with self._guard:
            redrawer = self._redrawer()
            crop = redrawer.detector.config_.crop
            shown = self._sample(image, redrawer)
            _, box = load_crop(shown, crop.image_size, crop.scale)
            style, _ = load_crop(self._sample(style_of, redrawer), crop.image_size, crop.scale)
            centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            unit = pixels_to_unit(shown.in_frame(points, centre), box)[None]
            return redrawer.draw(unit, redrawer.styles_of(style[None]))[0]

    def _sample(self, image: str, redrawer: Redrawer) -> Sample:
        """What the detector sees of an image: the part about its annotation, upright if objects may be turned, or the whole."""
        from brule.detector.upright import upright_samples  # late: the page starts without torch

        record = self._project.record(image)
        points = record.marks.array(self._project.template.names)
        known = points if np.isfinite(points).all(1).sum() >= 2 else None
        detector, sample = redrawer.detector, Sample(record.entry.path, known, record.marks.box)
        return upright_samples(SampleList([sample]), detector.mean_shape())[0] if detector.whereabouts_.turns else sample

    def _redrawer(self) -> Redrawer:
        from brule.redrawing import Redrawer

        run = self.run
        if run is None:
            raise ConfigError("no round was trained with a decoder; train with the setting gan.enabled=true to redraw")
        stamp = (run / DECODER).stat().st_mtime_ns
        if self._loaded is None or self._loaded[:2] != (run, stamp):
            self._loaded = (run, stamp, Redrawer.load(run, device="cpu"))
        redrawer = self._loaded[2]
        if redrawer.n_points != len(self._project.template.names):
            raise DataError(f"{run.name}: draws from {redrawer.n_points} landmarks; the project has another number now")
        return redrawer
