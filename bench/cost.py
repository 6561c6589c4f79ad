"""What one image costs a network: multiply-accumulates, and milliseconds on this device."""

import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

WARM_UP, REPEATS = 3, 15
"""Forward passes before and while the clock runs; the median is taken, as a laptop's other work only ever adds."""


def count_macs(network: nn.Module, side: int) -> int:
    """Multiply-accumulates of one forward pass of one square image of `side` pixels, in eval mode.

    Counted from shapes by torch's own counter, which takes convolutions and matrix products (two operations a
    multiply-accumulate) and leaves out what is linear in the size of the maps: norms, activations, pooling.
    """
    training = network.training
    state = {name: torch.empty_like(value, device="meta") for name, value in network.state_dict().items()}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        image = torch.empty(1, 3, side, side, device="meta")
        torch.func.functional_call(network.eval(), state, (image,))
    network.train(training)
    return int(counter.get_total_flops()) // 2


def latency_ms(network: nn.Module, side: int, device: torch.device) -> float:
    """Median milliseconds of a forward pass of one square image of `side` pixels, in eval mode, on `device`.

    The network is left on that device and in its mode. A measurement of the machine, and noisy: not for comparing
    networks that ran on different machines or beside other work.
    """
    training = network.training
    network.eval().to(device)
    image = torch.zeros(1, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    seconds = []
    with torch.no_grad():
        for repeat in range(WARM_UP + REPEATS):
            start = time.perf_counter()
            network(image)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if repeat >= WARM_UP:
                seconds.append(time.perf_counter() - start)
    network.train(training)
    return 1000 * sorted(seconds)[len(seconds) // 2]
