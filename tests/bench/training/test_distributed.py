import os
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
import torch.distributed as dist
from torch import nn

from bench.config import compose_config
from bench.errors import TrainingError
from bench.training import distributed
from bench.training.distributed import _abandon, _check_lost, _join, peers, rank, synchronise


def trainer(devices):
    words = ["arch=resnet18", "trainer=ddp", "trainer.accelerator=cpu", f"trainer.devices={devices}"]
    return compose_config(words).trainer


def network():
    torch.manual_seed(0)
    small = timm.create_model("efficientnet_b0", num_classes=3)
    return nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), small).double()


def images():
    return torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def half_step(folder):
    """One forward and backward pass of this rank's half of the images, gradients summed over the ranks."""
    model = synchronise(network(), on_gpu=False).train()
    mine = images()[4 * rank() : 4 * rank() + 4]
    output = model(mine)
    output.square().sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    for gradient in gradients:
        dist.all_reduce(gradient)
    torch.save([output, gradients, dict(model.named_buffers())], Path(folder) / f"{rank()}.pt")


@pytest.mark.slow
def test_two_halves_with_synchronised_batchnorm_are_one_batch(tmp_path):
    with peers(trainer(2), half_step, str(tmp_path)):
        half_step(str(tmp_path))
    (first, gradients, buffers), (second, *_) = (torch.load(tmp_path / f"{number}.pt") for number in (0, 1))
    whole = network().train()
    output = whole(images())
    output.square().sum().backward()
    torch.testing.assert_close(torch.cat([first, second]), output, rtol=1e-8, atol=1e-8)
    for name, buffer in whole.named_buffers():
        torch.testing.assert_close(buffers[name], buffer, rtol=1e-8, atol=1e-8)
    for given, parameter in zip(gradients, whole.parameters(), strict=True):
        torch.testing.assert_close(given, parameter.grad, rtol=1e-8, atol=1e-8)


def test_synchronised_the_state_and_what_it_predicts_are_the_same():
    before, after = network().eval(), synchronise(network(), on_gpu=False).eval()
    assert list(before.state_dict()) == list(after.state_dict())
    torch.testing.assert_close(after(images()), before(images()), rtol=0, atol=0)


def test_a_batchnorm_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="BatchNorm1d"):
        synchronise(nn.Sequential(nn.BatchNorm1d(2)), on_gpu=False)


def test_one_device_starts_nothing_and_leaves_the_environment(monkeypatch):
    before = dict(os.environ)
    with peers(trainer(1), half_step, "nowhere"):
        assert dict(os.environ) == before
    assert rank() == 0


def fail(_):
    raise SystemExit(3)


def reduce_for_ever():
    while True:
        dist.all_reduce(torch.ones(1))


class Exits:
    """Ends the process that it is sent to, before anything else happens there."""

    def __reduce__(self):
        return os._exit, (7,)


@pytest.mark.slow
def test_a_rank_that_ends_before_it_joins_is_not_waited_for():
    joined = []
    with pytest.raises(TrainingError, match=r"rank 1 of 2 ended with exit status 7"), peers(trainer(2), fail, Exits()):
        joined.append(rank())
    assert joined == []


@pytest.mark.slow
def test_a_rank_that_ends_in_the_middle_is_named_where_torch_only_says_that_a_connection_closed():
    said = r"rank 1 of 2 ended with exit status 3.*retry=failed"
    with pytest.raises(TrainingError, match=said), peers(trainer(2), fail, "x"):
        reduce_for_ever()


class Closing:
    """A process that has closed its files and is not gone yet, which a real one is for less than a millisecond."""

    def __init__(self):
        ours, theirs = Pipe()
        theirs.close()
        self.sentinel, self.exitcode = ours, None

    def join(self):
        self.exitcode = 3


def test_a_rank_that_has_closed_its_connections_is_given_the_moment_to_be_gone():
    with pytest.raises(TrainingError, match=r"rank 1 of 2 ended with exit status 3"):
        _check_lost([Closing()])


@pytest.mark.slow
def test_an_error_of_this_rank_is_itself():
    with pytest.raises(RuntimeError, match="ours"), peers(trainer(2), half_step, "nowhere"):
        raise RuntimeError("ours")


@pytest.mark.slow
def test_afterwards_the_environment_is_as_before_even_where_a_rank_died(tmp_path):
    before = dict(os.environ)
    with pytest.raises(TrainingError, match="rank 1 of 2"), peers(trainer(2), fail, "x"):
        assert os.environ["WORLD_SIZE"] == "2"
    assert dict(os.environ) == before


@pytest.fixture
def calls(monkeypatch):
    """What is asked of torch.distributed, in order, by a rank of a group that is there until it is destroyed."""
    made, there = [], [True]

    def end(name):
        made.append(name)
        there[0] = False

    monkeypatch.setattr(dist, "init_process_group", lambda backend, **named: made.append((backend, named["device_id"])))
    monkeypatch.setattr(dist, "is_initialized", lambda: there[0])
    monkeypatch.setattr(dist, "destroy_process_group", lambda: end("destroyed"))
    monkeypatch.setattr(dist.distributed_c10d, "_abort_process_group", lambda: end("aborted"))
    monkeypatch.setattr(torch.cuda, "set_device", made.append)
    return made


def test_nccl_is_told_its_device_and_gloo_has_none(calls):
    _join("nccl", None, 1, 2)
    _join("gloo", None, 1, 2)
    assert calls == [torch.device("cuda", 1), ("nccl", torch.device("cuda", 1)), ("gloo", None)]


@pytest.mark.parametrize(("backend", "how"), [("nccl", "aborted"), ("gloo", "destroyed")])
def test_a_group_is_abandoned_once_and_nccls_by_an_abort_as_it_would_wait_for_the_others(calls, backend, how):
    _abandon(backend)
    _abandon(backend)
    assert calls == [how]


class Another:
    """A process that is said to be there."""

    exitcode = 0

    def __init__(self, calls):
        self._calls, self._alive = calls, True

    def start(self):
        self._calls.append("started")

    def join(self, *_):
        self._calls.append("joined")
        self._alive = False

    def is_alive(self):
        return self._alive

    def kill(self):
        self._calls.append("killed")


@pytest.fixture
def group(calls, monkeypatch):
    context = SimpleNamespace(Process=lambda **_: Another(calls))
    monkeypatch.setattr(distributed, "get_context", lambda _: context)
    monkeypatch.setattr(distributed, "on_gpu", lambda _: True)
    monkeypatch.setattr(distributed, "_wait_for", lambda *_: None)
    return calls


def test_where_all_went_well_the_group_is_destroyed_before_the_ranks_are_waited_for(group):
    with peers(trainer(2), half_step):
        group.append("trained")
    assert group[-3:] == ["trained", "destroyed", "joined"]


def test_where_it_did_not_the_group_is_aborted(group):
    with pytest.raises(ValueError, match="ours"), peers(trainer(2), half_step):
        raise ValueError("ours")
    assert group[-2:] == ["killed", "aborted"]
