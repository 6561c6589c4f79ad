"""What the machine itself counts: joules and memory. Each reader is None where this machine does not count that."""

import re
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.training.heap import give_back

Joules = Callable[[], float | None]
"""Joules used so far, from an arbitrary zero; never falls. None where they cannot be read any more."""
POWERCAP = Path("/sys/class/powercap")
PACKAGE = re.compile(r"intel-rapl:\d+")
"""A processor package's zone, AMD's too; the zones inside it (`intel-rapl:0:1`) are counted in it.

Source: the kernel's Documentation/power/powercap/powercap.rst, as are the files' names and microjoules."""
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Sets the peak resident set size (VmHWM) to what is resident now. Source: proc_pid_clear_refs(5), since Linux 4.0."""
MIB = 1 << 20


def energy_counter(devices: Sequence[torch.device], *, powercap: Path = POWERCAP) -> Joules | None:
    """Counts the joules of the devices: of whole GPUs, or of the processor packages for the CPU.

    Whatever else runs on them is counted too, and the rest of the machine is not.

    Args:
        devices: of the run, all CUDA or all the CPU.
        powercap: where Linux lists the packages.
    """
    if devices[0].type == "cuda":
        return _nvml_counter([str(torch.cuda.get_device_properties(device).uuid) for device in devices])
    return _rapl_counter(powercap)


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


def _rapl_counter(powercap: Path) -> Joules | None:
    """The packages' counters together; None where there are none or, as is usual, only root may read them."""
    zones = sorted(zone for zone in powercap.glob("intel-rapl:*") if PACKAGE.fullmatch(zone.name))
    try:
        packages = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
        counters = [_Rapl(package) for package in packages]
    except OSError:
        return None

    def joules() -> float | None:
        try:
            return sum(counter.joules() for counter in counters)
        except (OSError, ValueError):
            return None

    return joules if counters else None


class _Rapl:
    """One package's counter, which begins again at 0 every quarter of an hour or so at full load.

    It must be read more often than that; how often it began again between two reads cannot be known.
    """

    def __init__(self, zone: Path) -> None:
        self._file = zone / "energy_uj"
        self._range = int((zone / "max_energy_range_uj").read_text())
        self._last, self._microjoules = self._read(), 0

    def _read(self) -> int:
        return int(self._file.read_text())

    def joules(self) -> float:
        """Since this object was made."""
        now = self._read()
        self._microjoules += (now - self._last) % (self._range + 1)
        self._last = now
        return self._microjoules / 1e6


class PeakMemory:
    """The most memory held at a time since `start`, in MiB.

    On CUDA what torch's allocator gave out on that device. On a CPU the resident set of the whole process, Python,
    torch and mapped image files included, and of no other process (those that read images are others). Where the system
    cannot begin its count anew, as on macOS, a peak is known only if it is higher than all that came before.

    Args:
        device: of the run.
        status, clear_refs: Linux's files of this process.
    """

    def __init__(self, device: torch.device, *, status: Path = STATUS, clear_refs: Path = CLEAR_REFS) -> None:
        self._device, self._status, self._clear_refs = device, status, clear_refs
        self._before = 0.0

    def start(self) -> None:
        """Begins anew."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        give_back()  # what an earlier cell of this process left in the heap is not this one's
        try:
            self._clear_refs.write_text(RESET_PEAK)
            self._before = 0.0
        except OSError:
            self._before = self._peak()

    def read(self) -> float | None:
        """MiB; None where it is not known."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / MIB
        peak = self._peak()
        return peak if peak > self._before else None

    def _peak(self) -> float:
        """Of the process, MiB: VmHWM, or where there is none getrusage's figure, KiB on Linux and bytes on macOS."""
        found = re.search(r"VmHWM:\s+(\d+) kB", self._status.read_text()) if self._status.exists() else None
        if found:
            return int(found[1]) / 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == "darwin" else 1024)
