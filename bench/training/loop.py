"""Trains one network by its schedule, resumable at any step, and predicts with the states that count.

Lightning's epoch is the stretch up to the next evaluation: so an evaluation always ends an epoch, and a training that
was killed goes on with a shorter first stretch. What it goes on from is a file of `bench.training.states`.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy
from safetensors.torch import load_file
from torch.nn.parallel import DistributedDataParallel

from bench.data.images import Batch, Batches
from bench.errors import BatchTooLargeError, BrokenLossError, TrainingError
from bench.training.arithmetic import single_precision
from bench.training.bookkeeping import Bookkeeper, FloatArray, Training, restore, state_of
from bench.training.checkpoints import checkpoint_path, combine, mean_state
from bench.training.devices import accelerator, leave_memory_unfilled, on_gpu, out_of_memory
from bench.training.distributed import rank
from bench.training.heap import KeptHeap
from bench.training.interrupts import deferred
from bench.training.module import Classifier, collect
from bench.training.progress import Startup, StretchBar
from bench.training.states import load_state, save_broken
from bench.training.writing import writing


def fit(training: Training, module: Classifier, train: Any, valid: Batches) -> pl.Trainer:
    """Trains to the schedule's end, from the last saved state where there is one.

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
        restore(training, module, state)
    train.sampler.step = module.step
    # A cell on the CPU leaves GPUs alone: to ask one for its random state is to take memory there.
    own = [rank()] if on_gpu(training.trainer) else []
    with deferred() as requests, torch.random.fork_rng(own), writing() as writer:
        trainer = _trainer(training, module, Bookkeeper(training, requests, writer))
        training.watch.start()
        if module.step < training.schedule.steps:
            try:
                with _explained(training, trainer, module), single_precision(training.trainer.precision):
                    trainer.fit(module, _Stretches(train), valid)
            finally:
                module.forget_images()
        training.watch.lap()
    return trainer


class _Stretches:
    """Gives Lightning one item an epoch: all batches up to the next evaluation."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Iterator[Batch]]:
        yield iter(self._batches)


@contextmanager
def _explained(training: Training, trainer: pl.Trainer, module: Classifier) -> Iterator[None]:
    """Turns what stops a training into a sentence that says what to do."""
    try:
        yield
    except BrokenLossError as error:
        path = save_broken(training.folder, module.step, state_of(training, trainer, module))
        epoch, batch = training.schedule.position(error.step - 1)
        exact = "" if training.trainer.precision == "fp32" else ", or trainer.precision=fp32"
        raise TrainingError(
            f"{training.cell}: {error} (epoch {epoch + 1}, batch {batch + 1}): the weights are of no use from there "
            f"on; try a lower protocol.lr{exact}. The state at that moment is in {path}"
        ) from None
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not out_of_memory(error):
            raise
        size = training.schedule.batch_size // training.micro_batches
        raise BatchTooLargeError(
            f"out of memory with {size} images at once: give protocol.micro_batch={max(size // 2, 1)} (another cell, "
            "as BatchNorm sees fewer images), trainer.on_oom=accumulate to have that done, or a smaller "
            "protocol.image.crop"
        ) from None


def _trainer(training: Training, module: Classifier, keeper: Bookkeeper) -> pl.Trainer:
    machine, schedule = training.trainer, training.schedule
    leave_memory_unfilled()
    bar = StretchBar(lambda: (schedule.next_evaluation(module.step) - module.step) * training.micro_batches)
    return pl.Trainer(
        accelerator=accelerator(machine),
        devices=machine.devices,
        strategy=_together() if machine.devices > 1 else "auto",
        max_epochs=max(schedule.evaluations_left(module.step), 1),
        callbacks=[
            keeper,
            *training.callbacks,
            *training.meters,
            *([] if on_gpu(machine) else [KeptHeap()]),
            Startup(training.watch, training.micro_batches),
            bar,
        ],
        logger=False,
        enable_checkpointing=False,
        deterministic=machine.deterministic,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        use_distributed_sampler=False,
        # Ours starts the processes (bench.training.distributed): a Slurm job around it is not Lightning's.
        plugins=[TorchElasticEnvironment() if machine.devices > 1 else LightningEnvironment()],
    )


def _together() -> DDPStrategy:
    """Average gradients over the devices; BatchNorm's statistics are the same on all of them as they are.

    So no forward pass waits for the other devices: in an evaluation they may have unequal numbers of batches.
    """
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # before torch 2.13
    unsynchronised: dict[str, Any] = {name: False}
    return DDPStrategy(**unsynchronised)


def predict(
    trainer: pl.Trainer, module: Classifier, training: Training, loader: Batches, tasks: tuple[str, ...], average: str
) -> FloatArray:
    """The cell's prediction on a split: probabilities [images, tasks] float64, by the configuration's rule.

    Args:
        trainer: what `fit` gave.
        average: the rule: `weights` for one network with the mean of the states' weights, else as `combine`.
    """
    paths = {step: checkpoint_path(training.folder, step) for step, _ in training.best.seen}
    if average == "weights":
        module.network.load_state_dict(mean_state(paths[step] for step in sorted(paths)))
        return _scores(trainer, module, loader)
    scores = {}
    for step, path in sorted(paths.items()):
        module.network.load_state_dict(load_file(path))
        scores[step] = _scores(trainer, module, loader)
    return combine(training.best, scores, tasks, average)


def _scores(trainer: pl.Trainer, module: Classifier, loader: Batches) -> FloatArray:
    predictions: Any = trainer.predict(module, loader)  # Lightning types it for several loaders
    return collect(predictions)
