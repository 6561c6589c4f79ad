import functools
from concurrent.futures.process import BrokenProcessPool

import pytest
from hydra.core.utils import JobReturn, JobStatus

from bench.sweeps.launch import Ended, WorkerDiedError, launch


def seen(folder, composed):
    (folder / f"{composed.arch.name}-{composed.seed}").write_text(f"{composed.data.name} {composed.sweep.size}")
    if composed.seed == 1:
        raise ZeroDivisionError("ours\nin two lines")


def test_every_job_runs_and_every_crash_is_one_line(tmp_path):
    jobs = [("arch=resnet18", f"seed={seed}", "sweep.size=3") for seed in range(3)]
    crashed = launch(jobs, ["arch=resnet18", f"outputs={tmp_path}/out"], functools.partial(seen, tmp_path))
    assert {path.name: path.read_text() for path in tmp_path.glob("resnet18-*")} == {
        f"resnet18-{seed}": "phantom 3" for seed in range(3)
    }
    assert crashed.crashed == ["arch=resnet18 seed=1 sweep.size=3: ZeroDivisionError: ours"]


def test_short_spellings_reach_the_job(tmp_path):
    def check(composed):
        assert composed.data.uncertain == {"default": "u-ones"}
        assert composed.weights.source == "a.safetensors"
        (tmp_path / "checked").touch()

    jobs = [("data.uncertain=u-ones", "weights=a.safetensors")]
    assert launch(jobs, [f"outputs={tmp_path}/out"], check).crashed == []
    assert (tmp_path / "checked").exists()


@pytest.fixture
def launcher(monkeypatch):
    """Puts a launcher in the place of Hydra's, which ends as the function does."""

    def put(end):
        class Launcher:
            def launch(self, jobs, **_):
                return end(jobs)

        monkeypatch.setattr("bench.sweeps.launch.Plugins.instantiate_launcher", lambda *_, **__: Launcher())

    return put


def test_a_killed_process_is_told_from_a_job_that_failed(launcher):
    def end(jobs):
        raise BrokenProcessPool("SIGKILL(-9)\nmore")

    launcher(end)
    with pytest.raises(WorkerDiedError, match=r"a worker process died: BrokenProcessPool: SIGKILL\(-9\)$"):
        launch([("seed=0",)], [], print)


def test_a_job_that_slurm_lost_is_said_and_the_others_are_followed(launcher):
    utils = pytest.importorskip("submitit.core.utils", reason="no submitit (pip install -e '.[slurm]')")

    def end(jobs):
        raise utils.UncompletedJobError("job 7 was killed\nmore")

    launcher(end)
    assert launch([("seed=0",)], [], print).crashed == [
        "UncompletedJobError: job 7 was killed (python -m bench.status follows the others)"
    ]


def test_any_other_fault_of_a_launcher_is_not_hidden(launcher):
    def end(jobs):
        raise ZeroDivisionError

    launcher(end)
    with pytest.raises(ZeroDivisionError):
        launch([("seed=0",)], [], print)


def test_answers_of_jobs_that_completed_are_no_crashes(launcher):
    job = JobReturn(overrides=["seed=0"], status=JobStatus.COMPLETED)
    job.return_value = 0.7
    launcher(lambda _: [job])
    assert launch([("seed=0",)], [], print) == Ended([], [0.7])
