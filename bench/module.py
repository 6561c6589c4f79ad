"""The LightningModule: gets a built network and plain numbers, knows nothing of files or MLflow."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics import MeanMetric

from bench.models import Normalisation
from bench.schema import ProtocolConfig

Predictions = tuple[Tensor, Tensor]
"""(rows [batch] int64, probabilities [batch, tasks] float64)."""
Evaluate = Callable[[npt.NDArray[np.float64]], dict[str, float]]
"""From scores [images, tasks] in the order of the rows to named metrics."""


def masked_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy over the targets that are not NaN; 0, with a gradient of 0, where all are.

    Args:
        logits, targets: [batch, tasks] float.
    """
    known = ~torch.isnan(targets)
    losses = binary_cross_entropy_with_logits(logits, torch.where(known, targets, 0.0), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


class Classifier(pl.LightningModule):
    """Multi-label classification of grey images.

    Args:
        network: from [batch, 3, height, width] to [batch, tasks] logits.
        normalisation: of the network's inputs.
        protocol: optimiser settings.
        evaluate: turns the validation split's scores into metrics, `valid/auroc` among them.
    """

    def __init__(
        self, network: nn.Module, normalisation: Normalisation, protocol: ProtocolConfig, evaluate: Evaluate
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # faster on every network measured
        self._protocol, self._evaluate = protocol, evaluate
        self._loss = MeanMetric()
        self._validation: list[Predictions] = []
        self._mean: Tensor
        self._std: Tensor
        for name, numbers in (("_mean", normalisation.mean), ("_std", normalisation.std)):
            self.register_buffer(name, torch.tensor(numbers).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits [batch, tasks] of images [batch, 1, height, width] uint8."""
        grey = image.to(torch.float32) / 255
        normalised = (grey - self._mean) / self._std  # the one channel becomes as many as the mean has
        logits: Tensor = self.network(normalised.contiguous(memory_format=torch.channels_last))
        return logits

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """The loss of one batch."""
        loss = masked_bce(self(batch["image"]), batch["label"])
        self._loss.update(loss.detach())
        return loss

    def predict_step(self, batch: dict[str, Tensor], _: int = 0) -> Predictions:
        """Rows and float64 probabilities of one batch."""
        return batch["row"], torch.sigmoid(self(batch["image"]).double())

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        """Keeps the scores; they are evaluated together, as an AUROC is no mean over batches."""
        self._validation.append(self.predict_step(batch, index))

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of the whole validation split, and the mean training loss since the last time."""
        for name, value in self._evaluate(collect(self._validation)).items():
            self.log(name, value, prog_bar=name == "valid/auroc")
        self.log("train/loss", self._loss.compute(), prog_bar=True)
        self._loss.reset()
        self._validation.clear()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam with the protocol's numbers, no schedule."""
        numbers = self._protocol
        first, second = numbers.betas
        return torch.optim.Adam(
            self.parameters(), lr=numbers.lr, betas=(first, second), weight_decay=numbers.weight_decay
        )


def collect(predictions: list[Predictions]) -> npt.NDArray[np.float64]:
    """Scores [images, tasks] float64 in the order of the rows, whatever the order of the batches.

    Raises:
        ValueError: an image is missing or there twice.
    """
    rows = torch.cat([rows for rows, _ in predictions]).cpu().numpy()
    scores: Any = torch.cat([scores for _, scores in predictions]).cpu().numpy()
    order = np.argsort(rows)
    if not np.array_equal(rows[order], np.arange(len(rows))):
        raise ValueError("predictions do not cover every image exactly once")
    return np.asarray(scores[order], dtype=np.float64)
