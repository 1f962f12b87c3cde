"""One iteration of training, as the paper's algorithms write it: one function per algorithm."""

from brule.training.steps.context import Step, pseudo_label
from brule.training.steps.encoder import EncoderPass, encoder_step
from brule.training.steps.gan import gan_step
from brule.training.steps.supervised import supervised_step

__all__ = ["EncoderPass", "Step", "encoder_step", "gan_step", "pseudo_label", "supervised_step"]
