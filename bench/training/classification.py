"""Training a classifier on an image folder, for `bench.pretrain`; the result is a weight file, not a measurement."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from bench.data.generated import shapes
from bench.data.generated.folders import digest, once
from bench.errors import DataError
from bench.networks.models import Normalisation, build_model, head_names, normalisation
from bench.networks.registry import Architecture
from bench.paths import in_project
from bench.schema import PretrainConfig, SourceConfig
from bench.training.devices import accelerator, check_machine, leave_memory_unfilled, on_gpu, precision
from bench.training.heap import KeptHeap
from bench.training.progress import ProgressBar
from bench.training.states import write_whole

SMALLEST_CROP = 0.7
"""Smallest share of a training image's area that a random crop keeps."""


@dataclass(frozen=True)
class Folder:
    """An image folder: `train/<class>/*`, `valid/<class>/*`."""

    root: Path
    name: str
    classes: tuple[str, ...]
    generated: bool


def open_folder(source: SourceConfig) -> Folder:
    """Return the checked folder of a source; shapes are generated on first use.

    Raises:
        DataError: no such folder, or train/ and valid/ do not hold the same classes.
    """
    generated = source.name == "shapes"
    if generated:
        spec = shapes.ShapesSpec()
        place = source.root or f"data/shapes-{digest(spec.card)}"
        root = once(in_project(place), lambda path: shapes.generate(path, spec))
    elif source.root is None:
        raise DataError("source=folder needs source.root=DIR, the folder that holds train/ and valid/")
    else:
        root = in_project(source.root)
    found = {}
    for part in ("train", "valid"):
        if not (root / part).is_dir():
            raise DataError(f"source.root={root}: no folder {part}/ in it; it needs train/<class>/ and valid/<class>/")
        found[part] = tuple(sorted(path.name for path in (root / part).iterdir() if path.is_dir()))
    if found["train"] != found["valid"]:
        only = sorted(set(found["train"]) ^ set(found["valid"]))
        raise DataError(f"source.root={root}: train/ and valid/ hold different classes ({', '.join(only[:5])})")
    return Folder(root, root.name, found["train"], generated)


class _Classifier(pl.LightningModule):
    """Single-label classification with a one-cycle schedule."""

    def __init__(self, network: nn.Module, classes: int, lr: float) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self._lr, self._accuracy = lr, MulticlassAccuracy(classes, average="micro")

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, labels = batch
        return cross_entropy(self.network(images.contiguous(memory_format=torch.channels_last)), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        images, labels = batch
        self._accuracy.update(self.network(images), labels)

    def on_validation_epoch_end(self) -> None:
        self.log("top1", self._accuracy.compute(), prog_bar=True)
        self._accuracy.reset()

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.Adam(self.parameters(), lr=self._lr)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self._lr, total_steps=steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def fit(row: Architecture, folder: Folder, settings: PretrainConfig) -> tuple[nn.Module, float]:
    """(trained network, top-1 on the folder's validation images, in [0, 1]).

    Args:
        settings: seed, epochs, learning rate, batch and image size, the machine.

    Raises:
        MachineError: this machine has no such device.
    """
    check_machine(settings.trainer)
    pl.seed_everything(settings.seed, workers=True, verbose=False)
    network = build_model(row, outputs=len(folder.classes), weights=None, seed=settings.seed)
    module = _Classifier(network, len(folder.classes), settings.lr)
    leave_memory_unfilled()
    trainer = pl.Trainer(
        accelerator=accelerator(settings.trainer),
        precision="bf16-mixed" if precision(settings.trainer, row.family) == "bf16" else "32-true",
        devices=1,
        max_epochs=settings.epochs,
        check_val_every_n_epoch=settings.epochs,
        deterministic=settings.trainer.deterministic,
        callbacks=[ProgressBar(leave=False), *([] if on_gpu(settings.trainer) else [KeptHeap()])],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, *_loaders(folder, settings, normalisation(row, None)))
    return network, float(trainer.callback_metrics["top1"])


def _loaders(folder: Folder, settings: PretrainConfig, norm: Normalisation) -> tuple[DataLoader[Any], DataLoader[Any]]:
    end = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(norm.mean, norm.std)]
    size = settings.image
    augment = v2.Compose([v2.RandomResizedCrop(size, scale=(SMALLEST_CROP, 1.0)), v2.RandomHorizontalFlip(), *end])
    centre = v2.Compose([v2.Resize(size), v2.CenterCrop(size), *end])
    processes = settings.trainer.workers
    serve: dict[str, Any] = {"batch_size": settings.batch_size, "num_workers": processes}
    serve["persistent_workers"] = processes > 0
    train = DataLoader(ImageFolder(str(folder.root / "train"), augment), shuffle=True, drop_last=True, **serve)
    return train, DataLoader(ImageFolder(str(folder.root / "valid"), centre), **serve)


def export(network: nn.Module, path: Path, folder: Folder, facts: dict[str, str]) -> None:
    """Writes the body (no head), its header saying what it was trained on; the file appears whole or not at all."""
    dropped = tuple(f"{name}." for name in head_names(network))
    body = {key: value.contiguous() for key, value in network.state_dict().items() if not key.startswith(dropped)}
    header = {"source": f"image folder {folder.name}", "generated": json.dumps(folder.generated), **facts}
    write_whole(path, safetensors.torch.save(body, metadata=header))
