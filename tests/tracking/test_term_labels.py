"""The terms of the log in plain words."""

from __future__ import annotations

import pytest

from brule.tracking.log import RunLog
from brule.tracking.run_state import VALIDATION_NME, VALIDATION_W1
from brule.tracking.term_labels import TERM_LABELS, term_label
from brule.training.terms import ENCODER_TERMS, LABEL_TERMS

OF_THE_GAN = {"L_d", "penalty", "L_g", "redrawn", "L_style"}
MAX_WIDTH = 44  # characters: at 80 columns `brule watch` has room for a curve beside it


def test_every_name_that_a_log_can_hold_has_a_label() -> None:
    terms = {term.name for term in (*ENCODER_TERMS, *LABEL_TERMS)}
    assert set(TERM_LABELS) == terms | OF_THE_GAN | {"loss", "gradient", VALIDATION_NME, VALIDATION_W1}


def test_a_label_holds_the_exact_name_and_is_short() -> None:
    for name, text in TERM_LABELS.items():
        assert term_label(name) == f"{text} ({name})"
        assert len(term_label(name)) <= MAX_WIDTH
    assert term_label("a callback's own") == "a callback's own"


def test_progress_explains_its_short_names_once(capfd: pytest.CaptureFixture[str]) -> None:
    with RunLog(None, every=1) as log:
        log.add(1, 0.5, {"loss": 1.25, "equivariance": 2.0, "gradient": 3.0})
        log.add(2, 0.75, {"loss": 1.25, "equivariance": 2.0, "labels": 3.0})
        log.add(3, 1.0, {"loss": 1.25})
    shown = capfd.readouterr().err
    assert shown.count(term_label("equivariance")) == shown.count(term_label("labels")) == 1
    assert "loss 1.25" in shown and term_label("gradient") not in shown
