"""Networks without numbers, each built once a process: for tests that read names and shapes, and change nothing."""

from functools import cache

import torch
from torch import nn

from bench.networks.models import build_model
from bench.networks.registry import Architecture
from bench.networks.truncation import truncate

OUTPUTS = 14


@cache
def shaped(row: Architecture, depth: int = 0) -> nn.Module:
    """The network of a row at a depth; a cut one is made of the whole one's own modules, where the row is a chain."""
    with torch.device("meta"):
        if depth and row.chain:
            return truncate(shaped(row), row, depth, outputs=OUTPUTS)
        return build_model(row, outputs=OUTPUTS, weights=None, seed=0, depth=depth)
