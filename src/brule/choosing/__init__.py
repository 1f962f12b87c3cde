"""Which images to annotate: a few that represent all of them."""

from brule.choosing.descriptors import encoder_descriptors, plain_descriptors
from brule.choosing.measuring import ChoiceScore, measure_choice
from brule.choosing.selection import Choice, choose, choose_next, coverage, k_means

__all__ = [
    "Choice",
    "ChoiceScore",
    "choose",
    "choose_next",
    "coverage",
    "encoder_descriptors",
    "k_means",
    "measure_choice",
    "plain_descriptors",
]
