"""Host time a step: the training thread's processor time for a network that takes next to none.

On a GPU it is what has to be hidden behind the device's work on a step.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from bench.cells import assembly as assembly_module
from bench.networks.adaptation import Adaptation
from bench.quiet import quiet
from tests.perf import training

STEPS, WARM, REPEATS = 200, 50, 5


class Tiny(nn.Module):
    """A network of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 8, 3, stride=4), nn.Linear(8, 14)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [batch, 14]."""
        logits: torch.Tensor = self.head(self.first(image).relu().mean((2, 3)))
        return logits


def host_line() -> str:
    """The line of host time a step, ms."""
    torch.set_num_threads(1)
    size = ("protocol.image.resize=32", "protocol.image.crop=32", "trainer.precision=fp32", "trainer.workers=0")
    quick = {"STEPS": STEPS, "WARM": WARM}
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.multiple(training, **quick),
        mock.patch.object(training.time, "perf_counter", time.thread_time),
        mock.patch.object(assembly_module, "build_model", side_effect=lambda *_, **__: Tiny()),
        mock.patch.multiple(Adaptation, setup=_nothing, on_train_batch_start=_nothing, before_batch=_nothing),
    ):
        root = training._phantom(Path(folder) / "phantom")
        found = training._found("resnet18", root, Path(folder), "protocol.epochs=8", *size)
        kinds: dict[str, Callable[..., float]] = {"harness": training._harness, "bare": training._bare}
        times: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(REPEATS):
            for name, measure in kinds.items():
                rate = measure(found, Path(tempfile.mkdtemp(dir=folder)))
                times[name].append(1000 * found.cell.config.protocol.batch_size / rate)
    ours, bare = (statistics.median(times[name]) for name in ("harness", "bare"))
    return f"host time a step of a tiny network, against a bare loop, ms  {ours:.2f}  {bare:.2f}  {ours / bare:.2f}"


def _nothing(*_: object, **__: object) -> None: ...


if __name__ == "__main__":
    quiet()
    print(host_line(), flush=True)  # noqa: T201
