import contextlib
import re

import pytest
import yaml

from tests.launchers import cluster, commands

pytest.importorskip("optuna", reason="no optuna (pip install -e '.[optuna]'): a real search did not run")


@pytest.mark.slow
def test_a_search_by_optuna_finds_the_trial_with_the_highest_validation_auroc(words, tmp_path):
    typed = words(
        "protocol.lr=interval(1e-4,1e-2)", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3",
    )  # fmt: skip
    code, said = commands.run("bench.run", typed)
    assert code == 0, said
    runs = commands.store(words("seed=0,1")).server.runs()
    tried = {float(found.params["protocol.lr"]): found.metrics["valid/auroc"] for found in runs}
    assert len(tried) == 3
    best = yaml.safe_load((tmp_path / "outputs" / "optimization_results.yaml").read_text())
    assert best["best_value"] == max(tried.values())
    assert tried[best["best_params"]["protocol.lr"]] == best["best_value"]


@pytest.mark.slow
def test_a_failed_trial_is_one_and_typed_again_the_search_trains_nothing_anew(words, tmp_path):
    typed = words(
        "protocol.lr=choice(1e-3,1e30)", "seed=choice(0,1)", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=8",
        "hydra.sweeper.sampler=random",
    )  # fmt: skip
    code, said = commands.run("bench.run", typed)
    assert code == 0, said
    assert "Traceback" not in said
    finished = int(re.search(r"(\d) of 8 trials finished", said)[1])
    assert 0 < finished < 8
    before = {run.id: run.status for run in commands.store(words("seed=0,1")).server.runs()}
    assert set(before.values()) == {"FINISHED", "FAILED"}
    best = yaml.safe_load((tmp_path / "outputs" / "optimization_results.yaml").read_text())
    assert best["best_params"]["protocol.lr"] == "0.001"
    code, again = commands.run("bench.run", typed)
    assert code == 0, again
    assert f"{finished} of 8 trials finished" in again
    assert {run.id: run.status for run in commands.store(words("seed=0,1")).server.runs()} == before


@pytest.mark.slow
def test_without_weights_a_trial_fails_and_the_others_are_tried(words):
    typed = words("pretrained=choice(true,false)", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4")
    code, said = commands.run("bench.run", [*typed, "weights.dir=/none"], {"HF_HUB_CACHE": "/none"})
    assert code == 0, said
    assert "no weights resnet18.tv_in1k" in said
    assert {run.status for run in commands.store(words("seed=0,1")).server.runs()} == {"FINISHED", "FAILED"}


@contextlib.contextmanager
def joblib(_):
    pytest.importorskip("joblib", reason="no joblib (pip install -e '.[joblib]'): a parallel search did not run")
    yield {}, ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], "best:"


@contextlib.contextmanager
def slurm(folder):
    pytest.importorskip("submitit", reason="no submitit (pip install -e '.[slurm]'): a search on Slurm did not run")
    if lacking := cluster.missing():
        pytest.skip(lacking)
    with cluster.slurm(folder / "slurm") as environment:
        words = ["hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=10"]
        yield environment, words, "best:"


@contextlib.contextmanager
def ray(_):
    pytest.importorskip("ray", reason="no ray (pip install -e '.[ray]'): a search on Ray did not run")
    yield {}, ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"], "_run_job pid="


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [joblib, slurm, ray])
def test_trials_of_a_search_run_side_by_side_on_every_launcher(words, tmp_path, launcher):
    """Two rounds of two trials, of which one fails; the second round draws the cells of the first."""
    search = ["protocol.lr=choice(1e-3,1e30)", "seed=range(0,4)", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4"]
    search += ["hydra.sweeper.n_jobs=2", "hydra.sweeper.sampler=random", "hydra.sweeper.seed=2"]
    with launcher(tmp_path) as (environment, chosen, sign):
        code, said = commands.run("bench.run", words(*search, *chosen), environment)
    assert code == 0, said
    assert sign in said
    assert "2 of 4 trials finished" in said
    runs = commands.store(words("seed=0,1")).server.runs()
    assert sorted(run.status for run in runs) == ["FAILED", "FINISHED"]
    (reached,) = [run.metrics["valid/auroc"] for run in runs if run.status == "FINISHED"]
    best = yaml.safe_load((tmp_path / "outputs" / "optimization_results.yaml").read_text())
    assert best["best_value"] == reached
