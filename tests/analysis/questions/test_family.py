import warnings

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.mixed_linear_model import MixedLM

from analysis.questions.family import COLUMNS, family_table, mixed_model
from analysis.questions.seeds import draw_weights
from analysis.statistics.bootstrap import percentile_interval
from analysis.statistics.variance import Explained, explained
from tests.analysis.synthetic import make_cells, take

FAMILIES = np.repeat(np.arange(8), 5)


def table_of(models, **kwargs):
    return family_table(*models, **{"level": 0.9, "n_permutations": 99, "rng": np.random.default_rng(0)} | kwargs)


def test_the_intervals_by_a_loop_over_resamples(rng):
    cells, replicates = make_cells(16, rng=rng)
    table = table_of((cells, replicates)).set_index(["subset", "resampled", "statistic"])
    x = np.log10(cells["parameters"].to_numpy(dtype=float)[::2])
    families = pd.factorize(cells["family"][::2])[0]
    y, draws = replicates.estimates[::2, 2], replicates.resampled[::2, 2]
    weights = draw_weights(16, 200, rng=np.random.default_rng(0))
    for scope, drawn in (("studies", np.ones((200, 16))), ("studies and architectures", weights)):
        values = np.array([explained(draws[:, i], x, families, drawn[i]) for i in range(200)])
        for column, name in enumerate(Explained._fields):
            row, estimate = table.loc[("pretrained", scope, name)], explained(y, x, families)[column]
            known = values[:, column][~np.isnan(values[:, column])]
            low, high = np.quantile(known, [0.05, 0.95])
            assert row["estimate"] == pytest.approx(estimate, rel=1e-9)
            assert (row["low"], row["high"]) == pytest.approx((2 * estimate - high, 2 * estimate - low), rel=1e-9)
            assert row["bias"] == pytest.approx(known.mean() - estimate, rel=1e-6, abs=1e-12)
            assert row["n_defined"] == len(known)


def test_pretrained_and_scratch_are_apart_and_truncated_left_out(rng):
    cells, replicates = make_cells(16, depths=(0, 1), rng=rng)
    table = table_of((cells, replicates))
    assert table.columns.tolist() == COLUMNS
    assert set(table["n"]) == {16}
    assert set(table["n_families"]) == {6}
    alone = np.flatnonzero((cells["truncate"] == 0) & cells["pretrained"].astype(bool))
    only = table_of(take(cells, replicates, alone))
    assert set(only["subset"]) == {"pretrained"}
    first = table[table["subset"] == "pretrained"].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, only)


def test_the_order_of_architectures_does_not_matter(rng):
    cells, replicates = make_cells(16, rng=rng)
    tables = [table_of((cells, replicates)), table_of(take(cells, replicates, rng.permutation(32)))]
    kept = [table[table["resampled"] == "studies"].drop(columns="p_value") for table in tables]
    pd.testing.assert_frame_equal(*[table.reset_index(drop=True) for table in kept])


def test_an_undefined_network_is_left_out_and_nothing_at_all_is_an_empty_table(rng):
    cells, replicates = make_cells(16, rng=rng)
    replicates.estimates[0, 2] = np.nan
    cells.loc[2, "parameters"] = np.nan
    table = table_of((cells, replicates))
    assert table.groupby("subset")["n"].first().to_dict() == {"pretrained": 14, "scratch": 16}
    empty = table_of((cells.drop(columns="parameters"), replicates))
    assert empty.empty
    assert empty.columns.tolist() == COLUMNS


def test_few_architectures_do_not_fail(rng):
    for n in (1, 2, 3, 4):
        table = table_of(make_cells(n, rng=rng))
        rows = table[table["statistic"].str.startswith("mixed")]
        assert rows["status"].str.startswith("not fitted").all() or n == 4
        assert (rows["estimate"].isna() == rows["status"].str.startswith("not fitted")).all()


def test_the_mixed_model_agrees_with_statsmodels_unscaled(rng):
    x = rng.normal(size=40)
    y = 0.8 + 0.02 * x + 0.03 * rng.normal(size=8)[FAMILIES] + 0.01 * rng.normal(size=40)
    rows = mixed_model(y, x, FAMILIES, 0.95)
    fit = MixedLM(100 * y, np.column_stack([np.ones(40), x]), groups=FAMILIES).fit()
    assert rows["status"].tolist() == ["ok", "ok"]
    assert rows.loc[0, "estimate"] == pytest.approx(fit.fe_params[1] / 100, rel=1e-3)
    assert rows.loc[0, ["low", "high"]].tolist() == pytest.approx(list(fit.conf_int()[1] / 100), rel=1e-3)
    share = fit.cov_re[0, 0] / (fit.cov_re[0, 0] + fit.scale)
    assert rows.loc[1, "estimate"] == pytest.approx(share, abs=0.01)
    assert 0.7 < share < 1


def test_balanced_families_give_the_share_of_the_analysis_of_variance(rng):
    """With equal families and x orthogonal to them, REML is the method of moments."""
    x = np.tile([-2.0, -1.0, 0.0, 1.0, 2.0], 8)
    y = 0.8 + 0.03 * rng.normal(size=8)[FAMILIES] + 0.01 * rng.normal(size=40)
    slope = x @ y / (x @ x)
    means = y.reshape(8, 5).mean(axis=1)
    residual = y - means[FAMILIES] - slope * x
    within = (residual**2).sum() / (40 - 8 - 1)
    between = means.var(ddof=1) - within / 5
    rows = mixed_model(y, x, FAMILIES, 0.95)
    assert rows.loc[0, "estimate"] == pytest.approx(slope, rel=1e-3)
    assert rows.loc[1, "estimate"] == pytest.approx(between / (between + within), rel=1e-3)


def test_a_singular_fit_says_so_and_warns_nobody(rng):
    x = np.tile([-2.0, -1.0, 0.0, 1.0, 2.0], 8)
    y = rng.normal(size=40)
    y -= y.reshape(8, 5).mean(axis=1)[FAMILIES]  # families do not differ at all
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = mixed_model(y, x, FAMILIES, 0.95)
    assert rows["status"].str.contains("singular|boundary").all()
    assert rows.loc[1, "estimate"] < 0.01


def test_the_basic_interval_covers_what_a_percentile_interval_misses():
    """Variance within families: the test set's noise is in the estimate once and in the replicates twice."""
    rng = np.random.default_rng(4)
    families, x = np.repeat(np.arange(5), 4), np.zeros(20)
    truth = 0.01 * rng.normal(size=20)
    target = explained(truth, x, families).within
    hits = np.zeros((200, 2), dtype=bool)
    for s in range(200):
        y = truth + 0.01 * rng.normal(size=20)
        draws = explained(y + 0.01 * rng.normal(size=(400, 20)), x, families).within
        low, high = percentile_interval(draws, 0.95)[:2]
        estimate = explained(y, x, families).within
        hits[s] = (2 * estimate - high <= target <= 2 * estimate - low, low <= target <= high)
    basic, percentile = hits.mean(axis=0)
    assert basic > 0.9
    assert percentile < 0.7
