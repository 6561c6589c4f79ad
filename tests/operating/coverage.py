"""How often the report's intervals cover a known truth: `python -m tests.operating.coverage`, minutes, prints Markdown.

Every world is made up and goes through `resample` and `intervals` as a report does. Worlds share their labels and
resamples as models do, and are models to these functions, so that one call takes many.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from analysis.evaluation import Evaluation, Replicates, resample
from analysis.questions.interval_methods import intervals
from analysis.questions.metrics import METRICS, under
from analysis.questions.seeds import mean_over_seeds

BATCH = 200
POSITIVES = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50)
AUROCS = (0.75, 0.85, 0.95)
LEVEL = 0.95


def make(labels, scores, *, per_patient=1, unit="study", n_resamples=1, rng) -> Replicates:
    """Replicates of worlds: labels [t, n], scores [m, t, n], so many studies of each patient one after the other."""
    n = labels.shape[1]
    keys = pd.DataFrame({"patient": np.arange(n) // per_patient, "study": np.arange(n)})
    evaluation = Evaluation(keys, tuple(f"t{t}" for t in range(len(labels))), labels, scores)
    return resample(evaluation, unit=unit, n_resamples=n_resamples, rng=rng, fewest=1)


def covered(bounds, truth: float, column: int = -1) -> tuple[int, int]:
    """How many intervals of a column hold the truth, and how many there are."""
    low, high = bounds.low[:, column], bounds.high[:, column]
    return int(((low <= truth) & (high >= truth)).sum()), int((~np.isnan(low)).sum())


def share(counts: Sequence[tuple[int, int]], worlds: int) -> str:
    """Percent of the worlds; a dash where half of them and more have no interval."""
    hit, there = np.sum(counts, axis=0)
    return f"{100 * hit / worlds:.1f}" if there > worlds / 2 else "-"


def shift(truth: float, sd: float = 1.0) -> float:
    """Distance of the positives' mean, their standard deviation being `sd`, that gives the AUROC."""
    return float(np.sqrt(1 + sd**2) * ndtri(truth))


def single(n: int, positives: int, truth: float, worlds: dict[str, int], *, sd: float = 1.0) -> dict[str, str]:
    """Coverage of one AUROC by method, in so many worlds each."""
    labels = np.repeat([1.0, 0.0], [positives, n - positives])
    found = {}
    for method, total in worlds.items():
        rng, counts = np.random.default_rng([n, positives, round(100 * truth)]), []
        for _ in range(total // BATCH):
            scores = rng.normal(size=(BATCH, n)) * np.where(labels == 1, sd, 1) + shift(truth, sd) * labels
            made = make(labels[None], scores[:, None], n_resamples=1 if method == "delong" else 1000, rng=rng)
            counts.append(covered(intervals(made, level=LEVEL, method=method), truth, 0))
        found[method] = share(counts, total)
    return found


def several(per_patient: int, unit: str, truth: float, methods: Sequence[str], worlds: int) -> dict[str, str]:
    """Coverage of one AUROC of 200 studies where studies of a patient have four fifths of their noise in common."""
    n, found = 200, {}
    for method in methods:
        rng, counts = np.random.default_rng([per_patient, round(100 * truth)]), []
        for _ in range(worlds // 50):
            ill = np.repeat(rng.permutation(n // per_patient) < 0.2 * n / per_patient, per_patient)
            labels = np.where(ill, rng.random(n) < 0.9, rng.random(n) < 0.03).astype(float)
            own, shared = rng.normal(size=(50, n)), rng.normal(size=(50, n // per_patient))
            noise = np.sqrt(0.8) * np.repeat(shared, per_patient, axis=1) + np.sqrt(0.2) * own
            scores = noise + shift(truth) * labels
            made = make(labels[None], scores[:, None], per_patient=per_patient, unit=unit,
                        n_resamples=1 if method == "delong" else 1000, rng=rng)  # fmt: skip
            counts.append(covered(intervals(made, level=LEVEL, method=method), truth, 0))
        found[method] = share(counts, worlds)
    return found


def joint(
    positives: Sequence[int],
    n: int,
    truths: Sequence[float],
    *,
    loss: float,
    correlation: float,
    seeds: int = 1,
    seed_sd: float = 0.0,
    worlds: int = 1000,
) -> dict[str, str]:
    """Coverage of the mean over tasks, of the difference between two models on it, and of that on the first task.

    The second model is worse by `loss` on every task; seeds differ by `seed_sd` in the distance of the positives.
    """
    rng, t = np.random.default_rng([n, len(positives), seeds]), len(positives)
    latent = rng.normal(size=n)
    labels = np.zeros((t, n))
    for row, k in zip(labels, positives, strict=True):
        row[np.argsort(-(0.5 * latent + rng.normal(size=n)))[:k]] = 1
    means = [np.array([shift(x - less) for x in truths]) for less in (0, loss)]
    names = {
        f"{what}{', percentile' if method == 'percentile' else ''}": method
        for what in ("mean", "difference", "one task")
        for method in ("delong", "percentile")
    }
    hits: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
    batch = 100
    for _ in range(worlds // batch):
        base = np.sqrt(0.3) * rng.normal(size=(batch, 1, n)) + np.sqrt(0.7) * rng.normal(size=(batch, t, n))
        scores = []
        for distance in means:
            moved = distance[:, None] + seed_sd * rng.normal(size=(seeds, batch, 1, 1))
            own = rng.normal(size=(seeds, batch, t, n))
            scores.append(np.sqrt(correlation) * base + np.sqrt(1 - correlation) * own + moved * labels)
        made = make(labels, np.concatenate([*scores[0], *scores[1]]), n_resamples=500, rng=rng)
        made = _grouped(made, seeds, batch, rng)
        contrasts = np.concatenate([np.eye(batch), -np.eye(batch)], axis=1)
        alone = np.concatenate([np.eye(batch), np.zeros((batch, batch))], axis=1)
        for name, method in names.items():
            weights = alone if name.startswith("mean") else contrasts
            bounds = intervals(made, level=LEVEL, method=method, contrasts=weights)
            truth = float(np.mean(truths)) if name.startswith("mean") else loss
            hits[name].append(covered(bounds, truth, 0 if name.startswith("one") else -1))
    return {name: share(counts, worlds) for name, counts in hits.items()}


def _grouped(made: Replicates, seeds: int, batch: int, rng) -> Replicates:
    """The seeds of a model together, as `group_seeds` does it: rows of seed 0 of the first model come first."""
    if seeds == 1:
        return made
    members = [arm * seeds * batch + np.arange(seeds) * batch + world for arm in (0, 1) for world in range(batch)]
    return replace(
        made,
        members=tuple(members),
        estimates=np.stack([made.estimates[rows].mean(axis=0) for rows in members]),
        resampled=np.stack([mean_over_seeds(made.resampled[rows], rng=rng) for rows in members]),
    )


def rows(title: Sequence[str], lines: Iterator[Sequence[object]]) -> None:
    """Prints a table as it is made."""
    sys.stdout.write(f"| {' | '.join(title)} |\n|{'---|' * len(title)}\n")
    for line in lines:
        sys.stdout.write(f"| {' | '.join(map(str, line))} |\n")
        sys.stdout.flush()
    sys.stdout.write("\n")


def singles() -> Iterator[Sequence[object]]:
    """By AUROC and positives: the bootstrap at 200 studies, the report's own at 100, 200 and 500."""
    for truth in AUROCS:
        for positives in POSITIVES:
            plain = single(200, positives, truth, {"percentile": 1000, "bca": 1000})
            own = [single(n, positives, truth, {"delong": 2000})["delong"] for n in (100, 200, 500)]
            wide = single(200, positives, truth, {"delong": 2000}, sd=1.5)["delong"]
            yield truth, positives, *plain.values(), *own, wide


def beside(n: int, positives: int, truth: float, worlds: int = 1000) -> dict[str, str]:
    """Coverage of average precision, of sensitivity at a specificity of 0.9, and of differences of 0 in either."""
    labels, rng = np.repeat([1.0, 0.0], [positives, n - positives]), np.random.default_rng([n, positives])
    at, d = float(ndtri(0.9)), shift(truth)
    s = d + ndtri((np.arange(100_000) + 0.5) / 100_000)  # scores of positives
    above = positives * ndtr(d - s)
    truths = {"average_precision": float(np.mean(above / (above + (n - positives) * ndtr(-s)))),
              "sensitivity": float(ndtr(d - at))}  # fmt: skip
    hits: dict[str, list[tuple[int, int]]] = {}
    for _ in range(worlds // BATCH):
        shared, own = rng.normal(size=(BATCH, n)), rng.normal(size=(2, BATCH, n))
        scores = np.concatenate(np.sqrt(0.8) * shared + np.sqrt(0.2) * own) + d * labels
        made = make(labels[None], scores[:, None], n_resamples=1000, rng=rng)
        for name, value in truths.items():
            found = under(made, lambda _, *data, metric=METRICS[name]: metric(*data, np.full((2 * BATCH, 1), at)))
            low, high = np.percentile(found.resampled[:BATCH, 0], [2.5, 97.5], axis=1)
            hits.setdefault(name, []).append((int(((low <= value) & (value <= high)).sum()), BATCH))
            apart = found.resampled[:BATCH, 0] - found.resampled[BATCH:, 0]
            low, high = np.percentile(apart, [2.5, 97.5], axis=1)
            hits.setdefault(f"{name}, difference", []).append((int(((low <= 0) & (high >= 0)).sum()), BATCH))
    return {name: share(counts, worlds) for name, counts in hits.items()}


def others() -> Iterator[Sequence[object]]:
    """Metrics beside AUROC, by AUROC and positives of 500."""
    for truth in AUROCS:
        for positives in (10, 20, 50, 100):
            yield truth, positives, *beside(500, positives, truth).values()


def clusters() -> Iterator[Sequence[object]]:
    """By studies a patient and unit."""
    for truth in (0.85, 0.95):
        for per_patient, unit in ((1, "study"), (5, "study"), (5, "patient")):
            yield truth, per_patient, unit, *several(per_patient, unit, truth, ("percentile", "delong"), 1000).values()


def joints() -> Iterator[Sequence[object]]:
    """Means, differences and boosts, by test set, AUROC, correlation and seeds."""
    sets = {200: (33, 45, 67, 68, 80), 500: (35, 85, 120, 175, 178)}
    cases = [(n, sets[n], (truth,) * 5, 1, 0.0) for n in sets for truth in (0.85, 0.95)]
    cases += [(200, (10, 20, 30, 50, 80), (truth,) * 5, 1, 0.0) for truth in (0.85, 0.95)]
    cases += [(500, (10, 10, 10, 10, 10), (0.95, 0.8, 0.85, 0.9, 0.95), 1, 0.0)]
    cases += [(200, sets[200], (0.85,) * 5, seeds, sd) for seeds in (2, 3, 5) for sd in (0.03, 0.2)]
    for n, positives, truths, seeds, sd in cases:
        found = joint(positives, n, truths, loss=0.02, correlation=0.8, seeds=seeds, seed_sd=sd)
        yield n, f"{min(positives)} to {max(positives)}", f"{np.mean(truths):.2f}", seeds, sd, *found.values()


def main() -> None:
    """Prints the tables of docs/statistics.md."""
    rows(("AUROC", "positives", "percentile", "BCa", "report, n = 100", "n = 200", "n = 500",
          "n = 200, wider positives"), singles())  # fmt: skip
    rows(("AUROC", "positives", "average precision", "its difference", "sensitivity", "its difference"), others())
    rows(("AUROC", "studies a patient", "unit", "percentile", "report"), clusters())
    rows(("n", "positives", "AUROC", "seeds", "their spread", "mean: report", "percentile", "boost of the mean: report",
          "percentile", "boost of one task: report", "percentile"), joints())  # fmt: skip


if __name__ == "__main__":
    main()
