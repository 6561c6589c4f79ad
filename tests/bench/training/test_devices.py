import pytest
import torch

from bench.config import compose_config
from bench.networks.models import build_model
from bench.networks.registry import ARCHITECTURES
from bench.training.devices import leave_memory_unfilled, on_gpu, precision


def trainer(*overrides):
    return compose_config(["arch=resnet18", *overrides]).trainer


@pytest.fixture
def machine(monkeypatch):
    """Says what the machine has."""

    def arrange(*, gpu=False, gpu_bf16=False, cpu_bf16=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: gpu_bf16)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu_bf16)

    return arrange


def test_a_gpu_is_used_where_there_is_one_and_no_cpu_was_asked_for(machine):
    machine(gpu=True)
    assert on_gpu(trainer())
    assert not on_gpu(trainer("trainer=cpu"))
    machine()
    assert not on_gpu(trainer())


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
