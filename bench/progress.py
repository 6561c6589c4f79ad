"""Shows how far a fit is, and measures what it costs, evaluation apart from training."""

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar


class ProgressBar(RichProgressBar):
    """Rich's progress bar with the metrics and without the tracking run's id."""

    def get_metrics(self, *arguments: Any) -> Any:
        """What stands behind the bar."""
        return {key: value for key, value in super().get_metrics(*arguments).items() if key != "v_num"}


class Stopwatch(pl.Callback):
    """Seconds of the whole fit and of the evaluations in it."""

    def __init__(self) -> None:
        self._fit, self._evaluation, self._steps = 0.0, 0.0, 0
        self._fit_start = self._evaluation_start = 0.0

    def on_fit_start(self, *_: Any) -> None:
        """Starts the clock."""
        self._fit_start = time.perf_counter()

    def on_validation_start(self, *_: Any) -> None:
        """Starts the evaluation's clock."""
        self._evaluation_start = time.perf_counter()

    def on_validation_end(self, *_: Any) -> None:
        """Adds one evaluation."""
        self._evaluation += time.perf_counter() - self._evaluation_start

    def on_fit_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Stops the clock."""
        self._fit = time.perf_counter() - self._fit_start
        self._steps = trainer.global_step

    def metrics(self, batch_size: int) -> dict[str, float]:
        """`fit_seconds`, evaluations included, and `train/images_per_second`, evaluations left out."""
        images = self._steps * batch_size
        return {
            "fit_seconds": self._fit,
            "train/images_per_second": images / (self._fit - self._evaluation),
        }
