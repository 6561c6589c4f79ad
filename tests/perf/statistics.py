"""Speed of the arithmetic core beside the plain way, in one run: `python -m tests.perf.statistics`.

One line a figure: `name  ours  peer  ratio`. A peer that would take minutes is timed on a sample of its iterations and
multiplied up, and its line says so.
"""

import os
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from analysis.statistics.bootstrap import bootstrap_auroc, draw_counts
from analysis.statistics.delong import influence
from tests.perf.said import say

PREVALENCE = 0.25


def main() -> None:
    """Prints every figure."""
    rng = np.random.default_rng(0)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    say(f"{os.cpu_count()} cores, load before {load}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}")
    say(f"{'name':90} {'ours':>10} {'peer':>10} {'ratio':>9}")
    bootstrap_line(rng, n=500, models=32, tasks=5, resamples=1_000, sample=300)
    bootstrap_line(rng, n=500, models=32, tasks=5, resamples=10_000, sample=300)
    bootstrap_line(rng, n=25_000, models=32, tasks=1, resamples=1_000, sample=30)
    for n in (500, 25_000):
        delong_lines(rng, n=n, models=32)


def bootstrap_line(rng: np.random.Generator, *, n: int, models: int, tasks: int, resamples: int, sample: int) -> None:
    """Every AUROC in every resample against resampling rows and scikit-learn's roc_auc_score."""
    labels, scores = made_up(rng, n, models, tasks)

    def ours() -> None:
        counts = draw_counts(n, resamples, rng=rng)
        for t in range(tasks):
            bootstrap_auroc(labels[t], scores[:, t], counts)

    def peer() -> None:
        for i in range(sample):
            rows = rng.integers(n, size=n)
            roc_auc_score(labels[0][rows], scores[i % models, 0][rows])

    times = alternate(ours, peer, rounds=1 if resamples * n > 10**7 else 3)
    whole = models * tasks * resamples
    name = f"bootstrap AUROC, {models} models x {tasks} tasks x {resamples:,} resamples, n={n:,}"
    note = f"sklearn loop, {sample} of {whole:,} timed"
    line(f"{name} ({note}; peak {peak(ours):.0f} MiB)", times[0], times[1] * whole / sample)


def delong_lines(rng: np.random.Generator, *, n: int, models: int) -> None:
    """The whole covariance matrix against the same fast algorithm a pair of models at a time, and a model at a time."""
    labels, scores = made_up(rng, n, models, 1)
    pairs = [(i, j) for i in range(models) for j in range(i)]
    sample = pairs[:: max(1, len(pairs) // 20)]

    def covariance() -> np.ndarray:
        made = influence(labels[0], scores[:, 0], np.arange(n), n)
        return made.values @ made.values.T

    def by_pairs() -> None:
        for i, j in sample:
            sun_xu(labels[0], scores[[i, j], 0])

    ours, peer = alternate(covariance, by_pairs, rounds=3)
    name = f"DeLong covariance of {models} models, n={n:,}"
    line(f"{name} (Sun & Xu by pairs, {len(sample)} of {len(pairs)} timed)", ours, peer * len(pairs) / len(sample))
    ours, peer = alternate(covariance, lambda: sun_xu(labels[0], scores[:, 0]), rounds=3)
    line(f"{name} (Sun & Xu, midranks a model at a time)", ours, peer)


def sun_xu(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The fast algorithm as published: three midranks a model, then the covariance of placements."""
    positive = labels == 1
    p, q = positive.sum(), (~positive).sum()
    plus, minus = [], []
    for row in scores:
        both = rankdata(row)
        plus.append((both[positive] - rankdata(row[positive])) / q)
        minus.append(1 - (both[~positive] - rankdata(row[~positive])) / p)
    return np.cov(np.array(plus)) / p + np.cov(np.array(minus)) / q


def made_up(rng: np.random.Generator, n: int, models: int, tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels [t, n] with both classes, binormal scores [m, t, n]."""
    labels = (rng.random((tasks, n)) < PREVALENCE).astype(float)
    return labels, rng.normal(size=(models, tasks, n)) + labels


def alternate(first: Callable[[], object], second: Callable[[], object], *, rounds: int) -> tuple[float, float]:
    """Best seconds of each, taken in turns so that a busy machine is busy for both."""
    best = [float("inf")] * 2
    for _ in range(rounds):
        for i, work in enumerate((first, second)):
            start = time.perf_counter()
            work()
            best[i] = min(best[i], time.perf_counter() - start)
    return best[0], best[1]


def peak(work: Callable[[], object]) -> float:
    """Most memory allocated at once, in MiB, beside what was there before."""
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 2**20


def line(name: str, ours: float, peer: float) -> None:
    """One figure; seconds."""
    say(f"{name:90} {ours:9.4f}s {peer:9.2f}s {peer / ours:8.1f}x")


if __name__ == "__main__":
    main()
