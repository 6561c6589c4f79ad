"""Proofs: what must hold on a GPU, each shown by doing it."""

import contextlib
import copy
import itertools
import json
import os
import signal
import subprocess
import sys
from typing import Any
from unittest import mock

import pandas as pd
import torch

from bench import cam, export
from bench.cells.identify import identify
from bench.cells.runner import run_cell
from bench.networks.models import build_model
from bench.networks.registry import ARCHITECTURES
from bench.schema import CamConfig, ExportConfig, StoreConfig
from bench.tracking.stores import store_of
from bench.training.bookkeeping import Bookkeeper
from bench.training.devices import leave_memory_unfilled
from bench.training.interrupts import Interrupted
from bench.training.module import whole_precision
from tests.gpu.loops import bare, inputs
from tests.gpu.parts import PROOFS, Kit, part

METRICS = (
    "train/images_per_second", "peak_memory_mib", "latency_ms", "throughput_images_per_second", "fit_seconds",
    "valid/auroc", "test/auroc",
)  # fmt: skip
WORKSPACE = ":4096:8"
"""With which cuBLAS is deterministic. Source: torch's manual, `torch.use_deterministic_algorithms`."""
SAME = 1e-5
"""A score in fp32 may differ by so much from one in float64."""
MORE_MIB = 0.5
"""By which the memory held may grow from cell to cell: less than their images. What cuBLAS works in stays."""


def predictions(run: Any, made: Any) -> pd.DataFrame:
    return pd.read_parquet(store_of(made).download(run.run_id, "predictions/test.parquet"))


@part(PROOFS, 20)
def one_whole_cell_has_every_metric(kit: Kit) -> None:
    run, made = kit.cell(name="whole")
    names = (*METRICS, "energy_joules") if kit.gpu else METRICS
    assert [name for name in names if name not in run.metrics] == [], "metrics are missing"
    precision = identify(made).cell.config.trainer.precision
    if kit.gpu:
        assert precision == ("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32")
    again = run_cell(made, store_of(made), announce=lambda _: None)
    assert again.run_id == run.run_id, "a finished cell was trained again"
    environment = json.loads(store_of(made).download(run.run_id, "environment.json").read_text())
    assert environment["device"] == (torch.cuda.get_device_name() if kit.gpu else "cpu")
    kit.say("one whole cell", "resnet18", precision=precision, **{name: run.metrics[name] for name in names})


@part(PROOFS, 30)
def the_same_bits_from_host_or_device_with_or_without_threads_stopped_and_resumed(kit: Kit) -> None:
    first = predictions(*kit.cell(name="whole"))
    ways = {"resident": ["data.resident=device"], "unthreaded": ["trainer.workers=0"], "again": []}
    for name, words in itertools.islice(ways.items(), 2 if kit.small else 3):
        pd.testing.assert_frame_equal(first, predictions(*kit.cell(*words, name=name)), check_exact=True)
    made, ends, original = kit.config(name="stopped"), itertools.count(1), Bookkeeper.after_batch

    def stop(self: Any, trainer: Any, module: Any, *rest: Any) -> None:
        if next(ends) % (3 if kit.small else 7) == 0:
            self._requests.number = signal.SIGTERM
        original(self, trainer, module, *rest)

    run, attempts = None, 0
    with mock.patch.object(Bookkeeper, "after_batch", stop):
        while run is None:
            attempts += 1
            with contextlib.suppress(Interrupted):
                run = run_cell(made, store_of(made), announce=lambda _: None)
    assert attempts > 2, "it was never stopped"
    pd.testing.assert_frame_equal(first, predictions(run, made), check_exact=True)


KINDS = {
    "three logits a task": ["data.uncertain=u-multiclass"],
    "truncated": ["truncate=2"],
    "head": ["adapt=linear"],
    "last stage": ["adapt=last:1"],
    "probe first": ["adapt=lpft"],
    "one channel": ["arch.in_chans=1"],
    "mean of weights": ["protocol.checkpoints.average=weights", "protocol.checkpoints.keep=2"],
    "best by task": ["protocol.checkpoints.average=task"],
    "micro-batches": ["protocol.micro_batch=4"],
    "fp32": ["trainer.precision=fp32"],
    "searched rate": ["protocol.lr=auto", "data.resident=device"],
    "not deterministic": ["trainer.deterministic=false"],
}


@part(PROOFS, 50)
def every_kind_of_cell(kit: Kit) -> None:
    kinds = dict(itertools.islice(KINDS.items(), 2)) if kit.small else KINDS
    if kit.gpu and torch.cuda.get_device_capability() >= (8, 0):
        kinds = {**kinds, "tf32": ["trainer.precision=tf32"]}
    broken = {}
    for name, words in kinds.items():
        try:
            kit.cell("protocol.epochs=1", *words, name=name)
        except Exception as error:  # noqa: BLE001  # all of them are told
            broken[name] = f"{type(error).__name__}: {error}"[:200]
    assert broken == {}


@part(PROOFS, 15, needs_gpu=True)
def memory_is_given_back_between_cells(kit: Kit) -> None:
    held = []
    for seed in (1, 2, 3):
        kit.cell("data.resident=device", f"seed={seed}", "protocol.epochs=1", name="memory")
        held.append(torch.cuda.memory_allocated() / 2**20)
    kit.say(
        "memory held after each of three cells, MiB", "resnet18", **{f"cell {n + 1}": x for n, x in enumerate(held)}
    )
    assert max(held) - held[0] < MORE_MIB, f"a finished cell keeps device memory: {held} MiB"


@part(PROOFS, 25, needs_gpu=True)
def out_of_memory_is_halved(kit: Kit) -> None:
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(3e9 / torch.cuda.get_device_properties(0).total_memory)
        words = ("protocol.image.resize=320", "protocol.image.crop=320", "protocol.epochs=1", "arch=densenet121")
        run, _ = kit.cell(*words, "protocol.batch_size=64", "trainer.on_oom=accumulate", name="narrow")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert int(store_of(kit.config(name="narrow")).params(run.run_id)["protocol.micro_batch"]) < 64


@part(PROOFS, 75)
def every_network_steps_deterministically(kit: Kit) -> None:
    """No operation refuses determinism, and from the same start come the same losses, in bf16 and in fp32."""
    leave_memory_unfilled()
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = WORKSPACE
    broken = {}
    for arch in ("resnet18", "efficientnet_b0") if kit.small else ARCHITECTURES:
        built = build_model(ARCHITECTURES[arch], outputs=14, weights=None, seed=0)
        for precision in ("bf16", "fp32"):
            try:
                steps = [bare(kit, copy.deepcopy(built), precision=precision) for _ in range(2)]
                pairs = [tuple(float(step()) for step in steps) for _ in range(2)]
                if any(one != other for one, other in pairs):
                    broken[f"{arch} {precision}"] = str(pairs)
            except RuntimeError as error:
                broken[f"{arch} {precision}"] = f"{type(error).__name__}: {error}"[:200]
    torch.use_deterministic_algorithms(False)
    assert broken == {}


@part(PROOFS, 10)
def scores_of_record_are_those_of_float64_on_the_cpu(kit: Kit) -> None:
    for arch in ("resnet18", "efficientnet_b0"):
        network = build_model(ARCHITECTURES[arch], outputs=14, weights=None, seed=0).eval()
        image = inputs(kit, 2 if kit.small else 8)[0].cpu()
        with torch.no_grad():
            exact = torch.sigmoid(copy.deepcopy(network).double()(image.double()))
            network.to(kit.device, memory_format=torch.channels_last)
            rounded = torch.sigmoid(network(image.to(kit.device)).double()).cpu()
            with whole_precision(kit.device):
                recorded = torch.sigmoid(network(image.to(kit.device)).double()).cpu()
        errors = {
            "of record": float((recorded - exact).abs().max()),
            "torch's default": float((rounded - exact).abs().max()),
        }
        kit.say("largest error of a score, against float64 on the CPU", arch, **errors)
        assert errors["of record"] < SAME


@part(PROOFS, 30)
def a_cell_of_this_device_is_exported_and_mapped(kit: Kit) -> None:
    """`bench.export` compares the files with the scores that this device recorded; `bench.cam` draws."""
    run, made = kit.cell(name="whole")
    store = StoreConfig(uri=made.tracking.uri, experiment=made.tracking.experiment)
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise AssertionError(f"{error.name} is not installed: nothing is exported or mapped") from None
    files = export.export(ExportConfig(run=run.run_id, images=8, tracking=store, out=str(kit.work / "exported")))
    assert (files / "prediction.onnx").exists()
    maps = CamConfig(run=run.run_id, task="edema", studies=2, tracking=store, out=str(kit.work / "maps"))
    assert cam.draw(maps).stat().st_size > 0


@part(PROOFS, 20)
def more_devices_than_there_are_is_a_sentence(kit: Kit) -> None:
    devices = max(torch.cuda.device_count(), 1) + 1
    words = ("data=chexpert", f"data.root={kit.root}", "arch=resnet18", "pretrained=false", "trainer=gpu")
    many = (f"trainer.devices={devices}", f"protocol.batch_size={6 * devices}")
    places = (f"outputs={kit.work}/ddp", f"data.cache={kit.work}/cache", f"tracking.uri=sqlite:///{kit.work}/mlflow.db")
    command = [sys.executable, "-m", "bench.run", *words, *many, *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said[-2000:]
    assert (f"trainer.devices={devices}:" if kit.gpu else "trainer=gpu:") in said, said[-2000:]
