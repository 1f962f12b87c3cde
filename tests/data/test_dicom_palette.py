"""DICOM images whose pixels are indices into a palette."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from brule.data.images import load_image
from tests.data.cases.case import write
from tests.data.cases.test_6_formats import dicom

COLOURS = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 51)])


@pytest.mark.parametrize(("bits", "kept"), [(8, 8), (8, 16), (16, 16), (16, 8)], ids=str)
def test_indices_become_colours(tmp_path: Path, bits: int, kept: int) -> None:
    """Entries of 8 bits may be kept in 16, and some files state 16 bits for entries of 8."""
    entries = COLOURS * (257 if bits == kept == 16 else 1)  # 255 · 257 = 65,535
    entries = np.concatenate([entries, entries[-1:]])  # an even number of bytes
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for i, name in enumerate(("Red", "Green", "Blue")):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries), 0, bits]
        tags[f"{name}PaletteColorLookupTableData"] = entries[:, i].astype(f"<u{kept // 8}").tobytes()
    indices = np.repeat([[0, 1, 2]], 2, axis=0).astype(np.uint16)
    write(tmp_path, {"a.dcm": dicom(indices, **tags)})
    assert np.asarray(load_image(tmp_path / "a.dcm")).tolist() == [COLOURS.tolist()] * 2
