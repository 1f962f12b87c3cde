"""``brule annotate``: the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from brule.cli.options import Images, images_of
from brule.cli.output import MAX_LISTED_BAD_FILES, note, progress_bar, say
from brule.errors import ConfigError

if TYPE_CHECKING:
    from brule.annotating import Project
    from brule.annotating.importing import Sources


def annotate(
    paths: list[str] | None = None,
    /,
    *,
    images: Images = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    template: str | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_: Annotated[bool, Parameter(name="--open", negative="--no-open")] = True,
    outline_points: int | None = None,
    predict: Path | None = None,
    export: str | None = None,
    predicted: bool = False,
    target: Path | None = None,
) -> int:
    """Annotate, train, correct and export in the browser.

    Starts a server on this machine and opens its page. Everything is kept in the project's folder, in plain files that
    every command reads: `brule train --images photos/ --labelled PROJECT`. Every change is saved at once. Ctrl-C ends the
    server; the same command opens the project again. Needs `pip install 'brule-landmarks[web]'`.

    **Examples**

        brule annotate photos/ -o project

        brule annotate -o project

        brule annotate photos/ -o project --template face68

        brule annotate -o project --export tps --target shapes.tps

    Args:
        paths: Folders, files or globs of images to add to the project. A project that exists needs none. Annotations of any
            format among them are imported.
        output: The project's folder.
        template: The landmarks of a new project: `face68` (68 points of a face), or a JSON or TOML file with `names`,
            `edges`, `contours` and `pairs`.
        host: The address to listen at. On any but this machine's own, the page asks for a token, which is part of the
            address that is printed.
        port: The port to listen at; by default the first free one from 8421 on.
        open_: Open the page in a browser.
        outline_points: Turn the polygons and polylines of the annotations into contours, each label into that many evenly
            spaced landmarks. The page offers the same under Set up.
        predict: The folder of a run, or of a saved detector: find the landmarks of all images of the project, for the page to
            show for review, and end.
        export: Write the finished annotations in this format and end: `pts`, `tps`, `coco`, `dlc`, `labelme`, `cvat`, …, as
            docs/formats.md lists them; or `measures`, a table of the project's distances, angles and sizes.
        predicted: With `--export measures`: also measure images that aren't finished, as the newest detector predicts them.
            The column `source` says `annotated`, `predicted`, or `flagged` (predicted, but probably wrong).
        target: What `--export` writes: a file, or a folder for formats with one file per image. By default below the project's
            `exports`.
    """
    from brule.allocator import keep_freed_memory
    from brule.annotating.lock import AlreadyOpen

    keep_freed_memory()  # detectors predict in this process, too
    if predict is not None and export is not None:
        raise ConfigError("--predict and --export: expected one of them; run the command twice")
    if target is not None and export is None:
        raise ConfigError(f"--target {target}: is what --export writes; say which format, as in --export tps")
    if predicted and export != "measures":
        raise ConfigError("--predicted: is for --export measures; other formats hold finished annotations only")
    images = images_of(paths, images)
    try:
        page = predict is None and export is None
        project = _opened(output, images, template, outline_points=outline_points, page=page)
        if predict is not None:
            return _predict(project, predict)
        if export is not None:
            return _measures(project, target, predicted) if export == "measures" else _export(project, export, target)
        from brule.web.serving import serve

        serve(project, host=host, port=port, open_browser=open_, announce=_announce)
    except AlreadyOpen as error:
        if error.address and open_:
            import webbrowser

            webbrowser.open(error.address)
        raise
    note("ended; everything is saved")
    return 0


def _opened(folder: Path, images: list[str], template: str | None, *, outline_points: int | None, page: bool) -> Project:
    """Open the project, with what is to be added to it; a project that a server has open isn't changed."""
    from brule.annotating import Project, Template, named_template
    from brule.annotating.importing import read_sources
    from brule.annotating.lock import refuse_if_open
    from brule.annotating.missing import missing_notes
    from brule.annotating.settings import Settings
    from brule.data.discovery import PROJECT_FILE

    if page:
        _need_web()
    if page or images or template is not None or outline_points is not None:
        refuse_if_open(folder)
    own, read = None if template is None else named_template(template), read_sources(images)
    new = not (folder / PROJECT_FILE).exists()
    read.check((own or Template()) if new else Settings.read(folder).template)  # before anything is added
    project = Project(folder, images, template=own)
    for text in missing_notes(project):
        note(text)
    _import(project, read)
    if outline_points is not None:
        _place_outlines(project, outline_points)
    return project


def _predict(project: Project, run: Path) -> int:
    from brule.annotating.predictions import predict_project

    with progress_bar("predicting") as progress:
        target = predict_project(project, run, progress=progress)
    say(f"{len(project.entries)} images: {target}")
    return 0


def _import(project: Project, read: Sources) -> None:
    from brule.annotating.importing import import_sources

    found = import_sources(project, read)
    if found.n_images:
        note(f"imported the annotations of {found.n_images} images")
    if found.predicted:
        note(f"imported the predictions of {found.predicted} images, for review")
    if found.outlined:
        note(f"found outlines in {found.outlined} images: --outline-points N, or Set up in the page, makes contours of them")
    _note_left_out(found.left_out)


def _note_left_out(texts: list[str]) -> None:
    """List what was left out, or the first of it."""
    for text in texts[:MAX_LISTED_BAD_FILES]:
        note(f"left out: {text}")
    if len(texts) > MAX_LISTED_BAD_FILES:
        note(f"… and {len(texts) - MAX_LISTED_BAD_FILES} more")


def _place_outlines(project: Project, count: int) -> None:
    from brule.annotating.outlines import contour_from_outlines, outline_labels

    labels = outline_labels(project)
    if not labels:
        raise ConfigError("--outline-points: none of the annotations holds a polygon or polyline")
    known = {contour.name: len(contour.points) for contour in project.template.contours}
    for one in labels:
        placed = contour_from_outlines(project, one.label, count=None if one.label in known else count)
        own = known.get(one.label, count)
        note(f"contour {one.label!r}: {own} landmarks placed in {placed.n_images} image{'s' if placed.n_images != 1 else ''}")


def _export(project: Project, format: str, target: Path | None) -> int:
    from brule.annotating.exporting import export_project

    found = export_project(project, format, target)
    for lost in found.lost:
        note(f"{format} can't hold {lost}: left out")
    _note_left_out(found.left_out)
    files = str(found.files[0]) if len(found.files) == 1 else f"{len(found.files)} files"
    say(f"{found.n_images} images: {files}")
    return 0


def _measures(project: Project, target: Path | None, predicted: bool) -> int:
    from brule.annotating.measured import measurable, measurements_of, write_measures
    from brule.annotating.project import EXPORTS
    from brule.annotating.rounds import newest_predictions

    place = target or project.folder / EXPORTS / "measures.csv"
    predictions = newest_predictions(project) if predicted else None
    if predicted and predictions is None:
        raise ConfigError("--predicted: the project has no predictions yet; make some in the page, or with --predict RUN")
    write_measures(project, measurements_of(project), place, predictions=predictions)
    if predictions is not None:
        note(f"predicted by {predictions.run}")
    say(f"{len(measurable(project, predictions))} images: {place}")
    return 0


def _announce(address: str) -> None:
    say(f"open {address}")
    note("Ctrl-C ends the server")


def _need_web() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"the page needs {error.name}: pip install 'brule-landmarks[web]'") from None
