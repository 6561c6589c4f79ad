"""Writes proc_scores.csv: 120 rows, 22 positives, five models; `python tests/analysis/reference/proc_scores.py`."""

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent

if __name__ == "__main__":
    rng = np.random.default_rng(120)
    label = np.zeros(120, dtype=int)
    label[rng.choice(120, 22, replace=False)] = 1
    shared, own = rng.normal(size=120), rng.normal(size=(5, 120))
    frame = pd.DataFrame({"label": label})
    frame["strong"] = 2.0 * label + own[0]
    frame["weak"] = 0.4 * label + own[1]
    frame["akin"] = 1.1 * label + shared + 0.5 * own[2]  # correlated with the next
    frame["rounded"] = np.round(1.3 * label + shared + 0.5 * own[3])  # few values: most comparisons are ties
    frame["inverse"] = np.round(own[4] - 0.3 * label, 1)  # below one half, some ties
    frame.to_csv(HERE / "proc_scores.csv", index=False, float_format="%.6f")
