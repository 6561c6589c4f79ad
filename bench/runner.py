"""Runs one cell: skip when done, build, fit, predict, record."""

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import OmegaConf
from torch import nn

from analysis.store import mask
from bench.cell import Cell, make_cell
from bench.checkpoints import evaluation_interval, keep_best, mean_predictions
from bench.cost import count_macs, latency_ms
from bench.data.images import ChestXrayDataset, evaluation_loader, training_loader
from bench.data.sets import DataSet, open_dataset
from bench.data.tasks import TASK_SETS
from bench.devices import workers
from bench.environment import environment, git_commit
from bench.errors import DataError, WeightsError
from bench.models import build_model, count_parameters, normalisation
from bench.module import Classifier
from bench.paths import in_project
from bench.progress import ProgressBar, Stopwatch
from bench.registry import architecture
from bench.schema import Config, TrackingConfig
from bench.scores import prediction_frame, score_metrics
from bench.tracking import Record, RunState, Store
from bench.truncation import feature_map
from bench.weights import Weights, locate

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Found:
    """What a configuration stands for, once its data set and weights were looked for.

    Attributes:
        weights: None from scratch, or where none could be had.
        problem: why there are no weights for a pretrained cell.
    """

    cell: Cell
    data: DataSet
    weights: Weights | None
    problem: WeightsError | None


def identify(config: Config, data: DataSet | None = None) -> Found:
    """The cell of a configuration, with its data set and weights.

    Args:
        config: the cell's.
        data: what `open_dataset(config.data)` gave, where the caller has it already.

    Raises:
        DataError: the data set is not what it should be.
    """
    row, data = architecture(config.arch.name), data or open_dataset(config.data)
    weights, problem = None, None
    if config.pretrained:
        try:
            weights = locate(row, config.weights)
        except WeightsError as error:
            problem = error
    return Found(make_cell(config, row, data.fingerprint, weights), data, weights, problem)


def store_of(config: Config) -> Store:
    """The tracking store that the configuration names; opened once a process."""
    return _store(config.tracking.uri, config.tracking.experiment)


@cache
def _store(uri: str, experiment: str) -> Store:
    return Store(TrackingConfig(uri, experiment))


def run_cell(config: Config, store: Store, *, announce: Callable[[str], None] = logger.info) -> RunState:
    """Trains, evaluates and records the cell of a configuration; a finished cell is not trained again.

    Args:
        config: the cell's.
        store: where it is recorded.
        announce: is told what is being done, a line at a time.

    Returns:
        The cell's finished run.

    Raises:
        BenchError: the cell cannot be run, for a reason that the user can mend; recorded as FAILED.
    """
    found = identify(config)
    cell = found.cell
    done = store.find(cell.hash)
    if done is not None and done.status == "FINISHED":
        announce(f"{cell.name}: done before, in run {done.run_id}")
        return done
    announce(cell.name)
    with store.run(cell.hash, cell.name, _tags(found), _params(config, found)) as record:
        if found.problem is not None:
            raise found.problem
        _record_inputs(record, config)
        _train_and_predict(record, config, found)
    finished = store.find(cell.hash)
    assert finished is not None  # for the type checker: it was just written
    return finished


def _tags(found: Found) -> dict[str, str]:
    cell, config = found.cell, found.cell.config
    return {
        "cell": cell.hash,
        "arch": cell.row.name,
        "family": cell.row.family,
        "label": cell.row.label,
        "pretrained": str(config.pretrained).lower(),
        "truncate": str(config.truncate),
        "seed": str(config.seed),
        "weights": cell.weights,
        "weights_sha256": cell.weights_sha256,
        "weights_source": found.weights.source if found.weights else "",
        "weights_standin": str(bool(found.weights and found.weights.standin)).lower(),
        "sweep": config.sweep.name or "",
        "data": config.data.name,
        "data_fingerprint": cell.data_fingerprint,
        "data_generated": str(found.data.generated).lower(),
        "data_uncertain": config.data.uncertain,
        "protocol": config.protocol.name,
        "git": git_commit(),
    }


def _params(config: Config, found: Found) -> dict[str, Any]:
    """The resolved configuration, flat; `evaluation.tasks` by name, so that the analysis needs no table of ours."""
    flat = _flatten(dataclasses.asdict(config))
    norm = normalisation(found.cell.row, found.weights)
    flat["tracking.uri"] = mask(config.tracking.uri)  # it may hold a password, and a run's params are for everybody
    flat["evaluation.tasks"] = ",".join(TASK_SETS[config.evaluation.tasks])
    flat |= {"input.mean": _words(norm.mean), "input.std": _words(norm.std)}
    return flat


def _words(numbers: tuple[float, ...]) -> str:
    return ",".join(str(number) for number in numbers)


def _flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _record_inputs(record: Record, config: Config) -> None:
    public = dataclasses.replace(config, tracking=TrackingConfig(mask(config.tracking.uri), config.tracking.experiment))
    record.artifact("config.yaml", lambda path: OmegaConf.save(OmegaConf.structured(public), path))
    record.artifact("environment.json", lambda path: _write(path, json.dumps(environment(), indent=2)))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _train_and_predict(record: Record, config: Config, found: Found) -> None:
    """Fits the network, predicts with the kept checkpoints, and logs what the contract names."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    data, protocol = found.data, config.protocol
    network = build_model(
        found.cell.row, outputs=len(data.tasks), weights=found.weights, seed=config.seed, depth=config.truncate
    )
    record.metrics(_size(network, protocol.image.crop), step=0)
    module = Classifier(
        network,
        normalisation(found.cell.row, found.weights),
        protocol,
        lambda scores: score_metrics(prediction_frame(data.valid, data.tasks, scores), "valid", config.evaluation),
    )
    dataset = partial(ChestXrayDataset, data.root, resize=protocol.image.resize, crop=protocol.image.crop)
    serve = {"batch_size": protocol.batch_size, "workers": workers(config.trainer)}
    train = training_loader(dataset(data.train), seed=config.seed, **serve)
    evaluated = {"valid": data.valid, "test": data.test}
    loaders = {name: evaluation_loader(dataset(split), **serve) for name, split in evaluated.items()}

    folder = in_project(config.outputs) / found.cell.hash
    shutil.rmtree(folder, ignore_errors=True)  # an interrupted attempt's; exact resume is not built yet
    best, watch = keep_best(folder, protocol.checkpoints), Stopwatch()
    trainer = _trainer(config, record, [best, watch, ProgressBar(leave=False)], batches=len(train))
    trainer.fit(module, train, loaders["valid"])

    record.metrics(watch.metrics(protocol.batch_size), step=trainer.global_step)
    latency = latency_ms(module.network, protocol.image.crop, trainer.strategy.root_device)
    record.metrics({"latency_ms": latency}, step=trainer.global_step)
    paths = [Path(path) for path in best.best_k_models]
    for name, split in evaluated.items():
        scores = mean_predictions(trainer, module, paths, loaders[name])
        frame = prediction_frame(split, data.tasks, scores)
        record.artifact(f"predictions/{name}.parquet", partial(frame.to_parquet, index=False))
        record.metrics(score_metrics(frame, name, config.evaluation), step=trainer.global_step)
    shutil.rmtree(folder)


def _size(network: nn.Module, side: int) -> dict[str, float]:
    """The network as trained: parameters with its head, cost of an image, and its last map at the input size."""
    last = feature_map(network, side)
    return {
        "parameters": count_parameters(network),
        "macs": count_macs(network, side),
        "last_map/channels": last.channels,
        "last_map/height": last.height,
        "last_map/width": last.width,
        "last_map/stride": last.stride,
    }


def _trainer(config: Config, record: Record, callbacks: list[pl.Callback], *, batches: int) -> pl.Trainer:
    if batches == 0:
        raise DataError(f"protocol.batch_size={config.protocol.batch_size} is larger than the training split")
    protocol = config.protocol
    return pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=1,
        max_epochs=protocol.epochs,
        check_val_every_n_epoch=None,  # count steps over epochs, as the rule counts images and not epochs
        val_check_interval=evaluation_interval(
            protocol.checkpoints, batch_size=protocol.batch_size, batches=batches, epochs=protocol.epochs
        ),
        callbacks=callbacks,
        logger=record.lightning_logger(),
        deterministic=config.trainer.deterministic,
        num_sanity_val_steps=0,
        log_every_n_steps=1,  # metrics come at evaluations only; a larger number makes Lightning warn on small sets
        enable_model_summary=False,
        default_root_dir=in_project(config.outputs),
    )
