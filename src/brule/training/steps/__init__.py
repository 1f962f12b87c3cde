"""One iteration of training, as the paper's algorithms write it: a function an algorithm."""

from brule.training.steps.common import Guide, Observation, observe
from brule.training.steps.encoder import Studio, encoder_step
from brule.training.steps.gan import Painter, Scene, gan_step, resized
from brule.training.steps.supervised import supervised_step

__all__ = [
    "Guide",
    "Observation",
    "Painter",
    "Scene",
    "Studio",
    "encoder_step",
    "gan_step",
    "observe",
    "resized",
    "supervised_step",
]
