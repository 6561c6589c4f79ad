import pytest

from bench.errors import ConfigError
from bench.networks.modes import check_adapt, frozen_stages, phase, remark
from bench.networks.registry import architecture


@pytest.mark.parametrize(("adapt", "frozen"), [("full", 0), ("lpft", 0), ("linear", 4), ("last:1", 3), ("last:4", 0)])
def test_what_never_learns_is_counted_from_the_input(adapt, frozen):
    assert frozen_stages(adapt, 4, "resnet18") == frozen


@pytest.mark.parametrize(("truncate", "most"), [(0, 4), (3, 1)])
def test_more_stages_than_there_are_are_refused_with_the_range(truncate, most):
    row = architecture("resnet18")
    check_adapt(row, truncate, f"last:{most}")
    with pytest.raises(
        ConfigError, match=rf"adapt=last:{most + 1}: resnet18 .* {most} stages, so last:1 to last:{most}$"
    ):
        check_adapt(row, truncate, f"last:{most + 1}")


def test_a_linear_probe_comes_first_and_everything_afterwards():
    assert [phase("lpft", epoch, 2) for epoch in range(4)] == ["linear", "linear", "full", "full"]


@pytest.mark.parametrize("adapt", ["full", "linear", "last:2"])
def test_every_other_mode_is_one_phase(adapt):
    assert {phase(adapt, epoch, 2) for epoch in range(4)} == {adapt}


@pytest.mark.parametrize("adapt", ["linear", "last:2", "lpft"])
def test_a_frozen_random_body_is_said(adapt):
    assert f"adapt={adapt} with pretrained=false" in remark(adapt, pretrained=False)
    assert remark(adapt, pretrained=True) is None
    assert remark("full", pretrained=False) is None
