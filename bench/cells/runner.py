"""Runs one cell: skip when done, train, predict, record."""

import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from omegaconf import OmegaConf

from analysis.store.uris import mask
from bench.cells.assembly import Assembly, assemble
from bench.cells.described import params, tags
from bench.cells.environment import environment
from bench.cells.identify import Found, identify
from bench.cells.mistakes import record_mistakes
from bench.cells.ready import ready
from bench.cells.scores import prediction_frame, score_metrics
from bench.cells.search import search
from bench.data.card import card, markdown
from bench.errors import BatchTooLargeError, TrainingError
from bench.networks.adaptation import trainable
from bench.networks.cost import count_macs, images_per_second, latency_ms, parameter_counts
from bench.networks.modes import remark
from bench.networks.truncation import feature_map
from bench.paths import in_project
from bench.schema import Config
from bench.tracking.store import Record, RunState, Store
from bench.training.arithmetic import single_precision
from bench.training.bookkeeping import FloatArray
from bench.training.checkpoints import checkpoint_path
from bench.training.devices import check_machine, gpu_is_lost, on_gpu, out_of_memory, unused_gpu
from bench.training.distributed import peers
from bench.training.interrupts import GpuLost
from bench.training.loop import fit, predict

logger = logging.getLogger(__name__)

Announce = Callable[[str], None]


def run_cell(config: Config, store: Store, *, announce: Announce = logger.info) -> RunState:
    """Trains, evaluates and records the cell of a configuration; a finished cell is not trained again.

    Returns:
        The cell's finished run.

    Raises:
        BenchError: the cell cannot be run, for a reason that the user can mend; recorded as FAILED.
        MachineError: this machine has not what the cell asks for; nothing is recorded.
        BatchTooLargeError: the memory is too small, and no smaller `protocol.micro_batch` may be tried; recorded.
        TrainingError: the cell failed before, and `retry` is not `failed`; nothing is recorded.
        ClaimTakenError: another worker has the cell; nobody's failure.
        GpuLost: this process can use its GPU no more; the same call in another goes on from the saved state.
        Interrupted: a stop was asked for; the same call goes on from the saved state.
    """
    found = identify(config, runs=store)
    cell = found.cell
    done = store.find(cell.hash)
    if done is not None and done.status == "FINISHED":
        announce(f"{cell.name}: done before, in run {done.run_id or 'on this machine only'}")
        return done if done.uploaded else store.upload(cell.hash) or done
    if done is not None and done.status == "FAILED" and config.retry != "failed":
        raise TrainingError(f"{cell.name} failed before ({done.failure}): mend that, and add retry=failed")
    check_machine(cell.config.trainer)
    announce(cell.name)
    for said in (remark(config.adapt, pretrained=config.pretrained), unused_gpu(config.trainer)):
        if said:
            announce(said)
    experiment = hashlib.sha256(config.tracking.experiment.encode()).hexdigest()[:8]  # two may have the same cell
    folder = in_project(config.outputs) / cell.hash / f"fit-{experiment}"
    try:
        with store.run(cell.hash, cell.name, tags(found), params(found)) as record, _lost_gpu_is_no_failure():
            if found.problem is not None:
                raise found.problem
            _record_inputs(record, cell.config)
            found = dataclasses.replace(found, data=ready(found.data, found.cell.config, announce=announce)[0])
            _record_card(record, found)
            _train_and_record(record, found, folder)
    except BatchTooLargeError:
        smaller = _halved(config) if config.trainer.on_oom == "accumulate" else None
        if smaller is None:
            raise
    else:
        smaller = None
    if smaller is not None:  # only here has Python let go of the error, and of the network in its traceback
        announce(f"{cell.name}: out of memory; again with protocol.micro_batch={smaller.protocol.micro_batch}")
        return run_cell(smaller, store, announce=announce)
    shutil.rmtree(folder, ignore_errors=True)
    finished = store.find(cell.hash)
    assert finished is not None  # for the type checker: it was just written
    return finished


@contextmanager
def _lost_gpu_is_no_failure() -> Iterator[None]:
    """Tells an error after which this process can use no GPU, so that every later cell would fail too, from others."""
    try:
        yield
    except RuntimeError as error:
        if gpu_is_lost():
            raise GpuLost(str(error).splitlines()[0]) from error
        raise


def _halved(config: Config) -> Config | None:
    """The configuration with half as many images at once; None where there is no half."""
    protocol = config.protocol
    size = protocol.micro_batch or protocol.batch_size
    if size % 2 or size // 2 < config.trainer.devices * 2:  # one image has no batch statistics
        return None
    return dataclasses.replace(config, protocol=dataclasses.replace(protocol, micro_batch=size // 2))


def _record_inputs(record: Record, config: Config) -> None:
    public = dataclasses.replace(config, tracking=dataclasses.replace(config.tracking, uri=mask(config.tracking.uri)))
    record.artifact("config.yaml", lambda path: OmegaConf.save(OmegaConf.structured(public), path))
    about = environment(gpu=on_gpu(config.trainer))
    record.artifact("environment.json", partial(_write, text=json.dumps(about, indent=2)))


def _record_card(record: Record, found: Found) -> None:
    """What is used of the data set, which is known once its images are decoded."""
    facts = card(found.data)
    record.artifact("data_card.json", partial(_write, text=json.dumps(facts, indent=2)))
    record.artifact("data_card.md", partial(_write, text=markdown(facts)))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _train_and_record(record: Record, found: Found, folder: Path) -> None:
    """Fits the network, predicts with the kept checkpoints, and logs what the contract names."""
    config = found.cell.config
    lr = config.protocol.lr if config.protocol.lr != "auto" else search(record, found, folder)
    with peers(config.trainer, follow, found, folder, lr):
        assembly = assemble(found, folder, record, lr=lr)
        record.metrics(_size(assembly, found) | {"data/bad_images": assembly.bad}, step=0)
        scores = fit_and_predict(assembly, found)
    images = assembly.training.schedule.steps * assembly.training.schedule.batch_size
    record.metrics(_taken(assembly, images), step=images)
    for name, split in assembly.splits.items():
        frame = prediction_frame(split, found.data.tasks, scores[name])
        prefix = name if name in ("valid", "test") else f"test/{name}"
        record.artifact(f"predictions/{name}.parquet", partial(frame.to_parquet, index=False))
        record.metrics(score_metrics(frame, prefix, config.evaluation), step=images)
        if name == "test":
            record_mistakes(record, frame, assembly.evaluated[name], config.evaluation, config.tracking.errors)
    _record_checkpoints(record, assembly, config.tracking.checkpoints)
    record.metrics(_cost(assembly, config), step=images)


def _taken(assembly: Assembly, images: int) -> dict[str, float]:
    """What the training took."""
    taken = assembly.training.watch.metrics(images, assembly.training.schedule.batch_size)
    for meter in assembly.training.meters:
        taken |= meter.metrics()
    return taken


def _cost(assembly: Assembly, config: Config) -> dict[str, float]:
    """What a prediction takes on the cell's device; nothing of what does not fit there, as the cell itself is done."""
    network, side, precision = assembly.module.network, config.protocol.image.crop, config.trainer.precision
    device = torch.device("cuda" if on_gpu(config.trainer) else "cpu")  # the module itself is on the CPU again
    measured = {}
    for name, measure in (("latency_ms", latency_ms), ("throughput_images_per_second", images_per_second)):
        try:
            with single_precision(precision):
                measured[name] = measure(network, side, device, precision=precision)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            logger.warning("%s is not measured: out of memory", name)
    return measured


def fit_and_predict(assembly: Assembly, found: Found) -> dict[str, FloatArray]:
    """Trains, and scores every evaluated split: probabilities [images, tasks] float64 by its name."""
    average = found.cell.config.protocol.checkpoints.average
    trainer = fit(assembly.training, assembly.module, assembly.train, assembly.evaluated["valid"])
    return {
        name: predict(trainer, assembly.module, assembly.training, loader, found.data.tasks, average)
        for name, loader in assembly.evaluated.items()
    }


def follow(found: Found, folder: Path, lr: float) -> None:
    """What every rank but the first does: the same, recording nothing."""
    fit_and_predict(assemble(found, folder, None, lr=lr), found)


def _record_checkpoints(record: Record, assembly: Assembly, which: str) -> None:
    """The network's states as `checkpoints/step=<n>.safetensors`; each says its validation AUROC."""
    training = assembly.training
    best = sorted(training.best.seen, key=lambda item: -item[1][training.best.criteria[0]])
    for step, _ in {"kept": best, "best": best[:1], "none": []}[which]:
        path = checkpoint_path(training.folder, step)
        record.artifact(f"checkpoints/{path.name}", partial(shutil.copyfile, path))


def _size(assembly: Assembly, found: Found) -> dict[str, float]:
    """The network as trained: parameters with its head, cost of an image, and its last map at the input size."""
    config = found.cell.config
    network, side = assembly.module.network, config.protocol.image.crop
    last = feature_map(network, side, config.arch.in_chans)
    return {
        **parameter_counts(network, trainable(network, found.cell.row, config.adapt)),
        "macs": count_macs(network, side),
        "last_map/channels": last.channels,
        "last_map/height": last.height,
        "last_map/width": last.width,
        "last_map/stride": last.stride,
    }
