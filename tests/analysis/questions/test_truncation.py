import numpy as np
import pandas as pd
import pytest

from analysis.questions.truncation import (
    COLUMNS,
    FACTOR_COLUMNS,
    SMALLEST_COLUMNS,
    first_failure,
    smallest_tables,
    truncated_pairs,
    truncation_table,
)
from tests.analysis.synthetic import SHRINK, make_cells, take


def set_differences(replicates, rows, full, differences, spread):
    """Gives the cells `rows` these differences to the cell `full`, with symmetric replicates of a fixed spread."""
    b = replicates.resampled.shape[-1]
    wave = spread * np.linspace(-1, 1, b)
    for row, difference in zip(rows, differences, strict=True):
        replicates.estimates[row] = replicates.estimates[full] + difference
        replicates.resampled[row] = replicates.resampled[full] + difference + wave


@pytest.fixture
def one(rng):
    """A network at depths 0 to 3; the half-width of the 95 % interval is 0.0095."""
    cells, replicates = make_cells(1, arms=(True,), depths=(0, 1, 2, 3), rng=rng)
    set_differences(replicates, (1, 2, 3), 0, (0.001, -0.005, -0.03), 0.01)
    return cells, replicates


def test_differences_are_paired_with_the_own_full_network(rng):
    cells, replicates = make_cells(3, depths=(0, 1, 2), rng=rng)
    table = truncation_table(cells, replicates, level=0.9, margin=0.01)
    assert table.columns.tolist() == COLUMNS
    assert len(table) == 3 * 2 * 2 * 3
    index = {cell: i for i, cell in enumerate(cells["cell"])}
    for row in table.to_dict("records"):
        cut, full = index[row["cell"]], index[row["cell_full"]]
        assert row["cell_full"] == f"{row['arch']}-{row['pretrained']}-0-0"
        t = replicates.tasks.index(row["task"])
        draws = [replicates.resampled[cut, t, i] - replicates.resampled[full, t, i] for i in range(200)]
        assert row["difference"] == pytest.approx(replicates.estimates[cut, t] - replicates.estimates[full, t])
        assert (row["low"], row["high"]) == pytest.approx(np.quantile(draws, [0.05, 0.95]))
        assert row["se"] == pytest.approx(np.std(draws, ddof=1))
        assert row["factor"] == pytest.approx(SHRINK[row["truncate"]])
        assert row["worse"] == (row["high"] < 0)
        assert row["noninferior"] == (row["low"] > -0.01)


def test_worse_and_noninferior_are_two_questions(one):
    """The half-width is 0.0095: -0.005 is neither, with a narrow interval it is both."""
    cells, replicates = one
    table = truncation_table(cells, replicates, level=0.95, margin=0.01)
    rows = table[table["task"] == "mean"]
    assert rows["worse"].tolist() == [False, False, True]
    assert rows["noninferior"].tolist() == [True, False, False]
    set_differences(replicates, (2,), 0, (-0.005,), 0.001)
    rows = truncation_table(cells, replicates, level=0.95, margin=0.01)
    row = rows[rows["task"] == "mean"].iloc[1]
    assert (row["worse"], row["noninferior"]) == (True, True)
    wide = truncation_table(cells, replicates, level=0.95, margin=0.05)
    assert wide["noninferior"].all()


def test_a_margin_must_be_positive(one):
    for margin in (0.0, -0.01, float("nan")):
        with pytest.raises(ValueError, match="margin must be above 0"):
            truncation_table(*one, level=0.95, margin=margin)


def test_the_smallest_network_by_both_rules(one):
    smallest, factors = smallest_tables(*one, level=0.95, margin=0.01)
    assert smallest.columns.tolist() == SMALLEST_COLUMNS
    assert smallest.set_index("rule")["truncate"].to_dict() == {"not significantly worse": 2, "non-inferior": 1}
    row = smallest.iloc[0]
    assert (row["factor"], row["difference"], row["n_depths"]) == (6, pytest.approx(-0.005), 3)
    assert factors["estimate"].tolist() == pytest.approx([6, 6, 2, 2])


def test_one_stops_before_the_first_failure(one):
    """A deeper cut that passes by luck is not reached over one that failed."""
    cells, replicates = one
    set_differences(replicates, (1, 2, 3), 0, (-0.03, 0.001, 0.001), 0.01)
    smallest, factors = smallest_tables(cells, replicates, level=0.95, margin=0.01)
    assert smallest["truncate"].tolist() == [0, 0]
    assert smallest["parameters"].tolist() == [6.968e6] * 2
    assert factors["estimate"].tolist() == [1] * 4
    assert factors["n_truncated"].tolist() == [0] * 4


def test_choices_and_average_factors_by_a_loop(rng):
    cells, replicates = make_cells(5, depths=(0, 1, 2, 3), rng=rng)
    smallest, factors = smallest_tables(cells, replicates, level=0.9, margin=0.02)
    table = truncation_table(cells, replicates, level=0.9, margin=0.02)
    table = table[table["task"] == "mean"].set_index(["arch", "pretrained", "truncate"])
    index = {cell: i for i, cell in enumerate(cells["cell"])}
    for rule in ("not significantly worse", "non-inferior"):
        for pretrained in (True, False):
            choices = np.zeros((5, 201), dtype=int)
            for a, arch in enumerate(cells["arch"].unique()):
                for i in range(201):
                    for depth in (1, 2, 3):
                        row = table.loc[(arch, pretrained, depth)]
                        shift = 0.0
                        if i:
                            cut, full = index[row["cell"]], index[row["cell_full"]]
                            draw = replicates.resampled[cut, 2, i - 1] - replicates.resampled[full, 2, i - 1]
                            shift = draw - row["difference"]
                        if not (row["high"] + shift >= 0 if rule[:3] == "not" else row["low"] + shift > -0.02):
                            break
                        choices[a, i] = depth
            chosen = smallest[(smallest["rule"] == rule) & (smallest["pretrained"] == pretrained)]
            assert chosen["truncate"].tolist() == choices[:, 0].tolist()
            shares = [(choices[a, 1:] == choices[a, 0]).mean() for a in range(5)]
            assert chosen["share"].tolist() == pytest.approx(shares)
            rows = factors[(factors["rule"] == rule) & (factors["pretrained"] == pretrained)].set_index("mean")
            values = np.array(SHRINK, dtype=float)[choices]
            for name, means in (("arithmetic", values.mean(axis=0)), ("geometric", values.prod(axis=0) ** 0.2)):
                assert rows.loc[name, "estimate"] == pytest.approx(means[0])
                low, high = np.quantile(means[1:], [0.05, 0.95])
                assert (rows.loc[name, "low"], rows.loc[name, "high"]) == pytest.approx((low, high))
            assert set(rows["n_networks"]) == {5}
            assert set(rows["n_truncated"]) == {(choices[:, 0] > 0).sum()}


def test_without_truncated_or_full_networks_there_are_no_rows(rng):
    cells, replicates = make_cells(2, depths=(0, 1), rng=rng)
    for depth in (0, 1):
        models = take(cells, replicates, np.flatnonzero(cells["truncate"] == depth))
        table = truncation_table(*models, level=0.95, margin=0.01)
        assert table.empty
        assert table.columns.tolist() == COLUMNS
        smallest, factors = smallest_tables(*models, level=0.95, margin=0.01)
        assert (smallest.columns.tolist(), factors.columns.tolist()) == (SMALLEST_COLUMNS, FACTOR_COLUMNS)


def test_undefined_is_neither_worse_nor_noninferior(one):
    cells, replicates = one
    replicates.resampled[1], replicates.estimates[1] = np.nan, np.nan
    table = truncation_table(cells, replicates, level=0.95, margin=0.01)
    assert not table.loc[table["truncate"] == 1, ["worse", "noninferior"]].any(axis=None)
    smallest, factors = smallest_tables(cells, replicates, level=0.95, margin=0.01)
    assert smallest["truncate"].tolist() == [0, 0]
    assert smallest["share"].isna().all()
    assert factors["n_defined"].tolist() == [0] * 4


def test_unknown_parameters_leave_the_differences(one):
    cells, replicates = one
    table = truncation_table(cells.drop(columns="parameters"), replicates, level=0.95, margin=0.01)
    assert table["factor"].isna().all()
    assert table["difference"].notna().all()
    factors = smallest_tables(cells.drop(columns="parameters"), replicates, level=0.95, margin=0.01)[1]
    assert factors["estimate"].isna().all()
    assert set(factors["n_truncated"]) == {1}


def test_the_order_of_the_cells_does_not_matter(rng):
    cells, replicates = make_cells(3, depths=(0, 2, 1), rng=rng)
    order = rng.permutation(len(cells))
    key = ["arch", "pretrained", "truncate", "task"]
    tables = [
        truncation_table(*models, level=0.95, margin=0.01).sort_values(key, ignore_index=True)
        for models in ((cells, replicates), take(cells, replicates, order))
    ]
    pd.testing.assert_frame_equal(*tables)
    pairs = truncated_pairs(cells)
    assert [int(cells.loc[cut, "truncate"]) for cut, _ in pairs[:2]] == [1, 2]  # by depth


def test_first_failure():
    holds = np.array([[1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]], dtype=bool)
    assert first_failure(holds).tolist() == [3, 0, 1, 2]
    assert first_failure(np.zeros((0, 2), dtype=bool)).tolist() == [0, 0]
