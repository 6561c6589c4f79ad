import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from analysis.questions.family import COLUMNS, family_table, mixed_model
from analysis.reference import figure1
from analysis.statistics.families import codes, jackknife
from analysis.statistics.variance import Explained, explained
from tests.analysis.synthetic import make_cells, take

FAMILIES = np.repeat(np.arange(8), 5)


def table_of(models, **kwargs):
    return family_table(*models, **{"level": 0.9, "n_permutations": 99, "rng": np.random.default_rng(0)} | kwargs)


def test_the_intervals_by_a_loop_over_architectures(rng):
    cells, replicates = make_cells(16, rng=rng)
    table = table_of((cells, replicates)).set_index(["subset", "statistic"])
    x = np.log10(cells["parameters"].to_numpy(dtype=float)[::2])
    families = pd.factorize(cells["family"][::2])[0]
    y = replicates.estimates[::2, 2]
    rest = [np.delete(np.arange(16), i) for i in range(16)]
    without = np.array([explained(y[kept], x[kept], pd.factorize(families[kept])[0]) for kept in rest])
    for column, name in enumerate(Explained._fields):
        row, estimate = table.loc[("pretrained", name)], explained(y, x, families)[column]
        se = np.sqrt(15 / 16 * ((without[:, column] - without[:, column].mean()) ** 2).sum())
        half = stats.t.ppf(0.95, 15) * se
        assert row["estimate"] == pytest.approx(estimate, rel=1e-9)
        assert (row["low"], row["high"]) == pytest.approx((estimate - half, estimate + half), rel=1e-6)


@pytest.mark.parametrize(("r", "icc", "truth"), [(0.0, 0.8, 0.8), (0.9, 0.0, -0.23), (0.0, 0.0, 0.0)])
def test_family_minus_size_is_covered(r, icc, truth):
    """Sizes and families of the paper. 800 studies: 0.8 %. The bootstrap of architectures covers 86 % of the first."""
    rng, points = np.random.default_rng(8), figure1()
    families, size = codes(points["family"]), np.log10(points["parameters"].to_numpy(dtype=float))
    x = (size - size.mean()) / size.std()
    rest = np.sqrt(icc) * rng.standard_normal((800, 6))[:, families] + np.sqrt(1 - icc) * rng.standard_normal((800, 16))
    y = r * x + np.sqrt(1 - r**2) * rest
    at = explained(y, size, families).family_minus_size
    without = explained(np.repeat(y[:, None], 16, axis=1), size, families, 1 - np.eye(16)[None]).family_minus_size
    covered, above = 0, 0
    for estimate, left_out in zip(at, without, strict=True):
        found = jackknife(float(estimate), left_out, level=0.95)
        covered += found.low <= truth <= found.high
        above += found.low > 0
    assert covered / 800 >= 0.89
    assert truth > 0 or above / 800 <= 0.03


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
    kept = [table.drop(columns="p_value") for table in tables]
    pd.testing.assert_frame_equal(*kept)


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
    half = stats.t.ppf(0.975, 40 - 8 - 1) * fit.bse_fe[1] / 100
    at = fit.fe_params[1] / 100
    assert rows.loc[0, ["low", "high"]].tolist() == pytest.approx([at - half, at + half], rel=1e-3)
    assert rows.loc[0, "p_value"] == pytest.approx(2 * stats.t.sf(abs(fit.tvalues[1]), 31), rel=1e-2)
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


def test_a_fit_that_did_not_converge_has_no_p_value(rng, monkeypatch):
    x = rng.normal(size=40)
    y = 0.8 + 0.02 * x + 0.03 * rng.normal(size=8)[FAMILIES] + 0.01 * rng.normal(size=40)
    assert mixed_model(y, x, FAMILIES, 0.95).loc[0, ["low", "high", "p_value"]].notna().all()
    fit = MixedLM.fit

    def unfinished(self, **kwargs):
        done = fit(self, **kwargs)
        done.converged = False
        return done

    monkeypatch.setattr(MixedLM, "fit", unfinished)
    rows = mixed_model(y, x, FAMILIES, 0.95)
    assert rows["status"].str.contains("did not converge").all()
    assert rows.loc[0, ["low", "high", "p_value"]].isna().all()
    assert rows["estimate"].notna().all()


def test_without_a_slope_the_mixed_model_finds_one_as_rarely_as_it_says():
    """Sizes of the paper, families that differ: 300 studies, standard error 1.3 %. With z for t it is 10 %."""
    rng, points, found = np.random.default_rng(10), figure1(), []
    families, size = codes(points["family"]), np.log10(points["parameters"].to_numpy(dtype=float))
    for _ in range(300):
        y = 0.8 + 0.01 * (rng.standard_normal(6)[families] + 0.7 * rng.standard_normal(16))
        found.append(mixed_model(y, size, families, 0.95).loc[0, "p_value"])
    known = np.array(found)[~np.isnan(found)]
    assert known.size > 200
    assert (known < 0.05).mean() < 0.085
