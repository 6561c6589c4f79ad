"""python -m tests.operating.verdicts [worlds=400] [workers=N] [raw=FILE]: how often each verdict falls, by simulation.

Synthetic studies with a known truth go through the functions of the report. A share of p in w worlds is known to within
2 sqrt(p (1 - p) / w): at 400 worlds a true 5 % shows as 2.8 to 7.2 %. With `raw`, every verdict is appended to that
file as it falls, 20 worlds of each kind at a time, and worlds that are there already are not drawn again.
"""

import math
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from analysis.evaluation import resample
from analysis.questions import associations, family
from analysis.questions.claims import read_claims
from analysis.questions.evidence import gather, over_networks
from analysis.questions.seeds import group_seeds
from analysis.questions.verdicts import verdicts_table
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
BLOCK = 20
"""Worlds of each kind at a time."""
RAW = ["claim", "world", "studies", "seeds", "seed", "verdict", "truth", "estimate", "low", "high", "n_effective"]


claims = cache(read_claims)


def once(world: World, n: int, n_seeds: int, seed: int) -> pd.DataFrame:
    """The verdicts of one study."""
    rng = np.random.default_rng([seed, n, n_seeds])
    cells, evaluation = draw(world, n, n_seeds, rng)
    unit = "study" if world.patients == 1 else "patient"
    groups, grouped = group_seeds(cells, resample(evaluation, unit=unit, n_resamples=RESAMPLES, rng=rng), rng=rng)
    with (  # no verdict rests on these, which take most of the time
        patch.multiple(associations, N_RESAMPLES=2, METHODS=("spearman",)),
        patch.object(family, "mixed_model", return_value=pd.DataFrame({"statistic": []})),
    ):
        tables = over_networks(groups, grouped, level=0.95, margin=MARGIN, n_permutations=1, seed=seed)
    return verdicts_table(claims(), gather(tables))


def chunk(world: World, n: int, n_seeds: int, seeds: range) -> pd.DataFrame:
    """The verdicts of several studies: RAW, `truth` being that of the claim's statistic."""
    tables = [once(world, n, n_seeds, seed).assign(seed=seed) for seed in seeds]
    rows = pd.concat(tables, ignore_index=True).assign(world=world.name, studies=n, seeds=n_seeds)
    truth = truths(world)
    rows["truth"] = [truth[key] for key in zip(rows["statistic"], rows["subset"], strict=True)]
    return rows[RAW]


def holds(rule: str, bound: float, at: float) -> bool:
    return {"above": at > bound + 1e-9, "below": at < bound - 1e-9, "within": abs(at) < bound - 1e-9}[rule]


def simulate(n_worlds: int, workers: int | None = None, raw: Path | None = None) -> pd.DataFrame:
    """RAW of every kind of world, size and number of seeds."""
    parts = [pd.read_csv(raw)] if raw is not None and raw.exists() else []
    done = {
        tuple(key) for part in parts for key in part[["world", "studies", "seeds", "seed"]].drop_duplicates().to_numpy()
    }
    jobs = [
        (world, n, s, range(start, min(start + BLOCK, n_worlds)))
        for start in range(0, n_worlds, BLOCK)
        for world in WORLDS
        for n in STUDIES
        for s in SEEDS
        if (world.name, n, s, start) not in done
    ]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for part in pool.map(chunk, *zip(*jobs, strict=True)) if jobs else ():
            parts.append(part)
            if raw is not None:
                part.to_csv(raw, mode="a", header=not raw.exists(), index=False)
    return pd.concat(parts, ignore_index=True)


def summarise(raw: pd.DataFrame) -> pd.DataFrame:
    """One row a claim, world, size and number of seeds: shares of verdicts, and coverage.

    Of the truth, and of the mean estimate, which is what a test set of this size measures (noise pulls it away).
    """
    by_name = {claim.name: claim for claim in claims().claims}
    table = []
    for (name, world, n, s), found in raw.dropna(subset="truth").groupby(
        ["claim", "world", "studies", "seeds"], sort=False
    ):
        share = {word: float((found["verdict"] == word).mean()) for word in ("reproduced", "contradicted")}
        at, mean = found["truth"].iloc[0], found["estimate"].mean()
        true = holds(by_name[name].rule, by_name[name].bound, at)
        table.append(
            {"claim": name, "world": world, "studies": n, "seeds": s, "truth": at, "true": true}
            | {"wrong": share["contradicted"] if true else share["reproduced"], "measured": mean}
            | share
            | {"covered": float(((found["low"] <= at) & (at <= found["high"])).mean()), "worlds": len(found)}
            | {"covered_measured": float(((found["low"] <= mean) & (mean <= found["high"])).mean())}
        )
    return pd.DataFrame(table)


def markdown(table: pd.DataFrame) -> str:
    """One block a claim, one line a world: reproduced / contradicted in percent by studies x seeds, and coverages."""
    sizes = [(n, s) for n in STUDIES for s in SEEDS]
    head = ["World", "Truth", "Claim", *(f"{n} x {s}" for n, s in sizes), "Coverage", "of what is measured"]
    parts = []
    for claim, rows in table.groupby("claim", sort=False):
        lines = [f"**{claim}**", "", f"| {' | '.join(head)} |", "|---|---:|---|" + "---:|" * (len(sizes) + 2)]
        for world, found in rows.groupby("world", sort=False):
            by = {(row["studies"], row["seeds"]): row for row in found.to_dict("records")}
            cells = [f"{100 * by[k]['reproduced']:.1f} / {100 * by[k]['contradicted']:.1f}" for k in sizes]
            spans = [100 * found[name] for name in ("covered", "covered_measured")]
            first = found.iloc[0]
            words = [str(world), f"{first['truth']:.3g}", "true" if first["true"] else "false"]
            lines.append(
                f"| {' | '.join([*words, *cells, *(f'{span.min():.0f} to {span.max():.0f}' for span in spans)])} |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    everything = simulate(
        int(given.get("worlds", "400")),
        int(given["workers"]) if "workers" in given else None,
        Path(given["raw"]) if "raw" in given else None,
    )
    result = summarise(everything)
    sys.stdout.write(markdown(result))
    sys.stdout.write(f"\nMost often wrong: {100 * result['wrong'].max():.1f} % of {result['worlds'].iloc[0]} worlds.\n")
