"""Figures: what steps take on this device, and where the time goes."""

import copy
import gc
import statistics
import threading
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.cells.identify import identify
from bench.networks.cost import images_per_second, latency_ms
from bench.networks.models import build_model
from bench.networks.registry import ARCHITECTURES
from tests.gpu.loops import bare, first_loop, harness, inputs, milliseconds, timms_recipe
from tests.gpu.parts import FIGURES, Kit, part

FOUR = ("densenet121", "resnet18", "efficientnet_b0", "inception_v4")
PRECISION = "bf16"
VARIANTS: dict[str, dict[str, Any]] = {
    "bf16": {},
    "fp32": {"precision": "fp32"},
    "tf32": {"precision": "tf32"},
    "bf16, NCHW": {"layout": torch.contiguous_format},
    "bf16, not deterministic": {"deterministic": False},
    "bf16, benchmark": {"deterministic": False, "benchmark": True},
    "tf32, benchmark": {"deterministic": False, "benchmark": True, "precision": "tf32"},
    "bf16, graph": {"mode": "graph"},
}
SWEEP = {"steps": 40_950, "forward": 456_680, "starts": 2}
"""Of a cell of the paper's sweep: training steps of 16 images, and images passed forward in evaluations and in
predictions; and the cells of a network. Source: docs/cost.md."""
EVALUATION_BATCH = 64
WATCHED_SECONDS = 4.0
"""Of energy."""


def network(arch: str) -> nn.Module:
    return build_model(ARCHITECTURES[arch], outputs=14, weights=None, seed=0)


def timed(kit: Kit) -> tuple[str, ...]:
    return ("resnet18",) if kit.small else FOUR


@part(FIGURES, 30)
def harness_against_a_bare_loop(kit: Kit) -> None:
    """At batch 16; `bare` has its images on the device already, and no deterministic algorithms."""
    for arch in timed(kit)[:3]:
        precision = identify(kit.config(f"arch={arch}", name="speed")).cell.config.trainer.precision
        plain = milliseconds(kit, bare(kit, network(arch), precision=precision, deterministic=False), count=40)
        ways = {
            "host": (),
            "device": ("data.resident=device",),
            "host, not deterministic": ("trainer.deterministic=false",),
        }
        ours = {f"harness, {name}": harness(kit, arch, *words) for name, words in ways.items()}
        shares = {"harness / bare": ours["harness, host, not deterministic"] / plain}
        kit.say(
            "ms a step: the harness against a bare loop", f"{arch}, batch 16, {precision}", bare=plain, **ours, **shares
        )


@part(FIGURES, 30)
def harness_against_timms_recipe_and_a_first_loop(kit: Kit) -> None:
    for arch in timed(kit)[:2]:
        split = identify(kit.config(f"arch={arch}", name="speed")).data.train
        row = {
            "harness": harness(kit, arch),
            "timm's recipe": timms_recipe(kit, arch, split),
            "first loop": first_loop(kit, arch, split),
        }
        kit.say("ms a step: the harness against what else one would use", f"{arch}, batch 16", **row)


@part(FIGURES, 10, needs_gpu=True)
def where_the_host_waits_for_the_device(kit: Kit) -> None:
    """Waits in 20 steps of the harness, by place: torch's own detector."""
    sites: Counter[str] = Counter()

    def note(_message: Any, _category: Any, name: str, line: int, *_: Any) -> None:
        stack = [frame for frame in traceback.extract_stack() if "/bench/" in frame.filename]
        place = (Path(stack[-1].filename).name, stack[-1].lineno) if stack else (Path(name).name, line)
        sites[f"{place[0]}:{place[1]}"] += 1

    def hook(step: int) -> None:
        torch.cuda.set_sync_debug_mode({21: "warn", 41: "default"}.get(step, torch.cuda.get_sync_debug_mode()))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        try:
            harness(kit, "resnet18", hook=hook)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    kit.say("waits for the device in 20 steps", "resnet18", all=sum(sites.values()), **dict(sites.most_common(6)))


def variants(kit: Kit, batch: int, reserve: float) -> None:
    """A row a network, a column a variant, as far as the time goes."""
    batch = 2 if kit.small else batch
    for arch in timed(kit):
        built, row = network(arch), {}
        for name, options in VARIANTS.items():
            if kit.left() < reserve or (options.get("mode") and not kit.gpu):
                continue
            try:
                row[name] = milliseconds(kit, bare(kit, copy.deepcopy(built), batch=batch, **options))
            except RuntimeError as error:  # out of memory, say: the others are measured all the same
                row[name] = f"{type(error).__name__}: {error}"[:80]
            gc.collect()
        kit.say("ms a step of a bare loop", f"{arch}, batch {batch}", **row)
    _as_before()


def _as_before() -> None:
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False


@part(FIGURES, 40)
def steps_of_16_images(kit: Kit) -> None:
    variants(kit, 16, 20)


@part(FIGURES, 15, needs_gpu=True)
def what_a_cuda_graph_changes(kit: Kit) -> None:
    """Whether three deterministic steps as a CUDA graph leave eager's bits: docs/gpu.md says what hangs on it."""
    for arch in FOUR:
        eager = network(arch)
        graphed = copy.deepcopy(eager)
        steps = bare(kit, eager), bare(kit, graphed, mode="graph")
        losses = [tuple(float(step()) for step in steps) for _ in range(3)]
        pairs = zip(eager.state_dict().values(), graphed.state_dict().values(), strict=True)
        row = {
            "same losses": all(one == other for one, other in losses),
            "same network": all(torch.equal(one, other) for one, other in pairs),
        }
        kit.say("a CUDA graph has eager's bits", f"{arch}, batch 16, bf16", **{k: str(v) for k, v in row.items()})
    _as_before()


@part(FIGURES, 10, needs_gpu=True)
def kernels(kit: Kit) -> None:
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    for arch in ("densenet121", "resnet18"):
        step = bare(kit, network(arch))
        milliseconds(kit, step)
        with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
            start = time.perf_counter()
            for _ in range(5):
                step()
            kit.wait()
            wall = time.perf_counter() - start
        events = seen.key_averages()
        own = [
            event for event in events if event.device_type == DeviceType.CUDA
        ]  # the host's have their kernels' again
        busy = sum(event.self_device_time_total for event in own if not event.is_user_annotation) / 1e6
        launches = sum(event.count for event in events if "LaunchKernel" in event.key)
        row = {"ms of kernels": 200 * busy, "launches": launches / 5, "share of the profiled time": busy / wall}
        kit.say("kernels of a step", f"{arch}, batch 16, bf16", **row)
        table = events.table(sort_by="self_device_time_total", row_limit=40)
        (kit.out / f"profile-{arch}.txt").write_text(table, encoding="utf-8")


@part(FIGURES, 10)
def latency_and_throughput(kit: Kit) -> None:
    """What a run records, against the device's own time in eager mode and as a CUDA graph."""
    arch = timed(kit)[0]
    measured = network(arch).to(memory_format=torch.channels_last)
    ours = {
        "recorded, batch 1": latency_ms(measured, kit.side, kit.device, precision=PRECISION),
        "recorded, batch 32": 32_000 / images_per_second(measured, kit.side, kit.device, precision=PRECISION),
    }
    if kit.gpu:
        measured.to(kit.device).eval()
        for batch in (1, 32):
            ours |= _by_events(measured, inputs(kit, batch)[0], batch)
    kit.say("ms of a forward pass", f"{arch}, {PRECISION}", **ours)


def _by_events(measured: nn.Module, image: torch.Tensor, batch: int) -> dict[str, float]:
    found = {}
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
        for _ in range(20):
            measured(image)
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            measured(image)
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        for name, act in {"eager": lambda: measured(image), "graph": graph.replay}.items():
            begin.record()
            for _ in range(50):
                act()
            end.record()
            torch.cuda.synchronize()
            found[f"{name}, batch {batch}"] = begin.elapsed_time(end) / 50
    return found


@part(FIGURES, 10, needs_gpu=True)
def energy(kit: Kit) -> None:
    """The counter that runs read, against the power that the driver reports times time."""
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
    watts: list[float] = []
    stop, step = threading.Event(), bare(kit, network("densenet121"))

    def watch() -> None:
        while not stop.wait(0.05):
            watts.append(pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3)

    milliseconds(kit, step)
    watcher = threading.Thread(target=watch)
    before, start, steps = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle), time.perf_counter(), 0
    watcher.start()
    while time.perf_counter() - start < WATCHED_SECONDS:
        step()
        steps += 1
    kit.wait()
    took, after = time.perf_counter() - start, pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    stop.set()
    watcher.join()
    joules = (after - before) / 1e3
    row = {"by the counter": joules, "power x time": statistics.fmean(watts) * took, "J an image": joules / steps / 16}
    kit.say("joules", f"densenet121, batch 16, bf16, {took:.1f} s", **row)


@part(FIGURES, 75)
def what_the_papers_sweep_costs(kit: Kit) -> None:
    """From a bare loop's steps of 16 images and forward passes of 64, deterministic, with nothing else."""
    hours = 0.0
    for arch in ("resnet18",) if kit.small else ARCHITECTURES:
        built = network(arch)
        step = milliseconds(kit, bare(kit, built))
        image = inputs(kit, 2 if kit.small else EVALUATION_BATCH)[0]
        with torch.no_grad(), torch.autocast(kit.device.type, torch.bfloat16):
            built.eval()
            forward = milliseconds(kit, lambda: built(image), warm=3, count=10)  # noqa: B023  # called at once
        minutes = [SWEEP["steps"] * step / 60_000, SWEEP["forward"] / EVALUATION_BATCH * forward / 60_000]
        hours += SWEEP["starts"] * sum(minutes) / 60
        row = {
            "ms a step": step,
            "ms of 64 forward": forward,
            "min training": minutes[0],
            "min evaluations": minutes[1],
        }
        kit.say("a cell of the paper's sweep, bf16", arch, **row)
    kit.say("the paper's sweep, 32 cells", "resnet18 alone" if kit.small else "all", hours=hours)
    _as_before()


@part(FIGURES, 45)
def steps_of_64_images(kit: Kit) -> None:
    variants(kit, 64, 10)


@part(FIGURES, 90, needs_gpu=True)
def compiled(kit: Kit) -> None:
    for mode in ("default", "reduce-overhead"):
        if kit.left() < 45:
            return
        step, start = bare(kit, network("resnet18"), mode=mode, deterministic=False), time.perf_counter()
        step()
        kit.wait()
        first = time.perf_counter() - start
        kit.say(
            "torch.compile",
            f"resnet18, batch 16, bf16, {mode}",
            **{"s to the first step": first},
            ms=milliseconds(kit, step),
        )
