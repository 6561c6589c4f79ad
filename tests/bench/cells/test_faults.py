"""What a GPU does to a cell, with fakes where there is none: memory that stays or ends, a card that is lost."""

import gc
import json
import weakref

import pytest
import torch

from bench.cells import assembly, environment, runner
from bench.cells.identify import identify
from bench.cells.runner import run_cell
from bench.data.images import Images
from bench.data.resident import ResidentImages
from bench.tracking.stores import store_of
from bench.training import module as training
from bench.training.interrupts import GpuLost
from bench.training.module import Classifier

SMALL = ("truncate=3", "trainer=cpu", "trainer.precision=fp32")


@pytest.fixture
def uncollected():
    """Without the collector, whose moment nobody knows: what lives in a cycle stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Ends(BaseException):
    """Ends a cell where it is."""


@pytest.mark.usefixtures("uncollected")
def test_resident_images_do_not_outlive_their_fit(configure, monkeypatch):
    made, alive = [], []

    class Counted(ResidentImages):
        def __init__(self, *arguments):
            alive.append(sum(reference() is not None for reference in made))
            super().__init__(*arguments)
            made.append(weakref.ref(self))

    monkeypatch.setattr(assembly, "ResidentImages", Counted)
    for seed in range(3):
        config = configure(
            *SMALL, "data.resident=device", f"seed={seed}", "protocol.lr=auto", "protocol.lr_grid=[1e-3]"
        )
        run_cell(config, store_of(config))
    assert alive == [0] * 6


@pytest.mark.usefixtures("uncollected")
def test_resident_images_do_not_outlive_a_fit_that_breaks(configure, monkeypatch):
    made = []

    class Counted(ResidentImages):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(weakref.ref(self))

    def step(*_):
        raise Ends

    monkeypatch.setattr(assembly, "ResidentImages", Counted)
    monkeypatch.setattr(Classifier, "training_step", step)
    config = configure(*SMALL, "data.resident=device")
    with pytest.raises(Ends):
        run_cell(config, store_of(config))
    assert [reference() for reference in made] == [None]


@pytest.mark.filterwarnings("ignore:GPU available but not used")  # Lightning's; ours are silenced by bench.quiet
def test_a_cell_on_the_cpu_asks_no_gpu_for_anything(configure, monkeypatch):
    def asked(*_, **__):
        raise Ends("a GPU was asked")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):  # as of 2.14, before
        # torch's own optimisers ask any accelerator for its stream at each step
        monkeypatch.setattr(torch.optim.Optimizer, name, lambda _: None, raising=False)
    for name in ("get_rng_state", "set_rng_state", "get_device_name", "_lazy_init", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, asked)
    config = configure(*SMALL)
    run = run_cell(config, store_of(config))
    file = store_of(config).download(run.run_id, "environment.json")
    assert json.loads(file.read_text(encoding="utf-8"))["device"] == "cpu"


def test_without_mlflow_itself_its_small_half_is_named(monkeypatch):
    def version(name):
        if name == "mlflow":
            raise environment.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(environment, "version", version)
    named = environment.environment(gpu=False)["versions"]
    assert "mlflow" not in named
    assert named["mlflow-skinny"] == "1.0"


def test_too_little_memory_to_measure_a_prediction_costs_a_cell_two_metrics(configure, monkeypatch, caplog):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(runner, "latency_ms", full)
    monkeypatch.setattr(runner, "images_per_second", full)
    config = configure(*SMALL)
    run = run_cell(config, store_of(config))
    assert run.status == "FINISHED"
    assert {"latency_ms", "throughput_images_per_second"}.isdisjoint(run.metrics)
    assert run.metrics["fit_seconds"] > 0
    assert "latency_ms is not measured: out of memory" in caplog.text


def test_an_error_in_the_measurement_comes_after_the_predictions(configure, monkeypatch):
    def ends(*_, **__):
        raise Ends

    monkeypatch.setattr(runner, "latency_ms", ends)
    config = configure(*SMALL)
    with pytest.raises(Ends):
        run_cell(config, store_of(config))
    run_id = store_of(config).find(identify(config).cell.hash).run_id
    assert "predictions/test.parquet" in store_of(config).artifacts(run_id, "predictions")


def test_an_evaluation_that_does_not_fit_is_made_in_halves_and_the_training_is_not_touched(
    configure, monkeypatch, caplog
):
    own = training.heads.probabilities
    whole = configure(*SMALL, "tracking.experiment=whole")
    expected = run_cell(whole, store_of(whole)).metrics
    sizes = []

    def probabilities(logits, widths):
        sizes.append(len(logits))
        if len(logits) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(logits, widths)

    monkeypatch.setattr(training.heads, "probabilities", probabilities)
    config = configure(*SMALL, "trainer.on_oom=accumulate")
    metrics = run_cell(config, store_of(config)).metrics
    assert metrics["test/auroc"] == pytest.approx(expected["test/auroc"], abs=1e-6)
    assert metrics["train/loss"] == expected["train/loss"]
    assert max(sizes[3:]) <= 20
    assert "out of memory in an evaluation: from now on with" in caplog.text


def test_a_lost_gpu_is_no_failure_of_the_cell(configure, monkeypatch):
    def step(*_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be")

    config = configure(*SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", step)
        patch.setattr(runner, "gpu_is_lost", lambda: True)
        with pytest.raises(GpuLost, match="illegal memory access was encountered\\): the cell goes on from its last"):
            run_cell(config, store_of(config))
    assert store_of(config).find(identify(config).cell.hash).status == "KILLED"
    assert run_cell(config, store_of(config)).status == "FINISHED"


def test_another_error_is_itself(configure, monkeypatch):
    def step(*_):
        raise RuntimeError("ours")

    monkeypatch.setattr(Classifier, "training_step", step)
    config = configure(*SMALL)
    with pytest.raises(RuntimeError, match="ours"):
        run_cell(config, store_of(config))
    assert store_of(config).find(identify(config).cell.hash).status == "FAILED"


def unpinned(*arguments, pinned, **named):
    """Images without what needs a GPU."""
    assert pinned
    return Images(*arguments, **named)


def test_the_energy_of_several_gpus_is_of_all_of_them(configure, monkeypatch, tmp_path):
    asked = []
    found = identify(configure(*SMALL, "trainer.accelerator=auto", "trainer.devices=2"))
    monkeypatch.setattr(assembly, "on_gpu", lambda _: True)
    monkeypatch.setattr(assembly, "energy_counter", asked.append)
    monkeypatch.setattr(assembly, "synchronise", lambda network, **_: network)
    monkeypatch.setattr(assembly, "Images", unpinned)
    made = assembly.assemble(found, tmp_path, None, lr=1e-3)
    assert asked == [[torch.device("cuda", 0), torch.device("cuda", 1)]]
    assert len(made.training.meters) == 2
