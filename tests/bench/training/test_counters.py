import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.training.counters import PeakMemory, energy_counter

CPU = torch.device("cpu")
MEBIBYTE = 1 << 20


def zone(folder, name, kind, microjoules, span=1_000_000):
    path = folder / name
    path.mkdir(parents=True)
    (path / "name").write_text(f"{kind}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{span}\n")
    return path / "energy_uj"


def test_the_joules_of_a_cpu_are_those_of_its_packages_alone(tmp_path):
    first = zone(tmp_path, "intel-rapl:0", "package-0", 100)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 900_000)
    inner = zone(tmp_path, "intel-rapl:0:0", "core", 0)
    platform = zone(tmp_path, "intel-rapl:2", "psys", 0)
    counter = energy_counter([CPU], powercap=tmp_path)
    for file, microjoules in ((first, 250_100), (second, 950_000), (inner, 77), (platform, 770_000)):
        file.write_text(str(microjoules))
    assert counter() == pytest.approx(0.3)


def test_a_counter_that_begins_again_at_zero_is_followed(tmp_path):
    file = zone(tmp_path, "intel-rapl:0", "package-0", 900_000, span=999_999)
    counter = energy_counter([CPU], powercap=tmp_path)
    for microjoules, joules in ((950_000, 0.05), (50_000, 0.15), (850_000, 0.95), (850_000, 0.95), (0, 1.1)):
        file.write_text(str(microjoules))
        assert counter() == pytest.approx(joules)


def test_a_package_that_is_gone_is_unknown_from_then_on(tmp_path):
    file = zone(tmp_path, "intel-rapl:0", "package-0", 1)
    counter = energy_counter([CPU], powercap=tmp_path)
    file.unlink()
    assert counter() is None


def test_a_machine_without_packages_counts_nothing(tmp_path):
    assert energy_counter([CPU], powercap=tmp_path / "none") is None


def test_a_counter_that_may_not_be_read_is_none(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 1).unlink()  # root reads whatever the file's mode says
    assert energy_counter([CPU], powercap=tmp_path) is None


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


def test_a_peak_is_unknown_where_an_earlier_one_was_higher(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t  204800 kB\n")
    peak = PeakMemory(CPU, status=status, clear_refs=tmp_path / "none" / "clear_refs")
    peak.start()
    assert peak.read() is None
    status.write_text("VmHWM:\t  307200 kB\n")
    assert peak.read() == 300.0


def test_without_linuxs_files_the_peak_is_getrusages(tmp_path):
    own = PeakMemory(CPU, status=tmp_path / "none", clear_refs=tmp_path / "none" / "clear_refs")
    assert own.read() == pytest.approx(PeakMemory(CPU).read(), rel=0.5)


def test_the_peak_of_a_gpu_is_what_torch_gave_out(monkeypatch):
    device, calls = torch.device("cuda", 1), []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", calls.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", {device: 3 * MEBIBYTE}.get)
    peak = PeakMemory(device)
    peak.start()
    assert (peak.read(), calls) == (3.0, [device])
