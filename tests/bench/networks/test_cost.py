import time

import pytest
import torch
from torch import nn

from bench.networks.adaptation import freeze, hold, trainable
from bench.networks.cost import BATCH, count_macs, images_per_second, input_channels, latency_ms, parameter_counts
from bench.networks.models import build_model
from bench.networks.registry import architecture

CPU = torch.device("cpu")
RESNET = architecture("resnet18")


def resnet(**options):
    return build_model(RESNET, outputs=5, weights=None, seed=0, **options)


def test_macs_of_a_convolution_are_counted_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )
    assert count_macs(network, 16) == 16 * 16 * 8 * 3 * 9 + 8 * 5


@pytest.mark.parametrize(("name", "billions"), [("resnet50", 4.09), ("densenet121", 2.83), ("mobilenetv2_100", 0.30)])
def test_macs_at_224_pixels_are_the_published_ones(name, billions):
    """Source: the papers' and torchvision's own figures (1000 classes), to two digits."""
    network = build_model(architecture(name), outputs=1000, weights=None, seed=0)
    assert count_macs(network, 224) / 1e9 == pytest.approx(billions, rel=0.02)


def test_a_cut_network_costs_less():
    assert count_macs(resnet(depth=1), 64) < count_macs(resnet(), 64)


def test_one_channel_saves_two_thirds_of_the_first_convolution():
    grey, colour = resnet(in_chans=1), resnet()
    assert (input_channels(grey), input_channels(colour)) == (1, 3)
    assert count_macs(colour, 64) - count_macs(grey, 64) == 32 * 32 * 64 * 2 * 49
    assert latency_ms(grey, 32, CPU) > 0


def test_a_network_that_takes_no_images_is_refused():
    with pytest.raises(ValueError, match="Linear has no convolution"):
        count_macs(nn.Linear(3, 3), 32)


def test_parameters_are_counted_as_built_and_as_trained():
    network = resnet()
    assert parameter_counts(network, trainable(network, RESNET, "linear")) == {
        "parameters": sum(value.numel() for value in network.parameters()),
        "parameters_trainable": 512 * 5 + 5,
    }


class Slow(nn.Module):
    """Takes a millisecond an image, and remembers what it was given and how."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Conv2d(3, 2, 1), []

    def forward(self, images):
        self.calls.append((tuple(images.shape), self.training, torch.is_grad_enabled(), self.layer(images).dtype))
        time.sleep(1e-3 * len(images))
        return images


def test_latency_is_of_one_image_and_throughput_of_a_batch():
    network = Slow()
    assert 1 <= latency_ms(network, 8, CPU) < 20
    assert 50 < images_per_second(network, 8, CPU) <= 1000
    assert {call[0][0] for call in network.calls} == {1, BATCH}


def test_a_measurement_is_in_eval_mode_without_gradients_in_the_runs_precision():
    network = Slow()
    latency_ms(network, 8, CPU)
    images_per_second(network, 8, CPU, precision="bf16")
    shapes, modes, gradients, types = zip(*network.calls, strict=True)
    assert set(shapes) == {(1, 3, 8, 8), (BATCH, 3, 8, 8)}
    assert not any((*modes, *gradients))
    assert {kind for shape, kind in zip(shapes, types, strict=True) if shape[0] == BATCH} == {torch.bfloat16}
    assert {kind for shape, kind in zip(shapes, types, strict=True) if shape[0] == 1} == {torch.float32}


def test_a_slow_network_is_measured_a_few_times_only(monkeypatch):
    monkeypatch.setattr("bench.networks.cost.SECONDS", 0.0)
    network = Slow()
    latency_ms(network, 8, CPU)
    images_per_second(network, 8, CPU)
    assert [call[0][0] for call in network.calls] == [1, 1, 1, BATCH]


def test_measuring_leaves_the_network_and_the_random_state_as_they_were():
    network = resnet().train()
    hold(freeze(network, RESNET, "last:1"))  # so that some parts are in eval mode and some are not
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    gradients = [parameter.requires_grad for parameter in network.parameters()]
    state = torch.random.get_rng_state()
    count_macs(network, 32)
    latency_ms(network, 32, CPU)
    images_per_second(network, 32, CPU)
    assert [module.training for module in network.modules()] == modes
    assert [parameter.requires_grad for parameter in network.parameters()] == gradients
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_a_network_that_did_not_fit_comes_home_all_the_same(monkeypatch):
    network, places = resnet(), []
    monkeypatch.setattr(network, "to", places.append)
    monkeypatch.setattr(network, "forward", lambda _: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA")))
    with pytest.raises(torch.OutOfMemoryError):
        latency_ms(network, 8, CPU)
    assert places == [CPU, CPU]
