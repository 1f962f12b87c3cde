"""What a run learns from: draws follow the seed, validation images are held out by name."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from brule.data import split_by_name
from brule.data.synthetic import write_synthetic_faces
from brule.data.training_data import annotated_shapes, labelled_images, training_images
from brule.errors import DataError


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    write_synthetic_faces(folder, 30, size=24)
    return folder


def drawn(faces: Path, seed: int, count: int | None = 5) -> list[str]:
    found = labelled_images([str(faces)], n_labelled=count, seed=seed, exclude_validation=False, skip_bad=False)
    return [sample.path.name for sample in found]


def test_a_draw_follows_its_seed(faces: Path) -> None:
    assert drawn(faces, 3) == drawn(faces, 3) != drawn(faces, 4)
    assert len(set(drawn(faces, 3))) == 5 and set(drawn(faces, 3)) <= set(drawn(faces, 0, None))
    with pytest.raises(DataError, match="expected 1 to 30"):
        drawn(faces, 0, 31)


def test_held_out_images_are_in_none_of_the_parts(faces: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="brule"):
        images = training_images([str(faces)], exclude_validation=True, skip_bad=False)
    everything = training_images([str(faces)], exclude_validation=False, skip_bad=False)
    held_out = {sample.path.stem for sample in split_by_name(everything).validation}
    labelled = labelled_images([str(faces)], n_labelled=None, seed=0, exclude_validation=True, skip_bad=False)
    shapes = annotated_shapes([str(faces)], n_shapes=None, seed=0, exclude_validation=True)
    assert held_out
    for names in ([one.path.stem for one in images], [one.path.stem for one in labelled], [Path(n).stem for n in shapes.names]):
        assert len(names) == 30 - len(held_out) and not held_out & set(names)
    assert f"held out for validation: {len(held_out)} of 30 images" in caplog.text
