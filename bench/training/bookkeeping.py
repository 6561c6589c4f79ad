"""Keeps what a training produces while it runs: metrics, the best checkpoints, and a state to resume from."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch

from bench.schedule import Schedule
from bench.schema import TrainerConfig
from bench.tracking.store import Record
from bench.training.checkpoints import MONITOR, Best, State, checkpoint_path, write_checkpoint
from bench.training.devices import generators
from bench.training.distributed import rank
from bench.training.interrupts import Interrupted, Requests
from bench.training.meters import EnergyMeter, MemoryMeter
from bench.training.module import Classifier
from bench.training.progress import Stopwatch
from bench.training.states import KEPT, on_host, save_state
from bench.training.writing import Writer

FloatArray = npt.NDArray[np.float64]
AGREE_EVERY = 10
"""Steps between two agreements of several devices on whether to stop."""


@dataclass
class Training:
    """What the training of one cell needs besides its network.

    Attributes:
        cell: its name.
        seed: of what networks draw while they learn (dropout, stochastic depth).
        schedule: when it is evaluated.
        best: which states count; grows.
        folder: for states and checkpoints.
        record: where metrics go, if anywhere.
        evaluate: from the validation split's scores [images, tasks] to metrics.
        header: texts that go into each checkpoint.
        trainer: the machine, its precision resolved.
        micro_batches: per step.
        callbacks: further ones of Lightning's.
        meters: of energy and memory; they are resumed with the training.
        watch: what the time was spent on.
        reached: the metrics of the latest evaluation.
    """

    cell: str
    seed: int
    schedule: Schedule
    best: Best
    folder: Path
    record: Record | None
    evaluate: Callable[[FloatArray], dict[str, float]]
    header: Mapping[str, str]
    trainer: TrainerConfig
    micro_batches: int = 1
    callbacks: list[pl.Callback] = field(default_factory=list)
    meters: list[EnergyMeter | MemoryMeter] = field(default_factory=list)
    watch: Stopwatch = field(default_factory=Stopwatch)
    reached: dict[str, float] = field(default_factory=dict)


class Bookkeeper(pl.Callback):
    """Counts steps; keeps metrics, the best states, and every `save_minutes` a state to resume from.

    Files are written by a thread while the training goes on: each checkpoint before the state that names it, so that a
    process killed at any moment leaves a state with all that it names.
    """

    def __init__(self, training: Training, requests: Requests, writer: Writer) -> None:
        self._training, self._requests, self._writer = training, requests, writer
        self._saved = self._begun = time.monotonic()
        self._step_begun = 0
        self._first = rank() == 0
        self._named: deque[set[int]] = deque(maxlen=KEPT)
        self._fresh: set[int] = set()  # checkpoints since the last saved state

    def on_fit_start(self, _: pl.Trainer, module: Any) -> None:
        """Start to measure the speed."""
        self._begun, self._step_begun = time.monotonic(), module.step

    def on_train_start(self, *_: Any) -> None:
        """Install our signal handlers again: Lightning's own, which it has just put there, save nothing."""
        self._requests.listen()

    def before_batch(self, _: pl.Trainer, module: Any, index: int) -> None:
        """Seed the generators from the step and the micro-batch, so that a resumed training draws the same numbers."""
        place = [self._training.seed, module.step, index % self._training.micro_batches, rank()]
        seed = int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0])
        for generator in generators(module.device):
            generator.manual_seed(seed)

    def after_batch(self, trainer: pl.Trainer, module: Any, index: int) -> None:
        """Count a batch; between evaluations, save the state when it is due or a stop was asked for.

        Args:
            index: the batch's number since the last evaluation.

        Raises:
            Interrupted: a stop was asked for; the state is saved.
        """
        training = self._training
        if (index + 1) % training.micro_batches:
            return
        module.step += 1
        if training.record is not None:
            training.record.heartbeat(module.step / training.schedule.steps, self._images_per_second(module.step))
        if training.schedule.next_evaluation(module.step - 1) == module.step:
            return  # the evaluation follows, and saves where it is time to
        self._save_if_due(trainer, module, self._stop_asked(trainer, module.step))

    def on_validation_start(self, *_: Any) -> None:
        """Start the clock of the evaluation."""
        self._training.watch.begin("evaluation")

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Record the metrics of an evaluation, and the checkpoint where it is among the best.

        Raises:
            Interrupted: a stop was asked for; the state is saved.
        """
        training = self._training
        total, count = module.losses()
        metrics = training.evaluate(module.validation_scores()) | {"train/loss": total / count}
        module.set_losses(0.0, 0)
        training.watch.end("evaluation")
        with training.watch.on("bookkeeping"):
            self._keep(module, metrics)
        shown = {MONITOR: metrics[MONITOR], "of images": module.shown_auroc(), "train/loss": metrics["train/loss"]}
        trainer.progress_bar_metrics.update(shown)
        self._save_if_due(trainer, module, self._stop_asked(trainer, AGREE_EVERY))

    def _keep(self, module: Any, metrics: dict[str, float]) -> None:
        """Record the metrics, and write a checkpoint where it is among the best.

        A checkpoint that drops out is removed at once if no saved state names it: between two states there may be many.
        """
        training = self._training
        training.reached = metrics
        dropped = training.best.add(module.step, metrics)
        if not self._first:
            return
        if training.record is not None:
            training.record.metrics(metrics, step=module.step * training.schedule.batch_size)
        if module.step in training.best.counting:
            header = {**training.header, **{name: repr(metrics[name]) for name in (MONITOR, *training.best.criteria)}}
            network = on_host(module.network.state_dict())
            unnamed = [checkpoint_path(training.folder, step) for step in dropped & self._fresh]
            self._writer.submit(partial(_replace, training.folder, module.step, network, header, unnamed))
            self._fresh = (self._fresh | {module.step}) - dropped

    def _images_per_second(self, step: int) -> float:
        """Return the speed since this attempt began, evaluations included."""
        seconds = time.monotonic() - self._begun
        return (step - self._step_begun) * self._training.schedule.batch_size / seconds

    def _stop_asked(self, trainer: pl.Trainer, step: int) -> int:
        """Return the signal's number, or 0; several devices agree on it, as none can stop alone."""
        if trainer.world_size == 1:
            return self._requests.number
        if step % AGREE_EVERY:
            return 0
        number = torch.tensor(self._requests.number, device=trainer.strategy.root_device)
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
        return int(number)

    def _save_if_due(self, trainer: pl.Trainer, module: Any, stop: int) -> None:
        """Save the state when a stop was asked for, at the end of the training, and every `save_minutes`.

        Raises:
            Interrupted: a stop was asked for; the state is saved.
        """
        last = module.step == self._training.schedule.steps
        if stop or last or time.monotonic() - self._saved > 60 * self._training.trainer.save_minutes:
            self._save(trainer, module)
        if stop or last:
            with self._training.watch.on("bookkeeping"):
                self._writer.wait()
        if stop:
            raise Interrupted(stop)

    def _save(self, trainer: pl.Trainer, module: Any) -> None:
        training = self._training
        training.watch.lap()
        with training.watch.on("bookkeeping"):
            if training.record is not None:
                training.record.check()  # a worker that was silent for too long must not write over its successor's
            if self._first:
                self._named.append(training.best.counting)
                self._fresh.clear()
                state = on_host(state_of(training, trainer, module))
                self._writer.submit(partial(_save_and_remove, training.folder, module.step, state, self._needed()))
        self._saved = time.monotonic()

    def _needed(self) -> set[Path] | None:
        """Return the checkpoints that saved states name; None until this attempt has saved KEPT states.

        Before that, states of earlier attempts may be on disk, and what they name must stay for a resume from them.
        """
        if len(self._named) < KEPT:
            return None
        return {checkpoint_path(self._training.folder, step) for step in set().union(*self._named)}


def _replace(folder: Path, step: int, network: State, header: Mapping[str, str], unnamed: Sequence[Path]) -> None:
    write_checkpoint(folder, step, network, header)
    for path in unnamed:
        path.unlink()


def _save_and_remove(folder: Path, step: int, state: dict[str, Any], needed: set[Path] | None) -> None:
    save_state(folder, step, state)
    if needed is not None:
        for path in set(folder.glob("step=*")) - needed:
            path.unlink()


def state_of(training: Training, trainer: pl.Trainer, module: Any) -> dict[str, Any]:
    """Return everything that a resume needs; random numbers follow from the step."""
    return {
        "step": module.step,
        "network": module.network.state_dict(),
        "optimizer": trainer.optimizers[0].state_dict(),
        "losses": list(module.losses()),
        "best": [[step, values] for step, values in training.best.seen],
        "watch": training.watch.state(),
        "reached": training.reached,
        "meters": [meter.state_dict() for meter in training.meters],
    }


def restore(training: Training, module: Classifier, state: dict[str, Any]) -> None:
    """Load a saved state into a training that has not begun.

    Args:
        module: its network, step and losses are set; it keeps the optimiser's state until there is one.
        state: what `state_of` gave.
    """
    module.step = state["step"]
    module.network.load_state_dict(state["network"])
    module.optimizer_state = state["optimizer"]
    module.set_losses(*state["losses"])
    training.best.seen = [(step, values) for step, values in state["best"]]
    training.watch.restore(state["watch"])
    training.reached = state["reached"]
    if training.meters:  # only the first of several devices measures
        for meter, before in zip(training.meters, state["meters"], strict=True):
            meter.load_state_dict(before)
