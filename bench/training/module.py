"""The LightningModule: gets a built network and plain numbers, knows nothing of files or MLflow."""

import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torchmetrics.classification import MultilabelAUROC

from bench.data.images import flip
from bench.data.resident import ResidentImages
from bench.errors import BrokenLossError
from bench.networks import heads
from bench.networks.models import Normalisation
from bench.training.arithmetic import single_precision
from bench.training.devices import out_of_memory

logger = logging.getLogger(__name__)

Predictions = tuple[Tensor, Tensor]
"""(rows [batch] int64, probabilities [batch, tasks] float64)."""

UNKNOWN = -1
"""Stands for an undefined label where torchmetrics is asked."""
LOSSES_AT_ONCE = 50
"""Steps whose losses are looked at together on a GPU: each look waits for the device."""


class Classifier(pl.LightningModule):
    """Multi-label classification of grey images.

    Args:
        network: from [batch, channels, height, width] to [batch, outputs] logits.
        inputs: mean and std per channel; as many channels as the network reads.
        widths: logits per task (`bench.networks.heads`).
        optimizer: makes the optimiser, once the parameters are where they will be trained.
        scored: columns of the tasks whose AUROC the progress bar shows, by torchmetrics, image by image; the numbers of
            record are others.
        resident: puts the training images on a device, where they are to be cut out of its own memory.
        crop: side of what the network sees, pixels; read where `resident` is given.
        bf16: whether it is trained, and evaluated while it is, in mixed precision.
        micro_batches: batches whose gradients are averaged for one step.
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Normalisation,
        widths: tuple[int, ...],
        *,
        optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        scored: Sequence[int] = (),
        resident: Callable[[torch.device], ResidentImages] | None = None,
        crop: int = 0,
        compiled: bool = False,
        bf16: bool = False,
        micro_batches: int = 1,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # `training_step` does all of it
        self.network = network.to(memory_format=torch.channels_last)  # faster on every network measured
        # Learning only, as each further mode and batch size is one more compilation; by its call, as torch.compile's
        # wrapper of the network itself would give every module another name.
        self._learner = torch.compile(self.network.__call__, dynamic=False) if compiled else None
        self._bf16, self._micro_batches = bf16, micro_batches
        self._widths, self._optimizer, self._crop = widths, optimizer, crop
        self._make_resident = resident
        self._resident: ResidentImages | None = None
        self.optimizer_state: dict[str, Any] | None = None  # to go on from
        self._unseen: list[Tensor] = []
        self._loss_sum, self._loss_count = 0.0, 0
        self._validation: list[Predictions] = []
        self._scored = list(scored)
        self._shown = MultilabelAUROC(len(self._scored), ignore_index=UNKNOWN) if len(self._scored) > 1 else None
        self._evaluated_at_once = sys.maxsize  # as many as a batch has, until they do not fit
        self.step = 0  # training steps done, over all attempts at this cell
        self._mean: Tensor
        self._std: Tensor
        for name, numbers in (("_mean", inputs.mean), ("_std", inputs.std)):
            self.register_buffer(name, torch.tensor(numbers).view(1, -1, 1, 1), persistent=False)

    def on_fit_start(self) -> None:
        """Load the resident images, now that the device is known."""
        if self._make_resident is not None:
            self._resident = self._make_resident(self.device)

    def forget_images(self) -> None:
        """Free the resident images: Lightning's trainer and this module refer to each other and are collected later."""
        self._resident = None

    def image(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The cut and flipped images [batch, 1, height, width] uint8 of a training batch."""
        if self._resident is None:
            return flip(batch["image"], batch["flip"])
        cut = (batch["row"], batch["vertical"], batch["horizontal"], batch["flip"])
        return self._resident.crops(*cut, self._crop)

    def forward(self, image: Tensor) -> Tensor:
        """Logits [batch, outputs] of images [batch, 1, height, width] uint8."""
        grey = image.to(torch.float32) / 255
        normalised = (grey - self._mean) / self._std  # the one channel becomes as many as the mean has
        network = self._learner if self._learner is not None and self.training else self.network
        logits: Tensor = network(normalised.contiguous(memory_format=torch.channels_last))
        return logits

    def _precision(self) -> torch.autocast:
        """Return the autocast of the training."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16)

    def training_step(self, batches: Iterator[Mapping[str, Tensor]], _: int) -> None:
        """Trains on all batches up to the next evaluation, which are one to Lightning.

        Lightning's own way from one batch to the next takes 1 to 2 ms of host time: as long as a GPU needs for a good
        part of a step. Around each batch every callback's `before_batch` and `after_batch` are called, where it has
        them, with the trainer, this module and the batch's number.
        """
        trainer: Any = self.trainer
        before, after = (
            [getattr(callback, hook) for callback in trainer.callbacks if hasattr(callback, hook)]
            for hook in ("before_batch", "after_batch")
        )
        for index, batch in enumerate(batches):
            for hook in before:
                hook(trainer, self, index)
            self.learn(batch, index)
            for hook in after:
                hook(trainer, self, index)

    def learn(self, batch: Mapping[str, Tensor], index: int) -> None:
        """Adds the gradient of one batch, and makes a step after every `micro_batches` of them.

        Args:
            index: its number since the last evaluation.
        """
        trainer: Any = self.trainer
        model, optimizer = trainer.strategy.model, trainer.optimizers[0]  # the model is DDP's where there are several
        number = index % self._micro_batches
        last = number == self._micro_batches - 1
        with nullcontext() if last or trainer.world_size == 1 else model.no_sync():
            with self._precision():
                loss = self._loss(model, {key: part.to(self.device, non_blocking=True) for key, part in batch.items()})
            if number == 0:
                optimizer.zero_grad()
            if self._micro_batches > 1:
                loss = loss / self._micro_batches
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
        if last:
            optimizer.step()

    def _loss(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of one batch: the mean over all known labels of it, on however many devices they lie."""
        total, known = heads.sums(model(self.image(batch)), batch["label"], self._widths)
        world: int = self.trainer.world_size
        if world == 1:
            loss = seen = total / known.clamp(min=1)
        else:
            whole = torch.stack([total.detach(), known.to(total.dtype)])
            dist.all_reduce(whole)  # so that every device learns of a loss that is no number
            loss = total / (whole[1] / world).clamp(min=1 / world)
            seen = whole[0] / whole[1].clamp(min=1)
        self._unseen.append(seen.detach())
        if loss.device.type == "cpu" or len(self._unseen) == LOSSES_AT_ONCE:
            self.look_at_losses()
        return loss

    def look_at_losses(self) -> None:
        """Fetch the losses since the last call and add them one by one, so that the sum does not depend on the calls.

        Raises:
            BrokenLossError: one of them is NaN or infinite.
        """
        if not self._unseen:
            return
        several = len(self._unseen) > 1  # which are fetched from a GPU together
        losses = torch.stack(self._unseen).tolist() if several else [self._unseen[0].item()]
        self._unseen.clear()
        for number, loss in enumerate(losses, start=1):
            if not math.isfinite(loss):
                at = self.step + 1 - (len(losses) - number) // self._micro_batches
                raise BrokenLossError(f"the loss of training step {at} is {loss}", at)
            self._loss_sum += loss
            self._loss_count += 1

    def losses(self) -> tuple[float, int]:
        """(sum, number) of the losses since the last evaluation."""
        self.look_at_losses()
        return self._loss_sum, self._loss_count

    def set_losses(self, total: float, count: int) -> None:
        """Set the sum and number of losses, as `losses` returned them."""
        self._loss_sum, self._loss_count = total, count

    def _probabilities(self, batch: Mapping[str, Tensor]) -> Predictions:
        """Evaluate a batch, in smaller pieces where memory runs out; the training's batch size stays."""
        images = batch["image"]
        piece = max(1, min(len(images), self._evaluated_at_once))
        while True:
            try:
                pieces = images.split(piece)  # type: ignore[no-untyped-call]  # torch's
                parts = [heads.probabilities(self(part), self._widths) for part in pieces]
            except RuntimeError as error:
                if piece == 1 or not out_of_memory(error):
                    raise
            else:
                return batch["row"], torch.cat(parts)
            # Only here has Python let go of the error, and of the activations in its traceback.
            piece = self._evaluated_at_once = (piece + 1) // 2
            logger.warning("out of memory in an evaluation: from now on with %d images at once", piece)
            if images.device.type == "cuda":
                torch.cuda.empty_cache()

    def predict_step(self, batch: Mapping[str, Tensor], _: int = 0) -> Predictions:
        """Rows and float64 probabilities of one batch, computed in fp32: what is exported gives the same elsewhere."""
        with whole_precision(self.device):
            return self._probabilities(batch)

    def validation_step(self, batch: Mapping[str, Tensor], _: int) -> None:
        """Keeps the scores, in the training's precision; evaluated together, as an AUROC is no mean over batches."""
        with self._precision():
            rows, scores = self._probabilities(batch)
        self._validation.append((rows, scores))
        if self._shown is not None:
            labels = torch.nan_to_num(batch["label"][:, self._scored], nan=UNKNOWN).long()
            self._shown.update(scores[:, self._scored].float(), labels)

    def shown_auroc(self) -> float:
        """The mean AUROC over images of the evaluation that has just ended, for the progress bar; NaN for one task."""
        if self._shown is None:
            return float("nan")
        value = float(self._shown.compute())
        self._shown.reset()
        return value

    def validation_scores(self) -> npt.NDArray[np.float64]:
        """The scores [images, tasks] of the evaluation that has just ended."""
        scores = collect(self._validation)
        self._validation.clear()
        return scores

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the protocol's optimiser, without a schedule; a resumed training gets its saved moments."""
        optimizer = self._optimizer(self.network)
        if self.optimizer_state is not None:
            optimizer.load_state_dict(self.optimizer_state)
        return optimizer


@contextmanager
def whole_precision(device: torch.device) -> Iterator[None]:
    """Compute in fp32 while the block runs: without autocast, and on a GPU without TF32, which is cuDNN's default."""
    with single_precision("fp32"), torch.autocast(device.type, enabled=False):
        yield


def collect(predictions: list[Predictions]) -> npt.NDArray[np.float64]:
    """Scores [images, tasks] float64 in the order of the rows, whatever the order of the batches and the devices.

    Raises:
        ValueError: an image is missing or there twice.
    """
    rows = torch.cat([rows for rows, _ in predictions]).cpu()
    scores = torch.cat([scores for _, scores in predictions]).cpu()
    if dist.is_available() and dist.is_initialized():
        parts: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(parts, (rows, scores))
        rows, scores = (torch.cat([part[index] for part in parts]) for index in (0, 1))
    order = np.argsort(rows.numpy())
    if not np.array_equal(rows.numpy()[order], np.arange(len(rows))):
        raise ValueError("predictions do not cover every image exactly once")
    return np.asarray(scores.numpy()[order], dtype=np.float64)
