import numpy as np
import pandas as pd
import pytest

from analysis.evaluation import Replicates
from analysis.questions.compare import AUROC_COLUMNS, BOOST_COLUMNS, auroc_table, boost_table, pair_cells

CONTRACT = [
    "cell",
    "arch",
    "family",
    "pretrained",
    "truncate",
    "seed",
    "task",
    "estimate",
    "low",
    "high",
    "level",
    "method",
    "unit",
    "n",
    "n_positive",
    "n_resamples",
]


def make_runs(*cells):
    rows = [
        {"cell": f"{arch}-{pretrained}-{truncate}-{seed}", "arch": arch, "family": "F", "pretrained": pretrained}
        | {"truncate": truncate, "seed": seed}
        for arch, pretrained, truncate, seed in cells
    ]
    return pd.DataFrame(rows)


def make_replicates(m, rng, b=200):
    resampled = rng.normal(0.8, 0.02, size=(m, 3, b))
    resampled[:, 2] = resampled[:, :2].mean(axis=1)
    return Replicates(
        tasks=("x", "y", "mean"),
        estimates=np.array([[0.8, 0.7, 0.75]] * m) + 0.01 * np.arange(m)[:, None],
        resampled=resampled,
        n=np.array([90, 80, 95]),
        n_positive=np.array([30, 20, np.nan]),
        unit="study",
        n_units=100,
    )


def test_one_row_a_cell_and_task_with_the_contracts_columns(rng):
    runs, replicates = make_runs(("r18", True, 0, 0), ("r18", False, 0, 0)), make_replicates(2, rng)
    replicates.resampled[1, 0, :50] = np.nan
    table = auroc_table(runs, replicates, level=0.9)
    assert table.columns[: len(CONTRACT)].tolist() == CONTRACT
    assert table["task"].tolist() == ["x", "y", "mean"] * 2
    row = table.iloc[3]
    assert (row["cell"], row["pretrained"], row["estimate"]) == ("r18-False-0-0", False, 0.81)
    assert (row["low"], row["high"]) == pytest.approx(np.quantile(replicates.resampled[1, 0, 50:], [0.05, 0.95]))
    assert (row["n"], row["n_positive"], row["n_resamples"], row["n_defined"]) == (90, 30, 200, 150)
    assert table.loc[2, "n"] == 95
    assert table["n_positive"].isna().tolist() == [False, False, True] * 2


def test_boost_is_paired(rng):
    """The interval is of the differences: shared noise falls out of it."""
    runs, replicates = make_runs(("r18", False, 0, 0), ("r18", True, 0, 0)), make_replicates(2, rng)
    replicates.resampled[1] = replicates.resampled[0] + rng.normal(0.01, 0.001, size=(3, 200))
    table = boost_table(runs, replicates, level=0.95)
    assert table["task"].tolist() == ["x", "y", "mean"]
    differences = replicates.resampled[1] - replicates.resampled[0]
    assert table["estimate"].tolist() == pytest.approx([0.01] * 3)
    assert table["low"].tolist() == pytest.approx(np.quantile(differences, 0.025, axis=1))
    assert (table["high"] - table["low"] < 0.01).all()
    assert table["p_value"].tolist() == pytest.approx([2 / 201] * 3)
    assert (table.loc[0, "cell_pretrained"], table.loc[0, "cell_scratch"]) == ("r18-True-0-0", "r18-False-0-0")


def test_no_difference_is_not_significant(rng):
    runs, replicates = make_runs(("r18", False, 0, 0), ("r18", True, 0, 0)), make_replicates(2, rng)
    replicates.resampled[1] = replicates.resampled[0]
    assert boost_table(runs, replicates, level=0.95)["p_value"].tolist() == [1.0, 1.0, 1.0]


def test_partners_share_architecture_and_seed_and_are_not_truncated():
    runs = make_runs(
        ("b", True, 0, 0), ("b", False, 0, 1), ("a", False, 0, 0), ("a", True, 0, 0),
        ("a", True, 1, 0), ("c", True, 2, 0),
    )  # fmt: skip
    pairs = pair_cells(runs)
    assert pairs.both.to_numpy().tolist() == [[3, 2]]
    missing = pairs.missing[["arch", "seed", "missing"]].to_numpy().tolist()
    assert missing == [["b", 0, "scratch"], ["b", 1, "pretrained"]]


def test_without_partners_the_boost_has_columns_and_no_rows(rng):
    table = boost_table(make_runs(("r18", True, 0, 0)), make_replicates(1, rng), level=0.95)
    assert table.empty
    assert table.columns.tolist() == BOOST_COLUMNS
    assert BOOST_COLUMNS[:5] == ["arch", "estimate", "low", "high", "p_value"]
    assert "n_defined" in AUROC_COLUMNS


def test_groups_of_seeds_are_partners_whatever_their_seeds():
    runs = make_runs(("a", True, 0, "0, 1"), ("a", False, 0, "0, 2"), ("b", True, 0, 3), ("c", False, 0, "1, 2"))
    pairs = pair_cells(runs.assign(n_seeds=[2, 2, 1, 2]))
    assert pairs.both.to_numpy().tolist() == [[0, 1]]
    assert pairs.missing.to_numpy().tolist() == [["b", 0, 3, "scratch"], ["c", 0, "1, 2", "pretrained"]]


def test_the_boost_has_a_standard_error_and_a_p_value_without_a_floor(rng):
    runs, replicates = make_runs(("r18", False, 0, 0), ("r18", True, 0, 0)), make_replicates(2, rng)
    replicates.resampled[1] = replicates.resampled[0] + rng.normal(0.01, 0.001, size=(3, 200))
    row = boost_table(runs, replicates, level=0.95).iloc[2]
    assert row["se"] == pytest.approx(np.std(replicates.resampled[1, 2] - replicates.resampled[0, 2], ddof=1))
    assert 0 < row["p_normal"] < 1e-15 < 2 / 201 == row["p_value"]
