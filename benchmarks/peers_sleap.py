"""SLEAP's U-Net from scratch on the same faces, boxes and cores as a detector of brule: error, minutes, size and speed.

``python -m benchmarks.peers_sleap 300w -n 10 50 0`` learns from the annotated images that ``brule train --n-labelled`` draws
with the same seed (0: from all), cut out by brule's crop rule, and measures on the validation images inside the same boxes.
Training, augmentation, early stopping and peak finding are sleap-nn's; a tenth of the annotated images (at least one) is what
it stops early by, as it does by default. Two sets of settings: its sample file for a single-instance U-Net ("sample"), and what
its configuration generator makes of the crops ("auto"). It needs, in an environment of its own with this project's torch::

    pip install --no-deps sleap-nn==0.3.5 torchvision==0.28.0
    pip install sleap-io 'lightning!=2.6.2,!=2.6.3' 'skia-python<=138.0' jsonpickle scikit-learn attrs omegaconf wandb \\
        seaborn loguru psutil opencv-python-headless scikit-image hydra-core pyzmq rich-click pykalman

*Missing*: points that sleap-nn gave no answer for, as its peak lay below 0.2, its default; the mean training shape in the box
answers for them. *Any peak* is the NME where every positive peak counts: a training that the limit ends early has low ones.
Minutes are those of the training; MB those of the weights alone; images/s start from decoded images, cutting included.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.whole_images import Annotations
from brule.arrays import Array
from brule.coordinates import image_box, pixels_to_unit, unit_to_pixels
from brule.data import Sample, crop_image, load_image
from brule.data.training_data import labelled_images

RUN = "run"  # the folder that sleap-nn makes for a training
BATCH = 4  # images that sleap-nn predicts at once, its default
OPERATORS = [  # of torchvision, declared where its compiled ones don't load; single-instance models use neither
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
]
SAMPLE: dict[str, Any] = {  # sleap-nn's config_single_instance_unet_medium_rf.yaml; what isn't here is its default
    "data_config": {
        "validation_fraction": 0.1,
        "use_augmentations_train": True,
        "augmentation_config": {
            "geometric": {"rotation_min": -15.0, "rotation_max": 15.0, "scale_min": 0.9, "scale_max": 1.1, "affine_p": 1.0}
        },
    },
    "model_config": {
        "init_weights": "default",
        "backbone_config": {
            "unet": {
                "in_channels": 3,  # the file has 1; sleap-nn sets it to what the images have
                "kernel_size": 3,
                "filters": 16,
                "filters_rate": 2.0,
                "max_stride": 16,
                "stem_stride": None,
                "middle_block": True,
                "up_interpolate": True,
                "stacks": 1,
                "convs_per_block": 2,
                "output_stride": 2,
            }
        },
        "head_configs": {"single_instance": {"confmaps": {"part_names": None, "sigma": 2.5, "output_stride": 2}}},
    },
    "trainer_config": {
        "train_data_loader": {"batch_size": 4, "shuffle": True, "num_workers": 0},
        "val_data_loader": {"batch_size": 4, "shuffle": False, "num_workers": 0},
        "min_train_steps_per_epoch": 200,
        "max_epochs": 200,
        "optimizer_name": "Adam",
        "optimizer": {"lr": 1e-4, "amsgrad": False},
        "lr_scheduler": {
            "reduce_lr_on_plateau": {
                "threshold": 1e-8,
                "threshold_mode": "abs",
                "cooldown": 3,
                "patience": 5,
                "factor": 0.5,
                "min_lr": 1e-8,
            }
        },
        "early_stopping": {"stop_training_on_plateau": True, "min_delta": 1e-8, "patience": 10},
    },
}


@dataclass(frozen=True)
class Crop:
    """The square of a sample, and the maps between the image and the crop.

    Attributes:
        sample: an annotated image.
        size: side of the crop in pixels.
    """

    sample: Sample
    size: int

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The square in pixels of the image."""
        box = self.sample.crop()
        assert box is not None
        return box

    def cut(self, image: Image.Image) -> Array:
        """``(size, size, 3)`` uint8."""
        return crop_image(image, self.box, self.size)

    def unit_points(self) -> Array:
        """``(N, 2)`` the landmarks in the unit square of the box."""
        assert self.sample.points is not None
        return pixels_to_unit(np.asarray(self.sample.points, dtype=np.float64), self.box)

    def inside(self) -> Array:
        """``(N, 2)`` the landmarks in pixels of the crop, the centre of the first at 0 as in SLEAP."""
        return unit_to_pixels(self.unit_points(), image_box(self.size, self.size))

    def outside(self, points: Array) -> Array:
        """Pixels of the crop → pixels of the image."""
        return unit_to_pixels(pixels_to_unit(points, image_box(self.size, self.size)), self.box)


@dataclass(frozen=True)
class Trained:
    """What a training left.

    Attributes:
        predictor: sleap-nn's.
        minutes: it took.
        epochs: finished ones, and the part that the limit cut off.
        stopped: whether the limit ended it.
        megabytes: of the weights.
    """

    predictor: Any
    minutes: float
    epochs: float
    stopped: bool
    megabytes: float


def declare_operators() -> Any:
    """Make torchvision importable where its compiled operators were built for another torch; keep what it returns."""
    found = find_spec("torchvision")
    if found is None or found.origin is None:
        return None
    try:
        torch.ops.load_library(Path(found.origin).parent / "_C.so")
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in OPERATORS:
            library.define(operator)
        return library
    return None


def write_labels(crops: list[Crop], folder: Path) -> Path:
    """Cut the crops, and write them as PNG files with SLEAP's labels beside them."""
    sio = import_module("sleap_io")
    images, frames = [], []
    for i, crop in enumerate(crops):
        Image.fromarray(crop.cut(load_image(crop.sample.path))).save(path := folder / f"{i:05d}.png")
        images.append(str(path))
    skeleton = sio.Skeleton([f"p{i:02d}" for i in range(len(crops[0].inside()))])
    video = sio.Video.from_filename(images, grayscale=False)
    for i, crop in enumerate(crops):
        frames.append(sio.LabeledFrame(video, i, [sio.Instance.from_numpy(crop.inside(), skeleton)]))
    labels = sio.Labels(frames, [video], [skeleton])
    labels.save(str(path := folder / "labels.slp"))
    read = sio.load_slp(str(path))[0]
    assert np.array_equal(read.image, np.asarray(Image.open(images[0]))), "SLEAP reads other pixels than were written"
    assert np.allclose(read.instances[0].numpy(), crops[0].inside()), "SLEAP reads other points than were written"
    return path


def configuration(labels: Path, settings: str, seed: int) -> Any:
    """sleap-nn's configuration of a training from scratch on the CPU, into the folder of the labels."""
    OmegaConf = import_module("omegaconf").OmegaConf
    if settings == "sample":
        chosen = OmegaConf.create(SAMPLE)
    else:
        generator = import_module("sleap_nn.config_generator.generator")
        chosen = generator.ConfigGenerator.from_slp(str(labels)).auto(view="side").build()
    here = {
        "data_config": {"train_labels_path": [str(labels)], "data_pipeline_fw": "torch_dataset_cache_img_memory"},
        "trainer_config": {
            "trainer_accelerator": "cpu",
            "trainer_devices": 1,
            "seed": seed,
            "enable_progress_bar": False,
            "visualize_preds_during_training": False,
            "save_ckpt": True,
            "ckpt_dir": str(labels.parent),
            "run_name": RUN,
        },
    }
    return OmegaConf.merge(chosen, here)


def train(crops: list[Crop], folder: Path, *, settings: str, seed: int, limit: float) -> Trained:
    """Train until sleap-nn stops early, or the limit in minutes is reached; the epoch with the lowest validation loss stays."""
    trainers = import_module("sleap_nn.training.model_trainer")
    callback = import_module("lightning.pytorch.callbacks").Timer
    timer = callback(duration=timedelta(minutes=limit), interval="step", verbose=False)

    class LimitedTrainer(trainers.ModelTrainer):  # type: ignore[name-defined]
        def _setup_loggers_callbacks(self, *args: Any, **options: Any) -> Any:
            loggers, callbacks = super()._setup_loggers_callbacks(*args, **options)
            return loggers, [*callbacks, timer]

    config = configuration(write_labels(crops, folder), settings, seed)
    started = time.perf_counter()
    with redirect_stdout(sys.stderr):  # standard output is for the table
        trainer = LimitedTrainer.get_model_trainer_from_config(config)
        trainer.train()
    minutes = (time.perf_counter() - started) / 60
    weights = torch.load(folder / RUN / "best.ckpt", map_location="cpu", weights_only=False)["state_dict"]
    predictor = import_module("sleap_nn.inference.predictor").Predictor.from_model_paths([str(folder / RUN)], batch_size=BATCH)
    return Trained(
        predictor,
        minutes,
        trainer.trainer.global_step / trainer.config.trainer_config.train_steps_per_epoch,
        timer.time_remaining() <= 0,
        sum(weight.numel() * weight.element_size() for weight in weights.values()) / 1e6,
    )


def predict(predictor: Any, images: Array, threshold: float | None = None) -> Array:
    """``(B, N, 2)`` points in pixels of the crops ``(B, size, size, 3)``, NaN where there is no answer.

    Args:
        predictor: sleap-nn's.
        images: uint8.
        threshold: what a peak has to reach; ``None``: sleap-nn's own.
    """
    found = predictor.predict(images, make_labels=False, peak_threshold=threshold)
    return np.concatenate([part.pred_keypoints[:, 0].cpu().numpy() for part in found]).astype(np.float64)


def measure(samples: list[Sample], held_out: Annotations, *, size: int, settings: str, seed: int, limit: float) -> str:
    """Train and measure: a row of the table, without its first two columns."""
    crops, asked = [Crop(sample, size) for sample in samples], [Crop(sample, size) for sample in held_out.samples]
    with tempfile.TemporaryDirectory() as folder:
        trained = train(crops, Path(folder), settings=settings, seed=seed, limit=limit)
    images, seconds = [], 0.0
    for crop in asked:
        image = load_image(crop.sample.path)
        started = time.perf_counter()
        images.append(crop.cut(image))
        seconds += time.perf_counter() - started
    predict(trained.predictor, np.stack(images[:BATCH]))  # the first call prepares
    started = time.perf_counter()
    found = predict(trained.predictor, np.stack(images))
    seconds += time.perf_counter() - started
    mean = np.mean([crop.unit_points() for crop in crops], axis=0)
    errors, missing = errors_of(found, asked, held_out, mean)
    of_any, _ = errors_of(predict(trained.predictor, np.stack(images), 0.0), asked, held_out, mean)
    epochs = f"{trained.epochs:.1f}{', the limit' if trained.stopped else ''}"
    return (
        f"{errors.mean():.2f} % | {np.median(errors):.2f} % | {trained.minutes:.1f} | {trained.megabytes:.1f} | "
        f"{len(errors) / seconds:.0f} | {epochs} | {missing.sum()} of {missing.size} | {of_any.mean():.2f} %"
    )


def errors_of(found: Array, asked: list[Crop], held_out: Annotations, mean: Array) -> tuple[Array, Array]:
    """``(B,)`` errors in percent, and ``(B, N)`` which points were missing and taken from the mean shape, a unit square's."""
    missing: Array = np.asarray(np.isnan(found).any(axis=2))
    size = asked[0].size
    filled = np.where(missing[:, :, None], unit_to_pixels(mean, image_box(size, size)), found)
    answers = np.array([crop.outside(points) for crop, points in zip(asked, filled, strict=True)])
    return held_out.percent(answers), missing


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="annotated images with one object each, without missing landmarks")
    parser.add_argument("-n", type=int, nargs="+", default=[10, 50, 0], help="annotated images; 0: all")
    parser.add_argument("--settings", choices=("sample", "auto"), nargs="+", default=["sample"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop training after this many minutes")
    parser.add_argument("--size", type=int, default=128, help="side of the crops in pixels")
    parser.add_argument("--log", action="store_true", help="show what sleap-nn says")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(asked.threads))
    torch.set_num_threads(asked.threads)
    kept = declare_operators()
    import_module("cv2").setNumThreads(asked.threads)
    import_module("sleap_nn")
    logger = import_module("loguru").logger
    logger.remove()
    logger.add(sys.stderr, level="INFO" if asked.log else "ERROR")
    held_out = Annotations.read(str(asked.data), part="validation")
    print("| annotated images | settings | NME | median | minutes | MB | images/s | epochs | missing | any peak |")
    print("|---" * 10 + "|")
    for n in asked.n:
        chosen = labelled_images(
            [str(asked.data)], n_labelled=n or None, seed=asked.seed, exclude_validation=True, skip_bad=False
        )
        samples = list(chosen)
        for settings in asked.settings:
            row = measure(samples, held_out, size=asked.size, settings=settings, seed=asked.seed, limit=asked.minutes)
            print(f"| {len(samples)} | {settings} | {row} |", flush=True)
    del kept


if __name__ == "__main__":
    main()
