"""Sweeps of cells that train in a second, as a user types them; each test in its own folder."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bench.sweep import plan
from bench.tracking import Store

WHOLE = 600.0
"""Seconds that a command may take on a machine that is busy with other work."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}


def words(folder: Path, *more: str, uri: str | None = None, outputs: str = "outputs") -> list[str]:
    """Two dozen patients of the phantom at 32 pixels, for one epoch; without weights that are not there."""
    return [
        "-m", "arch=resnet18", "pretrained=false", "protocol.epochs=1", "protocol.image.resize=32",
        "protocol.image.crop=32", "data.phantom.train_patients=24", "data.phantom.test_patients=20",
        "data.valid_fraction=0.3", f"data.root={folder}/phantom", f"data.cache={folder}/cache", "trainer.workers=0",
        "trainer.accelerator=cpu", "trainer.precision=fp32", "tracking.checkpoints=none",
        f"tracking.uri={uri or f'sqlite:///{folder}/mlflow.db'}", f"outputs={folder}/{outputs}", *more,
    ]  # fmt: skip


def start(module: str, typed: list[str], log: Path, environment: Mapping[str, str] = os.environ) -> subprocess.Popen:
    """A command in a process group of its own, whose words go to a file."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", module, *typed], env={**environment, **ENVIRONMENT}, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip


def run(module: str, typed: list[str], environment: Mapping[str, str] = os.environ) -> tuple[int, str]:
    """A command's exit status and all that it says."""
    done = subprocess.run(
        [sys.executable, "-m", module, *typed], env={**environment, **ENVIRONMENT}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=WHOLE, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def status(typed: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """What `bench.status --json` answers: its exit status, and a cell a row."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.status", *typed, "--json"], env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE, text=True, timeout=WHOLE, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def store(typed: list[str]) -> Store:
    """The store of a sweep, to read."""
    tracking = plan(typed).configs[0].tracking
    return Store(tracking.uri, tracking.experiment)


def predictions(typed: list[str]) -> dict[str, dict[str, pd.DataFrame]]:
    """By cell and split, what was predicted; every run of the store finished, no cell in two."""
    opened = store(typed)
    runs = opened.server.runs()
    assert {found.status for found in runs} == {"FINISHED"}
    cells = [found.tags["cell"] for found in runs]
    assert len(set(cells)) == len(cells)
    return {
        found.tags["cell"]: {
            split: pd.read_parquet(opened.download(found.id, f"predictions/{split}.parquet"))
            for split in ("valid", "test")
        }
        for found in runs
    }


def assert_same(one: dict[str, dict[str, pd.DataFrame]], other: dict[str, dict[str, pd.DataFrame]]) -> None:
    """The same cells with the same predictions, to the last bit."""
    assert one.keys() == other.keys()
    for cell, frames in one.items():
        for split, frame in frames.items():
            pd.testing.assert_frame_equal(frame, other[cell][split], check_exact=True)
