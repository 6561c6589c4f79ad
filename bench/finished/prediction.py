"""A run's prediction as one network: grey pixels in, probabilities out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench.errors import ExportError
from bench.finished.saved import SavedRun
from bench.networks.heads import NEGATIVE, POSITIVE, outputs
from bench.networks.models import Normalisation

BATCH = 16
"""Images predicted at once."""


def contrasts(widths: Sequence[int]) -> Tensor:
    """Return the matrix [outputs, tasks] float64 that turns outputs into the tasks' logits: outputs @ contrasts.

    Their sigmoid is what `bench.networks.heads.probabilities` gives, as a softmax over two is the sigmoid of a
    difference; a matrix is exported as one operation for any number of images.

    Args:
        widths: outputs of each task, 1 or 3.
    """
    matrix = torch.zeros(outputs(widths), len(widths), dtype=torch.float64)
    for task, width in enumerate(widths):
        start = outputs(widths[:task])
        if width == 1:
            matrix[start, task] = 1
        else:
            matrix[start + POSITIVE, task], matrix[start + NEGATIVE, task] = 1, -1
    return matrix


class Normalise(nn.Module):
    """From grey images [n, 1, height, width] uint8 to a network's inputs [n, channels, height, width] float32."""

    def __init__(self, numbers: Normalisation) -> None:
        super().__init__()
        self._mean: Tensor
        self._std: Tensor
        for name, values in (("_mean", numbers.mean), ("_std", numbers.std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Normalise as bench.training.module does: the one channel becomes as many as the mean has."""
        return (image.to(torch.float32) / 255 - self._mean) / self._std


class Prediction(nn.Module):
    """From grey images [n, 1, height, width] uint8 to probabilities [n, tasks] float32: the networks' mean.

    Args:
        networks: from normalised images to logits [n, outputs].
    """

    def __init__(self, networks: Sequence[nn.Module], normalisation: Normalisation, widths: Sequence[int]) -> None:
        super().__init__()
        self.normalise = Normalise(normalisation)
        self.networks = nn.ModuleList(networks)
        self._contrasts: Tensor
        self.register_buffer("_contrasts", contrasts(widths))

    def forward(self, image: Tensor) -> Tensor:
        """Return the probabilities of images."""
        inputs = self.normalise(image)
        each = [torch.sigmoid(network(inputs).double() @ self._contrasts) for network in self.networks]
        return torch.stack(each).mean(dim=0).to(torch.float32)


def prediction_of(run: SavedRun) -> Prediction:
    """The network that computes a run's scores, in eval mode.

    Raises:
        ExportError: the run's scores are not the mean probability of the checkpoints that are stored with it.
    """
    rule, stored = run.config.protocol.checkpoints, run.config.tracking.checkpoints
    if rule.average != "probability":
        raise ExportError(
            f"run {run.run_id} averages by protocol.checkpoints.average={rule.average}; only the mean probability, "
            "protocol.checkpoints.average=probability, is one network that can be exported"
        )
    if stored == "best" and rule.keep > 1:
        raise ExportError(
            f"run {run.run_id} stored only the best of up to {rule.keep} checkpoints that its scores are the mean of: "
            "train its cell with tracking.checkpoints=kept, under another tracking.experiment, and export that run"
        )
    networks = [checkpoint.network for checkpoint in run.checkpoints]
    return Prediction(networks, run.normalisation, run.widths).eval()


def predict(prediction: Prediction, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Probabilities [n, tasks] of images [n, 1, height, width], in float32 on the CPU."""
    with torch.no_grad():
        parts = [prediction(torch.from_numpy(images[start : start + BATCH])) for start in range(0, len(images), BATCH)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)
