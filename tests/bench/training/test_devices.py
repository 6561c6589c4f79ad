import pytest
import torch

from bench.config import compose_config
from bench.training.devices import on_gpu, precision


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
