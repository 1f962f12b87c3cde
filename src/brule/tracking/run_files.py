"""The files of a run's folder, which is also a saved detector's: a name each, and what it holds."""

from __future__ import annotations

SETTINGS = "config.json"  # of the run, written when it starts
RECORD = "data.json"  # the images and annotations that it learns from
LOG = "metrics.jsonl"  # the terms of the loss, a line at a time
STAGE = "stage.json"  # what is being done now besides iterations
PREVIEWS = "previews"  # pictures of its progress
CHECKPOINT = "checkpoint.safetensors"  # which it is continued from

DESCRIPTION = "detector.json"  # of a detector: all that isn't a tensor
WEIGHTS = "model.safetensors"
DECODER = "decoder.safetensors"
LOCATOR = "locator.safetensors"
TRAINING_IMAGES = "training_images.json"  # digests, by which an image that was learnt from is known
APPEARANCE = "appearance.json"  # what training images look like
CALIBRATION = "calibration.json"  # from uncertainty to expected error
CARD = "README.md"  # the model card

EVALUATIONS = "evaluation"  # a folder for each set of images that it was evaluated on, with the following files
METRICS = "metrics.json"
PER_IMAGE = "per_image.csv"
PAGE = "index.html"
