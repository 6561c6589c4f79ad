"""Time and memory of the whole report over 320 runs: `python -m tests.perf.report`.

16 architectures x 2 x 10 seeds, 500 studies each, read from MLflow's SQLite store as `python -m analysis.report` does.
"""

import logging
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import reference
from tests.analysis.conftest import TASKS, FakeStore

SEEDS, STUDIES = 10, 500


def main() -> None:
    """Prints one line: name, seconds, peak memory of the command."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.simplefilter("ignore")  # a script's own output; the suite runs with warnings as errors
    with tempfile.TemporaryDirectory() as folder:
        store = FakeStore(Path(folder))
        fill(store)
        command = [sys.executable, "-m", "analysis.report", *store.words, f"out={folder}/report"]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    sys.stdout.write(f"report over {16 * 2 * SEEDS} runs, n = {STUDIES}: {seconds:.1f} s, {peak:.0f} MiB\n")


def fill(store: FakeStore) -> None:
    """Finished runs with the names and tags of a real sweep and made-up scores."""
    truth = {task: (np.random.default_rng(1).random(STUDIES) < 0.25).astype(float) for task in TASKS}
    patients = [f"patient{number:05d}" for number in range(STUDIES)]
    images = pd.DataFrame({"path": [f"test/{name}/study1/view1_frontal.jpg" for name in patients], "patient": patients})
    images = images.assign(study=images["patient"] + "/study1", view="frontal")
    for number, row in enumerate(reference.figure1().to_dict("records")):
        for pretrained in (True, False):
            tags: dict[str, str | None] = {"family": row["family"], "protocol": "paper"}
            tags["weights"] = reference.paper_era(row["arch"]) if pretrained else "none"
            for seed in range(SEEDS):
                rng = np.random.default_rng([number, pretrained, seed])
                frame = images.copy()
                for task, labels in truth.items():
                    frame[f"label/{task}"] = labels
                    frame[f"score/{task}"] = 1 / (
                        1 + np.exp(-1.2 * labels - 0.3 * pretrained - rng.normal(size=STUDIES))
                    )
                metrics = {"parameters": row["parameters"]}
                store.add(row["arch"], pretrained, seed=seed, frame=frame, tags=tags, metrics=metrics)


if __name__ == "__main__":
    main()
