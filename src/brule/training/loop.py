"""The training loop: draws batches, steps, averages, logs, saves; can be stopped with Ctrl-C and resumed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor

from brule.allocator import hand_back_freed_memory, keep_freed_memory
from brule.errors import DataError
from brule.files import make_folder
from brule.networks import FinalRegression, split_batches
from brule.tensors import Images, one_thread_after_fork
from brule.tracking.callbacks import Callback
from brule.tracking.log import RunLog
from brule.training.alignment import align_mean
from brule.training.batches import Batch, BatchSource, LabelledImages, mixed_seed
from brule.training.checkpointing import Checkpointer, Measure, Preview
from brule.training.config import TrainingConfig, dotted_keys, setting
from brule.training.debiasing import debias_mean
from brule.training.distributed import check_shares, join_distributed, synchronize_norms
from brule.training.ema import accumulate_weights, warmed_decay
from brule.training.local_regression import learn_final_regression, learn_regression, learns_final
from brule.training.run import build_shape_model, start_run
from brule.training.schedule import is_finetuning, lr_scale
from brule.training.stages import run_stage
from brule.training.state import TrainingResult, TrainingState
from brule.training.steps import Step, encoder_step, gan_step, supervised_step

_FITS = 4  # of the local regressions
_FIT_STREAM = 3  # of the seed, see brule.training.batches
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, a cluster's scheduler, a terminal that is closed


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
    start_from: Callable[[TrainingState], object] | None = None,
    on_checkpoint: Callable[[TrainingResult], object] | None = None,
    preview: Preview | None = None,
    measure: Measure | None = None,
    measure_every: int | None = None,
    callbacks: Sequence[Callback] = (),
    run: str | None = None,
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
        resume: continue from the directory's checkpoint.
        quiet: no progress bar and no lines.
        device: where to train; with several processes, ``cuda`` is a GPU of its own for each.
        start_from: called with the state of a new run, to give it the weights of another (:func:`take_weights`).
        on_checkpoint: called in the main process before a checkpoint is written and at the end, with the averages.
        preview: draws crops with landmarks, in the main process; see :data:`Preview`.
        measure: measures the averaged model, in the main process; its figures go to the log. It changes nothing, and its
            time counts for no limit.
        measure_every: iterations between two measurements; by default those between checkpoints.
        callbacks: called in the main process, see :mod:`brule.tracking.callbacks`.
        run: the identifier of the run. It is written to the checkpoint; a checkpoint with another one isn't resumed.

    Returns:
        The averaged model. Ctrl-C, SIGTERM and SIGHUP end the run early, with a checkpoint.

    Raises:
        DataError: if there are no images, or fewer unlabelled ones than a batch holds.
        ConfigError: if a batch can't be shared out among the processes, or they weren't started alike.
        CheckpointError: if there is nothing to resume from.
        TrainingError: if a loss isn't finite; the last checkpoint stays.
    """
    shown = _checked(images, labelled, config)
    distributed = join_distributed(device)
    check_shares(config, distributed)
    place = distributed.device or torch.device(device)
    with distributed.explaining_losses():
        barycenter = distributed.broadcast(barycenter)
        shape_model = build_shape_model(barycenter, shapes, config, indexed=labelled is not None).to(place)
        state = start_run(shape_model, config, device=place, directory=directory, resume=resume, run=run)
        state.distributed = distributed
        if start_from is not None and not resume:
            start_from(state)
        distributed.expect_same(_facts(state, images, labelled))
        distributed.share(state.modules.values())
        synchronize_norms(state.model, distributed)
        if not distributed.main:
            directory, on_checkpoint, preview, measure, quiet, callbacks = None, None, None, None, True, ()
        if directory is not None:
            make_folder(directory)
        # Where processes share a batch, their cores are busy as it is, and threads could exchange statistics in any order.
        parts = config.split if place.type == "cpu" and distributed.count == 1 else 1
        logging = {"every": config.log_every, "start": state.progress.iteration, "pending": state.progress.pending}
        with (
            _kept_memory(),
            _threads(config.threads),
            _tried_convolutions(place),
            RunLog(directory, **logging, callbacks=callbacks, quiet=quiet) as log,  # type: ignore[arg-type]
            BatchSource(images, labelled, shape_model, config=config, distributed=distributed) as source,
            split_batches(state.model.encoder, state.ema.encoder, parts=parts),
        ):
            every = measure_every or config.checkpoint_every
            return _run(source, Checkpointer(state, shown, directory, log, on_checkpoint, preview, measure, every))


def _run(source: BatchSource, checkpointer: Checkpointer) -> TrainingResult:
    """Iterate to the end of the run, or until Ctrl-C."""
    state, config = checkpointer.state, checkpointer.state.config
    with _stop_signal() as stop:
        if not state.progress.iteration:
            checkpointer.save()  # from here on the run can be resumed, whenever it is killed
        checkpointer.log.begin(_settings(config))
        began, enough = time.monotonic() - state.progress.elapsed, False
        while (progress := state.progress.fraction(config)) < 1 and not state.distributed.any(stop.is_set() or enough):
            # Four times: how the surroundings of each landmark look.
            relearnt = _regress_when_due(state, source, progress)
            # How far the mean of the annotated shapes is from that of all images.
            _find_mean_when_due(state, source, progress, again=relearnt)
            # The batch, drawn in another thread while the last iteration was computed.
            batch = source.batch(state.progress.iteration, finetune=is_finetuning(progress, config))
            # Algorithms 1 and 2, annotated images, averages.
            terms = iterate(state, batch, progress)
            # The clock, the log, and whatever is due: a checkpoint, a preview.
            state.progress.iteration += 1
            state.progress.elapsed = state.distributed.clock(time.monotonic() - began)
            progress = state.progress.fraction(config)
            seconds = round(state.progress.elapsed, 1)
            enough = checkpointer.log.add(state.progress.iteration, progress, terms, seconds=seconds)
            began += checkpointer.after_iteration(last=enough)
        checkpointer.ended = state.distributed.any(enough)  # a callback's wish is an end like that of the schedule
        if checkpointer.finished:
            checkpointer.final = _final_regression(checkpointer, source)
        checkpointer.save()
        if progress < 1 and not checkpointer.ended:
            kept = (
                "everything is saved; --resume (resume=True) continues from here"
                if checkpointer.directory
                else "nothing was saved: no directory was given"
            )
            checkpointer.log.say(f"stopped at iteration {state.progress.iteration}; {kept}")
        state.distributed.wait()  # who ends earlier may be taken for a failure by what started the processes
    return checkpointer.result()


def _settings(config: TrainingConfig) -> dict[str, Any]:
    return {key: setting(config, key) for key in dotted_keys()}


def _facts(state: TrainingState, images: Images | None, labelled: LabelledImages | None) -> dict[str, object]:
    """What every process has to have in common."""
    return {
        **_settings(state.config),
        "the number of images": 0 if images is None else len(images),
        "the number of annotated images": 0 if labelled is None else len(labelled.images),
        "the iteration to continue from": state.progress.iteration,
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


def _find_mean_when_due(state: TrainingState, source: BatchSource, progress: float, *, again: bool) -> None:
    """Find out how far the mean of the annotated shapes is from that of all images.

    By edges or corners once, and again whenever the local regressions are learnt. Where there are annotated images, by these
    first, and then once by edges, as soon as local regressions are learnt.
    """
    config, means, labelled = state.config, state.means, source.labelled
    start = config.teacher.align if labelled is None else config.labelled.start
    if not 0 < start <= progress or not config.teacher.enabled:
        return
    if state.shape_model.prior is None or source.images is None:
        return
    if not again and means.corrected:  # last: a GPU has to be waited for to know that
        return
    if labelled is not None and not means.corrected:
        debias_mean(means, state.ema, labelled, shape_model=state.shape_model, config=config)
    elif labelled is None or (0 < config.teacher.align <= progress and means.corrected == 1):
        known = torch.zeros_like(means.shift) if labelled is None else means.shift
        shape_model = state.shape_model.moved(known)
        regression = state.regression if state.progress.regressions else None
        shift = align_mean(
            state.ema,
            source.images,
            shape_model=shape_model,
            config=config,
            regression=regression,
            corners=labelled is None,
        )
        means.shift.copy_(known + shift)
        means.corrected.fill_(1 if labelled is None else 2)
    means.shift.copy_(state.distributed.broadcast(means.shift))  # processes may round differently


def _regress_when_due(state: TrainingState, source: BatchSource, progress: float) -> bool:
    """Learn anew how the teacher's landmarks are moved, at equal intervals from ``teacher.regress`` on; whether it was due."""
    config, regression, start = state.config, state.regression, state.config.teacher.regress
    if regression is None or source.images is None or progress < start:
        return False
    due = 1 + int(_FITS * (progress - start) / (1 - start))
    learnt, state.progress.regressions = state.progress.regressions, due
    if learnt >= due:  # more than due: the run has been made longer, and is at an earlier part of it now
        return False
    prior = state.shape_model.moved(state.means.shift).prior
    assert prior is not None
    generator = torch.Generator().manual_seed(mixed_seed(config.seed, state.progress.iteration, _FIT_STREAM))
    learn_regression(regression, state.ema, source.images, prior=prior, config=config, generator=generator)
    state.distributed.share([regression])  # processes may round differently
    return True


def _final_regression(checkpointer: Checkpointer, source: BatchSource) -> FinalRegression | None:
    """The regressions that end each prediction, learnt when training has ended, where the teacher's were learnt."""
    state, images = checkpointer.state, source.images
    config, prior = state.config, state.shape_model.prior
    if state.regression is None or images is None or prior is None or not learns_final(images, config):
        return None
    generator = torch.Generator().manual_seed(mixed_seed(config.seed, state.progress.iteration, _FIT_STREAM))
    with run_stage("learning the last correction of the landmarks", checkpointer.directory, say=checkpointer.log.say):
        final = learn_final_regression(state.ema, images, prior=prior, config=config, generator=generator)
    if final is not None:
        state.distributed.share([final])
    return final


def iterate(state: TrainingState, batch: Batch, progress: float) -> dict[str, float]:
    """One iteration: Algorithms 1 and 2 on unlabelled images, the step on annotated ones, then the averages.

    Args:
        state: all of it but the progress is brought up to date.
        batch: of this iteration.
        progress: fraction of the run that is done.

    Returns:
        The terms, before weighting.
    """
    _set_learning_rates(state, progress)
    step = Step(state, batch, progress)
    terms: dict[str, float] = {}
    if batch.views is not None:
        if state.decoder is not None or state.config.teacher.enabled:
            _ = step.pseudo_labels  # those of the networks as they are before either algorithm moves them
        turn, rest = divmod(state.progress.iteration, state.config.gan.every)
        if state.decoder is not None and not rest:
            terms |= gan_step(step, penalize=turn % state.config.gan.penalty_every == 0)  # Algorithm 1
        terms |= encoder_step(step)  # Algorithm 2
    if step.labelled is not None and not step.joint:
        terms |= supervised_step(step)  # §6.2
    _average(state)
    return terms


def _set_learning_rates(state: TrainingState, progress: float) -> None:
    factor = lr_scale(state.progress.iteration, progress, state.config)
    for optimizer in state.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


def _average(state: TrainingState) -> None:
    """Accumulate the weights of encoder and decoder, and write the encoder's back when it is time."""
    iteration, every = state.progress.iteration, state.config.ema.write_back_every
    decay = warmed_decay(state.config.ema.decay, iteration)
    accumulate_weights(state.ema, state.model, decay=decay)
    if state.decoder is not None and state.decoder_ema is not None:
        accumulate_weights(state.decoder_ema, state.decoder, decay=decay)
    if every and (iteration + 1) % every == 0:
        state.model.load_state_dict(state.ema.state_dict())  # the encoder's alone, as in the paper (§4)


@contextmanager
def _kept_memory() -> Iterator[None]:
    """Keep the memory that an iteration frees for the next one; hand it back in the end."""
    keep_freed_memory()
    try:
        yield
    finally:
        hand_back_freed_memory()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let PyTorch compute with a number of threads, 0 for its own choice; afterwards as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    one_thread_after_fork()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _tried_convolutions(place: torch.device) -> Iterator[None]:
    """On a GPU, let cuDNN try its algorithms for each convolution once and keep the fastest; afterwards as before."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or place.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def _stop_signal() -> Iterator[Event]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a wish to stop after the iteration; the second acts at once."""
    stop = Event()
    before: dict[int, Any] = {}

    def handle(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, before[number])

    try:
        for name in _STOP_SIGNALS:
            number = getattr(signal, name, None)
            if not number or (own := signal.getsignal(number)) is None:  # a handler in C couldn't be put back
                continue
            if name != "SIGHUP" or own is not signal.SIG_IGN:  # nohup wants the run to go on
                before[number] = signal.signal(number, handle)
    except ValueError:  # not the main thread: there signals aren't ours
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
