"""What the terms in a run's log mean, in plain words. The log itself holds their exact names."""

from __future__ import annotations

from brule.tracking.run_state import VALIDATION_NME, VALIDATION_W1

TERM_LABELS = {
    "loss": "weighted sum of all terms",
    "R_b": "distance from the average shape",
    "R_g": "disagreement on warped images",
    "shape_prior": "unlikely shape",
    "population": "unlikely mean shape",
    "equivariance": "disagreement on warped images",
    "labels": "distance from annotations",
    "labels H": "heatmap error on annotations",
    "L_rec^I": "error of redrawn images",
    "L_rec^L": "heatmap error on drawn images",
    "drawn": "error on drawn images",
    "L_g of E": "unrealistic images, encoder",
    "L_g": "unrealistic images, decoder",
    "L_d": "errors of the discriminator",
    "penalty": "steepness of the discriminator",
    "redrawn": "error of redrawn images, decoder",
    "L_style": "inconsistent style",
    "gradient": "size of the gradient",
    VALIDATION_NME: "error on validation images",
    VALIDATION_W1: "the same in any order",
}


def term_label(name: str) -> str:
    """A term in plain words with its exact name in parentheses; the name alone if it isn't known.

    Args:
        name: as in the log.
    """
    return f"{TERM_LABELS[name]} ({name})" if name in TERM_LABELS else name
