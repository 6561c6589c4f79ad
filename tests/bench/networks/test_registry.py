import pytest
import timm
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.errors import ConfigError
from bench.groups import groups
from bench.networks.models import build_model
from bench.networks.registry import ARCHITECTURES, architecture, check_depth, check_size
from bench.networks.truncation import feature_map
from bench.schema import ArchConfig, ImageConfig, leaves
from bench.sweeps.plan import plan
from tests.bench.shapes import shaped

PAPER = [row for row in ARCHITECTURES.values() if row.paper]
PAPER_FAMILIES = {"DenseNet": 3, "ResNet": 4, "Inception": 2, "MNASNet": 1, "EfficientNet": 4, "MobileNet": 2}
SMALLEST_CROP = dict(leaves(ImageConfig))["crop"].metadata["low"]
TIMM_CLASS = {  # where timm's class is not called after the family
    "inception_v3": "InceptionV3",
    "inception_v4": "InceptionV4",
    "mnasnet_100": "EfficientNet",  # timm builds MNASNet and MobileNetV2 from its EfficientNet blocks
    "mobilenetv2_100": "EfficientNet",
    "mobilenetv3_large_100": "MobileNetV3",
    "tf_efficientnet_lite0": "EfficientNet",
}


def test_the_rows_are_the_papers_sixteen():
    families = [row.family for row in PAPER]
    assert {family: families.count(family) for family in families} == PAPER_FAMILIES
    assert len({row.label for row in PAPER}) == 16
    assert list(ARCHITECTURES.values())[:16] == PAPER, "the further rows come after them"


@pytest.mark.parametrize("sweep", ["pretraining", "truncation", "paper"])
def test_the_papers_sweeps_hold_the_papers_sixteen_and_no_further_row(sweep):
    assert {cell.arch.name for cell in plan([f"+sweeps={sweep}"]).configs} == {row.name for row in PAPER}


def test_each_row_can_be_typed_as_arch():
    assert set(groups("config")["arch"]) == {*ARCHITECTURES, "timm"}
    cells = plan(["-m", "arch=glob(*,exclude=timm)"]).configs
    assert [cell.arch.name for cell in cells] == sorted(ARCHITECTURES)
    assert {(cell.arch.family, cell.arch.label, cell.arch.in_chans) for cell in cells} == {(None, None, 3)}


@pytest.mark.parametrize("row", ARCHITECTURES.values(), ids=lambda row: row.name)
def test_the_pinned_tag_is_one_that_timm_publishes(row):
    assert f"{row.name}.{row.tag}" in timm.list_pretrained(f"{row.name}.*")


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(
        ConfigError, match=r"densenet12: did you mean 'densenet121'\? .*mobilenetv3_large_100"
    ) as caught:
        architecture("densenet12")
    assert "nor another network of timm's" in str(caught.value)


def test_family_and_label_can_be_given():
    row = architecture(ArchConfig(name="resnet18", family="Residual", label="R18"))
    assert (row.name, row.family, row.label, row.cuts) == (
        "resnet18",
        "Residual",
        "R18",
        ("layer3", "layer2", "layer1"),
    )


def test_a_name_with_a_tag_is_the_row_with_that_tag():
    assert architecture("resnet18.a1_in1k").tag == "a1_in1k"
    assert architecture("resnet18.a1_in1k").cuts == ARCHITECTURES["resnet18"].cuts
    with pytest.raises(
        ConfigError, match=r"resnet18\.a9: timm's weights of resnet18 are a1_in1k, .*tv_in1k; .*weights.tag"
    ):
        architecture("resnet18.a9")


def test_a_depth_is_refused_with_the_range():
    for depth in (-1, 4):
        with pytest.raises(ConfigError, match=f"truncate={depth}: resnet18 has the depths 0 to 3"):
            check_depth(ARCHITECTURES["resnet18"], depth)


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ARCHITECTURES.values() if row.smallest], ids=lambda row: row.name)
def test_the_smallest_size_is_that_of_the_network_as_built(row):
    assert len(row.smallest) == len(row.cuts) + 1
    for depth, smallest in enumerate(row.smallest):
        network = build_model(row, outputs=2, weights=None, seed=0, depth=depth).eval()
        check_size(row, depth, smallest)
        with torch.no_grad():
            assert network(torch.zeros(1, 3, smallest, smallest)).isfinite().all()
        with pytest.raises(ConfigError, match=f"crop={smallest - 1}: .*needs at least {smallest} pixels"):
            check_size(row, depth, smallest - 1)
        with pytest.raises(RuntimeError, match=r"[Oo]utput size is too small|can't be greater than actual input"):
            network(torch.zeros(1, 3, smallest - 1, smallest - 1))


@pytest.mark.parametrize("row", [row for row in ARCHITECTURES.values() if not row.smallest], ids=lambda row: row.name)
def test_every_other_row_takes_the_smallest_crop_that_can_be_typed(row):
    last = feature_map(shaped(row), SMALLEST_CROP)
    assert (last.height, last.width) == (1, 1)
    check_size(row, 0, SMALLEST_CROP)


@pytest.mark.slow
@pytest.mark.parametrize("row", ARCHITECTURES.values(), ids=lambda row: row.name)
def test_each_row_builds_with_the_head_and_trains(row):
    outputs = 5
    network = build_model(row, outputs=outputs, weights=None, seed=0)
    assert type(network).__name__ == TIMM_CLASS.get(row.name, row.family)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    images = torch.randn(2, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    for _ in range(2):  # timm starts each residual branch of a ResNet at zero: its inside moves from the second step on
        logits = network(images)
        optimiser.zero_grad()
        binary_cross_entropy_with_logits(logits, torch.ones(2, outputs)).backward()
        optimiser.step()
    assert logits.shape == (2, outputs)
    still = [name for name, parameter in network.named_parameters() if torch.equal(parameter, before[name])]
    assert not still
