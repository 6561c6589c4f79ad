"""Training loops that are timed: a bare one, the project's own, timm's recipe, and what one would write first."""

import contextlib
import copy
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import timm
import torch
from PIL import Image
from timm.data import create_loader
from timm.loss import BinaryCrossEntropy
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

from bench.cells.assembly import assemble
from bench.cells.identify import identify
from bench.data.sets import Split
from bench.networks import heads
from bench.training.arithmetic import single_precision
from bench.training.loop import fit
from tests.gpu.parts import Kit

Step = Callable[[], Tensor]
OUTPUTS = 14
MEAN, STD = 0.45, 0.225
PROCESSES = min(8, os.cpu_count() or 1)
"""Of the loaders that decode while they train."""


def inputs(kit: Kit, batch: int) -> tuple[Tensor, Tensor]:
    """(normalised images [batch, 3, side, side], labels [batch, 14], one of them undefined), always the same."""
    generator = torch.Generator().manual_seed(0)
    grey = torch.randint(0, 256, (batch, 1, kit.side, kit.side), dtype=torch.uint8, generator=generator)
    label = torch.randint(0, 2, (batch, OUTPUTS), generator=generator).float()
    label[0, 0] = float("nan")
    return normalise(grey.to(kit.device)), label.to(kit.device)


def normalise(grey: Tensor, layout: torch.memory_format = torch.channels_last) -> Tensor:
    return ((grey.float() / 255 - MEAN) / STD).expand(-1, 3, -1, -1).contiguous(memory_format=layout)


def bare(
    kit: Kit,
    network: nn.Module,
    *,
    precision: str = "bf16",
    batch: int = 16,
    layout: torch.memory_format = torch.channels_last,
    deterministic: bool = True,
    benchmark: bool = False,
    mode: str = "",
) -> Step:
    """A step of training, and nothing else, on images that lie on the device; it sets what is torch's for the process.

    Args:
        kit: says where.
        network: is trained.
        precision: a word of `trainer.precision`.
        batch: images.
        layout: of the network and its inputs.
        deterministic, benchmark: torch's and cuDNN's switches.
        mode: empty for eager, `graph` for a CUDA graph, or a mode of torch.compile's.
    """
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = benchmark
    network.to(kit.device, memory_format=layout).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    image, label = inputs(kit, batch)
    image = image.contiguous(memory_format=layout)
    mixed = {"dtype": torch.bfloat16, "enabled": precision == "bf16", "cache_enabled": mode != "graph"}
    run: Any = network
    if mode == "graph":
        before = copy.deepcopy(network.state_dict())
        with torch.autocast(kit.device.type, **mixed), single_precision(precision):
            run = torch.cuda.make_graphed_callables(network, (image.clone(),))
        network.load_state_dict(before)  # warming up counted in BatchNorm's statistics
    elif mode:
        run = torch.compile(network, mode=mode)

    def step() -> Tensor:
        with single_precision(precision):
            with torch.autocast(kit.device.type, **mixed):
                loss = heads.loss(run(image), label, (1,) * OUTPUTS)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=mode != "graph")
        return loss.detach()

    return step


def milliseconds(kit: Kit, step: Callable[[], object], *, warm: int = 5, count: int = 15) -> float:
    """A step, in the mean of `count` after `warm` others."""
    warm, count = (1, 2) if kit.small else (warm, count)
    for _ in range(warm):
        step()
    kit.wait()
    start = time.perf_counter()
    for _ in range(count):
        step()
    kit.wait()
    return 1000 * (time.perf_counter() - start) / count


class _Done(BaseException):
    """Ends a training."""


class _Clock(pl.Callback):
    """Times the steps after the first `warm`, and ends the training after `count` more."""

    def __init__(self, kit: Kit, warm: int, count: int, hook: Callable[[int], None]) -> None:
        self._kit, self._warm, self._count, self._hook = kit, warm, count, hook
        self._steps, self._start, self.milliseconds = 0, 0.0, float("nan")

    def after_batch(self, *_: Any) -> None:
        self._steps += 1
        self._hook(self._steps)
        if self._steps == self._warm:
            self._kit.wait()
            self._start = time.perf_counter()
        if self._steps == self._warm + self._count:
            self._kit.wait()
            self.milliseconds = 1000 * (time.perf_counter() - self._start) / self._count
            raise _Done


def harness(kit: Kit, arch: str, *words: str, hook: Callable[[int], None] = lambda _: None) -> float:
    """Milliseconds of a step of `bench.run`'s own training.

    Args:
        kit: says where.
        arch: the network.
        words: of the configuration.
        hook: is told the number of each step that is done.
    """
    sizes = (f"protocol.image.resize={kit.side}", f"protocol.image.crop={kit.side}", "protocol.epochs=200")
    never = "protocol.checkpoints.every_examples=1000000"
    made = kit.config(f"arch={arch}", *sizes, never, *words, name="speed")
    assembly = assemble(identify(made), Path(tempfile.mkdtemp(dir=kit.work)), None, lr=1e-4)
    clock = _Clock(kit, *((2, 3) if kit.small else (20, 60)), hook)
    assembly.training.callbacks.append(clock)
    with contextlib.suppress(_Done):
        fit(assembly.training, assembly.module, assembly.train, assembly.evaluated["valid"])
    return clock.milliseconds


class Files(Dataset[tuple[Any, Tensor]]):
    """A split's image files, decoded with Pillow as they are asked for, over and over; labels not known are 0.

    Attributes:
        transform: of an image; timm's loader sets its own.
    """

    def __init__(self, split: Split, length: int, transform: Callable[[Image.Image], Any] | None = None) -> None:
        self._paths = [split.root / path for path in split.frame["path"]]
        self._labels = torch.from_numpy(np.nan_to_num(split.labels[:, :OUTPUTS])).float()
        self._length, self.transform = length, transform

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> tuple[Any, Tensor]:
        row = index % len(self._paths)
        with Image.open(self._paths[row]) as file:
            image = file.convert("RGB")
        return self.transform(image) if self.transform else image, self._labels[row]


def _timed(kit: Kit, steps: Iterator[object], batches: int) -> float:
    """Milliseconds of each of the later steps of an iterator that does one at a time."""
    warm = batches // 3
    for _ in range(warm):
        next(steps)
    kit.wait()
    start = time.perf_counter()
    done = sum(1 for _ in steps)
    kit.wait()
    return 1000 * (time.perf_counter() - start) / done


def timms_recipe(kit: Kit, arch: str, split: Split, batch: int = 16) -> float:
    """Milliseconds of a step as timm's `train.py --amp --amp-dtype bfloat16 --channels-last --opt adam` does it.

    Its loader with the prefetcher, its optimiser and loss, and cuDNN's benchmark. Without its augmentation beyond crop
    and flip, since the protocol has none.

    Args:
        kit: says where.
        arch: timm's name.
        split: the images.
        batch: images.
    """
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = True
    batches = 6 if kit.small else 75
    loader = create_loader(
        Files(split, batches * batch), (3, kit.side, kit.side), batch, is_training=True, scale=(0.9, 1.0),
        color_jitter=0.0, num_workers=0 if kit.small else PROCESSES, pin_memory=True, device=kit.device,
        use_prefetcher=kit.gpu, persistent_workers=False, mean=(MEAN,) * 3, std=(STD,) * 3,
        collate_fn=default_collate,
    )  # fmt: skip
    network = timm.create_model(arch, num_classes=OUTPUTS).to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(network.to(kit.device), opt="adam", lr=1e-4)
    return _timed(kit, _steps(kit, loader, network, BinaryCrossEntropy(smoothing=0.0), optimizer, amp=True), batches)


def first_loop(kit: Kit, arch: str, split: Split, batch: int = 16) -> float:
    """Milliseconds of a step of what one would write first: torch's precision and layout, a DataLoader over Pillow.

    Args:
        kit: says where.
        arch: timm's name.
        split: the images.
        batch: images.
    """
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False
    batches = 6 if kit.small else 60
    resize = _Resize(kit.side)
    workers = 0 if kit.small else PROCESSES
    loader = DataLoader(Files(split, batches * batch, resize), batch, shuffle=True, num_workers=workers)
    network = timm.create_model(arch, num_classes=OUTPUTS).to(kit.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    return _timed(kit, _steps(kit, loader, network, nn.BCEWithLogitsLoss(), optimizer, amp=False), batches)


def _steps(
    kit: Kit,
    loader: Iterable[Any],
    network: nn.Module,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    amp: bool,
) -> Iterator[None]:
    """Trains on one batch of a loader at a time, with `amp` in bfloat16 and channels last."""
    layout = torch.channels_last if amp else torch.contiguous_format
    network.train()
    for image, label in loader:
        with torch.autocast(kit.device.type, torch.bfloat16, enabled=amp):
            logits = network(image.to(kit.device).contiguous(memory_format=layout))
            loss = criterion(logits, label.to(kit.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield


class _Resize:
    """A Pillow image to a normalised tensor."""

    def __init__(self, side: int) -> None:
        self._side = side

    def __call__(self, image: Image.Image) -> Tensor:
        small = np.asarray(image.resize((self._side, self._side), Image.Resampling.BILINEAR), np.float32)
        return torch.from_numpy((small / 255 - MEAN) / STD).permute(2, 0, 1)
