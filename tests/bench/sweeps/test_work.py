import math

import pytest
from omegaconf import OmegaConf, open_dict

from bench.config import with_hydra
from bench.errors import DataError
from bench.sweeps import work as module
from bench.tracking.claims import ClaimTakenError
from bench.tracking.store import RunState


@pytest.fixture
def work(monkeypatch, tmp_path):
    """Runs the work of one job whose cell ends as the given function says."""

    def call(run_cell, *overrides):
        monkeypatch.setattr("bench.cells.runner.run_cell", run_cell)
        monkeypatch.setattr("bench.tracking.stores.store_of", lambda _: "a store")
        composed = with_hydra(["arch=resnet18", *overrides])
        monkeypatch.setattr(module.HydraConfig, "get", lambda: OmegaConf.create({"job": {"num": 1}}))
        with open_dict(composed):
            del composed["hydra"]
        return module.work(composed)

    return call


def test_the_value_is_the_validation_auroc(work, capsys):
    def run_cell(config, store, announce):
        assert (config.arch.name, store) == ("resnet18", "a store")
        announce("begins")
        return RunState("r", "FINISHED", {"valid/auroc": 0.625})

    assert work(run_cell, "sweep.size=3") == 0.625
    assert "cell 2 of 3  begins" in capsys.readouterr().out


@pytest.mark.parametrize("error", [ClaimTakenError("another has it"), DataError("a torn file")])
def test_a_cell_that_cannot_be_trained_is_said_and_stops_nothing(work, capsys, error):
    def run_cell(config, store, announce):
        raise error

    assert math.isnan(work(run_cell))
    assert str(error) in capsys.readouterr().out


def test_a_value_that_a_search_tried_in_vain_is_said_and_stops_nothing(work, capsys):
    assert math.isnan(work(None, "protocol.epochs=0"))
    assert "failed: protocol.epochs=0: must be at least 1" in capsys.readouterr().out


def test_a_fault_of_ours_is_not_hidden(work):
    def run_cell(config, store, announce):
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError):
        work(run_cell)
