import pytest

from tests.launchers import cluster, commands

pytest.importorskip("submitit", reason="no submitit (pip install -e '.[slurm]'): a real Slurm did not run")
lacking = cluster.missing()


@pytest.mark.slow
@pytest.mark.skipif(bool(lacking), reason=lacking)
def test_a_real_slurm_trains_the_cells_and_one_that_fails_stops_no_other(words, tmp_path):
    typed = words(
        "pretrained=true,false", "hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1",
        "hydra.launcher.timeout_min=10",
    )  # fmt: skip
    with cluster.slurm(tmp_path / "slurm") as environment:
        code, said = commands.run("bench.run", typed, environment)
        assert code == 1, said
    assert "resnet18-pretrained-t3-s0-32px: WeightsError: no weights" in said
    code, rows = commands.status(typed)
    assert (code, {row["name"]: row["state"] for row in rows}) == (
        1, {"resnet18-pretrained-t3-s0-32px": "failed", "resnet18-scratch-t3-s0-32px": "done"},
    )  # fmt: skip
    logs = list((tmp_path / "outputs" / ".submitit").rglob("*_log.out"))
    assert len(logs) == 2, "the jobs did not go through Slurm"
