import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import anova_lm

from analysis.statistics.variance import explained, permutation_p, slope_line

FAMILIES = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 4, 4, 4, 5, 5])


def make(rng, effect=1.0):
    x = rng.normal(size=16)
    return 0.86 + 0.01 * (effect * rng.normal(size=6)[FAMILIES] + 0.5 * x + 0.5 * rng.normal(size=16)), x


def frame(y, x, families=FAMILIES):
    return pd.DataFrame({"y": y, "x": x, "f": families})


def test_every_share_agrees_with_statsmodels(rng):
    y, x = make(rng)
    found = explained(y, x, FAMILIES)
    family, size, both = (smf.ols(f"y ~ {terms}", frame(y, x)).fit() for terms in ("C(f)", "x", "x + C(f)"))
    for ours, theirs in (
        (found.eta2, family.rsquared),
        (found.r2_size, size.rsquared),
        (found.r2_both, both.rsquared),
        (found.adjusted_family, family.rsquared_adj),
        (found.adjusted_size, size.rsquared_adj),
        (found.adjusted_both, both.rsquared_adj),
        (found.family_minus_size, family.rsquared_adj - size.rsquared_adj),
        (found.family_beside_size, both.rsquared_adj - size.rsquared_adj),
        (found.size_beside_family, both.rsquared_adj - family.rsquared_adj),
    ):
        assert ours == pytest.approx(theirs, abs=1e-11)


def test_variance_components_by_hand(rng):
    y, x = make(rng)
    found = explained(y, x, FAMILIES)
    table = anova_lm(smf.ols("y ~ C(f)", frame(y, x)).fit())
    ms_between, ms_within = table["mean_sq"]
    sizes = np.bincount(FAMILIES)
    n0 = (16 - (sizes**2).sum() / 16) / 5
    assert found.within == pytest.approx(ms_within, rel=1e-9)
    assert found.between == pytest.approx((ms_between - ms_within) / n0, rel=1e-9)
    ss_between, ss_within = table["sum_sq"]
    omega2 = (ss_between - 5 * ms_within) / (ss_between + ss_within + ms_within)
    assert found.omega2 == pytest.approx(omega2, rel=1e-9)


def test_weights_agree_with_weighted_least_squares(rng):
    y, x = make(rng)
    weights = rng.multinomial(15, [1 / 16] * 16, size=4).astype(float)
    found = explained(np.tile(y, (4, 1)), x, FAMILIES, weights)
    for i, w in enumerate(weights):
        drawn = np.repeat(np.arange(16), w.astype(int))
        data = frame(y[drawn], x[drawn], FAMILIES[drawn])
        r2 = [smf.ols(f"y ~ {terms}", data).fit().rsquared for terms in ("C(f)", "x", "x + C(f)")]
        np.testing.assert_allclose([share[i] for share in found], explained(y, x, FAMILIES, w), rtol=1e-9)
        n, k = (w > 0).sum(), len(set(FAMILIES[drawn]))
        assert [found.eta2[i], found.r2_size[i], found.r2_both[i]] == pytest.approx(r2, abs=1e-9)
        assert found.adjusted_family[i] == pytest.approx(1 - (1 - r2[0]) * (n - 1) / (n - k))
        assert found.adjusted_both[i] == pytest.approx(1 - (1 - r2[2]) * (n - 1) / (n - k - 1))


def test_scale_order_and_names_of_families_do_not_matter(rng):
    y, x = make(rng)
    found = explained(y, x, FAMILIES)
    order = rng.permutation(16)
    moved = explained(3 - 2 * y[order], 5 + 7 * x[order], 5 - FAMILIES[order])
    np.testing.assert_allclose(moved[2:], found[2:], atol=1e-10)
    np.testing.assert_allclose(moved[:2], np.array(found[:2]) * 4, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-60, 1e-9, 1e60])
def test_shares_know_no_unit(rng, scale):
    y, x = make(rng)
    found = np.array(explained(np.stack([y, y[::-1]]), x, FAMILIES))
    np.testing.assert_allclose(
        np.array(explained(scale * np.stack([y, y[::-1]]), x, FAMILIES))[2:], found[2:], rtol=1e-9
    )
    np.testing.assert_allclose(np.array(explained(np.stack([y, y[::-1]]), scale * x, FAMILIES)), found, rtol=1e-9)
    tiny = explained(np.stack([y, scale * y]), x, FAMILIES)  # each row by its own size
    np.testing.assert_allclose(tiny.eta2[1], tiny.eta2[0], rtol=1e-9)


@pytest.mark.parametrize("value", [0.1, -0.1, 0.3e7, -1.1e-5])
def test_rounding_is_no_variance(value, rng):
    """Equal values have means that are off by a rounding, at whatever size; what is left is none of theirs."""
    for n in range(9, 17):
        x, families = rng.normal(size=n), FAMILIES[:n]
        flat = explained(np.full(n, value), x, families)
        assert np.isnan([flat.eta2, flat.r2_size, flat.r2_both]).all()
        assert np.isnan(explained(x, np.full(n, value), families).r2_size)
        nested = explained(x, value * (1 + families), families)  # equal sizes in a family add nothing beside it
        assert nested.r2_both == pytest.approx(nested.eta2, abs=1e-12)


def test_in_a_resample_sizes_may_be_equal_within_families(rng):
    y, x = rng.normal(size=6), np.array([1.0, 1, 2, 3, 3, 5])
    weights = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 1, 1, 0]])
    found = explained(np.tile(y, (2, 1)), x, np.array([0, 0, 0, 1, 1, 1]), weights)
    assert found.r2_both[0] > found.eta2[0] + 1e-6
    assert found.r2_both[1] == pytest.approx(found.eta2[1], abs=1e-12)


def test_two_families_are_enough(rng):
    y, x = rng.normal(size=(2, 4))
    families = np.array([0, 0, 1, 1])
    found = explained(y, x, families)
    data = frame(y, x, families)
    family, both = (smf.ols(f"y ~ {terms}", data).fit() for terms in ("C(f)", "x + C(f)"))
    assert (found.eta2, found.r2_both) == (pytest.approx(family.rsquared), pytest.approx(both.rsquared))
    assert found.adjusted_both == pytest.approx(both.rsquared_adj)  # one architecture more than coefficients
    (between, within), error = anova_lm(family)["sum_sq"], family.mse_resid
    assert found.omega2 == pytest.approx((between - error) / (between + within + error))
    three = explained(y[:3], x[:3], families[:3])
    assert three.r2_size == pytest.approx(stats.pearsonr(x[:3], y[:3]).statistic ** 2)
    assert np.isfinite(three.eta2)
    assert np.isnan(three.r2_both)


def test_the_line_is_that_of_least_squares(rng):
    y, x = rng.normal(size=20), 0.1 * rng.random(20)
    slope, _ = np.polyfit(x, y, 1)
    np.testing.assert_allclose(slope_line(y, x), slope * (x - x.mean()), atol=1e-12)
    np.testing.assert_array_equal(slope_line(y, np.full(20, 7.3)), np.zeros(20), strict=True)


def test_too_little_to_tell_is_nan(rng):
    y, x = make(rng)
    one_family = explained(y, x, np.zeros(16, dtype=int))
    assert np.isnan([one_family.between, one_family.eta2, one_family.omega2, one_family.r2_both]).all()
    assert one_family.r2_size == pytest.approx(stats.pearsonr(x, y).statistic ** 2)
    alone = explained(y[:6], x[:6], np.arange(6))
    assert np.isnan([alone.within, alone.eta2, alone.adjusted_family, alone.r2_both]).all()
    constant = explained(np.full(16, 0.86), x, FAMILIES)
    assert np.isnan([constant.eta2, constant.r2_size, constant.r2_both]).all()
    assert np.isnan(explained(y, np.full(16, 7.1), FAMILIES).r2_size)
    assert np.isnan(explained(y[:2], x[:2], np.array([0, 1])).r2_size)
    y[3] = np.nan
    assert np.isnan(np.array(explained(y, x, FAMILIES))).all()


def test_the_permutation_test_agrees_with_all_permutations(rng):
    y = np.array([0.80, 0.82, 0.83, 0.84, 0.85, 0.87])
    families = np.array([0, 0, 1, 1, 1, 2])
    statistics = [explained(y, y, families[list(order)]).eta2 for order in itertools.permutations(range(6))]
    exact = np.mean(np.array(statistics) >= explained(y, y, families).eta2 - 1e-9)
    assert permutation_p(y, families, n_permutations=20_000, rng=rng) == pytest.approx(exact, abs=0.01)


def test_beside_size_the_residuals_are_permuted(rng):
    """Freedman and Lane by a loop, with the F-test of two nested models of statsmodels."""
    y, x = make(rng, effect=0.5)
    y += 0.05 * x

    def f_value(values):
        small, large = (smf.ols(f"y ~ {terms}", frame(values, x)).fit() for terms in ("x", "x + C(f)"))
        return large.compare_f_test(small)[0]

    line = smf.ols("y ~ x", frame(y, x)).fit()
    residuals = np.tile(line.resid.to_numpy(), (150, 1))
    draws = [f_value(line.fittedvalues + row) for row in np.random.default_rng(2).permuted(residuals, axis=1)]
    expected = (1 + (np.array(draws) >= f_value(y)).sum()) / 151
    ours = permutation_p(y, FAMILIES, x=x, n_permutations=150, rng=np.random.default_rng(2))
    assert ours == pytest.approx(expected)
    assert 0.05 < expected < 0.95  # neither end, where anything agrees


def test_the_permutation_p_value_is_never_0_and_clear_families_are_found(rng):
    y, x = FAMILIES + 0.001 * rng.normal(size=16), rng.normal(size=16)
    assert permutation_p(y, FAMILIES, n_permutations=99, rng=rng) == 0.01
    assert permutation_p(y, FAMILIES, x=x, n_permutations=99, rng=rng) == 0.01
    assert permutation_p(FAMILIES.astype(float), FAMILIES, n_permutations=99, rng=rng) == 0.01  # nothing left within
    assert np.isnan(permutation_p(y, np.zeros(16, dtype=int), n_permutations=9, rng=rng))
    assert np.isnan(permutation_p(y[:6], np.arange(6), n_permutations=9, rng=rng))


def test_families_that_differ_by_size_alone_do_not_differ_beside_it(rng):
    x = FAMILIES + 0.3 * rng.normal(size=16)
    p = []
    for _ in range(40):
        y = 0.86 + 0.01 * x + 0.003 * rng.normal(size=16)
        assert permutation_p(y, FAMILIES, n_permutations=99, rng=rng) < 0.05
        p.append(permutation_p(y, FAMILIES, x=x, n_permutations=99, rng=rng))
    assert np.mean(np.array(p) <= 0.05) < 0.2
    assert 0.35 < np.mean(p) < 0.65


@pytest.mark.parametrize("given", [False, True])
def test_under_the_null_p_values_are_uniform(given):
    rng = np.random.default_rng(8)
    p = []
    for _ in range(400):
        y, x = rng.normal(size=(2, 16))
        p.append(permutation_p(y, FAMILIES, x=x if given else None, n_permutations=99, rng=rng))
    assert stats.kstest(p, "uniform").pvalue > 0.01
