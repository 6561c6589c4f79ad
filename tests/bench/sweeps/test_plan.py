import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from bench.errors import ConfigError, MissingExtraError
from bench.networks.registry import ARCHITECTURES
from bench.sweeps.plan import check_roots, expand, plan


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


REGISTRY = {name: row for name, row in ARCHITECTURES.items() if row.paper}


def cells(*words):
    """(arch, pretrained, truncate) of every cell of a sweep."""
    return [(one.arch.name, one.pretrained, one.truncate) for one in plan(words).configs]


def test_the_sweep_of_pretraining_is_sixteen_by_two():
    found = cells("+sweeps=pretraining")
    assert sorted(found) == sorted((name, start, 0) for name in REGISTRY for start in (True, False))


def test_the_sweep_of_truncation_is_every_depth_that_each_architecture_has():
    found = cells("+sweeps=truncation")
    assert sorted(found) == sorted(
        (name, True, depth) for name, row in REGISTRY.items() for depth in range(len(row.cuts) + 1)
    )
    assert len(plan(["+sweeps=truncation"]).left_out) == 16 * 5 - len(found)


def test_the_sweep_of_the_paper_is_both_and_no_cell_twice():
    found = cells("+sweeps=paper")
    assert len(found) == len(set(found))
    assert set(found) == {*cells("+sweeps=pretraining"), *cells("+sweeps=truncation")}


def test_the_sweep_of_seeds_is_pretraining_five_times():
    sweep = plan(["+sweeps=seeds"])
    assert len({(one.arch.name, one.pretrained, one.seed) for one in sweep.configs}) == len(sweep.jobs) == 160


def test_the_sweep_of_fractions_sets_the_frozen_body_against_fine_tuning():
    found = {
        (one.arch.name, one.pretrained, one.data.fraction, one.adapt) for one in plan(["+sweeps=fractions"]).configs
    }
    modes = ((True, "full"), (False, "full"), (True, "linear"))
    assert found == {
        (name, start, share, adapt) for name in REGISTRY for share in (0.01, 0.1, 1.0) for start, adapt in modes
    }


def test_depths_that_an_architecture_does_not_have_are_left_out_and_said():
    sweep = plan(["-m", "arch=densenet121,mobilenetv2_100", "truncate=range(1,5)"])
    depths = {"densenet121": 3, "mobilenetv2_100": 4}
    assert {name: len(REGISTRY[name].cuts) for name in depths} == depths
    assert len(sweep.jobs) == 7
    assert sweep.left_out == (("arch=densenet121", "truncate=4"),)


def test_a_depth_that_no_architecture_of_a_sweep_has_is_refused():
    with pytest.raises(ConfigError, match="no architecture among them has such a depth"):
        plan(["-m", "arch=resnet18", "truncate=8,9"])


def test_a_wish_replaces_the_grids_values_and_makes_no_doubles():
    assert cells("+sweeps=paper", "truncate=0") == cells("+sweeps=pretraining")
    assert cells("+sweeps=truncation", "arch=resnet18", "truncate=2") == [("resnet18", True, 2)]


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


def test_hydras_own_words_stay_with_the_sweep_and_enter_no_cell():
    sweep = plan(["-m", "seed=0,1", "arch=resnet18", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    assert sweep.jobs == (("seed=0", "arch=resnet18"), ("seed=1", "arch=resnet18"))
    assert sweep.plain == ("arch=resnet18", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


def test_a_range_of_one_value_is_still_a_sweep():
    sweep = plan(["-m", "seed=range(3,4)"])
    assert (sweep.jobs, sweep.plain) == ((("seed=3",),), ())


@pytest.mark.parametrize(
    ("word", "extra"),
    [("joblib", "joblib"), ("submitit_slurm", "slurm"), ("submitit_local", "slurm"), ("ray", "ray")],
)
def test_a_launcher_that_is_not_installed_is_named_with_its_extra(word, extra, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=rf"hydra/launcher={word}: .* pip install -e '\.\[{extra}\]'"):
        plan(["-m", "seed=0,1", f"hydra/launcher={word}"])


def test_a_launcher_that_nobody_knows_is_refused_with_those_that_are_known():
    with pytest.raises(ConfigError, match="hydra/launcher=jobli: .*Valid: basic, joblib, submitit_local, submitit_sl"):
        plan(["-m", "seed=0,1", "hydra/launcher=jobli"])


def test_an_interval_is_for_a_search():
    with pytest.raises(ConfigError, match=r"interval\(1e-4,1e-2\): an interval .* hydra/sweeper=optuna"):
        plan(["-m", "protocol.lr=interval(1e-4,1e-2)"])


def test_a_search_has_no_list_of_cells():
    pytest.importorskip("optuna", reason="no optuna (pip install -e '.[optuna]'): a search was not planned")
    sweep = plan(
        [*SEARCH, "protocol.lr=interval(1e-4,1e-2)", "pretrained=choice(true,false)", "hydra.sweeper.n_jobs=2"]
    )
    assert sweep.searched
    assert (sweep.jobs, sweep.cell, len(sweep.configs)) == ((), (), 4)
    assert sweep.search["n_jobs"] == 2


@pytest.mark.parametrize(("flag", "value"), [("--config-name", "nope"), ("--config-path", "D")])
def test_another_configuration_is_refused_in_a_sentence(flag, value):
    with pytest.raises(
        ConfigError, match=f"{flag} {value}: not read here, where the configuration is conf/config.yaml"
    ):
        plan([flag, value, "seed=1"])


@pytest.mark.parametrize("words", [["data=chexpert"], ["-m", "data=chexpert,nih", "data.root=/no such"]])
def test_a_data_set_without_its_folder_is_refused(words):
    with pytest.raises(ConfigError, match=r"data=chexpert needs data.root=DIR|data.root=./no such.': no such folder"):
        check_roots(plan(words))
    check_roots(plan(["-m", "data=chexpert", "data.root=/on/the/nodes", "hydra/launcher=submitit_slurm"]))
    check_roots(plan(["seed=1"]))


SEARCH = ["-m", "hydra/sweeper=optuna"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to search"),
        (("protocol.lr=interval(-1,1)",), "protocol.lr=-1.* must be at least 0"),
        (("adapt=choice(full,half)",), "adapt=half: not full"),
        (("seed=choice(0,1)", "hydra.sweeper.sampler=best"), "hydra.sweeper.sampler=best: not one of tpe, random"),
        (("seed=choice(0,1)", "hydra.sweeper.n_trials=0"), "n_trials=0: must be at least 1"),
        (("seed=choice(0,1)", "hydra.sweeper.storage=x"), "storage"),
        (("seed=choice(0,1)", "+sweeps=demo"), "leave .sweeps=NAME out"),
    ],
)
def test_a_search_that_cannot_be_is_refused(words, said):
    pytest.importorskip("optuna", reason="no optuna (pip install -e '.[optuna]'): a search was not planned")
    with pytest.raises(ConfigError, match=said):
        plan([*SEARCH, *words])
    with pytest.raises(ConfigError, match="of python -m bench.run alone"):
        plan([*SEARCH, "seed=choice(0,1)"], "pretrain")
