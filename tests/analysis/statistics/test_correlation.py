import doctest
import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis import reference
from analysis.questions import power, verdicts
from analysis.statistics import correlation, families, streams
from analysis.statistics.bootstrap import percentile_interval
from analysis.statistics.correlation import (
    METHODS,
    closed_form,
    correlate,
    leave_one_out,
    permutation_p,
    resample_points,
)

SCIPY = {"spearman": stats.spearmanr, "kendall": stats.kendalltau, "pearson": stats.pearsonr}


@pytest.mark.parametrize("module", [correlation, families, streams, power, verdicts, reference])
def test_the_examples_in_the_docstrings_hold(module):
    result = doctest.testmod(module, extraglobs={"np": np})
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("levels", [3, 5, 1000])
def test_equal_to_scipy_with_ties(method, levels, rng):
    for n in (3, 4, 11, 16, 60):
        x, y = rng.integers(levels, size=(2, n)).astype(float)
        x[:2], y[:2] = (0, 1), (1, 0)  # neither is constant
        assert correlate(x, y, method).item() == pytest.approx(SCIPY[method](x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_many_at_once_are_each_alone(method, rng):
    x, y = rng.normal(size=9), rng.normal(size=(4, 5, 9)).round(1)
    expected = [[SCIPY[method](x, row).statistic for row in rows] for rows in y]
    np.testing.assert_allclose(correlate(x, y, method), expected, rtol=0, atol=1e-12)


def test_rows_of_either_side_are_each_their_own():
    """One constant row makes no other undefined, and x may have the axes that y lacks."""
    x = [[1, 1, 1], [1, 2, 3], [3, 2, 1]]
    np.testing.assert_allclose(correlate(x, [1, 2, 3], "pearson"), [np.nan, 1, -1], atol=1e-12)
    np.testing.assert_allclose(correlate([1, 2, 3], x, "pearson"), [np.nan, 1, -1], atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_is_computed_in_double(method, rng):
    x, y = rng.normal(size=(2, 20)).astype(np.float32)
    expected = correlate(x.astype(float), y.astype(float), method)
    assert correlate(x, y, method) == correlate(x, y.astype(float), method) == expected


@pytest.mark.parametrize("method", METHODS)
def test_rounding_leads_nowhere_beyond_one(method, rng):
    x = rng.normal(size=(2000, 3))
    assert correlate(x, 3 * x + 1, method).max() == 1
    assert correlate(x, 1 - 3 * x, method).min() == -1


@pytest.mark.parametrize("method", METHODS)
def test_blocks_change_nothing(method, monkeypatch, rng):
    x, y = rng.normal(size=(50, 8)), rng.normal(size=(50, 8))
    whole = correlate(x, y, method)
    monkeypatch.setattr(correlation, "BLOCK", 8 * 8 * 3)
    np.testing.assert_array_equal(correlate(x, y, method), whole)


@pytest.mark.parametrize("method", METHODS)
def test_invariants(method, rng):
    x, y = rng.normal(size=12), rng.normal(size=12)
    r, order = correlate(x, y, method), rng.permutation(12)
    assert correlate(y, x, method) == pytest.approx(r, abs=1e-14)
    assert correlate(x[order], y[order], method) == pytest.approx(r, abs=1e-14)
    assert correlate(-x, y, method) == pytest.approx(-r, abs=1e-14)
    assert correlate(3e-200 * x - 1e-201, 7 * y + 2, method) == pytest.approx(r, abs=1e-9)
    if method != "pearson":
        assert correlate(np.exp(x), y**3, method) == pytest.approx(r, abs=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_undefined_is_nan(method):
    assert np.isnan(correlate([1, 2], [3, 4], method))
    assert np.isnan(correlate([], [], method))
    assert np.isnan(correlate([0.1, 0.1, 0.1], [1, 2, 3], method))  # whose mean is not 0.1 in floating point
    assert np.isnan(correlate([1, 2, 3], [5, 5, 5], method))
    rows = correlate([1, 2, 3], [[1, 2, 4], [1, np.nan, 4]], method)
    assert np.isnan(rows).tolist() == [False, True]


@pytest.mark.parametrize(
    ("x", "y", "method", "message"),
    [
        ([1, 2, 3], [1, 2, 3], "spearmann", "not one of spearman, kendall, pearson"),
        ([1, 2, 3], [1, 2], "pearson", "last axes must be the same"),
        ([1, 2, np.inf], [1, 2, 3], "kendall", "must be finite"),
        (1.0, 2.0, "kendall", "last axes"),
        (1.0, [1, 2, 3], "kendall", "last axes"),
        ([1, 2, 3], 1.0, "kendall", "last axes"),
    ],
)
def test_refuses_what_it_cannot_correlate(x, y, method, message):
    with pytest.raises(ValueError, match=message):
        correlate(x, y, method)


@pytest.mark.parametrize("method", METHODS)
def test_few_points_are_permuted_in_every_way(method, rng):
    x, y = rng.normal(size=6), rng.integers(4, size=6).astype(float)
    observed = abs(SCIPY[method](x, y).statistic)
    each = [abs(SCIPY[method](x, y[list(order)]).statistic) for order in itertools.permutations(range(6))]
    p, tried, exact = permutation_p(x, y, method, n_permutations=10, rng=rng)
    assert (tried, exact) == (720, True)
    assert p == sum(value >= observed - 1e-9 for value in each) / 720


def test_exact_p_is_scipys_for_kendall(rng):
    for _ in range(5):
        x, y = rng.normal(size=(2, 7))
        p = permutation_p(x, y, "kendall", n_permutations=1, rng=rng).p_value
        assert p == pytest.approx(stats.kendalltau(x, y, method="exact").pvalue, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_drawn_permutations_estimate_scipys_p(method, rng):
    x = rng.normal(size=16)
    y = 0.5 * x + rng.normal(size=16)
    p, tried, exact = permutation_p(x, y, method, n_permutations=20_000, rng=rng)
    assert (tried, exact) == (20_000, False)
    assert p == pytest.approx(SCIPY[method](x, y).pvalue, abs=0.012)


def test_what_is_drawn_are_permutations(rng):
    """A single 1 among zeros meets the one large x in a tenth of all orders; drawn with replacement it would not."""
    x, y = np.array([5.0, *[0.0] * 9]), np.array([1.0, *[0.0] * 9])
    assert permutation_p(x, y, "pearson", n_permutations=20_000, rng=rng).p_value == pytest.approx(0.1, abs=0.01)


def test_no_correlation_no_permutation(rng):
    assert permutation_p([1, 2, 3], [1, 1, 1], "pearson", n_permutations=9, rng=rng)[1:] == (0, False)


@pytest.mark.parametrize(("x", "y"), [([[1, 2, 3]], [[1, 2, 3]]), ([1, 2, 3], [1, 2]), (1.0, 2.0)])
def test_a_test_takes_one_row_of_points(x, y, rng):
    with pytest.raises(ValueError, match=r"both must be \[n\]"):
        permutation_p(x, y, "pearson", n_permutations=9, rng=rng)


def test_p_is_never_zero(rng):
    x = np.arange(12.0)
    assert permutation_p(x, x, "spearman", n_permutations=99, rng=rng).p_value == 1 / 100
    assert permutation_p(x[:4], x[:4], "spearman", n_permutations=99, rng=rng).p_value == 2 / 24
    assert np.isnan(permutation_p(x, np.ones(12), "spearman", n_permutations=99, rng=rng).p_value)
    with pytest.raises(ValueError, match="at least 1"):
        permutation_p(x, x, "spearman", n_permutations=0, rng=rng)


def test_p_is_uniform_without_association():
    rng = np.random.default_rng(3)
    values = [
        permutation_p(*rng.normal(size=(2, 9)), "spearman", n_permutations=199, rng=rng).p_value for _ in range(400)
    ]
    assert np.mean(np.array(values) <= 0.1) == pytest.approx(0.1, abs=0.045)  # three standard errors


@pytest.mark.parametrize("method", METHODS)
def test_leave_one_out_is_the_loop(method, rng):
    x, y = rng.normal(size=(2, 8))
    expected = [SCIPY[method](np.delete(x, i), np.delete(y, i)).statistic for i in range(8)]
    np.testing.assert_allclose(leave_one_out(x, y, method), expected, rtol=0, atol=1e-12)
    assert np.isnan(leave_one_out(x[:3], y[:3], method)).all()
    assert leave_one_out([], [], method).size == 0
    np.testing.assert_array_equal(leave_one_out([1], [2], method), np.array([np.nan]), strict=True)


@pytest.mark.parametrize("method", METHODS)
def test_resampled_points_are_the_plain_loop(method):
    rng, same = np.random.default_rng(1), np.random.default_rng(1)
    x, y = np.random.default_rng(0).normal(size=(2, 7))
    replicates = resample_points(x, y, method, n_resamples=40, rng=rng)
    drawn = same.integers(7, size=(40, 7))
    expected = [SCIPY[method](x[d], y[d]).statistic for d in drawn if len(set(d)) > 1]
    np.testing.assert_allclose(replicates, expected, rtol=0, atol=1e-12)


def test_resampled_points_have_scipys_spread(rng):
    x = rng.normal(size=16)
    y = x + rng.normal(size=16)
    ours = percentile_interval(resample_points(x, y, "pearson", n_resamples=9999, rng=rng), 0.9)
    theirs = stats.bootstrap(
        (x, y), lambda a, b, axis: correlate(np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1), "pearson"),
        paired=True, vectorized=True, method="percentile", confidence_level=0.9, rng=rng,
    ).confidence_interval  # fmt: skip
    assert (ours.low, ours.high) == (pytest.approx(theirs.low, abs=0.02), pytest.approx(theirs.high, abs=0.02))


def test_degenerate_resamples_are_nan_and_counted(rng):
    replicates = resample_points([1, 2, 3], [1, 2, 3], "spearman", n_resamples=3000, rng=rng)
    assert np.isnan(replicates).mean() == pytest.approx(1 / 9, abs=0.02)  # all three draws the same
    assert percentile_interval(replicates, 0.95).n_defined == (~np.isnan(replicates)).sum()
    assert np.isnan(resample_points([1, 2], [1, 2], "spearman", n_resamples=5, rng=rng)).all()


def test_refuses_no_resamples(rng):
    with pytest.raises(ValueError, match="^n_resamples must be at least 1, not 0$"):
        resample_points([1, 2, 3], [1, 2, 3], "pearson", n_resamples=0, rng=rng)


def test_closed_form_of_pearson_is_scipys_with_t_for_z():
    """Fisher's interval, its half-width stretched from the normal quantile to that of t."""
    x, y = np.random.default_rng(0).normal(size=(2, 20))
    result = stats.pearsonr(x, y)
    theirs = np.arctanh(result.confidence_interval(0.9))
    half = (theirs[1] - theirs[0]) / 2 * stats.t.ppf(0.95, 18) / stats.norm.ppf(0.95)
    low, high, _ = closed_form(float(result.statistic), 20, "pearson", 0.9)
    assert np.arctanh([low, high]) == pytest.approx([theirs.mean() - half, theirs.mean() + half], abs=1e-12)


def test_closed_forms_by_hand():
    half = stats.t.ppf(0.975, 14) * math.sqrt((1 + 0.5**2 / 2) / 13)
    expected = (math.tanh(math.atanh(0.5) - half), math.tanh(math.atanh(0.5) + half))
    assert closed_form(0.5, 16, "spearman", 0.95)[:2] == pytest.approx(expected, abs=1e-12)
    half = stats.t.ppf(0.975, 7.5) * math.sqrt(0.437 / 5.5)
    assert closed_form(0.0, 9.5, "kendall", 0.95)[:2] == pytest.approx((-math.tanh(half), math.tanh(half)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [6.3, 16, 30])
def test_the_p_value_is_the_level_at_which_the_interval_touches_0(method, n):
    for estimate in (-0.6, -0.1, 0.2, 0.7):
        p = closed_form(estimate, n, method, 0.95)[2]
        low, high, _ = closed_form(estimate, n, method, 1 - p)
        assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-6)
    assert closed_form(0.0, n, method, 0.95)[2] == 1


@pytest.mark.parametrize(
    "case",
    [(1.0, 16, "pearson"), (np.nan, 16, "kendall"), (0.3, 3, "spearman"), (0, 4, "kendall"), (0.1, np.nan, "pearson")],
)
def test_closed_forms_that_do_not_exist_are_nan(case):
    assert np.isnan(closed_form(*case, 0.95)).all()


@pytest.mark.parametrize("level", [0, 1, 1.5, 95])
def test_closed_form_refuses_what_is_no_level(level):
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        closed_form(0.1, 9, "pearson", level)


def test_closed_form_refuses_nonsense():
    with pytest.raises(ValueError, match="method=rho is not one of spearman, kendall, pearson"):
        closed_form(0.1, 9, "rho", 0.95)
