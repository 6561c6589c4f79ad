"""What a part of `make gpu` is, what it works with, and what it says."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.cells.runner import run_cell
from bench.config import compose_config
from bench.data.generated import phantom
from bench.tracking.stores import store_of


@dataclass(frozen=True)
class Task:
    """What the process is to do.

    Attributes:
        out: folder for what is read afterwards.
        work: folder for everything else.
        small: tiny sizes, for a rehearsal.
        until: seconds since 1970; a part that would not be done by then is left out.
        parts: names, in their order.
    """

    out: str
    work: str
    small: bool
    until: float
    parts: tuple[str, ...]


class Kit:
    """What parts work with.

    Attributes:
        device: a GPU, or in a rehearsal the CPU.
        root: of a generated set in CheXpert's layout.
        side: px of the images that are timed.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self.small, self.out, self.work = task.small, Path(task.out), Path(task.work)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.gpu = self.device.type == "cuda"
        self.side = 32 if self.small else 320
        self.root = self.work / "phantom"
        if not self.root.exists():
            patients = (60, 20) if self.small else (200, 60)
            phantom.generate(self.root, phantom.PhantomSpec(train_patients=patients[0], test_patients=patients[1]))

    def left(self) -> float:
        """Seconds until parts are left out; a rehearsal has no such bound."""
        return float("inf") if self.small else self._task.until - time.time()

    def note(self, **line: Any) -> None:
        """Adds a line to what `tests.gpu` reads."""
        with (self.work / "lines").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def say(self, figure: str, row: str, **columns: float | str) -> None:
        """A row of the table `figure`."""
        self.note(figure=figure, row=row, columns=columns)

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.gpu:
            torch.cuda.synchronize()

    def config(self, *words: str, name: str) -> Any:
        """A small cell's configuration, in an experiment of its own."""
        side = ("protocol.image.resize=40", "protocol.image.crop=32", "truncate=2") if self.small else ()
        return compose_config(
            [
                "arch=resnet18", "pretrained=false", "data=chexpert", f"data.root={self.root}",
                "data.valid_fraction=0.2",
                f"data.cache={self.work}/cache", f"outputs={self.work}/outputs", "protocol.epochs=2",
                "protocol.image.resize=72", "protocol.image.crop=64", "protocol.image.flip=true",
                f"tracking.uri=sqlite:///{self.work}/mlflow.db", f"tracking.experiment={name}", *side, *words,
            ]
        )  # fmt: skip

    def cell(self, *words: str, name: str) -> tuple[Any, Any]:
        """(the finished run, its configuration)."""
        made = self.config(*words, name=name)
        return run_cell(made, store_of(made), announce=lambda _: None), made


Run = Callable[[Kit], None]


@dataclass(frozen=True)
class Part:
    """A proof or figures.

    Attributes:
        seconds: what it takes on an H100, about; it begins only where so much is left.
        needs_gpu: whether a rehearsal passes it over.
    """

    run: Run
    seconds: float
    needs_gpu: bool

    @property
    def name(self) -> str:
        """In words."""
        return self.run.__name__.replace("_", " ")


PROOFS: list[Part] = []
FIGURES: list[Part] = []


def part(parts: list[Part], seconds: float, *, needs_gpu: bool = False) -> Callable[[Run], Run]:
    """Adds a function to a list of parts."""

    def add(run: Run) -> Run:
        parts.append(Part(run, seconds, needs_gpu))
        return run

    return add
