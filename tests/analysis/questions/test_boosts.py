import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.evaluation import Replicates
from analysis.questions.boosts import JACKKNIFE, POOLED_COLUMNS, corrected, pooled_table, significant, slope
from analysis.questions.compare import boost_table, normal_p, standard_error
from analysis.reference import figure1
from analysis.statistics.families import codes
from tests.analysis.synthetic import make_cells, take


def holm_by_hand(p):
    order = np.argsort(p)
    result, highest = np.empty(len(p)), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[i]))
        result[i] = highest
    return result


def test_corrections_agree_with_statsmodels_and_by_hand(rng):
    table = corrected(boost_table(*make_cells(16, noise=0.03, rng=rng), level=0.95))
    for task in ("x", "mean"):
        rows = table[table["task"] == task]
        p = rows["p_normal"].to_numpy()
        assert rows["p_holm"].to_numpy() == pytest.approx(holm_by_hand(p), abs=1e-15)
        assert rows["p_bh"].to_numpy() == pytest.approx(stats.false_discovery_control(p), abs=1e-15)
        assert rows["p_holm"].to_numpy() == pytest.approx(multipletests(p, method="holm")[1])
        assert (rows["p_holm"] >= rows["p_normal"]).all()
        assert set(rows["n_tests"]) == {16}
    assert table["p_floor"].tolist() == pytest.approx([2 / 201] * len(table))


def test_every_task_is_a_family_of_its_own(rng):
    table = boost_table(*make_cells(5, noise=0.03, rng=rng), level=0.95)
    alone = corrected(table[table["task"] == "mean"])
    together = corrected(table)
    np.testing.assert_array_equal(alone["p_holm"], together.loc[together["task"] == "mean", "p_holm"])


def test_an_undefined_boost_is_no_test(rng):
    cells, replicates = make_cells(3, rng=rng)
    replicates.resampled[0] = np.nan
    replicates.estimates[0] = np.nan
    table = corrected(boost_table(cells, replicates, level=0.95))
    assert table["p_holm"].isna().tolist() == [True] * 3 + [False] * 6
    assert set(table["n_tests"]) == {2}
    assert not significant(table, 0.95)[:3].any()
    assert table["p_floor"].isna().tolist() == [True] * 3 + [False] * 6


def test_without_boosts_there_is_nothing_to_correct(rng):
    table = corrected(boost_table(*make_cells(2, arms=(True,), rng=rng), level=0.95))
    assert table.empty
    assert {"p_holm", "p_bh", "n_tests", "p_floor"} <= set(table.columns)


def test_the_normal_p_value(rng):
    draws = rng.normal(0.02, 0.01, size=(2, 500))
    draws[0, :7] = np.nan
    errors = standard_error(draws)
    assert errors == pytest.approx(np.nanstd(draws, axis=1, ddof=1), rel=1e-12)
    expected = [2 * stats.norm.cdf(-0.02 / errors[0]), 2 * stats.norm.cdf(-0.03 / errors[1])]
    assert normal_p(np.array([-0.02, 0.03]), errors) == pytest.approx(expected)
    degenerate = normal_p(np.array([0.0, 0.1, 0.1]), np.array([0.0, 0.0, np.nan]))
    assert degenerate[0] == 1
    assert np.isnan(degenerate[1:]).all()
    assert np.isnan(standard_error(np.array([[1.0, np.nan], [np.nan, np.nan]]))).all()


def test_the_pooled_boost_by_a_loop(rng):
    cells, replicates = make_cells(10, rng=rng)
    table = pooled_table(cells, replicates, level=0.9).set_index(["statistic", "architectures", "task"])
    draws = [
        np.mean([replicates.resampled[2 * a, 2, i] - replicates.resampled[2 * a + 1, 2, i] for a in range(10)])
        for i in range(200)
    ]
    boosts = replicates.estimates[::2, 2] - replicates.estimates[1::2, 2]
    fixed, carried = (table.loc[("mean boost", scope, "mean")] for scope in ("these", "a sample of families"))
    assert (fixed["low"], fixed["high"]) == pytest.approx(np.quantile(draws, [0.05, 0.95]))
    families = cells["family"][::2].to_numpy()
    others = np.array([boosts[families != family].mean() for family in sorted(set(families))])
    spread = (len(others) - 1) / len(others) * ((others - others.mean()) ** 2).sum()
    se = np.sqrt(spread + np.var(draws, ddof=1))
    half = stats.t.ppf(0.95, (len(others) - 1) * (se**2 / spread) ** 2) * se
    for row in (fixed, carried):
        assert (row["estimate"], row["n_architectures"]) == (pytest.approx(boosts.mean()), 10)
    assert (carried["low"], carried["high"]) == pytest.approx((boosts.mean() - half, boosts.mean() + half))
    assert (carried["se"], carried["method"]) == (pytest.approx(se), JACKKNIFE)


def test_one_family_says_nothing_of_others(rng):
    cells, replicates = make_cells(3, rng=rng)  # DenseNets
    table = pooled_table(cells, replicates, level=0.9).set_index(["statistic", "architectures", "task"])
    for statistic in ("mean boost", "slope"):
        row = table.loc[(statistic, "a sample of families", "mean")]
        assert row[["low", "high", "p_value"]].isna().all()
        assert table.loc[(statistic, "these", "mean"), ["estimate", "low", "high", "p_value"]].notna().all()


@pytest.mark.parametrize("icc", [0.0, 0.8])
def test_the_mean_boost_is_covered_with_families_and_a_common_test_set(icc):
    """A test set that lifts all boosts at once is in no spread between architectures. 600 studies: 0.9 %."""
    rng, covered = np.random.default_rng(9), 0
    points, families = figure1(), codes(figure1()["family"])
    rows = [
        {"cell": f"{arch}{side}", "arch": arch, "family": family, "pretrained": side, "truncate": 0, "seed": 0}
        for arch, family in points[["arch", "family"]].to_numpy()
        for side in (True, False)
    ]
    cells, zeros = pd.DataFrame(rows), np.zeros((16, 1))
    for _ in range(600):
        alike = rng.standard_normal(6)[families]
        boosts = 0.01 * (np.sqrt(icc) * alike + np.sqrt(1 - icc) * rng.standard_normal(16)) + 0.005 * rng.normal()
        estimates = np.stack([boosts, zeros[:, 0]], axis=1).reshape(32, 1)
        resampled = estimates[:, :, None] + np.stack(
            [0.005 * rng.normal(size=(1, 40)) + zeros, 0 * zeros + np.zeros(40)], axis=1
        ).reshape(32, 1, 40)
        replicates = Replicates(("mean",), estimates, resampled, np.array([9]), np.array([np.nan]), "study", 9)
        row = pooled_table(cells, replicates, level=0.95).iloc[1]
        covered += row["low"] <= 0 <= row["high"]
    assert 0.92 <= covered / 600 <= 0.985


def test_the_slope_is_that_of_scipy_in_every_resample(rng):
    cells, replicates = make_cells(6, rng=rng)
    row = (
        pooled_table(cells, replicates, level=0.9)
        .set_index(["statistic", "architectures", "task"])
        .loc[("slope", "these", "mean")]
    )
    x = np.log10(cells["parameters"].to_numpy(dtype=float)[::2])
    draws = replicates.resampled[::2, 2] - replicates.resampled[1::2, 2]
    slopes = [stats.linregress(x, draws[:, i]).slope for i in range(200)]
    boosts = replicates.estimates[::2, 2] - replicates.estimates[1::2, 2]
    assert row["estimate"] == pytest.approx(stats.linregress(x, boosts).slope)
    assert (row["low"], row["high"]) == pytest.approx(np.quantile(slopes, [0.05, 0.95]))


def test_a_weighted_slope_agrees_with_statsmodels(rng):
    x, y, w = rng.normal(size=8), rng.normal(size=(3, 8)), rng.integers(0, 3, size=(3, 8)).astype(float)
    for i in range(3):
        expected = sm.WLS(y[i], sm.add_constant(x), weights=w[i]).fit().params[1]
        assert slope(y, x, w)[i] == pytest.approx(expected, rel=1e-9)
    assert np.isnan(slope(y, np.full(8, 7.1), w)).all()
    once = np.zeros(8)
    once[3] = 2.0
    assert np.isnan(slope(y[0], x, once))  # one architecture drawn over and over


def test_architectures_of_unknown_size_are_left_out_of_the_slope_alone(rng):
    cells, replicates = make_cells(5, rng=rng)
    cells.loc[:3, "parameters"] = np.nan
    table = pooled_table(cells, replicates, level=0.9).set_index(["statistic", "architectures", "task"])
    assert table.loc[("slope", "these", "mean"), "n_architectures"] == 3
    assert table.loc[("mean boost", "these", "mean"), "n_architectures"] == 5
    two = pooled_table(*make_cells(2, rng=rng), level=0.9)
    assert two.loc[two["statistic"] == "slope", ["estimate", "low", "p_value"]].isna().all(axis=None)
    none = pooled_table(*make_cells(2, arms=(True,), rng=rng), level=0.9)
    assert none.empty
    assert none.columns.tolist() == POOLED_COLUMNS
    bare, values = make_cells(3, rng=rng)
    assert pooled_table(bare.drop(columns="parameters"), values, level=0.9)["n_architectures"].min() == 0


def test_the_order_of_architectures_does_not_matter(rng):
    cells, replicates = make_cells(6, rng=rng)
    one, other = (
        pooled_table(*models, level=0.9) for models in ((cells, replicates), take(cells, replicates, np.r_[6:12, 0:6]))
    )
    pd.testing.assert_frame_equal(one, other)
