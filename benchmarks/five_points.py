"""Five-point faces, as the paper's MAFL case has them, from 68-point ones: eye centres, tip of the nose, corners of the mouth.

    python -m benchmarks.five_points 300w five-points

writes ``five-points/faces.json``: COCO key points, with the box of the 68 landmarks, so that the crop stays that of the whole
face; and beside it links to the images.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from brule.data import FORMATS, Annotation, Annotations, image_size, landmark_box, read_samples, write_annotations
from brule.data.box_fitting import five_of
from brule.data.samples import Layout

NAMES = ("right eye", "left eye", "nose", "right corner of the mouth", "left corner of the mouth")


def main() -> None:
    """Read the folder and write the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, help="a folder of images with 68 landmarks each")
    parser.add_argument("output", type=Path, help="the folder to write")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True)
    records = []
    for sample in read_samples(arguments.faces, require_points=True):
        assert sample.points is not None
        place = sample.path.relative_to(arguments.faces)  # file names stay: they decide what is held out for validation
        (arguments.output / place).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(sample.path.resolve(), arguments.output / place)
        box = landmark_box(sample.points)
        records.append(Annotation(place.as_posix(), five_of(sample.points).astype(np.float32), box, image_size(sample.path)))
    write_annotations(arguments.output / "faces.json", Annotations(records, Layout(NAMES)), format=FORMATS["coco"])
    print(f"{len(records)} faces in {arguments.output}")


if __name__ == "__main__":
    main()
