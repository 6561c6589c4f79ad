"""Shows how far a fit is, and measures what it costs, evaluation and bookkeeping apart from training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

from analysis.printing import FORGIVING

SHOW_SECONDS = 0.2
"""Between two pictures of a progress bar."""


class ProgressBar(RichProgressBar):
    """Rich's progress bar with the metrics and without the tracking run's id; what it cannot show stops nothing."""

    def __init__(self, *, leave: bool = False) -> None:
        super().__init__(leave=leave, console_kwargs={"file": FORGIVING})

    def get_metrics(self, *arguments: Any) -> Any:
        """Return the metrics that are shown behind the bar."""
        return {key: value for key, value in super().get_metrics(*arguments).items() if key != "v_num"}


class StretchBar(ProgressBar):
    """A progress bar up to the next evaluation, where the loader itself has no length."""

    def __init__(self, batches: Callable[[], int]) -> None:
        super().__init__(leave=False)
        self._batches = batches
        self._shown = 0.0

    @property
    def total_train_batches(self) -> int:
        """Batches up to the next evaluation."""
        return self._batches()

    def after_batch(self, trainer: pl.Trainer, module: Any, index: int) -> None:
        """Update the bar a few times a second: drawing it takes as long as some networks' step.

        Args:
            index: the batch's number since the last evaluation.
        """
        now = time.monotonic()
        if now - self._shown >= SHOW_SECONDS:
            self._shown = now
            super().on_train_batch_end(trainer, module, None, None, index)

    def on_train_batch_end(self, *_: Any) -> None:
        """Do nothing: one batch of Lightning's is all batches up to the next evaluation."""


class Startup(pl.Callback):
    """Ends the start-up of a fit, to which its first step belongs, as that compiles, allocates and searches kernels."""

    def __init__(self, watch: "Stopwatch", micro_batches: int) -> None:
        self._watch, self._micro_batches = watch, micro_batches

    def after_batch(self, _trainer: pl.Trainer, _module: Any, index: int) -> None:
        """End the start-up with the last micro-batch of the first step; `index` counts micro-batches from 0."""
        if self._watch.starting and (index + 1) % self._micro_batches == 0:
            self._watch.end("start")
            self._watch.first_steps += 1


class Stopwatch:
    """Counts the seconds of a fit by purpose, over all attempts at a cell.

    Attributes:
        spent: seconds per purpose: `start` (up to the end of the first step), `evaluation`, `bookkeeping` (checkpoints,
            states, logging).
        first_steps: how many steps belong to a start, one an attempt.
        fit: seconds of the whole fit, up to the last `lap`.
    """

    def __init__(self) -> None:
        self.spent = {"start": 0.0, "evaluation": 0.0, "bookkeeping": 0.0}
        self.first_steps = 0
        self.fit = 0.0
        self._since = time.perf_counter()
        self._begun: dict[str, float] = {}

    def start(self) -> None:
        """Start or resume the clock."""
        self._since = time.perf_counter()
        self.begin("start")

    @property
    def starting(self) -> bool:
        """Return whether the first step since `start` is still running."""
        return "start" in self._begun

    def lap(self) -> None:
        """Add the time since the last lap, or since the start."""
        now = time.perf_counter()
        self.fit += now - self._since
        self._since = now

    def begin(self, purpose: str) -> None:
        """Begin to count time for a purpose; another hook ends it."""
        self._begun[purpose] = time.perf_counter()

    def end(self, purpose: str) -> None:
        """End the purpose that `begin` started."""
        self.spent[purpose] += time.perf_counter() - self._begun.pop(purpose)

    @contextmanager
    def on(self, purpose: str) -> Iterator[None]:
        """Count the time of the block for a purpose."""
        self.begin(purpose)
        try:
            yield
        finally:
            self.end(purpose)

    def state(self) -> dict[str, float]:
        """Return what a resumed fit continues from."""
        return {"fit": self.fit, "first_steps": self.first_steps, **self.spent}

    def restore(self, state: dict[str, float]) -> None:
        """Load what `state` returned."""
        self.fit = state["fit"]
        self.first_steps = int(state.get("first_steps", 0))
        self.spent = {purpose: state.get(purpose, 0.0) for purpose in self.spent}  # earlier states know no start

    def metrics(self, images: int, batch_size: int) -> dict[str, float]:
        """`fit_seconds`, the parts of it, and `train/images_per_second` of what is training proper.

        Args:
            batch_size: images of a step; the first steps are not counted, as their time is start-up.
        """
        training = self.fit - sum(self.spent.values())
        counted = images - self.first_steps * batch_size
        overhead = self.spent["evaluation"] + self.spent["bookkeeping"]
        return {
            "fit_seconds": self.fit,
            "start_seconds": self.spent["start"],
            "evaluation_seconds": self.spent["evaluation"],
            "bookkeeping_seconds": self.spent["bookkeeping"],
            "overhead_share": overhead / self.fit if self.fit else float("nan"),
            "train/images_per_second": counted / training if counted > 0 and training > 0 else float("nan"),
        }
