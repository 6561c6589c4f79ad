"""Which networks have ROC and calibration curves, and how training went."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from analysis import reference
from analysis.tables import count

VALID, LOSS = "valid/auroc", "train/loss"
MOST_RUNS = 48
"""Whose history is read and drawn; a query each and metric, and more lines are no curves any more."""
LEARNING_COLUMNS = ["metric", "cell", "arch", "family", "pretrained", "images", "value"]

Histories = Callable[[Sequence[str], Sequence[str]], pd.DataFrame]
"""`io.load_histories` of a store."""


def choose(cells: pd.DataFrame) -> tuple[list[int], str]:
    """The untruncated cell with the highest validation AUROC, of the pretrained and of the scratch ones.

    The test set has no part in the choice. An arm of a single cell needs none.

    Args:
        cells: arch, pretrained, truncate, valid_auroc (NaN: not logged).

    Returns:
        Positions, and a sentence that says which they are and why, or why there is none.
    """
    models, words = [], []
    for pretrained, word in ((True, "pretrained"), (False, "from scratch")):
        side = np.flatnonzero((cells["pretrained"] == pretrained) & (cells["truncate"] == 0))
        valid = cells["valid_auroc"].to_numpy(dtype=float)[side]
        if side.size == 1 or (side.size > 1 and not np.isnan(valid).all()):
            at = int(side[0] if side.size == 1 else side[np.nanargmax(valid)])
            models.append(at)
            words.append(f"{reference.label(str(cells['arch'].iloc[at]))} {word} (of {side.size})")
    if not models:
        return [], "No untruncated cell says its validation AUROC, by which the networks for these curves are chosen."
    return models, f"The untruncated cells with the highest validation AUROC: {' and '.join(words)}."


def learning_table(cells: pd.DataFrame, histories: Histories) -> tuple[pd.DataFrame, str]:
    """Validation AUROC and training loss against images seen, of the first seed of each untruncated network.

    Where several values were logged at one number of images the first counts: the evaluation during training, and
    not the one of the averaged checkpoints after it.

    Args:
        cells: run_id, cell, arch, family, pretrained, weights, truncate, seed.

    Returns:
        LEARNING_COLUMNS, at most MOST_RUNS runs; and a sentence that says whose they are, or why there are none.
    """
    whole = cells[cells["truncate"] == 0].sort_values("seed", kind="stable")
    firsts = whole.drop_duplicates(["arch", "pretrained", "weights"]).sort_index()
    shown = firsts.iloc[np.unique(np.linspace(0, len(firsts) - 1, MOST_RUNS).round().astype(int))[: len(firsts)]]
    points = histories([str(run) for run in shown["run_id"]], [VALID, LOSS]).drop_duplicates(["run_id", "key", "step"])
    points = points[np.isfinite(points["value"].astype(float))]
    about = shown[["run_id", "cell", "arch", "family", "pretrained"]]
    table = about.merge(points, on="run_id").rename(columns={"key": "metric", "step": "images"})
    if table.groupby(["cell", "metric"]).size().max() < 2 or table.empty:
        return pd.DataFrame(columns=LEARNING_COLUMNS), f"No run logged {VALID} or {LOSS} more than once."
    others = len(cells) - len(shown)
    left = f", evenly taken from {len(firsts)}" if len(shown) < len(firsts) else ""
    rest = f"; {count(others, 'other cell')} not shown (further seeds, truncated or too many to draw)" if others else ""
    return table[LEARNING_COLUMNS], f"One line a network, its first seed ({len(shown)} lines{left}){rest}."
