"""Folders of images in a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from brule.annotating.folders import ImageFolder, indexed


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0byte", "gone"])
def test_a_folder_that_cannot_be_has_no_images(tmp_path: Path, name: str) -> None:
    assert indexed([ImageFolder.from_json({"path": name}, tmp_path)]) == {}
