"""What is on disk whenever a training ends: with everything around it replaced, as only files matter here."""

import contextlib
import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.schedule import Schedule
from bench.training import bookkeeping
from bench.training.bookkeeping import Bookkeeper, Training, restore
from bench.training.checkpoints import Best, checkpoint_path, write_checkpoint
from bench.training.interrupts import Requests
from bench.training.states import load_state
from bench.training.writing import writing

STEPS = 6


class Died(BaseException):
    """The process was killed."""


@pytest.fixture
def dies(monkeypatch):
    """Ends the process right before or after its n-th change of a folder's entries."""
    count = itertools.count()
    chosen = {}

    def watch(name):
        original = getattr(Path, name)

        def act(path, *arguments, **named):
            number = next(count)
            if number == chosen.get("before"):
                raise Died
            result = original(path, *arguments, **named)
            if number == chosen.get("after"):
                raise Died
            return result

        monkeypatch.setattr(Path, name, act)

    def arrange(**moment):
        nonlocal count
        count = itertools.count()
        chosen.clear()
        chosen.update(moment)
        return lambda: next(count)

    watch("replace")
    watch("unlink")
    return arrange


class EveryFew:
    """A trainer's configuration by which a state is due after every `every`-th step."""

    def __init__(self, module, every):
        self._module, self._every = module, every

    @property
    def save_minutes(self):
        return -1.0 if self._module.step % self._every == 0 else float("inf")


def attempt(folder, values, every):
    """Evaluates after every step, from the saved state on; returns what counts in the end."""
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(network.parameters())
    module = SimpleNamespace(
        step=0, network=network, losses=lambda: (1.0, 1), set_losses=lambda *_: None, validation_scores=lambda: None,
        shown_auroc=lambda: 0.5,
    )  # fmt: skip
    training = Training(
        cell="cell", seed=0, schedule=Schedule(1, STEPS, STEPS, 1), best=Best(2, ("valid/auroc",)), folder=folder,
        record=None, evaluate=lambda _: {"valid/auroc": values[module.step - 1]}, header={},
        trainer=EveryFew(module, every),
    )  # fmt: skip
    state = load_state(folder)
    if state is not None:
        restore(training, module, state)
        named = {checkpoint_path(folder, step) for step in training.best.counting}
        assert named <= set(folder.iterdir()), "a state to go on from names what is not there"
    trainer = SimpleNamespace(optimizers=[optimizer], world_size=1, progress_bar_metrics={})
    with writing() as writer:
        keeper = Bookkeeper(training, Requests(), writer)
        while module.step < STEPS:
            module.step += 1
            keeper.on_validation_start()
            keeper.on_validation_end(trainer, module)
    return training.best


RISING, FALLING, MIXED = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [0.5, 0.7, 0.2, 0.8, 0.6, 0.9]


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("values", [RISING, MIXED])
@pytest.mark.parametrize("every", [1, 2, 4])
def test_whenever_it_is_killed_what_it_goes_on_from_is_there(tmp_path, dies, every, values, side, torn):
    """At each single change on disk; with another outcome afterwards, as on a device that does not repeat itself."""
    done = dies()
    attempt(tmp_path / "undisturbed", values, every)
    for moment in range(done()):
        folder = tmp_path / str(moment)
        dies(**{side: moment})
        with pytest.raises(Died):
            attempt(folder, values, every)
        dies()
        written = sorted(folder.glob("state-*"))
        if torn and written:
            written[-1].write_bytes(b"torn")
        dies(**{side: 4})
        with contextlib.suppress(Died):
            attempt(folder, FALLING, every)
        dies()
        best = attempt(folder, FALLING, every)
        assert {path.name for path in folder.glob("step=*")} >= {
            checkpoint_path(folder, step).name for step in best.counting
        }


@pytest.mark.parametrize(("every", "there"), [(1, (4, 5, 6)), (2, (3, 4, 5, 6)), (STEPS, (5, 6))])
def test_undisturbed_only_what_the_kept_states_name_stays(tmp_path, every, there):
    attempt(tmp_path, RISING, every)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".safetensors") == [
        checkpoint_path(tmp_path, step).name for step in there
    ]


def test_between_two_states_no_more_than_what_counts_lies_on_disk(tmp_path, monkeypatch):
    most = 0

    def count(*arguments):
        nonlocal most
        write_checkpoint(*arguments)
        most = max(most, len(list(tmp_path.glob("step=*"))))

    monkeypatch.setattr(bookkeeping, "write_checkpoint", count)
    attempt(tmp_path, RISING, STEPS)
    assert most == 2 + 1, "the best two, and the next one while it takes the place of another"
