import pytest
import torch
from torch import nn

from bench.cost import count_macs, latency_ms
from bench.models import build_model
from bench.registry import architecture


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
    whole, cut = (
        build_model(architecture("resnet18"), outputs=5, weights=None, seed=0, depth=depth) for depth in (0, 1)
    )
    assert count_macs(cut, 64) < count_macs(whole, 64)


def test_measuring_leaves_the_network_as_it_was():
    network = build_model(architecture("resnet18"), outputs=5, weights=None, seed=0).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert latency_ms(network, 32, torch.device("cpu")) > 0
    count_macs(network, 32)
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
