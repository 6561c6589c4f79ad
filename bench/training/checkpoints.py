"""Which states of a network count, and how they make one prediction: named, tested rules.

Evaluate on the validation split every so many images; keep the best few by validation AUROC; then, by
`protocol.checkpoints.average`,

- `probability`: the prediction is the mean of their probabilities. Source: the CheXpert paper's recipe (PROTOCOL,
  "checkpoints").
- `task`: for each task the mean of the probabilities of the states that are best for that task; ours.
- `weights`: the probabilities of one network with the mean of their weights (Izmailov et al., UAI 2018, as far as the
  averaging goes); ours.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from bench.schema import CheckpointsConfig
from bench.training.states import write_whole

MONITOR = "valid/auroc"

FloatArray = npt.NDArray[np.float64]
State = dict[str, Tensor]


@dataclass
class Best:
    """The evaluations so far, and which of them count.

    Attributes:
        keep: how many, per criterion.
        criteria: names of metrics; a state counts where it is among the best of any.
        seen: (step, the criteria's values) of the evaluations that count.
    """

    keep: int
    criteria: tuple[str, ...]
    seen: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def add(self, step: int, metrics: Mapping[str, float]) -> set[int]:
        """Add an evaluation.

        Returns:
            The steps whose states do not count any more; `step` itself where it is not among the best.
        """
        self.seen.append((step, {name: float(metrics[name]) for name in self.criteria}))
        kept = {number for name in self.criteria for number in self.steps(name)}
        dropped = {number for number, _ in self.seen} - kept
        self.seen = [(number, values) for number, values in self.seen if number in kept]
        return dropped

    @property
    def counting(self) -> set[int]:
        """The steps whose states count, for any criterion."""
        return {number for number, _ in self.seen}

    def steps(self, criterion: str) -> tuple[int, ...]:
        """The steps that count for a criterion, best first; of equals the earlier. An undefined value never counts."""
        defined = [(number, values[criterion]) for number, values in self.seen if not math.isnan(values[criterion])]
        return tuple(number for number, _ in sorted(defined, key=lambda item: (-item[1], item[0]))[: self.keep])


def make_best(config: CheckpointsConfig, tasks: Sequence[str]) -> Best:
    """An empty list for the configuration's rule; `tasks` are those that are scored."""
    per_task = config.average == "task"
    return Best(config.keep, tuple(f"{MONITOR}/{task}" for task in tasks) if per_task else (MONITOR,))


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the network's state after `step` steps lies."""
    return folder / f"step={step:09d}.safetensors"


def write_checkpoint(folder: Path, step: int, network: State, header: Mapping[str, str]) -> None:
    """Writes a network's state as safetensors.

    Raises:
        StorageError: the file cannot be written.
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.items()}
    write_whole(checkpoint_path(folder, step), save(tensors, metadata=dict(header)))


def mean_state(paths: Iterable[Path]) -> State:
    """The mean of several states of one network, in float64 and back; counters are the largest.

    Raises:
        ValueError: no state.
    """
    states = [load_file(path) for path in paths]
    if not states:
        raise ValueError("no checkpoint was kept")
    mean: State = {}
    for key, first in states[0].items():
        stacked = torch.stack([state[key] for state in states])
        mean[key] = stacked.double().mean(0).to(first.dtype) if first.is_floating_point() else stacked.amax(0)
    return mean


def combine(best: Best, scores: Mapping[int, FloatArray], tasks: Sequence[str], average: str) -> FloatArray:
    """One prediction from those of several states, by the rule `probability` or `task`.

    Args:
        scores: per step, probabilities [images, tasks].
        average: the rule; with `task`, one that is not scored takes the states of all scored ones together.

    Returns:
        [images, tasks] float64.
    """
    everywhere = _mean(scores, sorted(scores))
    if average == "probability":
        return everywhere
    columns = []
    for column, task in enumerate(tasks):
        name = f"{MONITOR}/{task}"
        chosen = _mean(scores, best.steps(name)) if name in best.criteria else everywhere
        columns.append(chosen[:, column])
    return np.stack(columns, axis=1)


def _mean(scores: Mapping[int, FloatArray], steps: Iterable[int]) -> FloatArray:
    """Return the mean, summed in the order of the steps, as float64 sums depend on it."""
    ordered = [scores[step] for step in sorted(steps)]
    if not ordered:
        raise ValueError("no checkpoint was kept")
    total = sum(ordered[1:], start=ordered[0])
    mean: Any = total / len(ordered)
    return np.asarray(mean, dtype=np.float64)
