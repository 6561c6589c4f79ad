"""How OpenMP's threads wait for one another, which its runtime reads from the environment as torch is loaded.

By itself libgomp lets them spin: where another process has the core of one of them, the others spin until it has it
back. Asleep they leave their cores to it, and are woken later. efficientnet_b0, 96 px, batch 16, images/s on two cores,
free and with one other process: spinning 66 and 24, asleep 43 and 45, with a GOMP_SPINCOUNT of 30 to 1000 between 38
and 48 and between 37 and 40. As no one way is good for both, it is chosen by what the cores do; no bits depend on it.
"""

import os
import sys
import time
from pathlib import Path

STAT = Path("/proc/stat")
WORKING = (0, 1, 2, 5, 6, 7)
"""Columns of a processor's line: user, nice, system, irq, softirq, steal. Source: proc_stat(5)."""
SET_BY_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
LOOK_SECONDS = 0.1
"""For which this process sleeps and looks at its cores; the system counts in steps of 0.01."""
BUSY = 0.5
"""Cores in use by others from which on threads sleep; ours."""


def choose() -> None:
    """Lets threads sleep while they wait, where other processes use this one's cores and the user chose nothing.

    Called before torch is loaded; afterwards it does nothing, as it would be of no use.
    """
    if "torch" not in sys.modules and not set(SET_BY_USER) & os.environ.keys() and used_by_others() > BUSY:
        os.environ["OMP_WAIT_POLICY"] = "passive"


def used_by_others(stat: Path = STAT, seconds: float = LOOK_SECONDS) -> float:
    """How many of this process's cores are in use while it sleeps; 0 where there is only one, or no Linux.

    Args:
        stat: Linux's file of what processors did.
    """
    if not stat.exists() or len(os.sched_getaffinity(0)) == 1:
        return 0.0
    before = _working(stat)
    time.sleep(seconds)
    return (_working(stat) - before) / os.sysconf("SC_CLK_TCK") / seconds


def _working(stat: Path) -> int:
    """Ticks that this process's cores have worked since the machine started."""
    own = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    lines = [line.split() for line in stat.read_text().splitlines()]
    return sum(int(numbers[column]) for name, *numbers in lines if name in own for column in WORKING)
