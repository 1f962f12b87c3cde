"""Locating: where the objects are in whole images, learnt from about ten annotated images and from unlabelled ones.

>>> from brule.data.synthetic import synthetic_scenes
>>> from brule.locating import Locator, learn_locator
>>> scenes = synthetic_scenes(6, size=96)                          # images: files, Pillow images or arrays
>>> locator = learn_locator(scenes.images, scenes.points)
>>> found = locator.locate(scenes.images[:2], most=1)              # Located: boxes, angle, score, image
>>> found.boxes.shape[1]
4
>>> tensors, facts = locator.state()                               # for safetensors and JSON
>>> locator = Locator.from_state(tensors, facts)

Boxes are in pixels of the image, in the object's upright frame; ``angle`` turns them about their centre. ``locator.framing``
is how large the annotated objects are in their images, and where.
"""

from __future__ import annotations

from brule.locating.choice import AnswerFeatures, Answers, AnswerScorer, floor_error, learn_scorer
from brule.locating.examples import object_angles
from brule.locating.framing import Framing, learn_framing
from brule.locating.learning import learn_locator
from brule.locating.locator import Located, Locator, LocatorSettings
from brule.locating.matching import Detections, count_detections, match_objects, object_similarity
from brule.locating.painting import painted_over
from brule.locating.places import agrees, from_boxes, orientations, overlap, place_of, suppress, to_boxes

__all__ = [
    "AnswerFeatures",
    "AnswerScorer",
    "Answers",
    "Detections",
    "Framing",
    "Located",
    "Locator",
    "LocatorSettings",
    "agrees",
    "count_detections",
    "floor_error",
    "from_boxes",
    "learn_framing",
    "learn_locator",
    "learn_scorer",
    "match_objects",
    "object_angles",
    "object_similarity",
    "orientations",
    "overlap",
    "painted_over",
    "place_of",
    "suppress",
    "to_boxes",
]
