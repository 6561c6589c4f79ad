"""Several training seeds of one network as one: mean over seeds, spread over seeds, hierarchical bootstrap."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.axes import COLUMNS as AXES
from analysis.errors import AnalysisError
from analysis.evaluation import Replicates
from analysis.statistics.auroc import Floats

GROUP = ["arch", "pretrained", "weights", "truncate"]
"""What the seeds of one network have in common."""
CONSTANT = ("parameters", "macs")
"""The same for every seed of a network."""
MEASURED = ("fit_seconds", "latency_ms")
"""Averaged over the seeds."""
GROUP_COLUMNS = ["cell", "arch", "family", "pretrained", "weights", "truncate", "seed", "n_seeds"]
SPREAD_COLUMNS = [
    *("arch", "family", "pretrained", "weights", "truncate", "task"),
    *("n_seeds", "seeds", "mean", "sd", "minimum", "maximum", "range"),
]


def draw_weights(n: int, n_resamples: int, *, rng: np.random.Generator) -> Floats:
    """Weights of n things in resamples of n - 1 of them with replacement: [n_resamples, n], every row with the sum 1.

    With n - 1 draws the variance of a resampled mean is s^2 / n, with s^2 the sample variance; n draws give (n - 1) / n
    of that, half of it for two seeds. A single thing has weight 1, and nothing is drawn.

    Args:
        n: things, such as training seeds.

    Raises:
        ValueError: a number below 1.

    Source: Rao and Wu, JASA 1988, with-replacement bootstrap of size n - 1.
    """
    if n < 1 or n_resamples < 1:
        raise ValueError(f"n and n_resamples must be at least 1, not {n} and {n_resamples}")
    if n == 1:
        return np.ones((n_resamples, 1))
    return rng.multinomial(n - 1, np.full(n, 1 / n), size=n_resamples) / (n - 1)


def mean_over_seeds(resampled: Floats, *, rng: np.random.Generator) -> Floats:
    """Hierarchical bootstrap of the mean over seeds: each study resample meets a resample of the seeds.

    Args:
        resampled: [k, ..., b] replicates of k seeds in the same b study resamples.
        rng: of the seeds; a single seed draws nothing and comes back as it is.

    Returns:
        [..., b]; NaN where any seed's replicate is NaN, drawn or not, as the seeds were tested on the same studies.

    The studies' part and the seeds' part add up. Seeds that differ by the finite test set alone count twice, so the
    interval errs on the wide side there. With few seeds that differ much it is narrow: of 95 % intervals over seeds
    with three times the standard deviation of the studies' part, 80 % cover with 2 seeds, 89 % with 3, 94 % with 5
    (1,000 simulations; 59, 66 and 78 % by the studies alone). The seeds' own spread stands in `spread_table`.

    Example:
        >>> mean_over_seeds(np.array([[0.8, 0.7]]), rng=np.random.default_rng(0))
        array([0.8, 0.7])

    Source: Davison and Hinkley, Bootstrap Methods and their Application, 1997, 3.8, hierarchical data.
    """
    weights = draw_weights(len(resampled), resampled.shape[-1], rng=rng)
    mean: Floats = np.einsum("k...b,bk->...b", resampled, weights)
    return mean


def group_seeds(
    cells: pd.DataFrame, replicates: Replicates, *, rng: np.random.Generator
) -> tuple[pd.DataFrame, Replicates]:
    """The networks, each with all its seeds, in the shape of cells: what every table over architectures takes.

    Args:
        cells: m rows, in the order of the replicates: cell, arch, family, pretrained, weights, truncate, seed, and
            where known parameters, macs, latency_ms, fit_seconds.
        rng: of the resampled seeds.

    Returns:
        g rows in the order in which the networks first come: GROUP_COLUMNS, parameters, macs, latency_ms, fit_seconds.
        Of a network with one seed, `cell` and `seed` are the cell's; with more, `a+b` and the text `0, 1`.
        And the replicates of the g means: with one seed, exactly the cell's.

    Raises:
        AnalysisError: seeds of one network that differ in their number of parameters or MACs.
    """
    members = [np.sort(rows) for rows in cells.groupby(_network(cells), sort=False, dropna=False).indices.values()]
    members.sort(key=lambda rows: int(rows[0]))
    groups = pd.DataFrame([_describe(cells.iloc[rows]) for rows in members])
    if len(members) == len(cells):  # one seed each: the cells' own, with the data behind them for other intervals
        return groups, replicates
    grouped = Replicates(
        tasks=replicates.tasks,
        estimates=np.stack([replicates.estimates[rows].mean(axis=0) for rows in members]),
        resampled=np.stack([mean_over_seeds(replicates.resampled[rows], rng=rng) for rows in members]),
        n=replicates.n,
        n_positive=replicates.n_positive,
        unit=replicates.unit,
        n_units=replicates.n_units,
        stratified=replicates.stratified,
        source=replicates.source,
        parts=replicates.parts,
        few=replicates.few,
        members=tuple(members),
    )
    return groups, grouped


def spread_table(cells: pd.DataFrame, replicates: Replicates) -> pd.DataFrame:
    """How far the seeds of each network lie apart on the data: one row a network and task.

    Args:
        cells: m rows, in the order of the replicates.

    Returns:
        SPREAD_COLUMNS: `sd` is the sample standard deviation (n - 1), NaN with a single seed, as is `range`. It holds
        the variation of training and what the same finite test set makes of it; no interval holds it silently.
    """
    rows = []
    for indices in cells.groupby(_network(cells), sort=False, dropna=False).indices.values():
        group, values = cells.iloc[indices], replicates.estimates[indices]
        several = len(group) > 1
        sd = values.std(axis=0, ddof=1) if several else np.full(values.shape[1], np.nan)
        for t, task in enumerate(replicates.tasks):
            low, high = float(values[:, t].min()), float(values[:, t].max())
            rows.append(
                {
                    **{name: group.iloc[0][name] for name in SPREAD_COLUMNS[:5]},
                    "task": task,
                    "n_seeds": len(group),
                    "seeds": _text(group["seed"]),
                    "mean": float(values[:, t].mean()),
                    "sd": float(sd[t]),
                    "minimum": low,
                    "maximum": high,
                    "range": high - low if several else np.nan,
                }
            )
    return pd.DataFrame(rows, columns=SPREAD_COLUMNS)


def seed_note(groups: pd.DataFrame) -> str:
    """What the intervals of the tables over networks hold of the training seeds, in a sentence.

    Args:
        groups: what `group_seeds` gives.
    """
    several = int((groups["n_seeds"] > 1).sum())
    if several == 0:
        return "Every network was trained with one seed: the intervals hold no variation between training seeds."
    least, most = groups["n_seeds"].min(), groups["n_seeds"].max()
    return (
        f"Means over {least if least == most else f'{least} to {most}'} seeds; seeds are resampled with the "
        "studies, and the variance between them is added where the method says `with seeds`. With few seeds such "
        "intervals can be too narrow: the seeds' own spread is in a table of its own."
        + (
            ""
            if several == len(groups)
            else f" {len(groups) - several} of the networks have a single seed, and no such part."
        )
    )


def numbers(frame: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """The column as float64 [n], NaN throughout where the frame has none."""
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame[column].to_numpy(dtype=np.float64, na_value=np.nan)


def _network(cells: pd.DataFrame) -> list[str]:
    return [*GROUP, *(axis for axis in AXES if axis in cells)]


def _describe(group: pd.DataFrame) -> dict[str, Any]:
    first = group.iloc[0]
    row = {name: first[name] for name in ("arch", "family", "pretrained", "weights", "truncate")}
    row["cell"] = "+".join(map(str, group["cell"]))
    row["seed"] = first["seed"] if len(group) == 1 else _text(group["seed"])
    row["n_seeds"] = len(group)
    row = {name: row[name] for name in GROUP_COLUMNS} | {name: first[name] for name in AXES if name in group}
    for column in CONSTANT:
        row[column] = _agreed(group, column)
    for column in MEASURED:
        known = numbers(group, column)
        known = known[~np.isnan(known)]
        row[column] = float(known.mean()) if known.size else np.nan
    return row


def _agreed(group: pd.DataFrame, column: str) -> float:
    known = numbers(group, column)
    known = np.unique(known[~np.isnan(known)])
    if known.size > 1:
        raise AnalysisError(
            f"the seeds of {group['arch'].iloc[0]} (truncate={group['truncate'].iloc[0]}) have {known[0]:.0f} and "
            f"{known[1]:.0f} {column}: they are different networks; report them one by one with sweep=NAME"
        )
    return float(known[0]) if known.size else float("nan")


def _text(seeds: pd.Series) -> str:
    return ", ".join(str(seed) for seed in sorted(seeds))
