"""Shows how far a fit is, and measures what it costs, evaluation and bookkeeping apart from training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pytorch_lightning.callbacks import RichProgressBar

from analysis.printing import FORGIVING


class ProgressBar(RichProgressBar):
    """Rich's progress bar with the metrics and without the tracking run's id; what it cannot show stops nothing.

    Args:
        leave: whether it stays when it is done.
    """

    def __init__(self, *, leave: bool = False) -> None:
        super().__init__(leave=leave, console_kwargs={"file": FORGIVING})

    def get_metrics(self, *arguments: Any) -> Any:
        """What stands behind the bar."""
        return {key: value for key, value in super().get_metrics(*arguments).items() if key != "v_num"}


class StretchBar(ProgressBar):
    """A progress bar up to the next evaluation, where the loader itself has no length.

    Args:
        batches: up to the next evaluation.
    """

    def __init__(self, batches: Callable[[], int]) -> None:
        super().__init__(leave=False)
        self._batches = batches

    @property
    def total_train_batches(self) -> int:
        """Batches up to the next evaluation."""
        return self._batches()


class Stopwatch:
    """Seconds of a fit by what they were spent on, over all attempts at a cell.

    Attributes:
        spent: seconds per purpose: `evaluation`, `bookkeeping` (checkpoints, states, logging).
        fit: seconds of the whole fit, up to the last `lap`.
    """

    def __init__(self) -> None:
        self.spent = {"evaluation": 0.0, "bookkeeping": 0.0}
        self.fit = 0.0
        self._since = time.perf_counter()
        self._begun: dict[str, float] = {}

    def start(self) -> None:
        """Starts, or goes on."""
        self._since = time.perf_counter()

    def lap(self) -> None:
        """Adds the time since the last lap, or the start."""
        now = time.perf_counter()
        self.fit += now - self._since
        self._since = now

    def begin(self, purpose: str) -> None:
        """The purpose begins here, and ends in another hook."""
        self._begun[purpose] = time.perf_counter()

    def end(self, purpose: str) -> None:
        """The purpose that began ends here."""
        self.spent[purpose] += time.perf_counter() - self._begun.pop(purpose)

    @contextmanager
    def on(self, purpose: str) -> Iterator[None]:
        """The block is spent on a purpose."""
        self.begin(purpose)
        try:
            yield
        finally:
            self.end(purpose)

    def state(self) -> dict[str, float]:
        """What a resumed fit goes on from."""
        return {"fit": self.fit, **self.spent}

    def restore(self, state: dict[str, float]) -> None:
        """The inverse of `state`."""
        self.fit = state["fit"]
        self.spent = {purpose: state[purpose] for purpose in self.spent}

    def metrics(self, images: int) -> dict[str, float]:
        """`fit_seconds`, the parts of it, and `train/images_per_second` of what is training proper."""
        training = self.fit - sum(self.spent.values())
        return {
            "fit_seconds": self.fit,
            "evaluation_seconds": self.spent["evaluation"],
            "bookkeeping_seconds": self.spent["bookkeeping"],
            "overhead_share": sum(self.spent.values()) / self.fit if self.fit else float("nan"),
            "train/images_per_second": images / training if training > 0 else float("nan"),
        }
