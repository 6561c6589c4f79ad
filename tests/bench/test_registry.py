import pytest
import timm
import torch
from omegaconf import OmegaConf

from bench.errors import ConfigError
from bench.models import build_model
from bench.module import masked_bce
from bench.paths import CONF
from bench.registry import ARCHITECTURES, architecture

PAPER_FAMILIES = {"DenseNet": 3, "ResNet": 4, "Inception": 2, "MNASNet": 1, "EfficientNet": 4, "MobileNet": 2}
TIMM_CLASS = {  # where timm's class is not called after the family
    "inception_v3": "InceptionV3",
    "inception_v4": "InceptionV4",
    "mnasnet_100": "EfficientNet",  # timm builds MNASNet and MobileNetV2 from its EfficientNet blocks
    "mobilenetv2_100": "EfficientNet",
    "mobilenetv3_large_100": "MobileNetV3",
}


def test_the_rows_are_the_papers_sixteen():
    families = [row.family for row in ARCHITECTURES.values()]
    assert {family: families.count(family) for family in families} == PAPER_FAMILIES
    assert len({row.label for row in ARCHITECTURES.values()}) == 16


def test_each_row_can_be_typed_as_arch():
    assert {path.stem for path in (CONF / "arch").glob("*.yaml")} == set(ARCHITECTURES)
    for name in ARCHITECTURES:
        assert OmegaConf.load(CONF / "arch" / f"{name}.yaml") == {"name": name}


@pytest.mark.parametrize("row", ARCHITECTURES.values(), ids=lambda row: row.name)
def test_the_pinned_tag_is_one_that_timm_publishes(row):
    assert f"{row.name}.{row.tag}" in timm.list_pretrained(f"{row.name}.*")


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"densenet12: not one of densenet121, .*mobilenetv3_large_100"):
        architecture("densenet12")


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [5, 14])
@pytest.mark.parametrize("row", ARCHITECTURES.values(), ids=lambda row: row.name)
def test_each_row_builds_with_the_head_and_trains(row, outputs):
    network = build_model(row, outputs=outputs, weights=None, seed=0)
    assert type(network).__name__ == TIMM_CLASS.get(row.name, row.family)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    for _ in range(2):  # timm starts each residual branch of a ResNet at zero: its inside moves from the second step on
        logits = network(images)
        optimiser.zero_grad()
        masked_bce(logits, torch.ones(2, outputs)).backward()
        optimiser.step()
    assert logits.shape == (2, outputs)
    still = [name for name, parameter in network.named_parameters() if torch.equal(parameter, before[name])]
    assert not still
