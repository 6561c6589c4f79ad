import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.training.counters import PeakMemory, energy_counter

CPU = torch.device("cpu")
MEBIBYTE = 1 << 20


def test_a_cpu_counts_no_joules():
    assert energy_counter([CPU]) is None


class NotSupportedError(Exception):
    pass


def nvml(millijoules):
    """NVIDIA's library with the GPUs that a dictionary names; a list gives its readings one by one."""

    def handle(uuid):
        if uuid not in millijoules:
            raise NotSupportedError(uuid)
        return uuid

    return SimpleNamespace(
        NVMLError=NotSupportedError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetTotalEnergyConsumption=lambda uuid: millijoules[uuid].pop(0),
    )


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=f"u{device.index}"))
    return [torch.device("cuda", 0), torch.device("cuda", 1)]


def test_the_joules_of_gpus_are_summed_by_their_uuid(monkeypatch, two_gpus):
    monkeypatch.setitem(sys.modules, "pynvml", nvml({"GPU-u0": [0, 1_000, 2_500], "GPU-u1": [0, 10_000, 10_500]}))
    counter = energy_counter(two_gpus)
    assert (counter(), counter()) == (11.0, 13.0)


def test_a_gpu_that_stops_to_answer_is_unknown_from_then_on(monkeypatch, two_gpus):
    def consumption(uuid):
        if not readings:
            raise NotSupportedError("GPU is lost")
        return readings.pop(0)

    readings = [0, 0, 1_000, 1_000]
    library = nvml({"GPU-u0": [], "GPU-u1": []})
    library.nvmlDeviceGetTotalEnergyConsumption = consumption
    monkeypatch.setitem(sys.modules, "pynvml", library)
    counter = energy_counter(two_gpus)
    assert (counter(), counter()) == (2.0, None)


def test_a_gpu_that_nvml_does_not_know_counts_nothing(monkeypatch, two_gpus):
    monkeypatch.setitem(sys.modules, "pynvml", nvml({"GPU-u0": [0, 1]}))
    assert energy_counter(two_gpus) is None


def test_without_nvml_nothing_is_counted(monkeypatch, two_gpus):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_counter(two_gpus) is None


def held(mebibytes):
    """Holds memory for a moment; every page is written to, as untouched ones are not resident."""
    return int(np.ones(mebibytes * MEBIBYTE, dtype=np.uint8)[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="the peak can begin anew on Linux only")
def test_the_peak_of_a_cpu_is_since_the_start_and_not_of_what_ran_before():
    held(400)
    peak = PeakMemory(CPU)
    peak.start()
    before = peak.read()
    held(150)
    assert 140 < peak.read() - before < 250


def test_a_peak_is_unknown_where_the_count_cannot_begin_anew(tmp_path):
    peak = PeakMemory(CPU, clear_refs=tmp_path / "none" / "clear_refs")
    peak.start()
    assert peak.read() is None


def test_the_peak_of_a_gpu_is_what_torch_gave_out(monkeypatch):
    device, calls = torch.device("cuda", 1), []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", calls.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", {device: 3 * MEBIBYTE}.get)
    peak = PeakMemory(device)
    peak.start()
    assert (peak.read(), calls) == (3.0, [device])
