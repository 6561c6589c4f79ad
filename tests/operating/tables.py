"""python -m tests.operating.tables [worlds=100]: how often words and p-values of the tables are wrong, by simulation.

*Bold* (the best cell of a column and all that cannot be told from it), *worse* and *non-inferior* of truncated
networks, the mixed model's p-value of size, and the intervals of the table of families. Prints Markdown; a share of p
in w worlds is known to within 2 sqrt(p (1 - p) / w).
"""

import sys
from collections.abc import Iterator, Sequence
from unittest.mock import patch

import numpy as np
import pandas as pd

from analysis.evaluation import MEAN, Replicates, resample
from analysis.questions import boosts, family
from analysis.questions.best import with_best
from analysis.questions.family import mixed_model
from analysis.questions.seeds import group_seeds
from analysis.questions.truncation import truncation_table
from analysis.statistics.correlation import METHODS, closed_form, correlate
from analysis.statistics.families import effective_number
from tests.operating.coverage import rows
from tests.operating.verdicts import MARGIN, SEEDS, STUDIES, WORLDS
from tests.operating.worlds import FAMILY, SIZE, World, draw, residual, standard

LEVEL = 0.95
CUT = [world for world in WORLDS if world.loss is not None]
FEWEST = 100
"""Truncated networks below which a share of them says nothing."""
ALONE = next(world for world in WORLDS if world.name == "as in the paper's figure")


def study(world: World, n: int, n_seeds: int, seed: int) -> tuple[pd.DataFrame, Replicates, np.random.Generator]:
    """Cells, their replicates and a generator."""
    rng = np.random.default_rng([seed, n, n_seeds])
    cells, evaluation = draw(world, n, n_seeds, rng)
    return cells, resample(evaluation, unit="study", n_resamples=1000, rng=rng), rng


def ties(cells: pd.DataFrame, replicates: Replicates) -> dict[str, float]:
    """Whether the truly best cell is not bold, of the mean and on average over the tasks; how many are, of the mean."""
    m, columns = replicates.estimates.shape
    made = with_best(pd.DataFrame(index=range(m * columns)), replicates, level=LEVEL)
    bold = made["tied_with_best"].to_numpy().reshape(m, columns)
    best = int(cells["trained"].to_numpy().argmax())
    return {"mean": not bold[best, -1], "task": float((~bold[best, :-1]).mean()), "bold": float(bold[:, -1].mean())}


def truncations(cells: pd.DataFrame, replicates: Replicates, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of truncated networks with the true difference: of these trained cells with one seed, else of all seeds."""
    groups, grouped = group_seeds(cells, replicates, rng=rng)
    key = ["arch", "pretrained", "truncate"]
    of_seeds = cells.groupby(key)["expected" if cells["seed"].any() else "trained"].first()
    table = truncation_table(groups, grouped, level=LEVEL, margin=MARGIN)
    table = table[table["task"] == MEAN]
    true = [
        of_seeds[row["arch"], row["pretrained"], row["truncate"]] - of_seeds[row["arch"], row["pretrained"], 0]
        for row in table.to_dict("records")
    ]
    return table.assign(true=true)


def wrong_words(world: World, n: int, n_seeds: int, seeds: Sequence[int]) -> dict[str, float]:
    """Percentages over several studies: of studies (bold) and of truncated networks (the other words)."""
    bold, cut = [], []
    for seed in seeds:
        cells, replicates, rng = study(world, n, n_seeds, seed)
        bold.append(ties(cells, replicates))
        cut.append(truncations(cells, replicates, rng))
    found = {name: 100 * float(value) for name, value in pd.DataFrame(bold).mean().items()}
    table = pd.concat(cut)
    if table.empty:
        return found
    little, much = table["true"] >= 0, table["true"] <= -MARGIN
    shares = {
        "worse, is not": table.loc[little, "worse"],
        "non-inferior, is not": table.loc[much, "noninferior"],
        "worse, at 0": table["high"] < table["true"],  # what the rule would do if the truth lay on its bound
        "non-inferior, at the margin": table["low"] > table["true"],
        "worse": table["worse"],
        "non-inferior": table["noninferior"],
    }
    return found | {name: 100 * float(part.mean()) if len(part) >= FEWEST else np.nan for name, part in shares.items()}


def words(worlds: int) -> Iterator[Sequence[object]]:
    """One row a world and size."""
    for world in (ALONE, *CUT):
        for n in STUDIES:
            for s in SEEDS:
                found = wrong_words(world, n, s, range(worlds))
                shown = [f"{value:.1f}" if np.isfinite(value) else "-" for value in found.values()]
                yield world.name, f"{n} x {s}", *shown, *["-"] * (9 - len(shown))


def rejections(icc: float, fits: int) -> tuple[float, float]:
    """The mixed model's p below 0.05 of a size that does nothing, percent of those defined; percent undefined."""
    rng = np.random.default_rng([round(100 * icc), 1])
    p = np.array([mixed_model(residual(icc, rng), SIZE, FAMILY, LEVEL).loc[0, "p_value"] for _ in range(fits)])
    return 100 * float((p[~np.isnan(p)] < 0.05).mean()), 100 * float(np.isnan(p).mean())


def covered(r: float, icc: float, worlds: int) -> "pd.Series[float]":
    """How often intervals over architectures cover the mean estimate, percent, by statistic.

    Size explains r^2 of the variance of y; of the rest families have the share icc. `slope` leaves out families.
    """
    rng, found = np.random.default_rng([round(100 * r), round(100 * icc)]), []
    for _ in range(worlds):
        y = 0.8 + 0.02 * (r * standard(SIZE) + np.sqrt(1 - r**2) * residual(icc, rng))
        slope = boosts._carried(boosts.SLOPE, y, np.zeros((2, y.size)), SIZE, FAMILY.astype(str), LEVEL)[1]
        with patch.object(family, "mixed_model", return_value=pd.DataFrame({"statistic": []})):  # measured above
            table = family._subset(y, SIZE, FAMILY, LEVEL, 1, rng)
        others = [slope | {"statistic": boosts.SLOPE}]
        for method in METHODS:
            at = float(correlate(SIZE, y, method))
            low, high, _ = closed_form(at, effective_number(SIZE, y, FAMILY, ranks=method != "pearson"), method, LEVEL)
            others.append({"statistic": method, "estimate": at, "low": low, "high": high})
        found.append(pd.concat([table, pd.DataFrame(others)]))
    every = pd.concat(found).dropna(subset="low")
    mean = every.groupby("statistic")["estimate"].transform("mean")
    hit = (every["low"] <= mean) & (mean <= every["high"])
    return 100 * hit.groupby(every["statistic"], sort=False).mean()


def main() -> None:
    """Prints the tables of docs/verdicts.md."""
    worlds = int(dict(word.split("=", 1) for word in sys.argv[1:]).get("worlds", "100"))
    head = ("share between families", "p < 0.05", "no p-value")
    shares = (0.0, 0.3, 0.6, 0.9)
    rows(head, ((icc, *(f"{value:.1f}" for value in rejections(icc, 20 * worlds))) for icc in shares))
    kinds = [(r, icc) for r in (0.0, 0.6, 0.9) for icc in (0.0, 0.4, 0.8)]
    table = pd.concat({kind: covered(*kind, 6 * worlds) for kind in kinds}, axis=1)
    head = ("r of size, share between families", *(f"{r}, {icc}" for r, icc in kinds))
    rows(head, ((name, *(f"{value:.1f}" for value in row)) for name, *row in table.itertuples(name=None)))
    head = ("World", "Studies x seeds", "best not bold: mean", "one task", "bold")
    wrong = ("worse, is not", "non-inferior, is not", "worse, at 0", "non-inferior, at the margin")
    rows((*head, *wrong, "worse", "non-inferior"), words(worlds))


if __name__ == "__main__":
    main()
