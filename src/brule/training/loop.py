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
from brule.training.augmented_pair import AugmentedPair, LabelledBatch
from brule.training.batches import Batch, BatchSource, Images, LabelledImages, mixed_seed
from brule.training.checkpointing import Callbacks, Checkpointer, TrainingResult
from brule.training.config import TrainingConfig, dotted_keys, setting
from brule.training.debiasing import debias_mean
from brule.training.distributed import check_shares, join_distributed, synchronize_norms
from brule.training.ema import accumulate_weights, warmed_decay
from brule.training.logging import RunLog
from brule.training.run import Run, build_shape_model, shape_model_to, start_run
from brule.training.schedule import is_finetuning, lr_scale, progress_of, shape_factor
from brule.training.split import split_batches
from brule.training.steps import (
    DecoderTerms,
    GanBatch,
    PseudoLabels,
    ShapeModel,
    encoder_step,
    gan_step,
    pseudo_label,
    supervised_step,
)

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
    callbacks: Callbacks | None = None,
) -> TrainingResult:
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
        callbacks: what is called on the way, in the main process.

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
    distributed = join_distributed(device)
    check_shares(config, distributed)
    place = distributed.device or torch.device(device)
    with distributed.together():
        barycenter = distributed.broadcast(barycenter)
        run = replace(start_run(barycenter, config, place, directory, resume), distributed=distributed)
        distributed.expect_same(_facts(run, images, labelled, config))
        distributed.share(run.modules.values())
        synchronize_norms(run.model, distributed)
        shape_model = shape_model_to(build_shape_model(barycenter, shapes, config, indexed=labelled is not None), place)
        callbacks = callbacks or Callbacks()
        if not distributed.main:
            directory, callbacks, quiet = None, Callbacks(), True
        if directory is not None:
            make_folder(directory)
        # Where processes share a batch, their cores are busy as it is, and threads could exchange statistics in any order.
        parts = config.split if place.type == "cpu" and distributed.count == 1 else 1
        with (
            RunLog(directory, every=config.log_every, start=run.progress.iteration, quiet=quiet) as log,
            BatchSource(images, labelled, shape_model, config, distributed) as source,
            split_batches(run.model.encoder, run.ema.encoder, parts=parts),
        ):
            return _go_on(source, Checkpointer(run, shown, shape_model, config, directory, log, callbacks))


def _go_on(source: BatchSource, checkpointer: Checkpointer) -> TrainingResult:
    """Iterate to the end of the run, or until Ctrl-C."""
    run, config = checkpointer.run, checkpointer.config
    with _stop_signal() as stop:
        began = time.monotonic() - run.progress.elapsed
        while (share := progress_of(run.progress, config)) < 1 and not run.distributed.any(stop.wanted):
            _find_the_mean(run, source, checkpointer.shape_model, config, share)
            batch = source.batch(run.progress.iteration, finetune=is_finetuning(share, config))
            terms = iterate(run, batch, checkpointer.shape_model, config, share)
            run.progress.iteration += 1
            run.progress.elapsed = run.distributed.clock(time.monotonic() - began)
            share = progress_of(run.progress, config)
            checkpointer.log.add(run.progress.iteration, share, terms, seconds=round(run.progress.elapsed, 1))
            checkpointer.after_iteration()
        checkpointer.save()
        if share < 1:
            kept = (
                "all is saved, resume goes on from here"
                if checkpointer.directory
                else "nothing was saved: no directory was given"
            )
            checkpointer.log.say(f"stopped at iteration {run.progress.iteration}; {kept}")
        run.distributed.wait()  # who ends earlier may be taken for a failure by what started the processes
    return checkpointer.result()


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
            raise DataError(
                f"training: expected at least batch_size = {config.batch_size} images, got {len(images)}; "
                f"set batch_size={len(images)}"
            )
        return images
    if labelled is None or not len(labelled.images):
        raise DataError("training: expected unlabelled images, annotated ones, or both, got neither")
    return labelled.images


def _find_the_mean(run: Run, source: BatchSource, shape_model: ShapeModel, config: TrainingConfig, share: float) -> None:
    """Correct the mean of the annotated shapes, just before their images begin to teach."""
    begins = config.labelled.start > 0 and share >= config.labelled.start
    if not begins or not config.teacher.enabled or shape_model.prior is None or run.means.corrected:
        return
    if source.images is not None and source.labelled is not None:
        debias_mean(run.means, run.ema, source.labelled, shape_model, config)


def iterate(run: Run, batch: Batch, shape_model: ShapeModel, config: TrainingConfig, share: float) -> dict[str, float]:
    """One iteration: Algorithms 1 and 2 on unlabelled images, the step on annotated ones, then the averages.

    Args:
        run: the state; all of it but the progress is brought up to date.
        batch: of this iteration.
        shape_model: what is known of the shape.
        config: the settings.
        share: of the run that is done.

    Returns:
        The terms, before weighting.
    """
    factor = lr_scale(run.progress.iteration, share, config)
    for optimizer in run.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
    terms: dict[str, float] = {}
    labelled = batch.labelled if batch.views is None or share >= config.labelled.start else None
    apart = labelled is not None and not (config.labelled.together and batch.views is not None)
    if batch.views is not None:
        shape_model = shape_model.moved(run.means.shift)
        terms |= _learn_unlabelled(run, batch.views, None if apart else labelled, shape_model, config, share)
    if apart and labelled is not None:
        terms |= supervised_step(run.model, run.optimizers["encoder"], labelled, config, distributed=run.distributed)
    _average(run, config)
    return terms


def _learn_unlabelled(
    run: Run,
    views: AugmentedPair,
    labelled: LabelledBatch | None,
    shape_model: ShapeModel,
    config: TrainingConfig,
    share: float,
) -> dict[str, float]:
    """Algorithm 1, then Algorithm 2."""
    taught = config.teacher.enabled
    pseudo_labels: PseudoLabels | None = None
    decoder_terms: DecoderTerms | None = None
    terms: dict[str, float] = {}
    painting = run.networks is not None and share >= config.gan.start
    if painting or taught:
        pseudo_labels = pseudo_label(
            run.ema if taught else run.model, views, shape_model, config, means=run.means, distributed=run.distributed
        )
    if painting and run.networks is not None and pseudo_labels is not None:
        generator = torch.Generator().manual_seed(mixed_seed(config.seed, run.progress.iteration, _STYLES))
        decoder_terms = DecoderTerms(run.networks, GanBatch.of(views, pseudo_labels, config), generator)
        terms |= _paint(run, decoder_terms, config)
    return terms | encoder_step(
        run.model,
        run.optimizers["encoder"],
        views,
        shape_model,
        config,
        means=run.means,
        pseudo_labels=pseudo_labels if taught else None,
        decoder_terms=decoder_terms if share >= config.gan.teach else None,
        labelled=labelled,
        shape_factor=shape_factor(share, config),
        distributed=run.distributed,
    )


def _paint(run: Run, decoder_terms: DecoderTerms, config: TrainingConfig) -> dict[str, float]:
    turn, rest = divmod(run.progress.iteration, config.gan.every)
    if rest:
        return {}
    penalize = turn % config.gan.penalty_every == 0
    return gan_step(
        decoder_terms.networks,
        run.optimizers,
        decoder_terms.gan_batch,
        config,
        generator=decoder_terms.generator,
        penalize=penalize,
        distributed=run.distributed,
    )


def _average(run: Run, config: TrainingConfig) -> None:
    """Accumulate the weights, and write them back when it is time."""
    iteration, every = run.progress.iteration, config.ema.write_back_every
    decay = warmed_decay(config.ema.decay, iteration)
    pairs: list[tuple[nn.Module, nn.Module]] = [(run.ema, run.model)]
    if run.networks is not None and run.decoder_ema is not None:
        pairs.append((run.decoder_ema, run.networks.decoder))
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
