"""What is kept of a training while it runs: its metrics, the network's states that count, a state to go on from."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch

from bench.schedule import Schedule
from bench.schema import TrainerConfig
from bench.tracking.store import Record
from bench.training.checkpoints import MONITOR, Best, checkpoint_path, write_checkpoint
from bench.training.distributed import rank
from bench.training.interrupts import Interrupted, Requests
from bench.training.meters import EnergyMeter, MemoryMeter
from bench.training.module import Classifier
from bench.training.progress import Stopwatch
from bench.training.states import KEPT, save_state

FloatArray = npt.NDArray[np.float64]
AGREE_EVERY = 10
"""Steps between two agreements of several devices on whether to stop."""


@dataclass
class Training:
    """What the training of one cell needs beside its network.

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
        meters: those that measure; they go on where the training does.
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
    """Counts steps; after each evaluation keeps metrics, the best states and a state to resume from."""

    def __init__(self, training: Training, requests: Requests) -> None:
        self._training, self._requests = training, requests
        self._saved = self._begun = time.monotonic()
        self._step_begun = 0
        self._first = rank() == 0
        self._named: deque[set[int]] = deque(maxlen=KEPT)

    def on_fit_start(self, _: pl.Trainer, module: Any) -> None:
        """From here on speed is measured."""
        self._begun, self._step_begun = time.monotonic(), module.step

    def on_train_start(self, *_: Any) -> None:
        """Lightning has put a handler of its own before ours, which would end the process with nothing saved."""
        self._requests.listen()

    def on_train_batch_start(self, _trainer: pl.Trainer, module: Any, _batch: Any, index: int) -> None:
        """What the network draws follows from the place in the training alone, so no state of a generator is kept."""
        place = [self._training.seed, module.step, index % self._training.micro_batches, rank()]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, _outputs: Any, _batch: Any, index: int) -> None:
        """One more batch; between evaluations the state is saved now and then, and when a stop was asked for.

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
            return  # the evaluation follows, and saves
        stop = self._stop_asked(trainer, module.step)
        if stop or time.monotonic() - self._saved > 60 * training.trainer.save_minutes:
            self._save(trainer, module)
        if stop:
            raise Interrupted(stop)

    def on_validation_start(self, *_: Any) -> None:
        """Evaluation begins."""
        self._training.watch.begin("evaluation")

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Evaluation ends: its metrics, the network's state where it is among the best, a state to resume from.

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
        self._save(trainer, module)
        shown = {MONITOR: metrics[MONITOR], "of images": module.shown_auroc(), "train/loss": metrics["train/loss"]}
        trainer.progress_bar_metrics.update(shown)
        if stop := self._stop_asked(trainer, AGREE_EVERY):
            raise Interrupted(stop)

    def _keep(self, module: Any, metrics: dict[str, float]) -> None:
        """Records the metrics, and writes the network's state where it counts."""
        training = self._training
        training.reached = metrics
        training.best.add(module.step, metrics)
        if not self._first:
            return
        if training.record is not None:
            training.record.metrics(metrics, step=module.step * training.schedule.batch_size)
        if module.step in training.best.counting:
            header = {**training.header, **{name: repr(metrics[name]) for name in (MONITOR, *training.best.criteria)}}
            write_checkpoint(training.folder, module.step, module.network.state_dict(), header)

    def _remove_unnamed(self) -> None:
        """Removes the network's states that no saved state names any more; called after each that is saved.

        On disk are the last KEPT of them: all this attempt's own once there were so many, and not known before. So
        whichever of them a later attempt goes on from, what it names is there.
        """
        training = self._training
        self._named.append(training.best.counting)
        if len(self._named) == KEPT:
            needed = {checkpoint_path(training.folder, step) for step in set().union(*self._named)}
            for path in set(training.folder.glob("step=*")) - needed:
                path.unlink()

    def _images_per_second(self, step: int) -> float:
        """Since this attempt began, evaluations included."""
        seconds = time.monotonic() - self._begun
        return (step - self._step_begun) * self._training.schedule.batch_size / seconds

    def _stop_asked(self, trainer: pl.Trainer, step: int) -> int:
        """The signal's number, or 0; several devices agree on it, as none can stop alone."""
        if trainer.world_size == 1:
            return self._requests.number
        if step % AGREE_EVERY:
            return 0
        number = torch.tensor(self._requests.number, device=trainer.strategy.root_device)
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
        return int(number)

    def _save(self, trainer: pl.Trainer, module: Any) -> None:
        training = self._training
        training.watch.lap()
        with training.watch.on("bookkeeping"):
            if training.record is not None:
                training.record.check()  # a worker that was silent for too long must not write over its successor's
            if self._first:
                save_state(training.folder, module.step, state_of(training, trainer, module))
                self._remove_unnamed()
        self._saved = time.monotonic()


def state_of(training: Training, trainer: pl.Trainer, module: Any) -> dict[str, Any]:
    """Everything that the rest of the training follows from; what is drawn at random follows from the step.

    Args:
        training: its best states, watch, meters and latest metrics.
        trainer: has the optimiser.
        module: has the network, the step and the losses since the latest evaluation.
    """
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
    """Puts a saved state into a training that has not begun.

    Args:
        training: its best states, watch, meters and latest metrics are filled.
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
