import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from analysis.reference import figure1
from analysis.statistics.correlation import closed_form, correlate
from analysis.statistics.families import codes, effective_number, intraclass, jackknife

POINTS = figure1()
FAMILY = codes(POINTS["family"])
SIZE = np.log10(POINTS["parameters"].to_numpy(dtype=float))


def drawn(icc, rng, *size):
    """Normal values, alike within the paper's families: [*size, 16]."""
    between = rng.standard_normal((*size, FAMILY.max() + 1))[..., FAMILY]
    return math.sqrt(icc) * between + math.sqrt(1 - icc) * rng.standard_normal((*size, 16))


def test_the_intraclass_correlation_is_that_of_the_mixed_model_where_families_are_equal(rng):
    families = np.repeat(np.arange(30), 6)
    values = rng.normal(size=30)[families] + rng.normal(size=180)
    fit = MixedLM(values, np.ones((180, 1)), groups=families).fit(reml=True)
    between = fit.cov_re[0, 0]
    assert intraclass(values, families) == pytest.approx(between / (between + fit.scale), abs=1e-4)


def test_the_intraclass_correlation_is_right_on_average_and_bounded(rng):
    for icc in (0.0, 0.5, 0.8):
        found = [intraclass(values, FAMILY) for values in drawn(icc, rng, 2000)]
        assert min(found) >= 0
        assert max(found) <= 1
        assert np.mean(found) == pytest.approx(icc, abs=0.12)  # cut off at 0, and of 16 values
    assert intraclass(np.arange(16.0), np.arange(16)) == 0  # nobody has kin
    assert intraclass(np.arange(16.0), np.zeros(16, dtype=int)) == 0  # nobody else
    assert intraclass(np.ones(16), FAMILY) == 0
    assert intraclass(FAMILY.astype(float), FAMILY) == 1


@pytest.mark.parametrize("icc", [0.5, 0.7])
def test_the_effective_number_is_the_variance_of_the_correlation(icc, monkeypatch):
    """1 + 1 / the variance of Pearson's r of two independent variables alike within families, or a little less."""
    rng = np.random.default_rng(3)
    x, y = drawn(icc, rng, 20_000), drawn(icc, rng, 20_000)
    monkeypatch.setattr("analysis.statistics.families.intraclass", lambda *_: icc)
    found = effective_number(x[0], y[0], FAMILY, ranks=False)
    # tr(B S B S) and tr(B S) of the formula, entry by entry
    s = [[1.0 if i == j else icc * (FAMILY[i] == FAMILY[j]) for j in range(16)] for i in range(16)]
    means, overall = [sum(row) / 16 for row in s], sum(map(sum, s)) / 256
    total = sum((s[i][j] - means[i] - means[j] + overall) ** 2 for i in range(16) for j in range(16))
    trace = sum(s[i][i] for i in range(16)) - 16 * overall
    assert found == pytest.approx(1 + trace**2 / total, rel=1e-9)
    assert 0.8 < correlate(x, y, "pearson").var() * (found - 1) < 1.02


def test_the_effective_number_at_its_ends(rng):
    x, y = rng.normal(size=(2, 16))
    assert effective_number(x, y, np.arange(16), ranks=True) == pytest.approx(16)
    assert effective_number(x, y, np.zeros(16, dtype=int), ranks=False) == pytest.approx(16)
    alike = FAMILY + 0.01 * rng.normal(size=16)
    other = np.array([3.0, 0, 4, 1, 5, 2])[FAMILY] + 0.01 * rng.normal(size=16)
    assert 5 < effective_number(alike, other, FAMILY, ranks=False) < 6.5  # about as many as there are families
    assert math.isnan(effective_number(np.ones(16), y, FAMILY, ranks=True))
    assert math.isnan(effective_number([1.0], [2.0], np.zeros(1, dtype=int), ranks=True))
    order = rng.permutation(16)
    moved = effective_number(alike[order], y[order], FAMILY[order], ranks=True)
    assert moved == pytest.approx(effective_number(alike, y, FAMILY, ranks=True))


@pytest.mark.parametrize("icc", [0.0, 0.8])
def test_without_an_effect_a_correlation_is_found_as_rarely_as_it_says(icc):
    """Size is alike within families; so is y. As if independent, 17 % of 95 % intervals miss 0 (docs/verdicts.md)."""
    rng = np.random.default_rng(5)
    missed, naive = 0, 0
    for y in drawn(icc, rng, 2000):
        rho = float(correlate(SIZE, y, "spearman"))
        missed += closed_form(rho, effective_number(SIZE, y, FAMILY, ranks=True), "spearman", 0.95)[2] < 0.05
        naive += closed_form(rho, 16, "spearman", 0.95)[2] < 0.05
    assert missed / 2000 < 0.055
    assert (naive / 2000 > 0.11) == (icc > 0)


def test_the_jackknife_of_a_mean_is_the_t_interval(rng):
    values = rng.normal(size=9)
    left_out = (values.sum() - values) / 8
    found = jackknife(values.mean(), left_out, level=0.9)
    theirs = stats.ttest_1samp(values, 0)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.9)))
    assert (found.p_value, found.df) == (pytest.approx(theirs.pvalue), pytest.approx(8))


def test_what_all_groups_share_is_added(rng):
    values = rng.normal(size=6)
    left_out = (values.sum() - values) / 5
    alone, with_more = (jackknife(values.mean(), left_out, level=0.95, variance=v) for v in (0.0, 4.0))
    assert with_more.se == pytest.approx(math.hypot(alone.se, 2))
    assert with_more.df == pytest.approx(5 * with_more.se**4 / alone.se**4)
    known = jackknife(1.0, np.ones(6), level=0.95, variance=0.25)  # nothing but what is shared
    assert (known.low, known.high) == pytest.approx((1 - 0.98, 1 + 0.98), abs=1e-3)


def test_a_jackknife_that_does_not_exist_is_nan():
    for left_out in (np.empty(0), np.array([1.0]), np.array([1.0, np.nan])):
        assert np.isnan(jackknife(1.0, left_out, level=0.95)).all()
    assert np.isnan(jackknife(np.nan, np.ones(4), level=0.95)).all()
    assert jackknife(0.0, np.zeros(4), level=0.95).p_value == 1


@pytest.mark.parametrize("icc", [0.0, 0.5, 0.9])
def test_the_mean_over_families_is_covered(icc):
    """6,000 studies: a standard error of 0.3 %. As if independent 71 to 82 % cover where families differ."""
    rng = np.random.default_rng(6)
    sizes, y = np.bincount(FAMILY), drawn(icc, rng, 6000)
    covered = 0
    for values in y:
        left_out = (values.sum() - np.bincount(FAMILY, weights=values)) / (16 - sizes)
        found = jackknife(values.mean(), left_out, level=0.95)
        covered += found.low <= 0 <= found.high
    assert 0.93 <= covered / 6000 <= 0.97
