"""python -m tests.operating.verdicts [worlds=400] [workers=N] [csv=FILE]: how often each verdict falls, by simulation.

Synthetic studies with a known truth go through the functions of the report. A share of p in w worlds is known to within
2 sqrt(p (1 - p) / w): at 400 worlds a true 5 % shows as 2.8 to 7.2 %.
"""

import math
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import numpy as np
import pandas as pd

from analysis.evaluation import resample
from analysis.questions import associations
from analysis.questions.claims import read_claims
from analysis.questions.evidence import gather
from analysis.questions.seeds import group_seeds
from analysis.questions.verdicts import verdicts_table
from analysis.results import over_networks
from tests.operating.worlds import World, draw, truths

MARGIN = 0.01
"""AUROC; conf/report.yaml."""
RESAMPLES = 200
"""Of the test set: only standard errors are taken from them here."""
HALF = 2 * math.sin(math.pi * 0.5 / 6)
"""Pearson's correlation of a normal pair whose Spearman's is 0.5, the bound of `within`."""
WORLDS = (
    World("nothing is true"),
    World("only families differ", icc=0.8),
    World("only families differ, 3 studies a patient", icc=0.8, patients=3),
    World("top-1 predicts, rho = 0.5", driver="top1", pretrained=HALF, scratch=HALF),
    World("the same, and families differ", driver="top1", pretrained=HALF, scratch=HALF, icc=0.8),
    World("top-1 predicts, rho = 0.7; 60 % training noise", "top1", 0.72, 0.72, seed_sd=1.22),
    World("size predicts, rho = 0.8; boost 0.017", pretrained=0.81, scratch=0.81, boost=0.017),
    World("as in the paper's figure", pretrained=0.58, scratch=0.9, icc=0.5, boost=0.017, sd=0.006),
    World("the same, five times as far apart", pretrained=0.58, scratch=0.9, icc=0.5, boost=0.085, sd=0.03),
    World("family explains as much as size", scratch=0.73, icc=0.3243, sd=0.03),
    World("truncation costs nothing", boost=0.017, sd=0.006, loss=0.0),
    World("truncation costs the margin a halving", boost=0.017, sd=0.006, loss=MARGIN),
    World("truncation costs twice the margin a halving", boost=0.017, sd=0.006, loss=2 * MARGIN),
)
STUDIES, SEEDS = (200, 500), (1, 3)


claims = cache(read_claims)


def once(world: World, n: int, n_seeds: int, seed: int) -> pd.DataFrame:
    """The verdicts of one study."""
    rng = np.random.default_rng([seed, n, n_seeds])
    associations.N_RESAMPLES = 2  # of rows that no verdict rests on
    cells, evaluation = draw(world, n, n_seeds, rng)
    unit = "study" if world.patients == 1 else "patient"
    groups, grouped = group_seeds(cells, resample(evaluation, unit=unit, n_resamples=RESAMPLES, rng=rng), rng=rng)
    tables = over_networks(groups, grouped, level=0.95, margin=MARGIN, n_permutations=1, seed=seed)
    return verdicts_table(claims(), gather(tables))


def chunk(world: World, n: int, n_seeds: int, seeds: range) -> list[tuple[str, str, float, bool]]:
    """claim, verdict, true value of its statistic, whether its interval covers that: of several studies."""
    truth, rows = truths(world), []
    for seed in seeds:
        for row in once(world, n, n_seeds, seed).to_dict("records"):
            at = truth[row["statistic"], row["subset"]]
            covered = row["low"] <= at <= row["high"]
            rows.append((row["claim"], row["verdict"], at, covered))
    return rows


def holds(rule: str, bound: float, at: float) -> bool:
    return {"above": at > bound + 1e-9, "below": at < bound - 1e-9, "within": abs(at) < bound - 1e-9}[rule]


def simulate(n_worlds: int, workers: int | None = None) -> pd.DataFrame:
    """One row a claim, world, size and number of seeds: truth, shares of verdicts, coverage."""
    jobs = [(world, n, s) for world in WORLDS for n in STUDIES for s in SEEDS]
    rows: dict[tuple[str, str, int, int], list[tuple[str, float, bool]]] = defaultdict(list)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        parts = [
            (job, pool.submit(chunk, *job, range(start, min(start + 20, n_worlds))))
            for job in jobs
            for start in range(0, n_worlds, 20)
        ]
        for (world, n, s), part in parts:
            for claim, verdict, at, covered in part.result():
                rows[claim, world.name, n, s].append((verdict, at, covered))
    by_name = {claim.name: claim for claim in claims().claims}
    table = []
    for (name, world, n, s), found in rows.items():
        verdicts, at = [verdict for verdict, _, _ in found], found[0][1]
        if math.isnan(at):
            continue
        share = {word: verdicts.count(word) / len(found) for word in ("reproduced", "contradicted")}
        true = holds(by_name[name].rule, by_name[name].bound, at)
        wrong = share["contradicted"] if true else share["reproduced"]
        table.append(
            {"claim": name, "world": world, "studies": n, "seeds": s, "truth": at, "true": true, "wrong": wrong}
            | share
            | {"covered": np.mean([covered for _, _, covered in found]), "worlds": len(found)}
        )
    return pd.DataFrame(table)


def markdown(table: pd.DataFrame) -> str:
    """One block a claim, one line a world: reproduced / contradicted in percent by studies x seeds, and coverage."""
    sizes = [(n, s) for n in STUDIES for s in SEEDS]
    head = ["World", "Truth", "Claim", *(f"{n} x {s}" for n, s in sizes), "Coverage"]
    parts = []
    for claim, rows in table.groupby("claim", sort=False):
        lines = [f"**{claim}**", "", f"| {' | '.join(head)} |", "|---|---:|---|" + "---:|" * (len(sizes) + 1)]
        for world, found in rows.groupby("world", sort=False):
            by = {(row["studies"], row["seeds"]): row for row in found.to_dict("records")}
            cells = [f"{100 * by[k]['reproduced']:.1f} / {100 * by[k]['contradicted']:.1f}" for k in sizes]
            least, most = 100 * found["covered"].min(), 100 * found["covered"].max()
            first = found.iloc[0]
            words = [str(world), f"{first['truth']:.3g}", "true" if first["true"] else "false"]
            lines.append(f"| {' | '.join([*words, *cells, f'{least:.1f} to {most:.1f}'])} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    result = simulate(int(given.get("worlds", "400")), int(given["workers"]) if "workers" in given else None)
    if "csv" in given:
        result.to_csv(given["csv"], index=False)
    sys.stdout.write(markdown(result))
    sys.stdout.write(f"\nMost often wrong: {100 * result['wrong'].max():.1f} % of {result['worlds'].iloc[0]} worlds.\n")
