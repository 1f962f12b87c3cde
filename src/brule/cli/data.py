"""``brule data convert | inspect | frames | cache``: annotations to another format, a look at data, and decoded images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from brule.cli.options import Images, Many, SkipBad, images_of
from brule.cli.output import note, note_bad, progress_bar, say, say_row

if TYPE_CHECKING:
    from brule.data.inspection import Inspection

MAX_LISTED = 10
Picture = Parameter(name=["--output", "-o"])

data = App(
    name="data",
    help=(
        "Convert annotations and check data before you train on it.\n\n"
        "`brule data convert` converts between the formats of annotation tools; `brule data inspect` lists what is in a "
        "folder and which files have problems; `brule data frames` saves the labelled frames of videos as images; "
        "`brule data cache` lists the disk space of decoded images, and frees it."
    ),
    result_action="return_value",
)


@data.command
def convert(
    source: Path,
    target: Path,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: str | None = None,
    images: Annotated[list[str] | None, Many] = None,
    outline_points: int | None = None,
    force: bool = False,
    skip_bad: SkipBad = False,
) -> int:
    """Convert annotations from one format to another.

    Formats: `pts`, `coco`, `dlc` (DeepLabCut), `tps`, `labelme`, `cvat`, `labelstudio`, `imglab`, `yolo` (YOLO-pose), `via`,
    `supervisely`, `slicer`, `fcsv` (3D Slicer), `imagej`, `morphoj`, `csv`. Missing points stay missing. A remark names what
    the target format can't hold. Images are named by their paths from the target, where they are found.

    **Examples**

        brule data convert annotated/ annotated.csv --to csv

        brule data convert person_keypoints.json skeletons.xml --to cvat

        brule data convert wings.tps wings/ --to labelme

        brule data convert outlines.xml outlines.csv --to csv --outline-points 40

        brule data convert predictions/ for-cvat.xml --to cvat --images photos/

    Args:
        source: An annotation file, a folder of images and annotations, or a folder that `brule predict` wrote.
        target: The file to write; the folder, for formats with one file per image (`pts`, `labelme`, `yolo`, …).
        from_: The format of SOURCE; by default recognised by suffix and content.
        to: The format to write; by default from the suffix of TARGET, if only one has it.
        images: Images, or folders of them, that SOURCE refers to and that aren't in its own folder, such as those of
            predictions.
        outline_points: Turn each polygon into that many landmarks, evenly spaced along it from its first corner.
        force: Replace files that are there.
    """
    from brule.data import convert as convert_annotations

    done = convert_annotations(
        source,
        target,
        read_as=from_,
        write_as=to,
        force=force,
        skip_bad=skip_bad,
        outline_points=outline_points,
        images=images or (),
    )
    for remark in done.notes:
        note(remark)
    note_bad(done.bad)
    for what in done.lost:
        note(f"{done.format.title} can't hold {what}")
    files = f"{len(done.files)} files in {target}" if done.format.one_image else f"{target}"
    say(f"{done.n_objects} annotated objects in {done.n_images} images, as {done.format.title}: {files}")
    return 0


@data.command
def inspect(
    paths: list[str] | None = None,
    /,
    *,
    images: Images = None,
    output: Annotated[Path | None, Picture] = None,
    pictures: int = 24,
) -> int:
    """List what is in a folder of images, and which files have problems.

    Counts images and annotations, sizes, landmarks and missing points; finds images of the same name, landmarks and boxes
    that reach outside, and every file that can't be used. Ends with exit code 2 if there is such a file, else 0.

    **Examples**

        brule data inspect annotated/ -o sheet.png

        brule data inspect coco.json images/

        brule data inspect 300w:train:downloads/300w

    Args:
        paths: Folders, annotation files, images, globs, or data sets as `NAME:SPLIT:ROOT`.
        output: A picture to draw: crops as training cuts them, with the landmarks coloured by index.
        pictures: How many crops to draw, evenly spread over the data.
    """
    from brule.data import contact_sheet, inspect_data
    from brule.plots import preview_sheet, save_picture

    paths = images_of(paths, images, example="brule data inspect annotated/")
    with progress_bar("decoding") as progress:
        found = inspect_data(paths, progress=progress)
    _report(found)
    if output is not None:
        sheet = contact_sheet(found.samples, count=pictures)
        edges = [edge for edge in found.layout.edges if max(edge) < (found.n_points or 0)]
        save_picture(preview_sheet(sheet.images, sheet.points, edges=edges or None), output)
        say(f"\npicture     {output}")
    return 2 if found.bad else 0


@data.command
def frames(
    labels: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    video: Annotated[list[Path] | None, Many] = None,
    force: bool = False,
) -> int:
    """Save the labelled frames of videos as images, with their labels beside them.

    Reads labels of SLEAP (`.slp`) on videos, and tracks of CVAT for video (`.xml`). Needs the package av:
    `pip install 'brule-landmarks[video]'`.

    **Examples**

        brule data frames labels.slp -o frames/

        brule data frames annotations.xml -o frames/ --video videos/mouse.mp4

    Args:
        labels: The file with the labels.
        output: The folder to write to: the images, and `labels.json` (COCO keypoints). Every command reads it.
        video: The videos, or folders of them; by default they are looked for below the folder of LABELS, by their name.
        force: Replace files that are there.
    """
    from brule.data.video_annotations import extract_labelled_frames

    with progress_bar("reading frames") as progress:
        done = extract_labelled_frames(labels, output, videos=video or (), force=force, progress=progress)
    from brule.data.formats.values import counted

    objects, images = counted(done.n_objects, "annotated object"), counted(len(done.images), "frame")
    say(f"{objects} on {images}: {output}, labels in {done.labels}")
    return 0


@data.command
def cache(*, clear: bool = False, days: float = 0, unfinished: bool = False) -> int:
    """List the decoded images that are kept, or remove them.

    Every set of images that was trained on or measured is decoded once and kept, in the user's cache folder or in the
    folder that the environment variable `BRULE_CACHE` names. What is removed is decoded again when it is needed. A store
    that is being written is left alone; one that is being read stays whole for its reader.

    **Examples**

        brule data cache

        brule data cache --clear --days 30

        brule data cache --clear --unfinished

    Args:
        clear: Remove what is listed.
        days: Only what hasn't been used for this number of days.
        unfinished: Only what an interrupted call left behind. Repeating that call would continue with it.
    """
    import time

    from brule.data import cache_directory, clear_store, list_stores

    folder, now = cache_directory(), time.time()
    stores = [
        store
        for store in list_stores(folder)
        if now - store.used >= 86400 * days and not (unfinished and store.read == store.samples > 0)
    ]
    for store in stores:
        what = f"{store.samples} images" if store.samples else "of another version of brule"
        if store.read < store.samples:
            what = f"{store.read} of {store.samples} images, unfinished"
        say(f"{store.n_bytes / 1e6:10.1f} MB  {(now - store.used) / 86400:5.0f} days  {store.folder.name}  {what}")
    total = f"{len(stores)} sets of decoded images, {sum(store.n_bytes for store in stores) / 1e6:.1f} MB, in {folder}"
    if not clear:
        say(total)
        return 0
    busy = [store.folder for store in stores if not clear_store(store.folder)]
    say(f"removed: {total}" if not busy else f"removed, except {len(busy)} that are in use or can't be removed: {total}")
    return 0


def _report(found: Inspection) -> None:
    from brule.data.formats.values import counted

    say(f"images      {found.n_images}")
    sizes = [f"{width} × {height} ({count})" for (width, height), count in found.sizes.items()]
    say(f"sizes       {_some(sizes)}")
    say(f"labelled    {found.n_labelled} of {len(found.samples)} objects; {found.n_boxes} have a box of their own")
    if found.n_points is not None:
        names = found.layout.names or tuple(map(str, range(found.n_points)))
        say_row("landmarks", f"{found.n_points}" + (f": {_some(names)}" if found.layout.names else ""))
        missing = [f"{names[i]} ({count})" for i, count in found.missing.items()]
        say_row("missing", counted(sum(found.missing.values()), "point") + (f": {_some(missing)}" if missing else ""))
    for paths in found.doubles[:MAX_LISTED]:
        say_row("same name", ", ".join(map(str, paths)))
    _count("same name", len(found.doubles))
    for path, count in list(found.points_outside.items())[:MAX_LISTED]:
        say_row("outside", f"{path}: {counted(count, 'landmark')} outside the image")
    _count("outside", len(found.points_outside))
    for path in found.boxes_outside[:MAX_LISTED]:
        say_row("outside", f"{path}: the box reaches outside the image")
    _count("outside", len(found.boxes_outside))
    for remark in found.notes:
        say_row("note", remark)
    for one in found.bad:
        say_row("bad", str(one))
    say()
    if found.bad:
        say(f"{counted(len(found.bad), 'file')} can't be used")
    elif not found.n_labelled:
        say("no image is labelled: no annotation that is read belongs to one of them")
    else:
        say(
            "nothing is wrong"
            if not found.notes
            else f"nothing is wrong, with {counted(len(found.notes), 'remark')} to look at"
        )


def _count(what: str, count: int) -> None:
    if count > MAX_LISTED:
        say(f"{what:<12}… and {count - MAX_LISTED} more")


def _some(words: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(words) - MAX_LISTED} more" if len(words) > MAX_LISTED else ""
    return ", ".join(words[:MAX_LISTED]) + more
