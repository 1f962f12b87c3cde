"""What ``brule evaluate`` says about a decoder."""

from __future__ import annotations

import json
from pathlib import Path


def test_figures_of_the_decoder_beside_their_floors(brule, drawing: Path, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.json"
    found = brule("evaluate", drawing, "--data", faces / "test", "--json", out)
    assert found.code == 0, found.err
    for text in (
        "redrawn, L1",
        "redrawn, SSIM",
        "fakes, landmarks",
        "fakes, patches",
        "a constant",
        "real images",
        "6 images of 16 px",
    ):
        assert text in found.out
    content = json.loads(out.read_text())
    figures = content["decoder"]
    assert figures["n"] == content["n"] == 6 and figures["normaliser"] == content["normaliser"] == "outer eye corners"
    assert {"l1", "floor_l1", "ssim", "floor_ssim", "consistency", "patches", "real_patches", "seed"} <= set(figures)
    assert figures["l1"] > 0 and figures["floor_ssim"] < 1


def test_it_can_be_left_out_and_asked_for(brule, drawing: Path, trained: Path, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.json"
    found = brule("evaluate", drawing, "--data", faces / "test", "--no-decoder", "--json", out)
    assert found.code == 0 and "redrawn" not in found.out and "decoder" not in json.loads(out.read_text())
    found = brule("evaluate", trained, "--data", faces / "test", "--json", out)
    assert found.code == 0 and "redrawn" not in found.out and "decoder" not in json.loads(out.read_text())
    found = brule("evaluate", trained, "--data", faces / "test", "--decoder")
    assert found.code == 2 and "--set gan.enabled=true" in found.err


def test_a_bad_image_is_left_out_of_both(brule, drawing: Path, own_faces: Path, tmp_path: Path) -> None:
    image = next((own_faces / "test").glob("*.png"))
    image.write_bytes(image.read_bytes()[:300])
    found = brule("evaluate", drawing, "--data", own_faces / "test", "--skip-bad", "--json", tmp_path / "e.json")
    assert found.code == 0, found.err
    content = json.loads((tmp_path / "e.json").read_text())
    assert content["n"] == content["decoder"]["n"] == 5
