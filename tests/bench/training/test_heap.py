"""In processes of their own, as what is arranged for the heap stays so."""

import json
import platform
import subprocess
import sys

import pytest

from bench.training import heap

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's heap that is arranged")

STEPS = """
import json, resource, sys
import torch
from bench.training.heap import keep_freed
if sys.argv[1] == "kept":
    assert keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
seen = []
for _ in range(20):
    before = faults()
    activations = [torch.ones(10_000_000 + 1_000_000 * i) for i in range(3)]
    del activations
    seen.append(faults() - before)
print(json.dumps(seen))
"""

CELLS = """
import json
import numpy as np
import torch
from bench.training.counters import PeakMemory
from bench.training.heap import keep_freed
keep_freed()
peaks = []
for size in (10_000_000, 300_000_000, 10_000_000):
    peak = PeakMemory(torch.device("cpu"))
    peak.start()
    activations = [np.ones(size // 10, np.uint8) for _ in range(10)]
    peaks.append(peak.read())
    activations.clear()
print(json.dumps(peaks))
"""


def run(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@glibc
def test_the_pages_of_a_step_are_the_next_ones():
    as_it_comes, kept = run(STEPS, "as it comes"), run(STEPS, "kept")
    assert min(as_it_comes) > 20_000, "without it, this test would say nothing"
    assert max(kept[10:]) < 1_000


@glibc
def test_what_a_cell_left_in_the_heap_is_not_the_next_ones_peak():
    small, large, again = run(CELLS)
    assert large - small > 200
    assert again == pytest.approx(small, abs=30)


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    heap._glibc.cache_clear()
    try:
        assert not heap.keep_freed()
        heap.give_back()
    finally:
        heap._glibc.cache_clear()
