"""Locating: object detection in whole images, learnt from about ten annotated images and from unlabelled ones.

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
describes the sizes and positions of the annotated objects in their images.
"""

from __future__ import annotations

from brule.locating.examples import object_angles
from brule.locating.framing import Framing, learn_framing
from brule.locating.learning import learn_locator
from brule.locating.locator import Located, Locator, LocatorSettings
from brule.locating.matching import DetectionCounts, count_detections, match_objects, object_similarity
from brule.locating.painting import painted_over
from brule.locating.places import agrees, from_boxes, orientations, overlap, place_of, suppress, to_boxes
from brule.locating.scoring import Detect, DetectionFeatures, Detections, DetectionScorer, floor_error, learn_scorer

__all__ = [
    "Detect",
    "DetectionCounts",
    "DetectionFeatures",
    "DetectionScorer",
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
