import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from bench.errors import ConfigError
from bench.sweep import expand, plan


@pytest.mark.parametrize(
    "settings",
    [
        ["arch=resnet18,resnet34", "pretrained=true,false"],
        ["arch=resnet18", "seed=range(0,3)", "pretrained=true,false"],
        ["seed=0,1", "arch=resnet18,resnet34", "seed=5"],
        ["+sweeps=demo"],
    ],
)
def test_expansion_is_what_hydras_own_sweeper_launches(settings):
    parsed = OverridesParser.create().parse_overrides(settings)
    (batch,) = BasicSweeper.split_arguments(parsed, None)
    assert [list(job) for job in expand(settings)] == batch


def test_a_glob_expands_over_the_group():
    assert expand(["arch=glob(resnet*)"]) == (
        ("arch=resnet101",),
        ("arch=resnet18",),
        ("arch=resnet34",),
        ("arch=resnet50",),
    )


def test_the_sweep_of_pretraining_is_sixteen_by_two():
    jobs = plan(["+sweeps=pretraining"]).jobs
    assert len(set(jobs)) == 32


def test_keys_of_a_sweep_can_be_overridden():
    sweep = plan(["+sweeps=demo", "arch=resnet34", "seed=0,1"])
    assert sweep.multirun
    assert len(sweep.jobs) == 4
    assert all("arch=resnet34" in job for job in sweep.jobs)


def test_a_wrong_cell_refuses_the_whole_sweep():
    with pytest.raises(ConfigError, match="protocol.epochs=0"):
        plan(["-m", "protocol.epochs=1,0"])


def test_several_values_need_multirun():
    with pytest.raises(ConfigError, match="add -m"):
        plan(["seed=0,1"])


def test_questions_to_hydra_are_no_sweep():
    assert plan(["--help"]) is None
    assert plan(["--cfg", "job"]) is None
