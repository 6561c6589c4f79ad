"""What a cell is: the science of one run, hashed; never the machine that it ran on."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from bench.data.decode import DECODER_VERSION
from bench.networks.registry import Architecture
from bench.networks.weights import Weights, weights_name
from bench.schema import Config

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
        config: the whole configuration, of which only the science enters the identity.
    """

    row: Architecture
    weights: str
    weights_sha256: str
    data_fingerprint: str
    config: Config

    @property
    def name(self) -> str:
        """`densenet121-pretrained-t0-s0`."""
        start = "pretrained" if self.config.pretrained else "scratch"
        return f"{self.row.name}-{start}-t{self.config.truncate}-s{self.config.seed}"

    def identity(self) -> dict[str, Any]:
        """Everything that changes the science, and nothing else: no workers, devices, launcher or paths."""
        config, data = self.config, self.config.data
        return {
            "version": IDENTITY_VERSION,
            "arch": self.row.name,
            "weights": self.weights,
            "weights_sha256": self.weights_sha256,
            "pretrained": config.pretrained,
            "truncate": config.truncate,
            "seed": config.seed,
            "data_fingerprint": self.data_fingerprint,
            "decoder": DECODER_VERSION,
            "adapt": config.adapt,
            "in_chans": config.arch.in_chans,
            "labels": {"tasks": data.tasks, "uncertain": data.uncertain},
            "on_bad_image": data.on_bad_image,
            "protocol": {key: value for key, value in dataclasses.asdict(config.protocol).items() if key != "name"},
            "evaluation": dataclasses.asdict(config.evaluation),
            "arithmetic": {"precision": config.trainer.precision, "compile": config.trainer.compile},
        }

    @property
    def hash(self) -> str:
        """16 hex digits of the SHA-256 of the identity as canonical JSON."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_cell(config: Config, row: Architecture, data_fingerprint: str, weights: Weights | None) -> Cell:
    """The cell of a configuration, given what was found; without weights a pretrained one has the digest NOT_FOUND.

    Args:
        config: the cell's, its precision resolved.
        row: its architecture.
        data_fingerprint: `DataSet.fingerprint`.
        weights: the file that was found; not looked at from scratch.
    """
    if not config.pretrained:
        return Cell(row, "none", "", data_fingerprint, config)
    digest = weights.sha256 if weights else NOT_FOUND
    return Cell(row, weights_name(row, config.weights), digest, data_fingerprint, config)
