"""Speed and memory of reading a set of CheXpert's size: `python -m tests.perf.index`.

One line a figure: `name  ours  peer  ratio`. The rows are made up, in train.csv's columns and shape (223,414 rows of
64,540 patients); each measurement is a process of its own, so that its peak memory is its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from bench.data.building import stat
from bench.data.cache import cache_folder, open_cache
from bench.data.store import Chunk, Store
from bench.data.tasks import OBSERVATIONS
from bench.paths import PROJECT
from tests.perf.said import say

ROWS = {"train": 223_414, "valid": 234}
PATIENTS = {"train": 64_540, "valid": 200}
"""Source: PROTOCOL, "CheXpert facts"."""
FIRST = {"train": 1, "valid": 64_541}
LABELS = {"train": (0.55, 0.12, 0.08, 0.25), "valid": (0.0, 0.7, 0.0, 0.3)}
"""Shares of blank, 0, -1 and 1: about those of train.csv."""
ROUNDS = 3
LIMITS = {"seconds": 5.0, "bytes": 10**9}
"""What CheXpert's rows may take to be read, checked and indexed."""
SIDE = 1
CHUNK = 10_000
WIDTH = 98


def main() -> None:
    """Prints every figure."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "made-up"
        write(root)
        write_cache(root)
        best = {
            work: min((measure(work, root) for _ in range(ROUNDS)), key=lambda one: one["seconds"]) for work in WORK
        }
    say(f"{os.cpu_count()} cores, load {', '.join(f'{value:.1f}' for value in os.getloadavg())}; best of {ROUNDS}")
    say(f"{'name':{WIDTH}} {'ours':>10} {'peer':>10} {'ratio':>9}")
    name = "223,414 rows read, checked, indexed, split, fingerprinted"
    seconds = {work: one["seconds"] for work, one in best.items()}
    line(f"{name} (row-wise loop in Python, no checks)", seconds["ours"], seconds["loop"], "s")
    line(f"{name} (bare pandas.read_csv)", seconds["ours"], seconds["plain"], "s")
    line("the same (limit)", seconds["ours"], LIMITS["seconds"], "s")
    line("the same, processor time (limit)", best["ours"]["cpu_seconds"], LIMITS["seconds"], "s")
    line("the same, peak memory of the process (limit)", best["ours"]["bytes"] / 2**20, LIMITS["bytes"] / 2**20, "M")
    line("223,414 decoded images checked against their files (bare os.stat)", seconds["cache"], seconds["stats"], "s")


def write(root: Path) -> None:
    """A folder with train.csv and valid.csv of CheXpert's size, and the few images that a fingerprint reads."""
    rng = np.random.default_rng(0)
    for split, rows in ROWS.items():
        extra = rng.multinomial(rows - PATIENTS[split], np.full(PATIENTS[split], 1 / PATIENTS[split]))
        number = np.repeat(np.arange(FIRST[split], FIRST[split] + PATIENTS[split]), 1 + extra)
        image = pd.Series(number).groupby(number).cumcount().to_numpy()
        lateral = (image % 7) == 1
        view = np.where(lateral, "lateral", "frontal")
        paths = [
            f"CheXpert-v1.0-small/{split}/patient{who:05d}/study{nth // 2 + 1}/view{nth % 2 + 1}_{side}.jpg"
            for who, nth, side in zip(number, image, view, strict=True)
        ]
        labels = rng.choice([np.nan, 0.0, -1.0, 1.0], size=(rows, len(OBSERVATIONS)), p=LABELS[split])
        table = pd.DataFrame(
            {
                "Path": paths,
                "Sex": np.where(number % 2, "Female", "Male"),
                "Age": 18 + number % 73,
                "Frontal/Lateral": np.char.capitalize(view.astype(str)),
                "AP/PA": np.where(lateral, None, np.where(number % 5, "AP", "PA")),
                **dict(zip(OBSERVATIONS, labels.T, strict=True)),
            }
        )
        (root / split).mkdir(parents=True)
        table.to_csv(root / f"{split}.csv", index=False)


def write_cache(root: Path) -> None:
    """A cache with an entry of one pixel for each row of train.csv, and as many files (links, made quickly)."""
    folder = cache_folder(root, SIDE, root / "cache")
    folder.mkdir(parents=True)
    store = Store(folder)
    for start in range(0, ROWS["train"], CHUNK):
        paths = [f"{number}.jpg" for number in range(start, min(start + CHUNK, ROWS["train"]))]
        one = root / paths[0]
        one.write_bytes(b"no image")  # anew, as a file has so many links at most
        for path in paths[1:]:
            os.link(one, root / path)
        rows = np.array([(place, 1, 1, *stat(str(one)), 0) for place in range(len(paths))], np.int64)
        store.append(Chunk(tuple(paths), rows, (np.zeros(len(paths), np.uint8),)))


def measure(work: str, root: Path) -> dict[str, float]:
    """`seconds` and `cpu_seconds` of a piece of work without its imports, peak `bytes` of its process with them."""
    command = [sys.executable, "-m", "tests.perf.index", work, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def ours(root: Path) -> Callable[[], object]:
    """The set as a run opens it; no image is there, so that their absence is all that the fingerprint notes."""
    from bench.config import compose_config
    from bench.data.sets import open_dataset

    config = compose_config(["data=chexpert", f"data.root={root}", "data.on_bad_image=skip"]).data
    return lambda: open_dataset(config)


def plain(root: Path) -> Callable[[], object]:
    """Both CSV files, neither checked nor indexed."""
    return lambda: [pd.read_csv(root / f"{split}.csv") for split in ROWS]


def loop(root: Path) -> Callable[[], object]:
    """The index as it is often built: a row at a time."""

    def work() -> None:
        for split in ROWS:
            rows = []
            for _, row in pd.read_csv(root / f"{split}.csv").iterrows():
                _, _, patient, study, _ = row["Path"].split("/")
                rows.append((row["Path"], patient, f"{patient}/{study}", *(row[name] for name in OBSERVATIONS)))
            pd.DataFrame(rows)

    return work


def cache(root: Path) -> Callable[[], object]:
    """All images of a cache, none of them stale, opened as a training does."""
    paths = [f"{number}.jpg" for number in range(ROWS["train"])]
    frame = pd.DataFrame({"path": paths, "csv": "train.csv", "row": range(len(paths))})
    given = {"shorter_side": SIDE, "folder": root / "cache", "on_bad": "raise"}
    return lambda: open_cache(root, {"train": frame}, **given).positions(paths)


def stats(root: Path) -> Callable[[], object]:
    """Size and time of every file, and nothing done with them."""
    return lambda: [os.stat(f"{root}/{number}.jpg") for number in range(ROWS["train"])]


WORK = {"ours": ours, "plain": plain, "loop": loop, "cache": cache, "stats": stats}


def child(work: str, root: Path) -> None:
    """Does one piece of work and prints what it took."""
    do = WORK[work](root)  # whose own preparation, the configuration for one, is not counted
    start, busy = time.perf_counter(), time.process_time()
    do()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - busy
    # Not getrusage, whose peak a process takes over from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])
    say(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "bytes": peak}))


def line(name: str, ours: float, peer: float, unit: str) -> None:
    """One figure."""
    say(f"{name:{WIDTH}} {ours:9.2f}{unit} {peer:9.2f}{unit} {peer / ours:8.2f}x")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
