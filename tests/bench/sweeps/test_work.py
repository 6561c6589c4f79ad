import math
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf, open_dict

from bench.config import with_hydra
from bench.errors import DataError
from bench.sweeps import work as module
from bench.tracking.spool import ClaimTakenError
from bench.tracking.store import RunState
from bench.training.interrupts import GpuLost


@pytest.fixture
def work(monkeypatch, tmp_path):
    """Runs the work of one job whose cell ends as the given function says."""

    def call(run_cell, *overrides, launcher="basic"):
        monkeypatch.setattr("bench.cells.runner.run_cell", run_cell)
        monkeypatch.setattr("bench.tracking.stores.store_of", lambda _: "a store")
        composed = with_hydra(["arch=resnet18", *overrides])
        known = {"job": {"num": 1}, "runtime": {"choices": {"hydra/launcher": launcher}}}
        monkeypatch.setattr(module.HydraConfig, "get", lambda: OmegaConf.create(known))
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


def test_a_lost_gpu_ends_the_process_of_joblibs_whose_parent_starts_others(work, monkeypatch, capsys):
    def run_cell(config, store, announce):
        raise GpuLost("CUDA error")

    ended = []
    monkeypatch.setattr(module.os, "_exit", ended.append)
    with pytest.raises(GpuLost):
        work(run_cell)
    work(run_cell, launcher="joblib")
    assert ended == [1]
    assert "the GPU is lost" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seen", "visible", "name", "left"),
    [
        (4, None, "LokyProcess-1", "0"),
        (4, None, "LokyProcess-6", "1"),
        (2, "5,GPU-1a", "LokyProcess-2", "GPU-1a"),
        (1, "3", "LokyProcess-2", "3"),
        (0, None, "LokyProcess-2", None),
        (4, None, "MainProcess", None),
    ],
)
def test_a_process_of_joblibs_sees_one_gpu_of_several(work, monkeypatch, seen, visible, name, left):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    monkeypatch.setattr(module, "current_process", lambda: SimpleNamespace(name=name))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    finished = lambda *_, **__: RunState("r", "FINISHED", {})  # noqa: E731
    for launcher, devices in (("basic", 1), ("joblib", 2)):
        work(finished, f"trainer.devices={devices}", launcher=launcher)
        assert module.os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    work(finished, launcher="joblib")
    assert module.os.environ.get("CUDA_VISIBLE_DEVICES") == left
