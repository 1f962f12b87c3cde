"""``brule choose``: which images to annotate."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from brule.cli.options import Device, Images, Many, Output, SkipBad, checked_device, images_of
from brule.cli.output import note_bad, progress_bar, say, say_text
from brule.cli.videos import extract_frames, split_videos
from brule.errors import ConfigError, DataError
from brule.files import atomic_write, check_name, make_folder, write_text

if TYPE_CHECKING:
    from brule.choosing import Choice, ChoiceScore
    from brule.choosing.candidates import Candidates
    from brule.choosing.measuring import Against
    from brule.data import Sample
    from brule.detector import LandmarkDetector

COPIES = "images"
_TILE, _COLUMNS = 192, 5


def choose(
    paths: list[str] | None = None,
    /,
    *,
    images: Images = None,
    count: Annotated[int, Parameter(name=["--count", "-n"])] = 10,
    output: Annotated[Path, Output],
    run: Path | None = None,
    labelled: Annotated[list[str] | None, Many] = None,
    copy: bool = False,
    measure: bool = False,
    seed: int = 0,
    frames: int = 300,
    device: Device = None,
    skip_bad: SkipBad = False,
) -> int:
    """Choose a few images to annotate that represent all of them, or the next ones.

    Images are sorted into as many clusters as you want to choose (k-means), and the image nearest to the centre of each is
    taken. With `--run`, images are compared by features of that run's encoder, which may have been trained without labels
    (start with a rough shape, annotate what is chosen, train again); without it, by small thumbnails and their gradients.

    With `--labelled`, images that are annotated already aren't chosen again: those are chosen that are similar to many others
    but not to annotated ones. (Choosing the least certain images instead is worse than chance: `docs/choosing.md`.)

    Writes the list (one path per line, the most useful image first) and a picture of the chosen images, and prints how close
    they are to all others, compared with random choices. If an image has boxes of several objects, the first counts.

    **Examples**

        brule choose photos/ -n 10 -o chosen.txt

        brule choose photos/ -n 10 --run runs/first -o to-annotate/ --copy

        brule choose photos/ -n 10 --run runs/round-1 --labelled annotated/ -o next/ --copy

        brule choose trainset/ -n 10 -o chosen/ --measure

    Args:
        paths: Images: files, folders, globs, videos, or data sets as `NAME:SPLIT:ROOT`.
        count: How many to choose.
        output: A text file for the list, `chosen.txt`, with the picture beside it, `chosen.png`; or a folder for both.
        run: The folder of a run, or of a saved detector, whose encoder compares the images. It also finds the objects in images
            without a box.
        labelled: Images whose landmarks you have placed already (folders, files, globs, projects of `brule annotate`). They
            aren't chosen again, and images unlike them are preferred. They may be among PATHS, also as copies with the same
            names.
        copy: Also copy the chosen images, to the sub-folder `images` of the output.
        measure: Compare the chosen images' true shapes, too, with those of random choices; needs annotated images. The choice
            doesn't use them.
        seed: Random seed of the clustering and of the random choices.
        frames: For videos: about how many frames, evenly spread, to choose among; the chosen ones are copied.
    """
    paths = images_of(paths, images, example="brule choose photos/ -n 10 -o chosen.txt")
    videos, paths = split_videos(paths)
    as_list = output.suffix.lower() == ".txt"
    if as_list and (copy or videos):
        why = "--copy needs a folder to copy to" if copy else "frames of videos need a folder to be written to"
        raise ConfigError(f"-o {output}: {why}; leave the .txt out")
    options: dict[str, Any] = {
        "count": count, "output": output, "run": run, "labelled": labelled, "measure": measure, "seed": seed,
    }  # fmt: skip
    if not videos:
        return _choose(paths, **options, copy=copy, device=device, skip_bad=skip_bad)
    with TemporaryDirectory() as folder:
        extract_frames(videos, Path(folder), most=frames)
        return _choose([*paths, folder], **options, copy=True, device=device, skip_bad=skip_bad)


def _choose(
    paths: list[str],
    *,
    count: int,
    output: Path,
    run: Path | None,
    labelled: list[str] | None,
    measure: bool,
    seed: int,
    copy: bool,
    device: str | None,
    skip_bad: bool,
) -> int:
    from brule.choosing import measure_choice
    from brule.data.discovery import CHOSEN
    from brule.detector import LandmarkDetector

    as_list = output.suffix.lower() == ".txt"
    detector = None if run is None else LandmarkDetector.load(run, device=checked_device(device))
    candidates = _candidates(paths, labelled or [], detector, measure=measure, skip_bad=skip_bad)
    cache, annotated = candidates.cache, candidates.annotated
    if not 1 <= count <= candidates.free:
        others = " that aren't annotated" if labelled else ""
        raise DataError(f"--count: expected 1 to {candidates.free}, as many as there are images{others}, got {count}")
    descriptors = candidates.descriptors()
    choice = candidates.choose(count, descriptors, seed=seed)
    shapes = cache.points if measure else None
    score = measure_choice(descriptors, choice.indices, annotated=annotated, shapes=shapes, seed=seed)
    chosen = [cache.samples[index] for index in choice.indices]
    _check_lines(chosen)  # before anything is written
    if copy:
        _copy_names(chosen)
    listed, sheet = (output, output.with_suffix(".png")) if as_list else tuple(output / name for name in CHOSEN)
    copies = _copy(chosen, output / COPIES) if copy else [sample.path for sample in chosen]
    write_text(listed, "".join(f"{path}\n" for path in copies))
    _draw(chosen, sheet, detector)
    by = "their thumbnails" if run is None else f"features of the encoder of {run}"
    say(f"chosen: {count} of {candidates.free} images, by {by}")
    if labelled:
        images = "1 image is" if len(annotated) == 1 else f"{len(annotated)} images are"
        say_text(f"{images} annotated already; chosen are images that differ from these")
    _print_choice(choice, score, annotated=len(annotated))
    note_bad(cache.bad)
    say(f"list: {listed}")
    say(f"picture: {sheet}")
    if copy:
        say(f"copies: {output / COPIES}")
    return 0


def _candidates(
    paths: list[str], labelled: list[str], detector: LandmarkDetector | None, *, measure: bool, skip_bad: bool
) -> Candidates:
    from brule.choosing.candidates import Candidates, one_per_image
    from brule.data import SampleList, read_samples
    from brule.data.training_data import log_missing_boxes, log_remarks

    samples = read_samples(paths, require_points=measure, skip_bad=skip_bad)
    samples = samples.replaced(one_per_image(samples))
    log_remarks(samples)
    annotated = read_samples(labelled, require_points=True, skip_bad=skip_bad) if labelled else SampleList()
    if not measure:
        samples, annotated = samples.unlabelled(), annotated.unlabelled()
    if detector is None:
        log_missing_boxes(samples)
    with progress_bar("finding objects") as finding, progress_bar("reading images") as progress:
        return Candidates.of(
            samples, annotated=annotated, detector=detector, skip_bad=skip_bad, progress=progress, finding=finding
        )


def _check_lines(chosen: list[Sample]) -> None:
    """Refuse paths that a list of one path per line can't hold.

    Raises:
        DataError: one has a line break in it.
    """
    for sample in chosen:
        if len(str(sample.path).splitlines()) > 1:
            raise DataError(
                f"{str(sample.path)!r}: has a line break in its name, and the list has one path per line; rename it"
            )


def _draw(chosen: list[Sample], path: Path, detector: LandmarkDetector | None) -> None:
    from PIL import Image

    from brule.data import CROP_SCALE, load_crop
    from brule.plots import contact_sheet, save_picture, with_name

    scale = CROP_SCALE if detector is None else detector.config_.crop.scale
    tiles = [with_name(Image.fromarray(load_crop(sample, _TILE, scale)[0]), sample.path.name) for sample in chosen]
    save_picture(contact_sheet(tiles, min(_COLUMNS, len(tiles))), path)


def _print_choice(choice: Choice, score: ChoiceScore, *, annotated: int) -> None:
    sizes = [str(size) for size in choice.sizes]
    say_text(f"images that each of them represents: {', '.join(sizes)}")
    nearest = "the nearest annotated or chosen one" if annotated else "the nearest chosen one"
    say_text(f"mean distance of an image to {nearest} (smaller is better): {_beside(score.coverage)}")
    if score.shape_coverage is not None and score.mean_shape is not None:
        say_text(f"the same for true shapes, % of the crop's side: {_beside(score.shape_coverage)}")
        say_text(f"their mean shape is off by, % of the crop's side: {_beside(score.mean_shape)}")


def _beside(figure: Against) -> str:
    share = {0.0: "none", 1.0: "all"}.get(figure.beaten, f"{100 * figure.beaten:.0f} %")
    return (
        f"{figure.own:.3f}; at random {figure.random:.3f} ({figure.low:.3f} to {figure.high:.3f} in nine of ten draws); "
        f"better than {share} of the draws"
    )


def _copy_names(chosen: list[Sample]) -> list[str]:
    """What the copies are called.

    Raises:
        OutputError: a name is too long.
    """
    names: list[str] = []
    used: set[str] = set()
    for number, sample in enumerate(chosen, 1):
        name = sample.path.name
        if name.lower() in used:
            name = f"{sample.path.stem}-{number}{sample.path.suffix}"
        used.add(name.lower())
        check_name(name)
        names.append(name)
    return names


def _copy(chosen: list[Sample], folder: Path) -> list[Path]:
    """Copy the images; names that meet get the number of their image, and no file is overwritten by another image."""
    import shutil

    make_folder(folder)
    targets = []
    for sample, name in zip(chosen, _copy_names(chosen), strict=True):
        target = folder / name
        if target.exists() and not target.samefile(sample.path) and target.read_bytes() != sample.path.read_bytes():
            raise DataError(f"{target}: exists already and is another image; choose another folder")
        if not target.exists():
            with atomic_write(target) as temporary:
                shutil.copyfile(sample.path, temporary)
        targets.append(target)
    return targets
