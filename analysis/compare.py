"""Tables of every cell, and of pretrained against scratch: replicates in, long frames out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.bootstrap import METHOD, percentile_interval, two_sided_p
from analysis.evaluation import Replicates

CELL_COLUMNS = ["cell", "arch", "family", "pretrained", "truncate", "seed"]
TAIL = ["level", "method", "unit", "n", "n_positive", "n_resamples", "n_defined", "n_units"]
AUROC_COLUMNS = [*CELL_COLUMNS, "task", "estimate", "low", "high", *TAIL]
BOOST_COLUMNS = [
    *("arch", "estimate", "low", "high", "p_value", "task", "family", "truncate", "seed"),
    *("cell_pretrained", "cell_scratch"),
    *TAIL,
]
PAIR = ["arch", "truncate", "seed"]
"""What a pretrained cell and its scratch partner have in common."""


@dataclass(frozen=True)
class Pairs:
    """Which cells can be compared.

    Attributes:
        both: rows of `runs` by position, columns `pretrained` and `scratch`.
        missing: arch, truncate, seed, and which partner is `missing`.
    """

    both: pd.DataFrame
    missing: pd.DataFrame


def pair_cells(runs: pd.DataFrame) -> Pairs:
    """Pretrained cells beside the scratch cell of the same architecture and seed, untruncated ones only.

    Args:
        runs: one row a cell: arch, truncate, seed, pretrained (bool).
    """
    whole = runs[[*PAIR, "pretrained"]].assign(row=np.arange(len(runs)))
    whole = whole[whole["truncate"] == 0]
    sides = [whole[whole["pretrained"] == side].drop(columns="pretrained") for side in (True, False)]
    merged = sides[0].merge(sides[1], on=PAIR, how="outer", suffixes=("_pretrained", "_scratch"), indicator="where")
    merged = merged.rename(columns={"row_pretrained": "pretrained", "row_scratch": "scratch"})
    missing = merged[merged["where"] != "both"]
    lacking = missing["where"].astype(str).map({"left_only": "scratch", "right_only": "pretrained"})
    both = merged.loc[merged["where"] == "both", ["pretrained", "scratch"]].astype(int)
    return Pairs(
        both=both.sort_values("pretrained").reset_index(drop=True),
        missing=missing[PAIR].assign(missing=lacking).reset_index(drop=True),
    )


def auroc_table(runs: pd.DataFrame, replicates: Replicates, *, level: float) -> pd.DataFrame:
    """AUROC with interval: one row a cell and task, the last task of each cell being `mean`.

    Args:
        runs: m rows, in the order of the replicates: cell, arch, family, pretrained, truncate, seed.
        replicates: of the same m models.
        level: coverage of the intervals.

    Returns:
        AUROC_COLUMNS; estimate, low and high on the scale 0 to 1, NaN where undefined.
    """
    interval = percentile_interval(replicates.resampled, level)
    rows = [
        {
            **{name: run[name] for name in CELL_COLUMNS},
            "task": task,
            "estimate": replicates.estimates[m, t],
            "low": interval.low[m, t],
            "high": interval.high[m, t],
            **_tail(replicates, t, level),
            "n_defined": int(interval.n_defined[m, t]),
        }
        for m, run in enumerate(runs.to_dict("records"))
        for t, task in enumerate(replicates.tasks)
    ]
    return pd.DataFrame(rows, columns=AUROC_COLUMNS).astype({"n_positive": "Int64"})


def boost_table(runs: pd.DataFrame, replicates: Replicates, *, level: float) -> pd.DataFrame:
    """Pretrained minus scratch, paired in the same resamples: one row an architecture (and seed) and task.

    Args:
        runs: m rows, in the order of the replicates: cell, arch, family, pretrained, truncate, seed.
        replicates: of the same m models.
        level: coverage of the intervals.

    Returns:
        BOOST_COLUMNS, with no rows where no cell has its partner; estimate, low and high on the scale -1 to 1.
    """
    records = runs.to_dict("records")
    rows = []
    for pretrained, scratch in pair_cells(runs).both.itertuples(index=False):
        differences = replicates.resampled[pretrained] - replicates.resampled[scratch]
        interval, p_values = percentile_interval(differences, level), two_sided_p(differences)
        for t, task in enumerate(replicates.tasks):
            row = {
                **{name: records[pretrained][name] for name in ("arch", "family", "truncate", "seed")},
                "estimate": replicates.estimates[pretrained, t] - replicates.estimates[scratch, t],
                "low": interval.low[t],
                "high": interval.high[t],
                "p_value": p_values[t],
                "task": task,
                "cell_pretrained": records[pretrained]["cell"],
                "cell_scratch": records[scratch]["cell"],
                **_tail(replicates, t, level),
                "n_defined": int(interval.n_defined[t]),
            }
            rows.append(row)
    return pd.DataFrame(rows, columns=BOOST_COLUMNS).astype({"n_positive": "Int64"})


def _tail(replicates: Replicates, t: int, level: float) -> dict[str, object]:
    return {
        "level": level,
        "method": METHOD,
        "unit": replicates.unit,
        "n": int(replicates.n[t]),
        "n_positive": None if np.isnan(replicates.n_positive[t]) else int(replicates.n_positive[t]),
        "n_resamples": replicates.resampled.shape[-1],
        "n_units": replicates.n_units,
    }
