import itertools

import pytest
import torch

from bench.errors import ConfigError
from bench.networks.models import build_model, count_parameters
from bench.networks.registry import ARCHITECTURES, architecture
from bench.networks.truncation import feature_map, truncate
from tests.bench.shapes import OUTPUTS, shaped

DEPTHS = [(row, depth) for row in ARCHITECTURES.values() for depth in range(1, len(row.cuts) + 1)]
IDS = [f"{row.name}-t{depth}" for row, depth in DEPTHS]
STAGES = {
    "DenseNet": 3,
    "ResNet": 3,
    "Inception": 2,
    "MNASNet": 4,
    "EfficientNet": 4,
    "MobileNet": 4,
    "EfficientNet-Lite": 4,
}
PROTOCOL = {  # millions, body + Linear(14); PROTOCOL, "Truncation"
    "densenet121": (6.968, 4.282, 1.305, 0.348),
    "resnet18": (11.184, 2.786, 0.685, 0.158),
    "efficientnet_b0": (4.025, 2.881, 0.853, 0.310, 0.066),
    "mnasnet_100": (3.120, 2.087, 0.475, 0.265, 0.047),
}


def test_every_architecture_has_the_protocols_depths():
    assert {row.name: len(row.cuts) for row in ARCHITECTURES.values()} == {
        row.name: STAGES[row.family] for row in ARCHITECTURES.values()
    }


@pytest.mark.parametrize("name", PROTOCOL)
def test_parameters_are_the_protocols_table(name):
    row = architecture(name)
    for depth, millions in enumerate(PROTOCOL[name]):
        network = shaped(row, depth)
        count = count_parameters(network)
        if row.family == "DenseNet" and depth:  # the table is without the norm that is kept behind the cut
            count -= 2 * network.head.in_features
        assert round(count / 1e6, 3) == millions


@pytest.mark.parametrize("row", ARCHITECTURES.values(), ids=lambda row: row.name)
def test_parameters_and_stride_fall_with_depth(row):
    networks = [shaped(row, depth) for depth in range(len(row.cuts) + 1)]
    counts = [count_parameters(network) for network in networks]
    assert all(more > fewer for more, fewer in itertools.pairwise(counts))
    strides = [feature_map(network, 320).stride for network in networks]
    assert strides[0] == 32
    assert all(coarse >= fine for coarse, fine in itertools.pairwise(strides))


@pytest.mark.slow
@pytest.mark.parametrize("row", ARCHITECTURES.values(), ids=lambda row: row.name)
def test_the_kept_part_computes_bit_for_bit_what_the_whole_network_computes_there(row):
    """The whole network runs by its own `forward`; hooks read what leaves the modules at the cuts."""
    whole = build_model(row, outputs=OUTPUTS, weights=None, seed=0)
    with torch.no_grad():  # random statistics, so that no norm is the identity that it is when new
        noise = torch.Generator().manual_seed(1)
        for module in whole.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.copy_(torch.randn(module.num_features, generator=noise) * 0.1)
                module.running_var.copy_(torch.rand(module.num_features, generator=noise) + 0.5)
                module.weight.copy_(torch.rand(module.num_features, generator=noise) + 0.5)
    seen = {}
    hooks = [
        whole.get_submodule(name).register_forward_hook(
            lambda *call, depth=depth: seen.update({depth: call[2].clone()})
        )
        for depth, name in enumerate(row.cuts, start=1)
    ]
    images = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole.eval()(images)
    for hook in hooks:
        hook.remove()
    assert sorted(seen) == list(range(1, len(row.cuts) + 1))
    for depth, expected in seen.items():
        cut = truncate(whole, row, depth, outputs=OUTPUTS).eval()
        with torch.no_grad():
            kept = cut.body(images)
            assert torch.equal(kept, expected), f"truncate={depth}"
            torch.testing.assert_close(cut(images), cut.head(kept.mean((2, 3))))


@pytest.mark.parametrize(("row", "depth"), DEPTHS, ids=IDS)
def test_no_dropped_module_is_left(row, depth):
    whole, cut = shaped(row, 0), shaped(row, depth)
    body = {key.removeprefix("body.") for key in cut.state_dict() if not key.startswith("head.")}
    assert body < set(whole.state_dict()), "the kept names are the network's own"
    order = list(whole.state_dict())
    last = row.cuts[depth - 1]
    end = max(position for position, key in enumerate(order) if key.startswith(f"{last}."))
    assert body == set(order[: end + 1]), "everything up to the cut, nothing behind it"
    assert {key for key in cut.state_dict() if not key.startswith("body.")} == {"head.weight", "head.bias"}


def test_a_depth_past_the_last_is_refused_with_the_range():
    with pytest.raises(ConfigError, match="truncate=4: resnet18 has the depths 0 to 3"):
        shaped(architecture("resnet18"), 4)


def test_the_last_map_is_measured_at_the_input_size():
    last = feature_map(shaped(architecture("resnet18"), 1), 320)
    assert (last.channels, last.height, last.width, last.stride) == (256, 20, 20, 16)
    inception = feature_map(shaped(architecture("inception_v3"), 0), 299)
    assert (inception.channels, inception.height, inception.stride) == (2048, 8, 32)


def test_measuring_leaves_the_network_as_it_was():
    network = build_model(architecture("resnet18"), outputs=5, weights=None, seed=0, depth=2).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    feature_map(network, 64)
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_pretrained_and_scratch_differ_at_every_depth_and_seeds_decide_the_head():
    first, again, other = (
        build_model(architecture("resnet18"), outputs=5, weights=None, seed=seed, depth=2) for seed in (0, 0, 1)
    )
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
