"""What is on disk whenever a training ends: with everything around it replaced, as only files matter here."""

import contextlib
import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.schedule import Schedule
from bench.training.bookkeeping import Bookkeeper, Training, restore
from bench.training.checkpoints import Best, checkpoint_path
from bench.training.interrupts import Requests
from bench.training.states import load_state

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


def attempt(folder, values):
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
        trainer=SimpleNamespace(save_minutes=10),
    )  # fmt: skip
    state = load_state(folder)
    if state is not None:
        restore(training, module, state)
        named = {checkpoint_path(folder, step) for step in training.best.counting}
        assert named <= set(folder.iterdir()), "a state to go on from names what is not there"
    keeper = Bookkeeper(training, Requests())
    trainer = SimpleNamespace(optimizers=[optimizer], world_size=1, progress_bar_metrics={})
    while module.step < STEPS:
        module.step += 1
        keeper.on_validation_start()
        keeper.on_validation_end(trainer, module)
    return training.best


RISING, FALLING, MIXED = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [0.5, 0.7, 0.2, 0.8, 0.6, 0.9]


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("values", [RISING, MIXED])
def test_whenever_it_is_killed_what_it_goes_on_from_is_there(tmp_path, dies, values, side, torn):
    """At each single change on disk; with another outcome afterwards, as on a device that does not repeat itself."""
    done = dies()
    attempt(tmp_path / "undisturbed", values)
    for moment in range(done()):
        folder = tmp_path / str(moment)
        dies(**{side: moment})
        with pytest.raises(Died):
            attempt(folder, values)
        dies()
        written = sorted(folder.glob("state-*"))
        if torn and written:
            written[-1].write_bytes(b"torn")
        dies(**{side: 4})
        with contextlib.suppress(Died):
            attempt(folder, FALLING)
        dies()
        best = attempt(folder, FALLING)
        assert {path.name for path in folder.glob("step=*")} >= {
            checkpoint_path(folder, step).name for step in best.counting
        }


def test_undisturbed_only_what_the_kept_states_name_stays(tmp_path):
    attempt(tmp_path, RISING)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".safetensors") == [
        checkpoint_path(tmp_path, step).name for step in (4, 5, 6)
    ]
