import pytest
import yaml

from tests.launchers import commands

pytest.importorskip("optuna", reason="no optuna (pip install -e '.[optuna]'): a real search did not run")


@pytest.mark.slow
def test_a_search_by_optuna_finds_the_trial_with_the_highest_validation_auroc(words, tmp_path):
    typed = words(
        "protocol.lr=interval(1e-4,1e-2)", "hydra/sweeper=optuna", "hydra/sweeper/sampler=random",
        "hydra.sweeper.sampler.seed=0", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1",
        "hydra.sweeper.direction=maximize",
    )  # fmt: skip
    code, said = commands.run("bench.run", typed)
    assert code == 0, said
    runs = commands.store(words("seed=0,1")).server.runs()
    tried = {float(found.params["protocol.lr"]): found.metrics["valid/auroc"] for found in runs}
    assert len(tried) == 3
    best = yaml.safe_load((tmp_path / "outputs" / "optimization_results.yaml").read_text())
    assert best["best_value"] == max(tried.values())
    assert tried[best["best_params"]["protocol.lr"]] == best["best_value"]
