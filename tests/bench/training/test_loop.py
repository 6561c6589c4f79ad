"""Training to the end, resumed, stopped and broken: with a small network on the phantom."""

import errno
import inspect
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch

from bench.cells import assembly, runner
from bench.cells.identify import identify
from bench.cells.runner import run_cell
from bench.errors import BatchTooLargeError, LostProcessError, StorageError, TrainingError
from bench.networks import heads
from bench.networks.models import build_model
from bench.tracking.stores import store_of
from bench.training import bookkeeping, heap, states
from bench.training import loop as training
from bench.training.bookkeeping import Bookkeeper
from bench.training.interrupts import Interrupted

STEPPED = ("protocol.epochs=2", "protocol.checkpoints.every_examples=48", "protocol.checkpoints.keep=2", "truncate=2")
"""6 steps an epoch, 12 in all, an evaluation every 3 steps; of a network whose states are 8 MB and not 134."""

LONGER = (*STEPPED, "protocol.epochs=8")
"""Time to be killed in: 48 steps."""


def frame(config, name="test"):
    run_id = store_of(config).find(identify(config).cell.hash).run_id
    return pd.read_parquet(store_of(config).download(run_id, f"predictions/{name}.parquet"))


def metrics(config):
    return store_of(config).find(identify(config).cell.hash).metrics


class Stop(BaseException):
    """Stands for the end of the process: nothing in between catches it."""


@pytest.fixture
def stop_at(monkeypatch):
    """Ends the process, as far as the training can tell, once so many steps are done."""

    def arrange(step, *, after_saving):
        original = Bookkeeper.after_batch

        def end(self, trainer, module, *rest):
            if after_saving and module.step + 1 == step:
                self._requests.number = signal.SIGTERM
            if not after_saving and module.step == step:
                raise Stop
            original(self, trainer, module, *rest)

        monkeypatch.setattr(Bookkeeper, "after_batch", end)

    return arrange


@pytest.fixture(scope="module")
def undisturbed():
    return {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "step", "after_saving"),
    [
        *[("resnet18", step, True) for step in (2, 3, 4, 12)],
        *[("resnet18", step, False) for step in (2, 3, 7)],
        ("efficientnet_b0", 4, True),
        ("efficientnet_b0", 7, False),
    ],
)
def test_a_training_that_was_stopped_ends_with_the_same_bits(
    configure, stop_at, monkeypatch, undisturbed, tmp_path, arch, step, after_saving
):
    """Stopped by a signal, which saves first, or at once, which falls back on the state before, if any.

    Saved after every step, or (at step 7) never before: the same bits again.
    """
    overrides = (f"arch={arch}", *STEPPED, f"trainer.save_minutes={10 if step == 7 else 0}")
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
    """SIGTERM, then SIGKILL at a moment that is left to chance; the last attempt has the bits of an undisturbed one."""
    own = (
        "arch=resnet18", "pretrained=false", "data=chexpert", f"data.root={phantom_root}", "data.valid_fraction=0.3",
        f"data.cache={phantom_root.parent}/cache", "protocol.image.resize=32", "protocol.image.crop=32",
        "trainer.workers=0", "trainer.save_minutes=0", *LONGER,
        f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", f"outputs={tmp_path}/outputs",
    )  # fmt: skip
    command = [sys.executable, "-m", "bench.run", *own]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    states = tmp_path / "outputs"
    for number, wanted in ((signal.SIGTERM, 3), (signal.SIGKILL, random.randint(9, 30))):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        while process.poll() is None and _step(states) < wanted:
            time.sleep(0.01)
        assert process.poll() is None, "ended before it could be killed"
        process.send_signal(number)
        assert process.wait() == {signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
        assert _step(states) >= wanted
    assert subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False).returncode == 0
    config = configure(*LONGER)
    interrupted = frame(config)
    torch.set_num_threads(1)
    elsewhere = configure(*LONGER, "tracking.experiment=whole")
    run_cell(elsewhere, store_of(elsewhere))
    pd.testing.assert_frame_equal(interrupted, frame(elsewhere), check_exact=True)
    assert not list(states.glob("*/fit-*/state-*"))


def _step(outputs: Path) -> int:
    names = [path.name for path in outputs.glob("*/fit-*/state-*.pt")]
    return max((int(name.split("-")[1]) for name in names), default=0)


def test_what_a_network_draws_follows_from_the_seed_and_the_step(configure, stop_at, monkeypatch):
    """Dropout, with other generators around it, other readers and a stop in between: the same bits."""

    def dropping(*arguments, **named):
        network = build_model(*arguments, **named)
        network.drop_rate = 0.5  # of timm's head
        return network

    monkeypatch.setattr(assembly, "build_model", dropping)
    torch.manual_seed(1)
    whole = configure(*STEPPED, "tracking.experiment=whole")
    around = torch.get_rng_state()
    run_cell(whole, store_of(whole))
    assert torch.equal(torch.get_rng_state(), around)
    torch.manual_seed(2)
    config = configure(*STEPPED, "trainer.workers=1")
    with monkeypatch.context() as patch:
        stop_at(4, after_saving=True)
        with pytest.raises(Interrupted):
            run_cell(config, store_of(config))
        patch.undo()
    monkeypatch.undo()
    monkeypatch.setattr(assembly, "build_model", dropping)
    run_cell(config, store_of(config))
    pd.testing.assert_frame_equal(frame(config), frame(whole), check_exact=True)


def test_ctrl_c_saves_first_and_says_so(configure, stop_at, monkeypatch):
    config = configure(*STEPPED)
    stop_at(2, after_saving=True)
    with pytest.raises(Interrupted, match="SIGTERM: the state is saved"):
        run_cell(config, store_of(config))
    assert _step(Path(config.outputs)) == 2


@pytest.mark.parametrize("hook", ["on_validation_start", "on_validation_end", "after_batch"])
def test_a_signal_at_any_moment_waits_for_the_next_state(configure, monkeypatch, hook):
    """A real one, also right after it was looked whether there is one: Lightning's own handler must not see it."""
    config = configure(*STEPPED)
    original, sent = getattr(Bookkeeper, hook), []

    def signalled(self, trainer, module, *rest):
        original(self, trainer, module, *rest)
        if module.step == 3 and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))

    monkeypatch.setattr(Bookkeeper, hook, signalled)
    with pytest.raises(Interrupted, match="SIGTERM: the state is saved"):
        run_cell(config, store_of(config))
    assert _step(Path(config.outputs)) == (4 if hook == "on_validation_end" else 3)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_no_number_stops_with_cell_and_batch_and_keeps_the_state(configure, monkeypatch, value):
    config = configure(*STEPPED)
    original, calls = heads.sums, []

    def poisoned(*arguments):
        total, known = original(*arguments)
        calls.append(total)
        return total * (float(value) if len(calls) == 8 else 1.0), known

    monkeypatch.setattr(heads, "sums", poisoned)
    said = rf"resnet18-scratch-t2-s0-32px: the loss of training step 8 is {value} \(epoch 2, batch 2\).*protocol.lr"
    with pytest.raises(TrainingError, match=said):
        run_cell(config, store_of(config))
    left = store_of(config).find(identify(config).cell.hash)
    assert left.status == "FAILED"
    assert "training step 8" in left.failure
    (path,) = Path(config.outputs).glob("*/fit-*/broken-*.pt")
    state = torch.load(path, weights_only=True)
    assert (state["step"], state["optimizer"]["state"][0]["step"]) == (7, 7)
    assert all(tensor.isfinite().all() for tensor in state["network"].values())


def test_a_learning_rate_that_breaks_the_weights_is_found_out(configure):
    config = configure(*STEPPED, "protocol.lr=1e30")
    with pytest.raises(TrainingError, match="the loss of training step"):
        run_cell(config, store_of(config))


def of_a_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")  # torch's own, raised by us


def of_this_machine():
    torch.empty(10**15)


@pytest.fixture(params=[of_a_gpu, of_this_machine])
def little_memory(request, monkeypatch):
    """A device on which more than 8 images at once do not fit."""
    original = training.Classifier.forward

    def forward(self, image):
        if self.training and len(image) > 8:
            request.param()
        return original(self, image)

    monkeypatch.setattr(training.Classifier, "forward", forward)


def test_out_of_memory_names_the_setting(configure, little_memory):
    config = configure(*STEPPED)
    with pytest.raises(BatchTooLargeError, match=r"with 16 images at once: give protocol.micro_batch=8"):
        run_cell(config, store_of(config))
    assert store_of(config).find(identify(config).cell.hash).status == "KILLED"
    for remedy in ("protocol.micro_batch=8", "trainer.on_oom=accumulate"):
        typed = configure(*STEPPED, remedy)
        assert run_cell(typed, store_of(typed)).status == "FINISHED"


def test_the_same_command_goes_on_once_there_is_memory(configure, monkeypatch):
    config = configure(*STEPPED)
    with monkeypatch.context() as patch:
        patch.setattr(training.Classifier, "forward", lambda *_: of_this_machine())
        with pytest.raises(BatchTooLargeError):
            run_cell(config, store_of(config))
    assert run_cell(config, store_of(config)).status == "FINISHED"


def test_on_request_it_goes_on_with_half_the_images_as_another_cell(configure, little_memory):
    config = configure(*STEPPED, "trainer.on_oom=accumulate")
    done = run_cell(config, store_of(config))
    smaller = configure(*STEPPED, "protocol.micro_batch=8")
    assert done.run_id == store_of(config).find(identify(smaller).cell.hash).run_id
    assert store_of(config).find(identify(config).cell.hash).status == "KILLED"
    assert done.status == "FINISHED"


@pytest.mark.parametrize("kind", ["step=", "state-"])
def test_a_full_disk_is_said_and_the_state_before_is_kept(configure, monkeypatch, kind):
    """It is full at the second checkpoint, or at the second state; with room again, the cell goes on."""
    config = configure(*STEPPED, "protocol.checkpoints.keep=9", "trainer.save_minutes=0")
    original, calls = os.fsync, []

    def full(number):
        if kind in os.readlink(f"/proc/self/fd/{number}"):
            calls.append(number)
            if len(calls) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(number)

    with monkeypatch.context() as patch:
        patch.setattr(states.os, "fsync", full)
        with pytest.raises(StorageError, match=rf"{kind}.*No space left on device.*outputs=DIR"):
            run_cell(config, store_of(config))
    assert _step(Path(config.outputs)) == {"step=": 5, "state-": 1}[kind], "saved after every step"
    assert not list(Path(config.outputs).glob(f"*/fit-*/.{kind}*")), "what was half written is gone"
    assert store_of(config).find(identify(config).cell.hash).status == "KILLED"
    assert run_cell(config, store_of(config)).status == "FINISHED"


def test_states_are_saved_every_so_many_minutes_and_at_the_end_not_at_each_evaluation(configure, monkeypatch):
    saved = []
    monkeypatch.setattr(bookkeeping, "save_state", lambda _folder, step, _state: saved.append(step))
    config = configure(*STEPPED)
    run_cell(config, store_of(config))
    assert saved == [12]


def test_a_cpus_freed_memory_is_kept_from_step_to_step(configure, monkeypatch):
    calls = []
    for name in ("keep_freed", "give_back"):
        monkeypatch.setattr(heap, name, lambda name=name: calls.append(name))
    config = configure(*STEPPED)
    run_cell(config, store_of(config))
    assert calls == ["keep_freed", *["give_back"] * 8], "around each of four evaluations"


def test_deterministic_algorithms_fill_no_memory_first(configure, monkeypatch):
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)  # as torch has it by itself
    sums, seen = heads.sums, []

    def look(*arguments):
        filling = torch.utils.deterministic.fill_uninitialized_memory
        seen.append((torch.are_deterministic_algorithms_enabled(), filling))
        return sums(*arguments)

    monkeypatch.setattr(heads, "sums", look)
    config = configure(*STEPPED)
    run_cell(config, store_of(config))
    assert set(seen) == {(True, False)}


def test_only_the_training_call_is_compiled(configure, monkeypatch):
    """Each other mode, batch size and precision would be one more graph, minutes each."""
    graphs, calls = [], []

    def backend(graph, _):
        graphs.append(graph)

        def compiled(*values):
            calls.append(graph)
            return graph(*values)

        return compiled

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    config = configure(*STEPPED, "trainer.compile=true")
    run_cell(config, store_of(config))
    assert len(graphs) == 1
    assert len(calls) == 12


def test_accumulated_steps_are_counted_as_steps(configure):
    config = configure(*STEPPED, "protocol.micro_batch=4", "arch=resnet18")
    run_cell(config, store_of(config))
    client = mlflow.MlflowClient(store_of(config).server.uri)
    run_id = store_of(config).find(identify(config).cell.hash).run_id
    steps = [point.step for point in client.get_metric_history(run_id, "valid/auroc")]
    images = len(identify(config).data.train.frame) // 16 * 16 * 2
    assert steps == [*range(48, images, 48), images, images]  # the last is the final prediction's


UNEVEN = 19
"""Images at once in an evaluation: of the validation split's 44 two batches on one device, one on the other."""


def follow(*arguments):
    """`runner.follow`, in a process that no patch of a test reaches."""
    assembly.EVALUATION_BATCH = UNEVEN
    runner.follow(*arguments)


@pytest.mark.slow
def test_two_devices_predict_what_one_does(configure, monkeypatch):
    """Two processes on the CPU: the same batches, the same statistics, each study scored once, one run."""
    own = (*STEPPED, "trainer.precision=fp32")
    one, two = configure(*own), configure(
        *own, "trainer=ddp", "trainer.accelerator=cpu", "trainer.workers=0", "tracking.experiment=two",
    )  # fmt: skip
    monkeypatch.setattr(assembly, "EVALUATION_BATCH", UNEVEN)
    run_cell(one, store_of(one))
    monkeypatch.setattr(runner, "follow", follow)
    run_cell(two, store_of(two))
    for name, images in (("valid", 44), ("test", 87)):
        alone, together = frame(one, name), frame(two, name)
        assert len(together) == images
        assert list(alone["path"]) == list(together["path"])
        scores = [name for name in alone if name.startswith("score/")]
        np.testing.assert_allclose(together[scores], alone[scores], atol=0.02)
    assert metrics(two)["train/loss"] == pytest.approx(metrics(one)["train/loss"], rel=1e-3)
    assert len(mlflow.MlflowClient(store_of(two).server.uri).search_runs([store_of(two).server.experiment_id])) == 1


@pytest.mark.slow
def test_a_killed_rank_is_said_and_the_cell_goes_on(configure, monkeypatch):
    own = (*STEPPED, "truncate=3", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    config, whole = configure(*own), configure(*own, "tracking.experiment=whole")
    original = Bookkeeper.after_batch

    def kill(self, trainer, module, *rest):
        original(self, trainer, module, *rest)
        if module.step == 4:
            (other,) = multiprocessing.active_children()
            other.kill()

    with monkeypatch.context() as patch:
        patch.setattr(Bookkeeper, "after_batch", kill)
        with pytest.raises(LostProcessError, match=r"rank 1 of 2 was killed by signal 9.*same command goes on"):
            run_cell(config, store_of(config))
    assert store_of(config).find(identify(config).cell.hash).status == "KILLED"
    for one in (config, whole):
        run_cell(one, store_of(one))
    pd.testing.assert_frame_equal(frame(config), frame(whole), check_exact=True)


@pytest.mark.parametrize("adapt", ["linear", "last:1", "lpft"])
def test_adaptation_trains_what_it_says(configure, adapt):
    config = configure(*STEPPED, "truncate=0", f"adapt={adapt}")
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
        own = ("truncate=2", "protocol.epochs=3", f"trainer.precision={precision}")  # cut: small states to write
        cells = [configure(*own, f"seed={seed}") for seed in range(5)]
        found[precision] = np.array([run_cell(cell, store_of(cell)).metrics["test/auroc"] for cell in cells])
    assert not np.array_equal(found["fp32"], found["bf16"])
    assert abs(np.mean(found["bf16"] - found["fp32"])) < np.ptp(found["fp32"])


def old(module, broadcast_buffers=True):
    """DistributedDataParallel's arguments before torch 2.13."""


@pytest.mark.parametrize(
    ("arguments", "given"),
    [(training.DistributedDataParallel, {"forward_sync_buffers": False}), (old, {"broadcast_buffers": False})],
)
def test_no_forward_pass_of_several_devices_waits_for_buffers_in_any_torch(monkeypatch, arguments, given):
    if "broadcast_buffers" not in given and "forward_sync_buffers" not in inspect.signature(arguments).parameters:
        pytest.skip("this torch has the old name alone, which the other case shows")
    monkeypatch.setattr(training, "DistributedDataParallel", arguments)
    assert training._together()._ddp_kwargs == given
