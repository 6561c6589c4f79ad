import itertools

import pytest
import timm
import torch
from timm.models import register_model
from torch import nn

from bench.config import compose_config
from bench.errors import ConfigError
from bench.networks import truncation
from bench.networks.models import build_model, count_parameters, normalisation
from bench.networks.registry import architecture, check_size
from bench.networks.truncation import feature_map, truncate

FAMILIES = ("convnext_tiny", "regnety_002", "mobilenetv4_conv_small", "vgg11_bn")
TOKENS = ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224")
DEPTHS = [(name, depth) for name in FAMILIES for depth in range(1, len(architecture(name).cuts) + 1)]


def seen_at(network: nn.Module, module: str, images: torch.Tensor) -> torch.Tensor:
    """What leaves a module while the whole network runs by its own `forward`."""
    seen = []
    hook = network.get_submodule(module).register_forward_hook(lambda *call: seen.append(call[2].clone()))
    with torch.no_grad():
        network.eval()(images)
    hook.remove()
    return seen[0]


def noisy(name: str) -> nn.Module:
    """A network whose every parameter and statistic is another number, so that nothing is the identity."""
    network = timm.create_model(name, num_classes=3)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=noise) * 0.02)
        for key, buffer in network.named_buffers():
            if key.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=noise) + 0.5)
    return network


def test_a_network_of_timms_becomes_a_row():
    row = architecture("convnext_tiny.fb_in22k_ft_in1k")
    assert (row.name, row.tag, row.family, row.label) == (
        "convnext_tiny",
        "fb_in22k_ft_in1k",
        "convnext",
        "convnext_tiny",
    )
    assert row.cuts == ("stages.2", "stages.1", "stages.0")
    assert not row.paper
    assert row.side is None


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("regnety_002", "regnety"),
        ("vgg11_bn", "vgg"),
        ("mobilenetv4_conv_small", "mobilenetv4"),
        ("tf_efficientnet_lite1", "efficientnet"),
        ("vit_tiny_patch16_224", "vit"),
    ],
)
def test_the_family_is_the_names_first_word(name, family):
    assert architecture(name).family == family


def test_without_a_tag_the_row_says_which_one_timm_picks():
    assert architecture("regnety_002").tag == timm.get_pretrained_cfg("regnety_002").tag


def test_it_is_typed_as_arch_timm():
    config = compose_config(
        ["arch=timm", "arch.name=convnext_tiny.fb_in22k_ft_in1k", "arch.family=ConvNeXt", "truncate=3"]
    )
    row = architecture(config.arch)
    assert (row.name, row.family, row.label) == ("convnext_tiny", "ConvNeXt", "convnext_tiny")
    with pytest.raises(ConfigError, match="truncate=4: convnext_tiny has the depths 0 to 3"):
        compose_config(["arch=timm", "arch.name=convnext_tiny", "truncate=4"])
    with pytest.raises(ConfigError, match="arch.name"):
        compose_config(["arch=timm"])


def test_a_tag_that_timm_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"regnety_002.in1k: timm's weights of regnety_002 are pycls_in1k;"):
        architecture("regnety_002.in1k")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "depth"), DEPTHS)
def test_the_kept_part_computes_bit_for_bit_what_the_whole_network_computes_there(name, depth):
    row, whole = architecture(name), noisy(name)
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    expected = seen_at(whole, row.cuts[depth - 1], images)
    cut = truncate(whole, row, depth, outputs=5).eval()
    with torch.no_grad():
        kept = cut.body(images)
        assert torch.equal(kept, expected)
        torch.testing.assert_close(cut(images), cut.head(kept.mean((2, 3))))


@pytest.mark.slow
def test_a_transformers_tokens_become_a_map_and_its_class_token_is_left_out():
    name, depth = "vit_tiny_patch16_224", 9
    row, whole = architecture(name), noisy(name)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    tokens = seen_at(whole, row.cuts[depth - 1], images)
    cut = truncate(whole, row, depth, outputs=5).eval()
    with torch.no_grad():
        assert torch.equal(cut.body(images).flatten(2).transpose(1, 2), tokens[:, 1:])


@pytest.mark.slow
def test_a_map_with_channels_last_is_turned():
    name = "swin_tiny_patch4_window7_224"
    row, whole = architecture(name), noisy(name)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected = seen_at(whole, row.cuts[0], images)
    cut = truncate(whole, row, 1, outputs=5).eval()
    with torch.no_grad():
        assert torch.equal(cut.body(images), expected.permute(0, 3, 1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FAMILIES, *TOKENS])
def test_parameters_fall_with_depth_and_none_is_left_idle(name):
    row = architecture(name)
    networks = []
    for depth in range(len(row.cuts) + 1):
        with torch.device("meta"):
            networks.append(build_model(row, outputs=5, weights=None, seed=0, depth=depth))
    counts = [count_parameters(network) for network in networks]
    assert all(more > fewer for more, fewer in itertools.pairwise(counts))
    whole = set(networks[0].state_dict())
    for network in networks[1:]:
        body = {key.removeprefix("body.network.") for key in network.body.state_dict(prefix="body.")}
        assert body < whole, "the kept names are the network's own"


@pytest.mark.parametrize("name", ["crossvit_tiny_240", "hrnet_w18_small"])
def test_a_network_that_cannot_be_cut_so_is_refused(name):
    row = architecture(name)
    with pytest.raises(ConfigError, match=rf"truncate=1: {name} cannot be cut behind .*parameters would be left"):
        check_size(row, 1, row.side or 96)


def test_a_network_without_feature_info_is_refused():
    @register_model
    def bench_test_plain(**_):
        return nn.Sequential(nn.Conv2d(3, 4, 3))

    with pytest.raises(ConfigError, match="bench_test_plain: timm states no feature_info for it"):
        architecture("bench_test_plain")


def test_the_last_map_of_a_whole_network_is_measured():
    for name, side, expected in (
        ("vit_tiny_patch16_224", 224, (192, 14, 14, 16)),
        ("convnext_tiny", 64, (768, 2, 2, 32)),
    ):
        with torch.device("meta"):
            network = timm.create_model(name, num_classes=1)
        last = feature_map(network, side)
        assert (last.channels, last.height, last.width, last.stride) == expected


def test_the_size_is_tried_before_anything_is_trained():
    with pytest.raises(ConfigError, match="crop=64: vit_tiny_patch16_224 takes images of 224 pixels only"):
        check_size(architecture("vit_tiny_patch16_224"), 0, 64)
    check_size(architecture("vit_tiny_patch16_224"), 3, 224)
    check_size(architecture("vgg11_bn"), 0, 32)
    with pytest.raises(ConfigError, match="crop=32: inception_resnet_v2 makes no feature map of such images"):
        check_size(architecture("inception_resnet_v2"), 0, 32)


def test_its_normalisation_is_that_of_its_tag():
    assert normalisation(architecture("vit_tiny_patch16_224"), None).mean == (0.5, 0.5, 0.5)
    assert normalisation(architecture("convnext_tiny"), None).std == (0.229, 0.224, 0.225)


def test_seeds_decide_the_head_whether_the_cut_was_checked_before_or_not():
    row = architecture("regnety_002")
    truncation._channels_behind.cache_clear()
    first, again, other = (build_model(row, outputs=2, weights=None, seed=seed, depth=4) for seed in (0, 0, 1))
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in first.state_dict().items())
    assert not torch.equal(first.head.weight, other.head.weight)


def test_trained_with_one_channel_and_cut():
    network = build_model(architecture("regnety_002"), outputs=2, weights=None, seed=0, depth=2, in_chans=1)
    assert network(torch.zeros(2, 1, 64, 64)).shape == (2, 2)
