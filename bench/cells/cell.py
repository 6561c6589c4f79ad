"""What a cell is: the science of one run, hashed; never the machine that it ran on."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from analysis import axes
from bench.data.decode import DECODER_VERSION
from bench.data.sets import DataSet
from bench.data.tasks import choose
from bench.networks.registry import Architecture
from bench.networks.weights import Weights, weights_name
from bench.schema import Config, EvaluationConfig, ProtocolConfig

IDENTITY_VERSION = 3
"""Raised when the identity's meaning changes, so that old runs are not taken for new ones."""

NOT_FOUND = "not found"
"""The digest of weights that could not be had: such a cell fails, and is another one once they are there."""


@dataclass(frozen=True)
class Cell:
    """One (architecture, weights, truncation, seed, protocol, data).

    Attributes:
        row: the architecture.
        weights: `<timm name>.<tag>`, or `none` from scratch.
        weights_sha256: digest of the weight file, NOT_FOUND, or empty from scratch.
        labels: (task, policy) of the network's outputs, in their order.
        config: the whole configuration as `settle` leaves it, of which only the science enters the identity.
    """

    row: Architecture
    weights: str
    weights_sha256: str
    data_fingerprint: str
    labels: tuple[tuple[str, str], ...]
    config: Config

    @property
    def name(self) -> str:
        """As the run is called."""
        return cell_name(self.row, self.config)

    def identity(self) -> dict[str, Any]:
        """Everything that changes the science, and nothing else: no workers, devices, launcher or paths."""
        config = self.config
        found_by_digest = config.weights.source is not None and self.weights_sha256 != NOT_FOUND
        return {
            "version": IDENTITY_VERSION,
            "arch": self.row.name,
            "weights": "named by its digest" if found_by_digest else self.weights,  # a source's name is a path or a run
            "weights_sha256": self.weights_sha256,
            "pretrained": config.pretrained,
            "truncate": config.truncate,
            "seed": config.seed,
            "data_fingerprint": self.data_fingerprint,
            "decoder": DECODER_VERSION,
            "adapt": config.adapt,
            "in_chans": config.arch.in_chans,
            "labels": self.labels,
            "on_bad_image": config.data.on_bad_image,
            "protocol": {key: value for key, value in dataclasses.asdict(config.protocol).items() if key != "name"},
            "evaluation": dataclasses.asdict(config.evaluation),
            "arithmetic": {"precision": config.trainer.precision, "compile": config.trainer.compile},
        }

    @property
    def hash(self) -> str:
        """16 hex digits of the SHA-256 of the identity as canonical JSON."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def cell_name(row: Architecture, config: Config) -> str:
    """`densenet121-pretrained-t0-s0`, and every axis that is not at its default; asks neither data nor weights."""
    start = "pretrained" if config.pretrained else "scratch"
    said = axes.suffix(axis_levels(config), config.protocol.name)
    return f"{row.name}-{start}-t{config.truncate}-s{config.seed}{said}"


def axis_levels(config: Config) -> dict[str, str]:
    """What a configuration says of each axis, by the column that the analysis reads it into."""
    levels = {axis.column: axes.joined([attrgetter(key)(config) for key in axis.keys]) for axis in axes.AXES}
    return levels | {"data_uncertain": _policies(config.data.uncertain)}


def _policies(uncertain: dict[str, str]) -> str:
    """`u-ignore`, or `u-ignore, edema: u-ones` where a task has its own."""
    own = [f"{task}: {policy}" for task, policy in sorted(uncertain.items()) if policy != uncertain["default"]]
    return ", ".join([uncertain["default"], *own])


def make_cell(config: Config, row: Architecture, data: DataSet, weights: Weights | None) -> Cell:
    """The cell of a configuration, given what was found; without weights a pretrained one has the digest NOT_FOUND.

    Args:
        weights: the file that was found; not looked at from scratch.
    """
    name, digest = "none", ""
    if config.pretrained:
        name, digest = weights_name(row, config.weights), weights.sha256 if weights else NOT_FOUND
    labels = tuple(zip(data.tasks, data.policies, strict=True))
    return Cell(row, name, digest, data.fingerprint, labels, settle(config, data.tasks))


def settle(config: Config, tasks: tuple[str, ...]) -> Config:
    """The configuration with one spelling for one meaning; it is this one that trains, is recorded and is hashed.

    A key that nothing reads beside the others' values gets a fixed value, so that nothing can read what was typed.
    """
    settled = replace(config, protocol=_protocol(config), evaluation=_evaluation(config.evaluation, tasks))
    return settled if config.pretrained else replace(settled, weights=type(config.weights)())


def _protocol(config: Config) -> ProtocolConfig:
    protocol, searched = config.protocol, config.protocol.lr == "auto"
    every = protocol.checkpoints.every_examples
    return replace(
        protocol,
        probe_epochs=protocol.probe_epochs if config.adapt == "lpft" else 1,
        micro_batch=protocol.micro_batch or protocol.batch_size,
        lr="auto" if searched else float(protocol.lr),
        lr_grid=sorted(set(protocol.lr_grid)) if searched else [],
        lr_decay=1.0 if config.adapt == "linear" else protocol.lr_decay,  # the head alone has the whole rate
        checkpoints=replace(protocol.checkpoints, every_examples=every and max(every, protocol.batch_size)),
    )


def _evaluation(evaluation: EvaluationConfig, tasks: tuple[str, ...]) -> EvaluationConfig:
    scored = sorted(choose("evaluation.tasks", evaluation.tasks, tasks))
    return replace(evaluation, tasks=scored, views="max" if evaluation.level == "image" else evaluation.views)
