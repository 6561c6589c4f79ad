"""What a run says of its cell in MLflow: tags to group and filter by, and the resolved configuration as params."""

import dataclasses
from typing import Any

from analysis.axes import AXES
from analysis.store.uris import mask
from bench.cells.assembly import words
from bench.cells.cell import axis_levels
from bench.cells.environment import git_commit
from bench.cells.identify import Found
from bench.networks.models import normalisation

UNSAID = ("sweep.grids", "sweep.sixteen", "sweep.size", "retry")
"""Keys that say which cells there are, not what this one is."""


def tags(found: Found) -> dict[str, str]:
    """Everything that runs are grouped, filtered and told apart by."""
    cell, config = found.cell, found.cell.config
    levels = axis_levels(config)
    return {axis.name: levels[axis.column] for axis in AXES} | {
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
        "data_whole": found.data.whole,
        "data_generated": str(found.data.generated).lower(),
        "protocol": config.protocol.name,
        "precision": config.trainer.precision,
        "git": git_commit(),
    }


def params(found: Found) -> dict[str, Any]:
    """The resolved configuration, flat; scored tasks by name, so that the analysis needs no table of ours."""
    config = found.cell.config
    flat = {key: value for key, value in _flatten(dataclasses.asdict(config)).items() if key not in UNSAID}
    inputs = normalisation(found.cell.row, found.weights, in_chans=config.arch.in_chans)
    flat["tracking.uri"] = mask(config.tracking.uri)  # it may hold a password, and a run's params are for everybody
    flat["evaluation.tasks"] = ",".join(config.evaluation.tasks)
    return flat | {"input.mean": words(inputs.mean), "input.std": words(inputs.std)}


def _flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
