"""Several devices for one cell: this process is rank 0, the others are started for the time of the training.

Each rank takes its equal part of every batch, BatchNorm's statistics and the loss are those of the whole batch, and an
evaluation covers each image once: so the numbers are those of one device but for the rounding of sums.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.distributed as dist
from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # as its manual has it

from bench.errors import LostProcessError, TrainingError
from bench.schema import TrainerConfig
from bench.training.devices import on_gpu

HOST = "127.0.0.1"
LOOK_SECONDS = 0.1
"""Between two looks whether all ranks have come."""
JOIN_SECONDS = 30.0
"""How long the other ranks may take to end once rank 0 has; they do the same work, so it is a matter of moments."""
LOST_SECONDS = 5.0
"""How long after a broken connection a rank that caused it may take to be gone; what an exit takes."""


def rank() -> int:
    """Return the rank of this process; 0 where there is only one."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def peers(trainer: TrainerConfig, follow: Callable[..., object], *arguments: Any) -> Iterator[None]:
    """In the block, `devices - 1` further processes run `follow(*arguments)`, and this one is their rank 0.

    Args:
        trainer: says how many processes in all (with one device nothing is started), and whether on GPUs.
        follow: does what this process does in the block, as another rank; importable from a fresh process.

    Raises:
        TrainingError: another rank ended with an error, or was killed.
        RuntimeError: torch's, where no rank is known to have ended.
    """
    devices, backend = trainer.devices, "nccl" if on_gpu(trainer) else "gloo"
    if devices == 1:
        yield
        return
    store = TCPStore(HOST, 0, devices, is_master=True, wait_for_workers=False)
    context = get_context("spawn")  # a fork would copy threads and CUDA's state half-way
    others = [
        context.Process(target=_enter, args=(number, devices, store.port, backend, follow, arguments), daemon=True)
        for number in range(1, devices)
    ]
    try:
        for process in others:
            process.start()
        with _environment(0, devices, store.port):
            _wait_for(others, store)
            _join(backend, store, 0, devices)
            yield
            dist.destroy_process_group()  # before the ranks are waited for: NCCL's end waits for all of them
            for process in others:
                process.join(JOIN_SECONDS)
        _check(others)
    except RuntimeError:  # all that torch says of a rank that is gone is that a connection was closed
        _check_lost(others)
        raise
    finally:
        for process in others:
            if process.is_alive():
                process.kill()
        _abandon(backend)


def _check(others: Sequence[BaseProcess]) -> None:
    for number, process in enumerate(others, start=1):
        if process.exitcode:
            rank = f"rank {number} of {len(others) + 1}"
            if process.exitcode < 0:
                raise LostProcessError(
                    f"{rank} was killed by signal {-process.exitcode}, for want of memory perhaps; the same command "
                    "goes on from the last saved state"
                )
            raise TrainingError(
                f"{rank} ended with exit status {process.exitcode}, and what it said stands above; mend that, and the "
                "same command with retry=failed goes on from the last saved state"
            )


def _check_lost(others: Sequence[BaseProcess]) -> None:
    going = wait([process.sentinel for process in others], LOST_SECONDS)
    for process in others:
        if process.sentinel in going:
            process.join()  # a process closes its files, the sentinel among them, before it has an exit status
    _check(others)


def _wait_for(others: Sequence[BaseProcess], store: TCPStore) -> None:
    """Wait until every rank has joined; torch itself would wait half an hour for one that has ended."""
    here = [f"rank {number}" for number in range(1, len(others) + 1)]
    while not store.check(here):
        _check(others)
        wait([process.sentinel for process in others], LOOK_SECONDS)


def _enter(
    number: int, devices: int, port: int, backend: str, follow: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    store = TCPStore(HOST, port, devices, is_master=False)
    store.set(f"rank {number}", "here")
    with _environment(number, devices, port):
        _join(backend, store, number, devices)
        try:
            follow(*arguments)
            dist.destroy_process_group()
        finally:
            _abandon(backend)


def _join(backend: str, store: TCPStore, number: int, devices: int) -> None:
    """Join the process group; NCCL gets its device, which it would guess at the first collective."""
    device = torch.device("cuda", number) if backend == "nccl" else None
    if device is not None:
        torch.cuda.set_device(device)
    dist.init_process_group(backend, store=store, rank=number, world_size=devices, device_id=device)


def _abandon(backend: str) -> None:
    """Leave the process group, if there is one, without waiting for ranks that may be gone; NCCL must be aborted."""
    if not dist.is_initialized():
        return
    if backend == "nccl":
        dist.distributed_c10d._abort_process_group()
    else:
        dist.destroy_process_group()


@contextmanager
def _environment(number: int, devices: int, port: int) -> Iterator[None]:
    """Set the variables that tell torch and Lightning that the processes were started from outside."""
    ours = {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(devices),
        "LOCAL_WORLD_SIZE": str(devices),
        "MASTER_ADDR": HOST,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "bench",
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def synchronise(network: nn.Module, *, on_gpu: bool) -> nn.Module:
    """The network with BatchNorm statistics over all ranks; parameters, buffers and their names stay.

    torch's own SyncBatchNorm knows GPUs only; on CPUs ours takes its place.

    Raises:
        TypeError: on CPUs, a BatchNorm that is neither torch's BatchNorm2d nor timm's BatchNormAct2d.
    """
    if on_gpu:
        converted: nn.Module = convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]  # timm's
        return converted
    for module in network.modules():
        if type(module) is BatchNormAct2d:
            module.__class__ = _SyncedBatchNormAct2d  # the same attributes, another forward
        elif type(module) is nn.BatchNorm2d:
            module.__class__ = _SyncedBatchNorm2d
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise TypeError(f"{type(module).__name__}: no synchronised form of it is known on CPUs")
    return network


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all ranks; a gradient of the sum is every rank's."""

    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum(tensor: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(tensor)
    return total


def _normalise(module: nn.BatchNorm2d, image: Tensor) -> Tensor:
    """Batch normalisation in training mode, its mean and variance over the batches of all ranks."""
    mean_so_far, variance_so_far, batches = module.running_mean, module.running_var, module.num_batches_tracked
    momentum = module.momentum
    if mean_so_far is None or variance_so_far is None or batches is None or momentum is None:
        raise TypeError("a BatchNorm that keeps no exponential running statistics cannot be synchronised on CPUs")
    values = image.float() if image.dtype in (torch.bfloat16, torch.float16) else image
    count = values.new_tensor([values.numel() // values.shape[1]])
    moments = _sum(torch.cat([count, values.sum((0, 2, 3))]))
    total, mean = moments[0], moments[1:] / moments[0]
    centred = values - mean.view(1, -1, 1, 1)
    variance = _sum(centred.square().sum((0, 2, 3))) / total
    with torch.no_grad():
        batches.add_(1)
        mean_so_far.lerp_(mean, momentum)
        variance_so_far.lerp_(variance * total / (total - 1), momentum)
    scale = torch.rsqrt(variance + module.eps)
    normal = centred * scale.view(1, -1, 1, 1)
    if module.affine:
        normal = normal * module.weight.view(1, -1, 1, 1) + module.bias.view(1, -1, 1, 1)
    return normal.to(image.dtype)


class _SyncedBatchNorm2d(nn.BatchNorm2d):
    def forward(self, image: Tensor) -> Tensor:
        return _normalise(self, image) if self.training else super().forward(image)


class _SyncedBatchNormAct2d(BatchNormAct2d):
    def forward(self, image: Tensor) -> Tensor:
        if not self.training:
            plain: Tensor = super().forward(image)  # type: ignore[no-untyped-call]  # timm's
            return plain
        activated: Tensor = self.act(self.drop(_normalise(self, image)))
        return activated
