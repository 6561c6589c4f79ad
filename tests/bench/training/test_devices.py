import sys
from types import SimpleNamespace

import pytest
import torch

from bench.config import compose_config
from bench.errors import MachineError
from bench.networks.models import build_model
from bench.networks.registry import ARCHITECTURES
from bench.training.devices import (
    accelerator,
    check_machine,
    generators,
    leave_memory_unfilled,
    on_gpu,
    precision,
    unused_gpu,
)


def trainer(*overrides):
    return compose_config(["arch=resnet18", *overrides]).trainer


def too_old():
    raise RuntimeError("The NVIDIA driver on your system is too old (found version 12040).\nPlease update")


def nvml(driver):
    """NVIDIA's library, of a machine with one GPU or without a driver."""

    def init():
        if driver is None:
            raise OSError

    return SimpleNamespace(
        NVMLError=OSError,
        nvmlInit=init,
        nvmlDeviceGetCount=lambda: 1,
        nvmlSystemGetDriverVersion=lambda: driver,
    )


@pytest.fixture
def machine(monkeypatch):
    """Says what the machine has."""

    def arrange(*, gpu=False, gpu_bf16=False, cpu_bf16=False, gpus=1, capability=(9, 0), driver=None):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus if gpu else 0)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
        monkeypatch.setattr(torch.cuda, "init", too_old)
        monkeypatch.setitem(sys.modules, "pynvml", nvml(driver))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: gpu_bf16)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu_bf16)

    return arrange


def test_a_gpu_is_used_where_there_is_one_and_no_cpu_was_asked_for(machine):
    machine(gpu=True)
    assert on_gpu(trainer())
    assert not on_gpu(trainer("trainer=cpu"))
    machine()
    assert not on_gpu(trainer())


def test_lightning_is_told_the_device_and_never_picks_an_apple_gpu(machine, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    machine()
    assert accelerator(trainer()) == "cpu"
    machine(gpu=True)
    assert (accelerator(trainer()), accelerator(trainer("trainer=cpu"))) == ("cuda", "cpu")


@pytest.mark.parametrize(
    ("has", "words", "said"),
    [
        (
            {},
            ["trainer=gpu"],
            r"trainer=gpu: torch .* no CUDA GPU .*is too old \(found version 12040",
        ),
        ({"gpu": True, "gpus": 2}, ["trainer=ddp", "trainer.devices=4"], r"trainer\.devices=4: .* sees 2 GPU"),
        ({"gpu": True, "gpus": 1}, ["trainer=ddp"], r"trainer\.devices=2: .* give trainer\.devices=1"),
        ({}, ["trainer.precision=tf32"], r"precision=tf32: .* on the CPU: give trainer\.precision=fp32"),
        ({"gpu": True, "capability": (7, 0)}, ["trainer.precision=tf32"], r"precision=tf32: .* Tesla V100"),
    ],
)
def test_a_machine_that_lacks_what_is_asked_for_is_a_sentence(machine, has, words, said):
    machine(**has)
    with pytest.raises(MachineError, match=said):
        check_machine(trainer(*words))


@pytest.mark.parametrize(
    ("has", "words"),
    [
        ({}, []),
        ({}, ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=4"]),
        ({"gpu": True}, ["trainer=gpu", "trainer.precision=tf32"]),
        ({"gpu": True, "gpus": 2}, ["trainer=ddp"]),
    ],
)
def test_a_machine_that_has_what_is_asked_for_is_taken(machine, has, words):
    machine(**has)
    check_machine(trainer(*words))


def test_a_driver_that_torch_cannot_use_is_said_where_nobody_chose_the_cpu(machine, monkeypatch):
    machine(driver="550.54.15")
    assert "550.54.15" in unused_gpu(trainer())
    assert "(The NVIDIA driver on your system is too old (found version 12040).)" in unused_gpu(trainer())
    assert unused_gpu(trainer("trainer=cpu")) == ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert unused_gpu(trainer()) == ""
    machine()
    assert unused_gpu(trainer()) == ""
    machine(gpu=True, driver="580.1")
    assert unused_gpu(trainer()) == ""


@pytest.mark.parametrize(
    ("has", "family", "expected"),
    [
        ({"gpu": True, "gpu_bf16": True}, "MobileNet", "bf16"),
        ({"gpu": True, "gpu_bf16": False, "cpu_bf16": True}, "ResNet", "fp32"),
        ({"cpu_bf16": True}, "ResNet", "bf16"),
        ({"cpu_bf16": True}, "DenseNet", "bf16"),
        ({"cpu_bf16": True}, "EfficientNet", "fp32"),
        ({"cpu_bf16": False}, "ResNet", "fp32"),
    ],
)
def test_the_precision_follows_the_table(machine, has, family, expected):
    machine(**has)
    assert precision(trainer(), family) == expected


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_what_is_asked_for_is_used(machine, asked):
    machine(cpu_bf16=True)
    assert precision(trainer(f"trainer.precision={asked}"), "ResNet") == asked


def one_step(row):
    """Every parameter and buffer after a step of Adam."""
    network = build_model(row, outputs=3, weights=None, seed=0).to(memory_format=torch.channels_last).train()
    torch.manual_seed(0)
    image = torch.rand(2, 3, 96, 96).contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    network(image).square().sum().backward()
    optimizer.step()
    return network.state_dict()


@pytest.fixture
def as_lightning_sets_it():
    """Deterministic algorithms, with all memory filled with NaN before it is written, as torch has it by itself."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.utils.deterministic.fill_uninitialized_memory = before[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.usefixtures("as_lightning_sets_it")
def test_no_network_reads_memory_that_nothing_has_written(name):
    filled = one_step(ARCHITECTURES[name])
    leave_memory_unfilled()
    for key, value in one_step(ARCHITECTURES[name]).items():
        assert torch.equal(value, filled[key]), key
        assert torch.isfinite(value).all(), key


def test_the_generators_of_a_device_draw_what_torch_would_and_torch_notes_nothing():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2**63 + 5)
        expected, noted = torch.rand(3), len(torch.cuda._queued_calls)
        for generator in generators(torch.device("cpu")):
            generator.manual_seed(2**63 + 5)
        assert torch.equal(torch.rand(3), expected)
        assert len(torch.cuda._queued_calls) == noted
