"""Training to the end, resumed, stopped and broken: with a small network on the phantom."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch

from bench import stores, training
from bench.errors import BatchTooLargeError, StorageError, TrainingError
from bench.identify import identify
from bench.interrupts import Interrupted
from bench.runner import run_cell
from bench.stores import store_of
from bench.training import Bookkeeper

STEPPED = ("protocol.epochs=2", "protocol.checkpoints.every_examples=48", "protocol.checkpoints.keep=2")
"""8 or so steps an epoch, an evaluation every 3 steps: neither falls on the other."""


@pytest.fixture(autouse=True)
def fresh_stores():
    stores._store.cache_clear()


def frame(config, name="test"):
    run_id = store_of(config).find(identify(config).cell.hash).run_id
    path = mlflow.artifacts.download_artifacts(
        run_id=run_id, artifact_path=f"predictions/{name}.parquet", tracking_uri=store_of(config).server.uri
    )
    return pd.read_parquet(path)


def metrics(config):
    return store_of(config).find(identify(config).cell.hash).metrics


class Stop(BaseException):
    """Stands for the end of the process: nothing in between catches it."""


@pytest.fixture
def stop_at(monkeypatch):
    """Ends the process, as far as the training can tell, once so many steps are done."""

    def arrange(step, *, after_saving):
        original = Bookkeeper.on_train_batch_end

        def end(self, trainer, module, *rest):
            if after_saving and module.step + 1 == step:
                self._requests.number = signal.SIGTERM
            if not after_saving and module.step == step:
                raise Stop
            original(self, trainer, module, *rest)

        monkeypatch.setattr(Bookkeeper, "on_train_batch_end", end)

    return arrange


@pytest.fixture(scope="module")
def undisturbed():
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["resnet18", "efficientnet_b0"])
@pytest.mark.parametrize(
    ("step", "after_saving"),
    [(2, True), (3, True), (4, True), (8, True), (2, False), (3, False), (7, False), (8, False)],
)
def test_a_training_that_was_stopped_ends_with_the_same_bits(
    configure, stop_at, monkeypatch, undisturbed, tmp_path, arch, step, after_saving
):
    """Stopped by a signal, which saves first, or at once, which falls back on the evaluation before, if any."""
    overrides = (f"arch={arch}", *STEPPED)
    if arch not in undisturbed:
        whole = configure(*overrides, "tracking.experiment=whole")
        run_cell(whole, store_of(whole))
        undisturbed[arch] = frame(whole), metrics(whole)
    config = configure(*overrides)
    with monkeypatch.context() as patch:
        stop_at(step, after_saving=after_saving)
        with pytest.raises((Interrupted, Stop)):
            run_cell(config, store_of(config))
        patch.undo()
    monkeypatch.undo()
    state = store_of(config).find(identify(config).cell.hash)
    assert state.status == "KILLED"
    assert run_cell(config, store_of(config)).run_id == state.run_id
    expected, numbers = undisturbed[arch]
    pd.testing.assert_frame_equal(frame(config), expected, check_exact=True)
    assert metrics(config)["train/loss"] == numbers["train/loss"]


@pytest.mark.slow
def test_killed_for_real_it_goes_on(configure, tmp_path, phantom_root):
    """SIGKILL at two moments of a process of its own; the last attempt ends with the bits of an undisturbed one."""
    own = (
        "arch=resnet18", "pretrained=false", "data=chexpert", f"data.root={phantom_root}", "data.valid_fraction=0.3",
        f"data.cache={phantom_root.parent}/cache", "protocol.image.resize=32", "protocol.image.crop=32",
        "trainer.workers=0", "protocol.epochs=6", "protocol.checkpoints.every_examples=48",
        f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", f"outputs={tmp_path}/outputs",
    )  # fmt: skip
    command = [sys.executable, "-m", "bench.run", *own]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    states = tmp_path / "outputs"
    for wanted in (6, 15):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        while process.poll() is None and _step(states) < wanted:
            pass
        assert process.poll() is None, "ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert _step(states) >= wanted
    assert subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False).returncode == 0
    config = configure("protocol.epochs=6", "protocol.checkpoints.every_examples=48")
    interrupted = frame(config)
    torch.set_num_threads(1)
    elsewhere = configure("protocol.epochs=6", "protocol.checkpoints.every_examples=48", "tracking.experiment=whole")
    run_cell(elsewhere, store_of(elsewhere))
    pd.testing.assert_frame_equal(interrupted, frame(elsewhere), check_exact=True)
    assert not list(states.glob("*/fit-*/state-*"))


def _step(outputs: Path) -> int:
    names = [path.name for path in outputs.glob("*/fit-*/state-*.pt")]
    return max((int(name.split("-")[1]) for name in names), default=0)


def test_ctrl_c_saves_first_and_says_so(configure, stop_at, monkeypatch):
    config = configure(*STEPPED)
    stop_at(2, after_saving=True)
    with pytest.raises(Interrupted, match="SIGTERM: the state is saved"):
        run_cell(config, store_of(config))
    assert _step(Path(config.outputs)) == 2


def test_a_loss_that_is_no_number_stops_with_its_step_and_keeps_the_state(configure, monkeypatch):
    config = configure(*STEPPED)
    original = training.Classifier.training_step
    seen = []

    def poisoned(self, batch, index):
        seen.append(index)
        loss = original(self, batch, index)
        if len(seen) == 5:
            self._unseen.append(torch.tensor(float("nan")))
            self.look_at_losses()
        return loss

    monkeypatch.setattr(training.Classifier, "training_step", poisoned)
    with pytest.raises(TrainingError, match=r"training step 5 is nan.*protocol.lr.*weights at that moment are in"):
        run_cell(config, store_of(config))
    state = store_of(config).find(identify(config).cell.hash)
    assert state.status == "FAILED"
    assert "training step 5" in state.failure
    assert len(list(Path(config.outputs).glob("*/fit-*/broken-*.pt"))) == 1


def test_a_learning_rate_that_breaks_the_weights_is_found_out(configure):
    config = configure(*STEPPED, "protocol.lr=1e30")
    with pytest.raises(TrainingError, match="the loss of training step"):
        run_cell(config, store_of(config))


@pytest.fixture
def little_memory(monkeypatch):
    """A device on which more than 8 images at once do not fit: torch's own error, raised by us."""
    original = training.Classifier.forward

    def forward(self, image):
        if self.training and len(image) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return original(self, image)

    monkeypatch.setattr(training.Classifier, "forward", forward)


def test_out_of_memory_names_the_setting(configure, little_memory):
    config = configure(*STEPPED)
    with pytest.raises(BatchTooLargeError, match=r"with 16 images at once: give protocol.micro_batch=8"):
        run_cell(config, store_of(config))


def test_on_request_it_goes_on_with_half_the_images_as_another_cell(configure, little_memory):
    config = configure(*STEPPED, "trainer.on_oom=accumulate")
    done = run_cell(config, store_of(config))
    smaller = configure(*STEPPED, "protocol.micro_batch=8")
    assert done.run_id == store_of(config).find(identify(smaller).cell.hash).run_id
    assert store_of(config).find(identify(config).cell.hash).status == "FAILED"
    assert done.status == "FINISHED"


def test_a_full_disk_is_said_and_the_state_before_is_kept(configure, monkeypatch):
    config = configure(*STEPPED)
    original, calls = training.save_state, []

    def full(folder, step, state):
        calls.append(step)
        if len(calls) == 2:
            raise StorageError(f"{folder}: cannot be written (No space left on device)")
        return original(folder, step, state)

    monkeypatch.setattr(training, "save_state", full)
    with pytest.raises(StorageError, match="No space left"):
        run_cell(config, store_of(config))
    assert _step(Path(config.outputs)) == 3
    assert run_cell(configure(*STEPPED, "retry=failed"), store_of(config)).status == "FINISHED"


def test_accumulated_steps_are_counted_as_steps(configure):
    config = configure(*STEPPED, "protocol.micro_batch=4", "arch=resnet18")
    run_cell(config, store_of(config))
    client = mlflow.MlflowClient(store_of(config).server.uri)
    run_id = store_of(config).find(identify(config).cell.hash).run_id
    steps = [point.step for point in client.get_metric_history(run_id, "valid/auroc")]
    images = len(identify(config).data.train.frame) // 16 * 16 * 2
    assert steps == [*range(48, images, 48), images, images]  # the last is the final prediction's


@pytest.mark.slow
def test_two_devices_predict_what_one_does(configure):
    """Two processes on the CPU: the same batches, the same statistics, each study scored once, one run."""
    one, two = configure(*STEPPED, "trainer.precision=fp32"), configure(
        *STEPPED, "trainer.precision=fp32", "trainer=ddp", "trainer.accelerator=cpu", "trainer.workers=0",
        "tracking.experiment=two",
    )  # fmt: skip
    run_cell(one, store_of(one))
    run_cell(two, store_of(two))
    alone, together = frame(one), frame(two)
    assert list(alone["path"]) == list(together["path"])
    scores = [name for name in alone if name.startswith("score/")]
    np.testing.assert_allclose(together[scores], alone[scores], atol=0.02)
    assert len(mlflow.MlflowClient(store_of(two).server.uri).search_runs([store_of(two).server.experiment_id])) == 1


@pytest.mark.parametrize("adapt", ["linear", "last:1", "lpft"])
def test_adaptation_trains_what_it_says(configure, adapt):
    config = configure(*STEPPED, f"adapt={adapt}")
    done = run_cell(config, store_of(config))
    trained, everything = done.metrics["parameters_trainable"], done.metrics["parameters"]
    assert {"linear": trained == 14 * 513, "last:1": 14 * 513 < trained < everything, "lpft": trained == everything}[
        adapt
    ]


@pytest.mark.slow
def test_bf16_moves_the_auroc_less_than_the_seed_does(configure):
    """Five seeds each; the mean difference of the two precisions lies within the spread over seeds."""
    found = {}
    for precision in ("fp32", "bf16"):
        cells = [configure("protocol.epochs=3", f"seed={seed}", f"trainer.precision={precision}") for seed in range(5)]
        found[precision] = np.array([run_cell(cell, store_of(cell)).metrics["test/auroc"] for cell in cells])
    assert not np.array_equal(found["fp32"], found["bf16"])
    assert abs(np.mean(found["bf16"] - found["fp32"])) < np.ptp(found["fp32"])
