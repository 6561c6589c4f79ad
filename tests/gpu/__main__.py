"""Proves every GPU path on one GPU and measures it, within a budget of minutes: `make gpu`.

python -m tests.gpu [OUT] [--seconds=480] [--only=WORDS] [--small]    OUT/gpu.json holds all; docs/gpu.md says more

Parts run in a process of their own, one after the other, proofs first. One that fails stops no other; one that ends the
process, or hangs, is named, and the others go on in a new process.
"""

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.gpu.parts import Task
from tests.gpu.table import lines
from tests.gpu.worker import known
from tests.perf.said import say

PACKAGES = ("torch", "pytorch-lightning", "timm", "torchmetrics", "numpy", "pandas", "mlflow", "mlflow-skinny")
WORKER = (sys.executable, "-m", "tests.gpu.worker")
PATIENCE = 3.0
"""Times its own estimate that a part may take, on a slower card."""
SHORTEST = 90.0
"""Seconds that every part may take."""


def machine() -> dict[str, Any]:
    """Card, driver and versions."""
    import torch

    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
    for name in PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            continue
    if not torch.cuda.is_available():
        return facts | {"card": "none: the CPU"}
    import pynvml

    pynvml.nvmlInit()
    one = torch.cuda.get_device_properties(0)
    facts |= {"card": one.name, "memory, GiB": round(one.total_memory / 2**30), "cuDNN": torch.backends.cudnn.version()}
    return facts | {"CUDA": torch.version.cuda, "driver": pynvml.nvmlSystemGetDriverVersion()}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def follow(process: "subprocess.Popen[bytes]", path: Path) -> Iterator[dict[str, Any]]:
    """What the process notes, until it ends; it is ended where a part takes too long."""
    seen, limit, begun = 0, SHORTEST, time.monotonic()
    while True:
        ended = process.poll() is not None
        for line in read(path)[seen:]:
            seen += 1
            begun, limit = time.monotonic(), max(SHORTEST, PATIENCE * line.get("seconds", 0))
            yield line
        if ended:
            return
        if time.monotonic() - begun > limit:
            process.kill()
        time.sleep(0.2)


def run(task: Task) -> Iterator[dict[str, Any]]:
    """What all parts note, in however many processes."""
    left, work = list(task.parts), Path(task.work)
    while left:
        (work / "task").write_text(json.dumps(dataclasses.asdict(dataclasses.replace(task, parts=tuple(left)))))
        (work / "lines").unlink(missing_ok=True)
        process = subprocess.Popen([*WORKER, str(work / "task")])
        begun = ""
        for line in follow(process, work / "lines"):
            begun = line.get("begin", begun)
            if "part" in line:
                left.remove(line["part"])
                begun = ""
            if "begin" not in line:
                yield line
        if begun or (left and process.returncode == 0):
            name = begun or left[0]
            left.remove(name)
            yield {"part": name, "state": "failed", "why": f"it ended its process, with status {process.returncode}"}
        elif left and not (work / "lines").exists():
            yield {"part": left.pop(0), "state": "failed", "why": f"nothing began: exit status {process.returncode}"}


def main() -> int:
    """Exit status: 0 where no part failed, or there is no GPU."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m tests.gpu")
    parser.add_argument("out", nargs="?", default="", help="folder for gpu.json; default: a new one")
    parser.add_argument("--seconds", type=float, default=480.0, help="budget; parts beyond it are left out")
    parser.add_argument("--only", default="", help="parts whose name contains one of these, with commas between them")
    parser.add_argument("--small", action="store_true", help="a rehearsal with tiny sizes; also on a CPU")
    given = parser.parse_args()
    if not torch.cuda.is_available() and not given.small:
        say("make gpu: skipped: torch finds no CUDA device here; --small rehearses it on the CPU")
        return 0
    start = time.time()
    out = Path(given.out or tempfile.mkdtemp(prefix="gpu-")).resolve()
    out.mkdir(parents=True, exist_ok=True)
    chosen = [name for name in known() if any(word.strip() in name for word in given.only.split(","))]
    found: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "rehearsal": given.small,
        "machine": machine(),
    }
    found |= {"parts": [], "figures": []}
    with tempfile.TemporaryDirectory() as work:
        task = Task(str(out), work, given.small, start + given.seconds, tuple(chosen))
        for line in run(task):
            found["parts" if "part" in line else "figures"].append(line)
            found["seconds"] = time.time() - start
            (out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            say(" ".join(f"{value:.1f}" if isinstance(value, float) else str(value) for value in line.values()))
    say("\n".join(["", *lines(found), "", f"all of it: {out}/gpu.json"]))
    return int(any(part["state"] == "failed" for part in found["parts"]))


if __name__ == "__main__":
    sys.exit(main())
