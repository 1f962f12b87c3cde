"""The training loop: draws batches, steps, averages, logs, saves; can be stopped with Ctrl-C and taken up again."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor, nn

from brule.errors import DataError
from brule.files import make_folder
from brule.training.averaging import accumulate_weights, warmed_decay
from brule.training.config import TrainingConfig, dotted_keys, setting
from brule.training.correction import correct_mean
from brule.training.logging import RunLog
from brule.training.parallel import check_shares, join_processes, synchronize_norms
from brule.training.run import Run, build_guide, guide_to, start_run
from brule.training.saving import Hooks, Saver, Trained
from brule.training.schedule import is_ending, rate_factor, shape_factor, share_done
from brule.training.source import Batch, BatchSource, Images, LabelledImages, mixed_seed
from brule.training.split import split_batches
from brule.training.steps import Guide, Observation, Scene, Studio, encoder_step, gan_step, observe, supervised_step
from brule.training.views import LabelledBatch, TwoViews

_STYLES = 1  # the stream of the seed that random styles are drawn from; that of the warps has none


def train(
    images: Images | None,
    barycenter: Tensor,
    config: TrainingConfig,
    *,
    labelled: LabelledImages | None = None,
    shapes: Tensor | None = None,
    directory: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    device: torch.device | str = "cpu",
    hooks: Hooks | None = None,
) -> Trained:
    """Train an encoder on unlabelled crops, on annotated ones, or on both.

    Args:
        images: unlabelled crops, ``crop.context`` times as wide as the encoder's input; ``None`` to learn from annotated ones
            alone.
        barycenter: ``(N, 2)`` in the unit square of the crop.
        config: the settings.
        labelled: annotated crops of the same width.
        shapes: ``(K, N, 2)`` annotated shapes in the same frame and order, where there are.
        directory: of the run: log, checkpoints and previews go there; ``None`` keeps all in memory.
        resume: go on from the directory's checkpoint.
        quiet: no progress bar and no lines.
        device: where to train; with several processes, ``cuda`` is a GPU of its own for each.
        hooks: what is called on the way, in the main process.

    Returns:
        The averaged model. Ctrl-C ends the run early, with a checkpoint.

    Raises:
        DataError: if there are no images, or fewer unlabelled ones than a batch holds.
        ConfigError: if a batch can't be shared out among the processes, or they weren't started alike.
        CheckpointError: if there is nothing to resume from.
        TrainingError: if a loss isn't finite; the last checkpoint stays.
    """
    shown = _checked(images, labelled, config)
    if config.threads:
        torch.set_num_threads(config.threads)
    processes = join_processes(device)
    check_shares(config, processes)
    place = processes.device or torch.device(device)
    with processes.together():
        barycenter = processes.from_main(barycenter)
        run = replace(start_run(barycenter, config, place, directory, resume), processes=processes)
        processes.expect_same(_facts(run, images, labelled, config))
        processes.share(run.modules.values())
        synchronize_norms(run.model, processes)
        guide = guide_to(build_guide(barycenter, shapes, config, indexed=labelled is not None), place)
        hooks = hooks or Hooks()
        if not processes.main:
            directory, hooks, quiet = None, Hooks(), True
        if directory is not None:
            make_folder(directory)
        # Where processes share a batch, their cores are busy as it is, and threads could exchange statistics in any order.
        parts = config.split if place.type == "cpu" and processes.count == 1 else 1
        with (
            RunLog(directory, every=config.log_every, start=run.progress.iteration, quiet=quiet) as log,
            BatchSource(images, labelled, guide, config, processes) as source,
            split_batches(run.model.encoder, run.average.encoder, parts=parts),
        ):
            return _go_on(source, Saver(run, shown, guide, config, directory, log, hooks))


def _go_on(source: BatchSource, saver: Saver) -> Trained:
    """Iterate to the end of the run, or until Ctrl-C."""
    run, config = saver.run, saver.config
    with _stop_signal() as stop:
        began = time.monotonic() - run.progress.elapsed
        while (share := share_done(run.progress, config)) < 1 and not run.processes.any(stop.wanted):
            _find_the_mean(run, source, saver.guide, config, share)
            batch = source.batch(run.progress.iteration, ending=is_ending(share, config))
            terms = iterate(run, batch, saver.guide, config, share)
            run.progress.iteration += 1
            run.progress.elapsed = run.processes.clock(time.monotonic() - began)
            share = share_done(run.progress, config)
            saver.log.add(run.progress.iteration, share, terms, seconds=round(run.progress.elapsed, 1))
            saver.after_iteration()
        saver.save()
        if share < 1:
            kept = "all is saved, resume goes on from here" if saver.directory else "nothing was saved: no directory was given"
            saver.log.say(f"stopped at iteration {run.progress.iteration}; {kept}")
        run.processes.wait()  # who ends earlier may be taken for a failure by what started the processes
    return saver.result()


def _facts(run: Run, images: Images | None, labelled: LabelledImages | None, config: TrainingConfig) -> dict[str, object]:
    """What every process has to have in common."""
    return {
        **{key: setting(config, key) for key in dotted_keys()},
        "the number of images": 0 if images is None else len(images),
        "the number of annotated images": 0 if labelled is None else len(labelled.images),
        "the iteration to go on from": run.progress.iteration,
    }


def _checked(images: Images | None, labelled: LabelledImages | None, config: TrainingConfig) -> Images:
    """The images that previews show: the unlabelled ones, if there are any."""
    if images is not None:
        if len(images) < config.batch_size:
            raise DataError(f"training: expected at least batch_size = {config.batch_size} images, got {len(images)}")
        return images
    if labelled is None or not len(labelled.images):
        raise DataError("training: expected unlabelled images, annotated ones, or both, got neither")
    return labelled.images


def _find_the_mean(run: Run, source: BatchSource, guide: Guide, config: TrainingConfig, share: float) -> None:
    """Correct the mean of the annotated shapes, just before their images begin to teach."""
    begins = config.labelled.start > 0 and share >= config.labelled.start
    if not begins or not config.teacher.enabled or guide.prior is None or run.means.corrected:
        return
    if source.images is not None and source.labelled is not None:
        correct_mean(run.means, run.average, source.labelled, guide, config)


def iterate(run: Run, batch: Batch, guide: Guide, config: TrainingConfig, share: float) -> dict[str, float]:
    """One iteration: Algorithms 1 and 2 on unlabelled images, the step on annotated ones, then the averages.

    Args:
        run: the state; all of it but the progress is brought up to date.
        batch: of this iteration.
        guide: what is known of the shape.
        config: the settings.
        share: of the run that is done.

    Returns:
        The terms, before weighting.
    """
    factor = rate_factor(run.progress.iteration, share, config)
    for optimizer in run.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
    terms: dict[str, float] = {}
    labelled = batch.labelled if batch.views is None or share >= config.labelled.start else None
    apart = labelled is not None and not (config.labelled.together and batch.views is not None)
    if batch.views is not None:
        guide = guide.moved(run.means.shift)
        terms |= _learn_unlabelled(run, batch.views, None if apart else labelled, guide, config, share)
    if apart and labelled is not None:
        terms |= supervised_step(run.model, run.optimizers["encoder"], labelled, config, processes=run.processes)
    _average(run, config)
    return terms


def _learn_unlabelled(
    run: Run, views: TwoViews, labelled: LabelledBatch | None, guide: Guide, config: TrainingConfig, share: float
) -> dict[str, float]:
    """Algorithm 1, then Algorithm 2."""
    taught = config.teacher.enabled
    seen: Observation | None = None
    studio: Studio | None = None
    terms: dict[str, float] = {}
    painting = run.painter is not None and share >= config.gan.start
    if painting or taught:
        seen = observe(run.average if taught else run.model, views, guide, config, means=run.means, processes=run.processes)
    if painting and run.painter is not None and seen is not None:
        generator = torch.Generator().manual_seed(mixed_seed(config.seed, run.progress.iteration, _STYLES))
        studio = Studio(run.painter, Scene.of(views, seen, config), generator)
        terms |= _paint(run, studio, config)
    return terms | encoder_step(
        run.model,
        run.optimizers["encoder"],
        views,
        guide,
        config,
        means=run.means,
        seen=seen if taught else None,
        studio=studio if share >= config.gan.teach else None,
        labelled=labelled,
        shape_factor=shape_factor(share, config),
        processes=run.processes,
    )


def _paint(run: Run, studio: Studio, config: TrainingConfig) -> dict[str, float]:
    turn, rest = divmod(run.progress.iteration, config.gan.every)
    if rest:
        return {}
    penalize = turn % config.gan.penalty_every == 0
    return gan_step(
        studio.painter,
        run.optimizers,
        studio.scene,
        config,
        generator=studio.generator,
        penalize=penalize,
        processes=run.processes,
    )


def _average(run: Run, config: TrainingConfig) -> None:
    """Accumulate the weights, and write them back when it is time."""
    iteration, every = run.progress.iteration, config.averaging.write_back_every
    decay = warmed_decay(config.averaging.decay, iteration)
    pairs: list[tuple[nn.Module, nn.Module]] = [(run.average, run.model)]
    if run.painter is not None and run.decoder_average is not None:
        pairs.append((run.decoder_average, run.painter.decoder))
    for average, model in pairs:
        accumulate_weights(average, model, decay=decay)
        if every and (iteration + 1) % every == 0:
            model.load_state_dict(average.state_dict())


class _Stop:
    wanted = False


@contextmanager
def _stop_signal() -> Iterator[_Stop]:
    """Turn the first Ctrl-C into a wish to stop after the iteration; a second one interrupts at once."""
    stop = _Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.wanted = True
        signal.signal(signal.SIGINT, before)

    try:
        before = signal.signal(signal.SIGINT, handle)
    except ValueError:  # not the main thread: there Ctrl-C isn't ours
        yield stop
        return
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
