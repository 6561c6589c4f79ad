"""Trains one network by its schedule, resumable at any step, and predicts with the states that count.

Lightning's epoch is the stretch up to the next evaluation: so an evaluation always ends an epoch, and a training that
was killed goes on with a shorter first stretch. What it goes on from is a file of `bench.states`.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from safetensors.torch import load_file

from bench.checkpoints import MONITOR, Best, checkpoint_path, combine, mean_state, write_checkpoint
from bench.data.images import Loader
from bench.distributed import rank
from bench.errors import BatchTooLargeError, TrainingError
from bench.interrupts import Interrupted, Requests, deferred
from bench.meters import EnergyMeter, MemoryMeter
from bench.module import Classifier, collect
from bench.progress import Stopwatch, StretchBar
from bench.schedule import Schedule
from bench.schema import TrainerConfig
from bench.states import load_state, save_broken, save_state
from bench.tracking import Record

FloatArray = npt.NDArray[np.float64]
LIGHTNING_PRECISION: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed"}
AGREE_EVERY = 10
"""Steps between two agreements of several devices on whether to stop."""


@dataclass
class Training:
    """What the training of one cell needs beside its network.

    Attributes:
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
        self._best_before: set[int] = set()

    def on_fit_start(self, _: pl.Trainer, module: Any) -> None:
        """From here on speed is measured."""
        self._begun, self._step_begun = time.monotonic(), module.step

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, _outputs: Any, _batch: Any, index: int) -> None:
        """One more batch; between evaluations the state is saved now and then, and when a stop was asked for."""
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
        """Evaluation ends: its metrics, the network's state where it is among the best, a state to resume from."""
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
        """Writes the network's state where it counts, and removes those that counted neither before nor now.

        So a file is there until no state that may be resumed from names it.
        """
        training = self._training
        training.reached = metrics
        training.best.add(module.step, metrics)
        counting = {step for step, _ in training.best.seen}
        if not self._first:
            return
        if training.record is not None:
            training.record.metrics(metrics, step=module.step * training.schedule.batch_size)
        if module.step in counting:
            header = {**training.header, **{name: repr(metrics[name]) for name in (MONITOR, *training.best.criteria)}}
            write_checkpoint(training.folder, module.step, module.network.state_dict(), header)
        needed = {checkpoint_path(training.folder, step) for step in counting | self._best_before}
        for path in set(training.folder.glob("step=*")) - needed:
            path.unlink()
        self._best_before = counting

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
                save_state(training.folder, module.step, _state(training, trainer, module))
        self._saved = time.monotonic()


def _state(training: Training, trainer: pl.Trainer, module: Any) -> dict[str, Any]:
    """Everything that the rest of the training follows from; the order of the images follows from the step."""
    return {
        "step": module.step,
        "network": module.network.state_dict(),
        "optimizer": trainer.optimizers[0].state_dict(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "losses": list(module.losses()),
        "best": [[step, values] for step, values in training.best.seen],
        "watch": training.watch.state(),
        "reached": training.reached,
        "meters": [meter.state_dict() for meter in training.meters],
    }


def _restore(training: Training, module: Classifier, state: dict[str, Any]) -> None:
    module.step = state["step"]
    module.network.load_state_dict(state["network"])
    module.optimizer_state = state["optimizer"]
    torch.set_rng_state(state["random"])
    if state["random_cuda"]:
        torch.cuda.set_rng_state_all(state["random_cuda"])
    module.set_losses(*state["losses"])
    training.best.seen = [(step, values) for step, values in state["best"]]
    training.watch.restore(state["watch"])
    training.reached = state["reached"]
    for meter, before in zip(training.meters, state["meters"], strict=True):
        meter.load_state_dict(before)


def fit(training: Training, module: Classifier, train: Any, valid: Loader) -> pl.Trainer:
    """Trains to the schedule's end, from the last saved state where there is one.

    Args:
        training: the schedule and its surroundings; its `best` and `watch` are filled.
        module: the network; left as after the last step.
        train: `training_loader`'s; told where to start.
        valid: of the validation split.

    Returns:
        The trainer, with which predictions can be made.

    Raises:
        TrainingError: the loss is no number any more.
        BatchTooLargeError: a batch does not fit.
        StorageError: a state or checkpoint cannot be written.
        Interrupted: a stop was asked for; the state is saved.
    """
    state = load_state(training.folder)
    if state is not None:
        _restore(training, module, state)
    train.sampler.step = module.step
    with deferred() as requests:
        trainer = _trainer(training, module, requests)
        training.watch.start()
        if module.step < training.schedule.steps:
            with _explained(training, module):
                trainer.fit(module, train, valid)
        training.watch.lap()
    return trainer


@contextmanager
def _explained(training: Training, module: Classifier) -> Any:
    """Turns what stops a training into a sentence that says what to do."""
    try:
        yield
    except TrainingError as error:
        path = save_broken(training.folder, module.step, module.network.state_dict())
        raise TrainingError(f"{error}. The weights at that moment are in {path}") from None
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and "not enough memory" not in str(error):
            raise
        size = training.schedule.batch_size // training.micro_batches
        raise BatchTooLargeError(
            f"out of memory with {size} images at once: give protocol.micro_batch={max(size // 2, 1)} (another cell, "
            "as BatchNorm sees fewer images), trainer.on_oom=accumulate to have that done, or a smaller "
            "protocol.image.crop"
        ) from None


def _trainer(training: Training, module: Classifier, requests: Requests) -> pl.Trainer:
    machine, schedule = training.trainer, training.schedule
    bar = StretchBar(lambda: (schedule.next_evaluation(module.step) - module.step) * training.micro_batches)
    return pl.Trainer(
        accelerator=machine.accelerator,
        devices=machine.devices,
        strategy="ddp" if machine.devices > 1 else "auto",
        precision=LIGHTNING_PRECISION[machine.precision],
        max_epochs=max(schedule.evaluations_left(module.step), 1),
        accumulate_grad_batches=training.micro_batches,
        callbacks=[
            Bookkeeper(training, requests),
            *training.callbacks,
            *training.meters,
            bar,
        ],
        logger=False,
        enable_checkpointing=False,
        deterministic=machine.deterministic,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        use_distributed_sampler=False,
        # Ours starts the processes (bench.distributed): a Slurm job around it is not Lightning's.
        plugins=[TorchElasticEnvironment() if machine.devices > 1 else LightningEnvironment()],
    )


def predict(
    trainer: pl.Trainer, module: Classifier, training: Training, loader: Loader, tasks: tuple[str, ...], average: str
) -> FloatArray:
    """The cell's prediction on a split: probabilities [images, tasks] float64, by the configuration's rule."""
    paths = {step: checkpoint_path(training.folder, step) for step, _ in training.best.seen}
    if average == "weights":
        module.network.load_state_dict(mean_state(paths[step] for step in sorted(paths)))
        return _scores(trainer, module, loader)
    scores = {}
    for step, path in sorted(paths.items()):
        module.network.load_state_dict(load_file(path))
        scores[step] = _scores(trainer, module, loader)
    return combine(training.best, scores, tasks, average)


def _scores(trainer: pl.Trainer, module: Classifier, loader: Loader) -> FloatArray:
    predictions: Any = trainer.predict(module, loader)  # Lightning types it for several loaders
    return collect(predictions)
