"""Readers of a GPU's energy counter and of peak memory. A reading is None where the machine does not count it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.training.heap import give_back

Joules = Callable[[], float | None]
"""Joules used so far, from an arbitrary zero; never falls. None where they cannot be read any more."""
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Sets the peak resident set size (VmHWM) to what is resident now. Source: proc_pid_clear_refs(5), since Linux 4.0."""
MIB = 1 << 20


def energy_counter(devices: Sequence[torch.device]) -> Joules | None:
    """Return a reader of the joules that whole GPUs have used, other processes' included; None for the CPU."""
    if devices[0].type == "cuda":
        return _nvml_counter([str(torch.cuda.get_device_properties(device).uuid) for device in devices])
    return None


def _nvml_counter(uuids: Sequence[str]) -> Joules | None:
    """The GPUs' own counters, by UUID, as CUDA's numbers are not NVML's; None without NVML or before Volta."""
    try:
        import pynvml  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        return None

    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}") for uuid in uuids]
        for handle in handles:
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return None

    def joules() -> float | None:
        try:
            return sum(float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) for handle in handles) / 1e3  # mJ
        except pynvml.NVMLError:  # a GPU that fell off the bus, a driver that is being replaced
            return None

    return joules


class PeakMemory:
    """The most memory held at a time since `start`, in MiB.

    On CUDA what torch's allocator gave out on that device. On a CPU the resident set of the whole process, Python,
    torch and mapped image files included, and of no other process; unknown where the system cannot begin its count
    anew, as on macOS.

    Args:
        clear_refs: Linux's file of this process that begins the count anew.
    """

    def __init__(self, device: torch.device, *, clear_refs: Path = CLEAR_REFS) -> None:
        self._device, self._clear_refs, self._known = device, clear_refs, False

    def start(self) -> None:
        """Begin the count anew."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        give_back()  # what an earlier cell of this process left in the heap is not this one's
        try:
            self._clear_refs.write_text(RESET_PEAK)
            self._known = True
        except OSError:
            self._known = False

    def read(self) -> float | None:
        """Return the peak in MiB; None where it is not known."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / MIB
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text()) if self._known else None
        return int(found[1]) / 1024 if found else None
