import pytest

from tests.launchers import commands

pytest.importorskip("ray", reason="no ray (pip install -e '.[ray]'): a real Ray did not run")


@pytest.mark.slow
def test_a_real_ray_cluster_trains_the_cells_as_one_process_does(words, tmp_path):
    seeds = "seed=0,1"
    alone = words(seeds, uri=f"sqlite:///{tmp_path}/alone.db", outputs="alone")
    code, said = commands.run("bench.run", alone)
    assert code == 0, said
    typed = words(seeds, "hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2")
    code, said = commands.run("bench.run", typed)
    assert code == 0, said
    assert "_run_job pid=" in said, "the jobs did not go through Ray"
    commands.assert_same(commands.predictions(alone), commands.predictions(typed))
