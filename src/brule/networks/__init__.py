"""The networks of BRULÈ, in plain PyTorch."""

from brule.networks.compact import CompactHourglass
from brule.networks.discriminator import Discriminator
from brule.networks.generator import Generator
from brule.networks.hourglass import StackedHourglass
from brule.networks.landmark_encoder import BACKBONES, HEADS, EncoderOutput, LandmarkEncoder
from brule.networks.local_regression import FinalRegression, LocalRegression
from brule.networks.split import split_batches
from brule.networks.style import StyleEncoder, StyleMapping, draw_noise

__all__ = [
    "BACKBONES",
    "HEADS",
    "CompactHourglass",
    "Discriminator",
    "EncoderOutput",
    "FinalRegression",
    "Generator",
    "LandmarkEncoder",
    "LocalRegression",
    "StackedHourglass",
    "StyleEncoder",
    "StyleMapping",
    "draw_noise",
    "split_batches",
]
