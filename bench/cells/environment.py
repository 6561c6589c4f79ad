"""What a run ran on: versions, machine, commit. No environment variables, which may hold secrets."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from bench.paths import CHECKOUT

PACKAGES = (
    "torch", "torchvision", "timm", "pytorch-lightning", "torchmetrics", "mlflow", "mlflow-skinny", "numpy", "pandas",
    "pillow",
)  # fmt: skip


def environment(*, gpu: bool) -> dict[str, Any]:
    """Versions and machine, for environment.json; of a cell that trains on a GPU, or on the CPU."""
    return {
        "git": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if gpu else "cpu",
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(name: str) -> str:
    """Empty where it is not installed: mlflow-skinny serves without mlflow."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def git_commit() -> str:
    """The checkout's commit, with `-dirty` where files differ from it; `unknown` outside a checkout."""
    if CHECKOUT is None:  # the folder that the command is typed in may be another project's
        return "unknown"
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # fixed words
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
