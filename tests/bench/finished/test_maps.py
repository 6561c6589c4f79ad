import types

import numpy as np
import pytest
import torch
from torch import nn

from bench.errors import ConfigError
from bench.finished.maps import Halved, activation_maps, run_maps
from bench.finished.saved import Checkpoint
from bench.networks.models import Normalisation, build_model
from bench.networks.registry import ARCHITECTURES, architecture
from bench.networks.truncation import Truncated, truncate

pytest.importorskip("pytorch_grad_cam", reason="the extra `cam` is not installed")


def of(output):
    return lambda outputs: outputs[output]


def built(name, depth=0, seed=0):
    """A network whose norms have seen images, so that its maps are neither tiny nor huge."""
    network = build_model(architecture(name), outputs=5, weights=None, seed=seed, depth=depth).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics are the plain mean over what was seen
    with torch.no_grad():
        network(images(8))
    return network.eval()


def images(count=2):
    return torch.randn(count, 3, 96, 96, generator=torch.Generator().manual_seed(1))


def last_map(network):
    """What global average pooling gets, caught by a hook on the pooling layer itself."""
    caught = []
    pool = network.pool if isinstance(network, Truncated) else network.global_pool
    hook = pool.register_forward_hook(lambda _, inputs, __: caught.append(inputs[0].detach()))
    with torch.no_grad():
        logits = network(images())
    hook.remove()
    return caught[0].double().numpy(), logits.double().numpy()


@pytest.mark.parametrize(
    ("name", "depth"),
    [("resnet18", 0), ("resnet18", 2), ("densenet121", 3), ("efficientnet_b0", 0), ("mobilenetv3_large_100", 1)],
)
def test_behind_pool_and_linear_the_map_is_the_weighted_sum_of_channels(name, depth):
    network = built(name, depth)
    seen, logits = last_map(network)
    head = network.head if depth else network.get_classifier()
    weights, bias = head.weight.detach().double().numpy(), head.bias.detach().double().numpy()
    by_hand = np.einsum("k,nkhw->nhw", weights[3], seen)
    maps = activation_maps(network, images(), of(3))
    assert maps.shape == (2, *seen.shape[2:]), "at the resolution of the last map"
    np.testing.assert_allclose(maps, by_hand, atol=1e-5 * np.abs(by_hand).max())
    np.testing.assert_allclose(maps.mean(axis=(1, 2)) + bias[3], logits[:, 3], atol=1e-5 * np.abs(by_hand).max())


def test_what_speaks_against_a_finding_is_kept():
    network = built("resnet18", 2)
    assert min(activation_maps(network, images(), of(output)).min() for output in range(5)) < 0


def test_behind_another_head_the_map_is_weighted_by_the_gradient_of_the_pooled_channels():
    network = built("mobilenetv3_large_100")
    seen, _ = last_map(network)
    pooled = torch.tensor(seen.mean(axis=(2, 3)), dtype=torch.float32).requires_grad_()
    head = network.conv_head(pooled[:, :, None, None])
    logits = network.classifier(network.act2(network.norm_head(head)).flatten(1))
    (gradient,) = torch.autograd.grad(logits[:, 3].sum(), pooled)
    by_hand = np.einsum("nk,nkhw->nhw", gradient.numpy(), seen)
    np.testing.assert_allclose(activation_maps(network, images(), of(3)), by_hand, atol=1e-4 * np.abs(by_hand).max())


def test_a_map_with_channels_last_is_turned():
    network = build_model(architecture("mambaout_femto"), outputs=5, weights=None, seed=0).eval()
    seen = network.forward_features(images()).detach().requires_grad_()
    assert seen.shape == (2, 3, 3, network.num_features)
    (gradient,) = torch.autograd.grad(network.forward_head(seen)[:, 3].sum(), seen)
    by_hand = torch.einsum("nk,nhwk->nhw", gradient.sum((1, 2)), seen).detach().numpy()
    np.testing.assert_allclose(activation_maps(network, images(), of(3)), by_hand, atol=1e-4 * np.abs(by_hand).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_halves_together_are_the_network(name):
    row = ARCHITECTURES[name]
    whole = build_model(row, outputs=5, weights=None, seed=0)
    for depth in (0, 1, len(row.cuts)):
        network = truncate(whole, row, depth, outputs=5).eval()
        with torch.no_grad():
            assert torch.equal(Halved(network)(images()), network(images()))


def test_a_network_is_left_as_it_was():
    network = built("resnet18", 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    activation_maps(network, images(), of(0))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not [module for module in network.modules() if module._forward_hooks]


def test_an_output_that_is_not_there_is_no_silent_nothing():
    with pytest.raises(IndexError):
        activation_maps(built("resnet18", 3), images(), of(5))


def test_features_that_are_no_map_are_refused():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(96, 4)
            self.num_features = 4

        def forward_features(self, image):
            return self.layer(image.mean(dim=1))

    with pytest.raises(ConfigError, match=r"Tokens ends with features of shape \[96, 4\] an image and no map of \[4, "):
        activation_maps(Tokens(), images(), of(0))


def test_a_runs_map_is_the_mean_over_its_checkpoints():
    networks = [built("resnet18", 3, seed) for seed in (0, 1)]
    run = types.SimpleNamespace(
        tasks=("atelectasis", "edema", "fracture"),
        widths=(1, 3, 1),
        normalisation=Normalisation((0.5, 0.4, 0.3), (0.2, 0.25, 0.3)),
        checkpoints=[Checkpoint(f"step={step}.safetensors", 0.5, network) for step, network in enumerate(networks)],
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 64, 64)).astype(np.uint8)
    inputs = torch.from_numpy(
        (pixels / 255 - np.array([0.5, 0.4, 0.3])[:, None, None]) / np.array([0.2, 0.25, 0.3])[:, None, None]
    ).float()
    each = [activation_maps(network, inputs, lambda outputs: outputs[2] - outputs[1]) for network in networks]
    np.testing.assert_allclose(run_maps(run, pixels, "edema"), (each[0] + each[1]) / 2, rtol=1e-4, atol=1e-5)
