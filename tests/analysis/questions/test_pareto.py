import numpy as np
import pandas as pd
import pytest

from analysis.questions.pareto import COLUMNS, front, front_share, pareto_table
from tests.analysis.synthetic import make_cells, take


def front_by_hand(cost, value):
    """The definition, pair by pair."""
    on = []
    for i in range(len(cost)):
        beaten = any(
            cost[j] <= cost[i] and value[j] >= value[i] and (cost[j] < cost[i] or value[j] > value[i])
            for j in range(len(cost))
        )
        on.append(not beaten and not np.isnan(cost[i]) and not np.isnan(value[i]))
    return on


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_its_definition_with_ties_and_gaps(seed):
    rng = np.random.default_rng(seed)
    cost, value = rng.integers(0, 5, size=12).astype(float), rng.integers(0, 6, size=(12, 7)).astype(float)
    cost[rng.random(12) < 0.15] = np.nan
    value[rng.random((12, 7)) < 0.1] = np.nan
    found = front(cost, value)
    for i in range(7):
        assert found[:, i].tolist() == front_by_hand(cost, value[:, i])
    assert front(cost, value[:, 0]).tolist() == found[:, 0].tolist()


def test_equals_are_on_the_front_together():
    assert front(np.array([1.0, 1.0, 1.0, 2.0]), np.array([0.8, 0.8, 0.7, 0.8])).tolist() == [True, True, False, False]


def test_rank_is_all_that_counts(rng):
    cost, value = rng.random(30), rng.random(30)
    np.testing.assert_array_equal(front(cost, value), front(np.exp(7 * cost), value**3))
    order = rng.permutation(30)
    np.testing.assert_array_equal(front(cost, value)[order], front(cost[order], value[order]))


def test_shares_by_a_loop_and_what_is_left_out(rng):
    cost, values = rng.random(8), rng.random((8, 50))
    cost[0], values[1] = np.nan, np.nan
    values[2:, :5] = np.nan
    share = front_share(cost, values)
    kept = [front_by_hand(cost[2:], values[2:, i]) for i in range(5, 50)]
    assert np.isnan(share[:2]).all()
    assert share[2:] == pytest.approx(np.mean(kept, axis=0))
    assert np.isnan(front_share(cost, np.full((8, 50), np.nan))).all()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"cost must have shape \[n\]"):
        front(np.zeros(3), np.zeros(4))


def test_the_table_has_one_row_a_cost_and_network(rng):
    cells, replicates = make_cells(4, depths=(0, 1), rng=rng)
    replicates.estimates[3], replicates.resampled[3] = np.nan, np.nan
    cells.loc[5, "macs"] = np.nan
    table = pareto_table(cells, replicates, level=0.9)
    assert table.columns.tolist() == COLUMNS
    assert table.groupby("cost")[["n", "n_left_out"]].first().to_numpy().tolist() == [[14, 2], [15, 1]]
    assert (table["cost"] == "parameters").sum() == 15
    rows = table[table["cost"] == "parameters"].set_index("cell")
    index = [i for i in range(16) if i != 3]
    cost = cells["parameters"].to_numpy(dtype=float)[index]
    assert rows.loc[cells["cell"][index], "on_front"].tolist() == front_by_hand(cost, replicates.estimates[index, 2])
    kept = [front_by_hand(cost, replicates.resampled[index, 2, i]) for i in range(200)]
    assert rows.loc[cells["cell"][index], "share"].tolist() == pytest.approx(np.mean(kept, axis=0).tolist())
    assert rows["x"].is_monotonic_increasing


def test_without_any_cost_the_table_is_empty_and_order_does_not_matter(rng):
    cells, replicates = make_cells(3, rng=rng)
    none = pareto_table(cells.drop(columns=["parameters", "macs", "latency_ms"]), replicates, level=0.9)
    assert none.empty
    assert none.columns.tolist() == COLUMNS
    tables = [
        pareto_table(*models, level=0.9).sort_values(["cost", "cell"], ignore_index=True)
        for models in ((cells, replicates), take(cells, replicates, rng.permutation(6)))
    ]
    pd.testing.assert_frame_equal(*tables)
