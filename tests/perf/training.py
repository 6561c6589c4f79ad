"""Images per second of training: `bench.run`'s own path against a bare loop, and against what one would write first.

All on the same images, in turn; the median of the repetitions. The harness and the bare loop run in one process, with
its heap (`bench.training.heap`), the loop without deterministic algorithms; what one would write first runs in a
process of its own, as it comes.
"""

import contextlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytorch_lightning as pl
import timm
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from bench.cells import assembly as assembly_module
from bench.cells.assembly import Assembly, assemble
from bench.cells.identify import Found, identify
from bench.cells.runner import run_cell
from bench.config import compose_config
from bench.data.generated import phantom
from bench.data.sets import Split
from bench.networks import heads
from bench.networks.models import build_model
from bench.quiet import quiet
from bench.tracking.stores import store_of
from bench.training.loop import fit
from bench.training.module import Classifier

ARCHITECTURES = ("densenet121", "resnet50", "efficientnet_b0")
FAMILIES = ("densenet121", "resnet18", "inception_v3", "mnasnet_100", "efficientnet_b0", "mobilenetv3_large_100")
SIDE, STEPS, WARM, REPEATS = 224, 8, 3, 3
SMALL = 96
"""px at which bf16 and fp32 are compared, so that the table takes minutes."""
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "nih-chexpert-small"


def table() -> Iterator[str]:
    """Lines `name  ours  peer  ratio`, in images per second."""
    with tempfile.TemporaryDirectory() as folder:
        root = SHARED if SHARED.is_dir() else _phantom(Path(folder) / "phantom")
        _start(_found("resnet18", root, Path(folder)), Path(tempfile.mkdtemp(dir=folder)))  # warms the process
        for arch in ARCHITECTURES:
            found = _found(arch, root, Path(folder))
            kinds = {"harness": _harness, "bare": _bare, "first": _first_alone}
            rates: dict[str, list[float]] = {name: [] for name in kinds}
            for _ in range(REPEATS):
                for name, measure in kinds.items():
                    rates[name].append(measure(found, Path(tempfile.mkdtemp(dir=folder))))
            ours, bare, first = (statistics.median(rates[name]) for name in ("harness", "bare", "first"))
            name = f"training {arch} {found.cell.config.trainer.precision}"
            yield f"{name}, against a bare loop, images/s  {ours:.1f}  {bare:.1f}  {ours / bare:.3f}"
            start = _start(found, Path(tempfile.mkdtemp(dir=folder)))
            yield f"start to first step beyond building {arch}, s, against 1.5 s  {start:.2f}  1.5  {1.5 / start:.1f}"
            yield f"{name}, against fp32 and Pillow, images/s  {ours:.1f}  {first:.1f}  {ours / first:.2f}"
        yield from _precisions(root, Path(folder))


def _precisions(root: Path, folder: Path) -> Iterator[str]:
    """What `bench.training.devices` has its table from: bf16 against fp32 of a bare loop, and what the table takes."""
    if not torch.cpu._is_avx512_bf16_supported():
        yield "bf16 against fp32: not measured, as this processor has no bf16 (an image takes ten times as long)"
        return
    size = (f"protocol.image.resize={SMALL}", f"protocol.image.crop={SMALL}")
    for arch in FAMILIES:
        rates: dict[str, list[float]] = {"bf16": [], "fp32": []}
        for _ in range(REPEATS):
            for precision, measured in rates.items():
                measured.append(_bare(_found(arch, root, folder, *size, f"trainer.precision={precision}"), folder))
        bf16, fp32 = (statistics.median(measured) for measured in rates.values())
        taken = _found(arch, root, folder).cell.config.trainer.precision
        yield f"bf16 against fp32 {arch} (auto takes {taken}), images/s  {bf16:.1f}  {fp32:.1f}  {bf16 / fp32:.2f}"


def _phantom(root: Path) -> Path:
    phantom.generate(root, phantom.PhantomSpec(train_patients=200, test_patients=40))
    return root


def _found(arch: str, root: Path, folder: Path, *overrides: str) -> Found:
    return identify(
        compose_config(
            [
                f"arch={arch}", "pretrained=false", "data=chexpert", f"data.root={root}", "data.valid_fraction=0.2",
                f"data.cache={folder}/cache", f"outputs={folder}/outputs", f"protocol.image.resize={SIDE}",
                f"protocol.image.crop={SIDE}", "protocol.epochs=1", "trainer=cpu", *overrides,
            ]
        )
    )  # fmt: skip


def _start(found: Found, folder: Path) -> float:
    """Seconds from the start of a cell to its first training step, without those of building the network."""
    config = replace(found.cell.config, outputs=str(folder / "outputs"))
    config = replace(config, tracking=replace(config.tracking, uri=f"sqlite:///{folder}/mlflow.db"))
    store = store_of(config)  # a sweep opens it once
    building, first = [], []

    def build(*arguments: Any, **named: Any) -> nn.Module:
        start = time.perf_counter()
        network = build_model(*arguments, **named)
        building.append(time.perf_counter() - start)
        return network

    def step(*_: Any) -> None:
        first.append(time.perf_counter())
        raise _FirstStep

    with mock.patch.object(assembly_module, "build_model", build), mock.patch.object(Classifier, "learn", step):
        start = time.perf_counter()
        with contextlib.suppress(_FirstStep):
            run_cell(config, store)
    return first[0] - start - building[0]


class _FirstStep(BaseException):
    """Ends the cell there."""


class _Clock(pl.Callback):
    """When each batch ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def after_batch(self, *_: object) -> None:
        self.ends.append(time.perf_counter())


def _rate(ends: list[float], batch: int) -> float:
    return batch * (len(ends) - WARM) / (ends[-1] - ends[WARM - 1])


def _assembly(found: Found, folder: Path) -> Assembly:
    assembly = assemble(found, folder, None, lr=1e-4)
    schedule = assembly.training.schedule
    object.__setattr__(schedule, "steps", STEPS)  # frozen, and shared with the sampler
    object.__setattr__(schedule, "every", STEPS * schedule.batch_size)
    return assembly


def _harness(found: Found, folder: Path) -> float:
    assembly, clock = _assembly(found, folder), _Clock()
    assembly.training.callbacks.append(clock)
    fit(assembly.training, assembly.module, assembly.train, assembly.evaluated["valid"])
    return _rate(clock.ends, assembly.training.schedule.batch_size)


def _bare(found: Found, folder: Path) -> float:
    """The same network, batches, precision and optimiser, and nothing else."""
    torch.use_deterministic_algorithms(False)  # the harness turns them on for the whole process
    assembly = _assembly(found, folder)
    module = assembly.module.train()
    network, optimizer = module.network, module.configure_optimizers()
    bf16 = found.cell.config.trainer.precision == "bf16"
    ends = []
    for batch in assembly.train:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            grey = batch["image"].float() / 255
            normal = ((grey - module._mean) / module._std).contiguous(memory_format=torch.channels_last)
            loss = heads.loss(network(normal), batch["label"], found.data.widths)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ends.append(time.perf_counter())
    return _rate(ends, found.cell.config.protocol.batch_size)


class _PillowImages(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """What a user would write first."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def __len__(self) -> int:
        return len(self._split.frame)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        with Image.open(self._split.root / self._split.frame["path"].iloc[row]) as file:
            image = file.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        normal = (np.asarray(image, np.float32) / 255 - 0.45) / 0.225
        return torch.from_numpy(normal).permute(2, 0, 1), torch.from_numpy(self._split.labels[row]).float().nan_to_num(
            0
        )


def _first_alone(found: Found, _: Path) -> float:
    """`_first` in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_first, found.cell.row.name, found.data.train).result()


def _first(name: str, split: Split) -> float:
    """timm's network, fp32, torch's layout, a Pillow Dataset in a DataLoader."""
    network: nn.Module = timm.create_model(name, num_classes=14).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    criterion: Callable[..., torch.Tensor] = nn.BCEWithLogitsLoss()
    loader = DataLoader(_PillowImages(split), batch_size=16, shuffle=True, drop_last=True)
    ends = []
    for image, label in islice(loader, STEPS):
        optimizer.zero_grad()
        criterion(network(image), label).backward()
        optimizer.step()
        ends.append(time.perf_counter())
    return _rate(ends, 16)


if __name__ == "__main__":
    quiet()
    for line in table():
        print(line, flush=True)  # noqa: T201
