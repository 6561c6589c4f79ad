"""Puts together what one process needs to train a cell: the network, the images, the schedule."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from bench.cells.identify import Found
from bench.cells.ready import ready, unusable
from bench.cells.scores import prediction_frame, score_metrics
from bench.data.images import Batches, Images, evaluation_loader, training_loader
from bench.data.resident import ResidentImages
from bench.data.sets import Split
from bench.data.tasks import choose
from bench.networks import heads
from bench.networks.adaptation import Adaptation, parameter_groups
from bench.networks.models import Normalisation, build_model, normalisation
from bench.networks.registry import Architecture
from bench.networks.weights import body_header
from bench.schedule import make_schedule
from bench.schema import Config
from bench.tracking.store import Record
from bench.training.bookkeeping import Training
from bench.training.checkpoints import make_best
from bench.training.counters import PeakMemory, energy_counter
from bench.training.devices import on_gpu
from bench.training.distributed import rank, synchronise
from bench.training.meters import EnergyMeter, MemoryMeter
from bench.training.module import Classifier

EVALUATION_BATCH = 64
"""Images at once in an evaluation: enough for a GPU, and on a CPU no slower than fewer."""


@dataclass(frozen=True)
class Assembly:
    """One process's part in the training of a cell.

    Attributes:
        module: the network.
        inputs: what its inputs are normalised with.
        training: the schedule and its surroundings.
        train: batches to train on.
        evaluated: per evaluated split its batches.
        splits: per evaluated split its images, those that cannot be used left out.
        bad: how many images could not be used, in all splits.
    """

    module: Classifier
    inputs: Normalisation
    training: Training
    train: Batches
    evaluated: dict[str, Batches]
    splits: dict[str, Split]
    bad: int


def assemble(
    found: Found, folder: Path, record: Record | None, *, lr: float, first_evaluation_only: bool = False
) -> Assembly:
    """What this process, of however many, needs to train a cell.

    Args:
        record: where metrics go; None on all but the first of several devices.
        first_evaluation_only: whether the training ends there.

    Raises:
        BenchError: images or weights are not what they should be.
    """
    config, protocol = found.cell.config, found.cell.config.protocol
    data, caches = ready(found.data, config)
    splits = data.evaluated
    images = partial(Images, crop=config.protocol.image.crop, pinned=on_gpu(config.trainer))
    source = images(
        caches["train"], data.train, flip=config.protocol.image.flip, resident=config.data.resident == "device"
    )
    world, workers = config.trainer.devices, config.trainer.workers
    training = _training(found, folder, record, images=len(source), valid=splits["valid"])
    if first_evaluation_only:
        schedule = training.schedule
        training.schedule = replace(schedule, steps=schedule.next_evaluation(0))
    inputs = normalisation(found.cell.row, found.weights, in_chans=config.arch.in_chans)
    module = _module(found, inputs, training, source, lr=lr)
    batches = training_loader(
        source,
        batch_size=protocol.batch_size,
        micro_batch=None if protocol.micro_batch is None else protocol.micro_batch // world,
        seed=config.seed,
        workers=workers,
        rank=rank(),
        world=world,
        schedule=training.schedule,
    )
    evaluate = partial(evaluation_loader, batch_size=EVALUATION_BATCH, workers=workers, rank=rank(), world=world)
    evaluated = {name: evaluate(images(caches[name], split)) for name, split in splits.items()}
    return Assembly(module, inputs, training, batches, evaluated, splits, unusable(data))


def _training(found: Found, folder: Path, record: Record | None, *, images: int, valid: Split) -> Training:
    config, data = found.cell.config, found.data
    protocol = config.protocol
    inputs = normalisation(found.cell.row, found.weights, in_chans=config.arch.in_chans)
    return Training(
        cell=found.cell.name,
        seed=config.seed,
        schedule=make_schedule(protocol, images, probe=config.adapt == "lpft"),
        best=make_best(protocol.checkpoints, choose("evaluation.tasks", config.evaluation.tasks, data.tasks)),
        folder=folder,
        record=record,
        evaluate=lambda scores: score_metrics(prediction_frame(valid, data.tasks, scores), "valid", config.evaluation),
        header=body_header(
            found.cell.row,
            config.truncate,
            inputs.mean,
            inputs.std,
            source=config.data.name,
            generated=data.generated or bool(found.weights and found.weights.standin),
        ),
        trainer=config.trainer,
        micro_batches=protocol.batch_size // (protocol.micro_batch or protocol.batch_size),
    )


def words(numbers: tuple[float, ...]) -> str:
    """Numbers as params and weight files hold them: `0.485,0.456,0.406`."""
    return ",".join(str(number) for number in numbers)


def _module(found: Found, inputs: Normalisation, training: Training, source: Images, *, lr: float) -> Classifier:
    config, row = found.cell.config, found.cell.row
    network = build_model(
        row,
        outputs=heads.outputs(found.data.widths),
        weights=found.weights,
        seed=config.seed,
        depth=config.truncate,
        in_chans=config.arch.in_chans,
    )
    if config.trainer.devices > 1:
        network = synchronise(network, on_gpu=on_gpu(config.trainer))
    resident = config.data.resident == "device"
    module = Classifier(
        network,
        inputs,
        found.data.widths,
        optimizer=partial(_adam, row=row, config=config, lr=lr),
        scored=[
            found.data.tasks.index(task)
            for task in choose("evaluation.tasks", config.evaluation.tasks, found.data.tasks)
        ],
        resident=partial(ResidentImages, source.cache, source.positions) if resident else None,
        crop=config.protocol.image.crop,
        compiled=config.trainer.compile,
        bf16=config.trainer.precision == "bf16",
        micro_batches=training.micro_batches,
    )
    probe, schedule = config.protocol.probe_epochs, training.schedule
    training.callbacks.append(
        Adaptation(network, row, config.adapt, probe_epochs=probe, epoch=lambda: schedule.position(module.step)[0])
    )
    if rank() == 0:
        gpus = [torch.device("cuda", number) for number in range(config.trainer.devices)]
        devices = gpus if on_gpu(config.trainer) else [torch.device("cpu")]
        training.meters += [EnergyMeter(energy_counter(devices)), MemoryMeter(PeakMemory(devices[0]))]
    return module


def _adam(network: nn.Module, *, row: Architecture, config: Config, lr: float) -> torch.optim.Optimizer:
    """Adam with the protocol's numbers; fused, which is faster on CPUs and GPUs alike."""
    protocol = config.protocol
    return torch.optim.Adam(
        parameter_groups(network, row, lr=lr, lr_decay=protocol.lr_decay),
        lr=lr,
        betas=(protocol.betas[0], protocol.betas[1]),
        weight_decay=protocol.weight_decay,
        fused=True,
    )
