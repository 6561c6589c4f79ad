"""What a network costs: its parameters, the arithmetic of one image, and how fast this device goes through it."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

BATCH = 32
"""Images at once, at which the throughput is measured."""
FEWEST_PASSES, MOST_PASSES = 3, 15
"""Forward passes of a measurement; the median is taken, as a machine's other work only ever adds."""
SECONDS = 0.4
"""A measurement begins no further pass after this long beyond the fewest, so that a large network holds nothing up. Of
a whole batch on a CPU, which alone may take seconds, one pass is enough."""


def parameter_counts(network: nn.Module, trained: Collection[str]) -> dict[str, float]:
    """`parameters` of the network, its head included, and `parameters_trainable`, those of them that are trained."""
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    return {
        "parameters": float(sum(sizes.values())),
        "parameters_trainable": float(sum(sizes[name] for name in trained)),
    }


def input_channels(network: nn.Module) -> int:
    """Channels of the images that a network takes, read off its first convolution.

    Raises:
        ValueError: it has none.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    raise ValueError(f"{type(network).__name__} has no convolution to read the channels of its input off")


def count_macs(network: nn.Module, side: int) -> int:
    """Multiply-accumulates of one forward pass of one square image of `side` pixels, in eval mode.

    Counted from shapes by torch's own counter, which takes convolutions and matrix products (two operations a
    multiply-accumulate) and leaves out what is linear in the size of the maps: norms, activations, pooling.
    """
    state = {name: torch.empty_like(value, device="meta") for name, value in network.named_parameters()}
    state |= {name: torch.empty_like(value, device="meta") for name, value in network.named_buffers()}
    image = torch.empty(1, input_channels(network), side, side, device="meta")
    with _as_evaluated(network), FlopCounterMode(display=False) as counter:
        torch.func.functional_call(network, state, (image,))
    return int(counter.get_total_flops()) // 2


def latency_ms(network: nn.Module, side: int, device: torch.device, *, precision: str = "fp32") -> float:
    """Median milliseconds of a forward pass of one square image of `side` pixels, in eval mode, on `device`.

    The image lies on the device already, in the layout and precision of a run. On a GPU this is mostly the time in
    which the host launches kernels, one after the other, as in every eager forward pass: a CUDA graph of the same
    network takes less (`make gpu` measures both). Noisy where the machine does other work, and not for comparing
    networks that ran on different machines. The network's weights, modes and device and the global random state are
    left as they were.

    Args:
        side: of the square images, pixels.
        precision: bf16 for autocast to it; every other word is the caller's to set up.
    """
    return 1000 * _seconds(network, (1, input_channels(network), side, side), device, precision)


def images_per_second(network: nn.Module, side: int, device: torch.device, *, precision: str = "fp32") -> float:
    """Throughput of forward passes of BATCH images at once; all else as `latency_ms`.

    Args:
        side: of the square images, pixels.
        device: of the run; on a CPU one pass may be all that is measured.
        precision: bf16 for autocast to it; every other word is the caller's to set up.
    """
    return BATCH / _seconds(network, (BATCH, input_channels(network), side, side), device, precision)


def _seconds(network: nn.Module, shape: tuple[int, int, int, int], device: torch.device, precision: str) -> float:
    """Median seconds of a pass; the first, which warms caches up, does not count where there are others."""
    home = next(network.parameters()).device
    images = torch.zeros(shape, device=device).contiguous(memory_format=torch.channels_last)
    fewest = 1 if device.type == "cpu" and shape[0] > 1 else FEWEST_PASSES
    taken: list[float] = []
    begin = time.perf_counter()
    try:
        network.to(device)
        with _as_evaluated(network), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            while len(taken) < fewest or (len(taken) < MOST_PASSES and time.perf_counter() - begin < SECONDS):
                start = time.perf_counter()
                network(images)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                taken.append(time.perf_counter() - start)
    finally:
        network.to(home)
    counted = sorted(taken[1:] or taken)
    return counted[len(counted) // 2]


@contextmanager
def _as_evaluated(network: nn.Module) -> Iterator[None]:
    """In the block the network is in eval mode and keeps no gradients; each module's own mode comes back afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:  # one by one, as frozen parts are in eval mode while the rest trains
            module.training = training
