"""Images per second beside none, one and two other processes: as bench has OpenMP wait, and as it comes.

OpenMP's threads wait for one another between two parts of a computation, and by itself torch's runtime lets them spin:
where another process has the core of one of them, the others spin until it has it back.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

KINDS = {"bench": "from bench.waiting import choose; choose()", "torch": ""}
OWN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
"""What would hide the difference."""
REPEATS = 3
TRAINING = """
import time
import timm, torch
network = timm.create_model("efficientnet_b0", num_classes=14).train().to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(network.parameters(), fused=True)
image = torch.rand(16, 3, 96, 96).contiguous(memory_format=torch.channels_last)
def step():
    loss = network(image).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for _ in range(3):
    step()
start, steps = time.perf_counter(), 0
while time.perf_counter() - start < 4:
    step()
    steps += 1
print(16 * steps / (time.perf_counter() - start))
"""


def table() -> Iterator[str]:
    """Lines `name  ours  peer  ratio`."""
    for others in (0, 1, 2):
        rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
        with ExitStack() as stack:
            for _ in range(others):
                other = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
                stack.callback(other.kill)
            for _ in range(REPEATS):
                for kind, first in KINDS.items():
                    rates[kind].append(_rate(first))
        ours, peer = (statistics.median(rates[kind]) for kind in KINDS)
        name = f"efficientnet_b0 beside {others} other processes, against OpenMP as it comes, images/s"
        yield f"{name}  {ours:.1f}  {peer:.1f}  {ours / peer:.2f}"


def _rate(first: str) -> float:
    without = {name: value for name, value in os.environ.items() if name not in OWN}
    command = [sys.executable, "-c", f"{first}\n{TRAINING}"]
    return float(subprocess.run(command, env=without, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)  # noqa: T201
