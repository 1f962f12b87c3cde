"""The networks of BRULÈ, in plain PyTorch."""

from brule.networks.compact import CompactHourglass
from brule.networks.hourglass import StackedHourglass
from brule.networks.landmark_encoder import EncoderOutput, LandmarkEncoder

__all__ = ["CompactHourglass", "EncoderOutput", "LandmarkEncoder", "StackedHourglass"]
