"""The images that a resumed run continues with, beside those that it began with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from brule.detector.provenance import Provenance
from brule.detector.training_images import TrainingImages, image_keys
from brule.errors import ConfigError


@dataclass(frozen=True)
class Continuation:
    """What a run has learnt from once it was resumed.

    Attributes:
        images: the training images of both parts of the run.
        provenance: how many it continues with.
        remark: in which way they differ from those that it began with, in a sentence; empty if they don't.
    """

    images: TrainingImages
    provenance: Provenance
    remark: str

    @classmethod
    def of(
        cls, known: TrainingImages, provenance: Provenance, *, unlabelled: Sequence[Any], annotated: Sequence[Any]
    ) -> Continuation:
        """Compare the images that a run is resumed with to those that are recorded.

        Args:
            known: the run's training images; a run of an earlier version recorded none, and is compared with nothing.
            provenance: of the run.
            unlabelled: paths, arrays or Pillow images.
            annotated: those with landmarks.

        Raises:
            ConfigError: the run had unlabelled images and now there are none, or the other way round: that would be another
                training.
        """
        before = provenance.images if known.recorded else None
        if before is not None and bool(before) != bool(len(unlabelled)):
            raise ConfigError(
                f"fit: resume continues the run with its own images: it was started with {before or 'no'} unlabelled ones, got "
                f"{len(unlabelled) or 'none'}; begin a new run with its weights (start_from) to learn from others"
            )
        here = TrainingImages(frozenset(image_keys(unlabelled)), frozenset(image_keys(annotated)), recorded=True)
        counted = replace(provenance, images=len(unlabelled), labelled=len(annotated) or provenance.labelled)
        remarks = []
        for kind, then, now, new in (
            ("unlabelled", provenance.images, len(unlabelled), here.images - known.images),
            ("annotated", provenance.labelled, len(annotated), here.labelled - known.labelled),
        ):
            if known.recorded and then is not None and (then != now or new):
                more = f", {len(new)} of them new" if new else ""
                remarks.append(f"the run was started with {then} {kind} images, and now there are {now or 'none'}{more}")
        remark = f"{'; '.join(remarks)}: it continues like that" if remarks else ""
        return cls(known | here, counted, remark)
