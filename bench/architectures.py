"""`python -m bench.architectures [outputs=14] [csv=true]`: every architecture at every depth, counted as built.

The paper's 16 first, then the further rows of the registry.
"""

import csv
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from analysis.interrupted import run_command
from bench.command import command
from bench.networks.registry import ARCHITECTURES
from bench.schema import ArchitecturesConfig

COLUMNS = ("arch", "truncate", "last_module", "parameters", "channels", "stride", "weights", "imagenet_top1")
"""imagenet_top1 is timm's figure for the pinned weights, 0 to 1; it belongs to the whole network only, and is empty
where the reference table has none."""

WIDTH = 130
"""Characters that the table needs, also where the output is no terminal."""


def rows(outputs: int) -> Iterator[dict[str, Any]]:
    """One row an architecture and depth, from shapes alone: no weights are made or loaded."""
    import torch

    from analysis.reference import top1
    from bench.networks.models import build_model, count_parameters
    from bench.networks.truncation import PROBE, feature_map

    for row in ARCHITECTURES.values():
        weights = f"{row.name}.{row.tag}"
        for depth in range(len(row.cuts) + 1):
            with torch.device("meta"):
                network = build_model(row, outputs=outputs, weights=None, seed=0, depth=depth)
            last = feature_map(network, PROBE)
            yield {
                "arch": row.name,
                "truncate": depth,
                "last_module": row.cuts[depth - 1] if depth else "",
                "parameters": count_parameters(network),
                "channels": last.channels,
                "stride": last.stride,
                "weights": weights,
                "imagenet_top1": "" if depth or math.isnan(top1(weights)) else top1(weights),
            }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 2 where the command line is wrong."""
    return command("architectures", work, arguments)


def work(jobs: Sequence[ArchitecturesConfig]) -> int:
    """Prints the table of each job."""
    for settings in jobs:
        _show(settings)
    return 0


def _show(settings: ArchitecturesConfig) -> None:
    if settings.csv:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(settings.outputs))
        return
    table = Table(*COLUMNS)
    for row in rows(settings.outputs):
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    Console(width=max(WIDTH, Console().width)).print(table)


if __name__ == "__main__":
    run_command(main)
