"""One iteration of training, as the paper's algorithms write it: a function an algorithm."""

from brule.training.steps.common import PseudoLabels, ShapeModel, pseudo_label
from brule.training.steps.encoder import DecoderTerms, encoder_step
from brule.training.steps.gan import GanBatch, GanNetworks, gan_step
from brule.training.steps.supervised import supervised_step

__all__ = [
    "DecoderTerms",
    "GanBatch",
    "GanNetworks",
    "PseudoLabels",
    "ShapeModel",
    "encoder_step",
    "gan_step",
    "pseudo_label",
    "supervised_step",
]
