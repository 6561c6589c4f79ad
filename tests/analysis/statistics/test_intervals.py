from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.auroc import auroc, leave_out_auroc
from analysis.statistics.bootstrap import bootstrap_auroc, draw_counts
from analysis.statistics.intervals import bca_interval, percentile_interval


@pytest.fixture
def data(rng):
    """Labels, scores, replicates and the jackknife of three models."""
    labels = (rng.random(60) < 0.35).astype(float)
    scores = rng.integers(30, size=(3, 60)) + 8 * labels
    replicates = bootstrap_auroc(labels, scores, draw_counts(60, 999, rng=rng))
    return labels, scores, replicates, leave_out_auroc(labels, scores, np.arange(60))


def test_interval_is_the_quantiles_of_the_defined_replicates(rng):
    replicates = rng.random((2, 3, 501))
    replicates[1, 2, ::5] = np.nan
    interval = percentile_interval(replicates, 0.8)
    assert interval.low.shape == (2, 3)
    assert interval.n_defined.tolist() == [[501, 501, 501], [501, 501, 400]]
    row = sorted(replicates[0, 1])  # 501 of them: the tenths lie on entries 50 and 450
    assert (interval.low[0, 1], interval.high[0, 1]) == (pytest.approx(row[50]), pytest.approx(row[450]))
    assert interval.low[1, 2] == pytest.approx(np.nanpercentile(replicates[1, 2], 10))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_interval_refuses_a_level_that_is_no_probability(level):
    values = np.zeros((1, 3))
    for make in (
        lambda: percentile_interval(values, level),
        lambda: bca_interval(values[:, 0], values, values, level),
    ):
        with pytest.raises(ValueError, match="between 0 and 1"):
            make()


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bca_agrees_with_scipy(data, level):
    """SciPy does its own jackknife by leaving rows out, and its own corrections, on our replicates."""
    labels, scores, replicates, left_out = data
    for model in range(3):

        def statistic(x, y):
            return auroc(x, y)

        given = SimpleNamespace(bootstrap_distribution=replicates[model])  # all that SciPy reads of a result
        expected = stats.bootstrap(
            (labels, scores[model]),
            statistic,
            paired=True,
            vectorized=False,
            n_resamples=0,
            bootstrap_result=given,
            confidence_level=level,
            method="BCa",
        ).confidence_interval
        low, high, n_defined = bca_interval(auroc(labels, scores[model]), replicates[model], left_out[model], level)
        assert (float(low), float(high)) == (
            pytest.approx(expected.low, abs=1e-12),
            pytest.approx(expected.high, abs=1e-12),
        )
        assert n_defined == 999


def test_bca_without_bias_or_skew_is_the_percentile_interval(rng):
    replicates = np.concatenate([x := rng.normal(size=500), -x])
    low, high, _ = bca_interval(0.0, replicates, np.array([-1.0, 0.0, 1.0]), 0.9)
    expected = percentile_interval(replicates, 0.9)
    assert (float(low), float(high)) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_bca_follows_a_monotone_change_of_bias(data):
    """It is carried along by any rising map where the acceleration is, unlike a symmetric interval."""
    _, _, replicates, left_out = data
    estimate = np.median(replicates[0]) - 0.01
    low, high, _ = bca_interval(estimate, replicates[0], left_out[0], 0.9)
    scaled = bca_interval(3 * estimate - 1, 3 * replicates[0] - 1, 3 * left_out[0] - 1, 0.9)
    assert (float(scaled.low), float(scaled.high)) == (pytest.approx(3 * low - 1), pytest.approx(3 * high - 1))
    flipped = bca_interval(-estimate, -replicates[0], -left_out[0], 0.9)
    assert (float(flipped.low), float(flipped.high)) == (pytest.approx(-high), pytest.approx(-low))
    assert low < percentile_interval(replicates[0], 0.9).low  # most replicates lie above: the correction goes down


@pytest.mark.parametrize(
    ("estimate", "left_out"),
    [
        (2.0, [0.0, 1.0, 2.0]),  # every replicate on the same side
        (0.5, [0.3, 0.3, 0.3]),  # no unit moves it
        (0.5, [0.1] * 3),  # nor here, where the mean of equal values is rounded
        (0.5, [0.3, np.nan, 0.4]),  # undefined without some unit
        (np.nan, [0.0, 1.0, 2.0]),
    ],
)
def test_bca_is_nan_where_its_corrections_are_undefined(estimate, left_out, rng):
    low, high, n_defined = bca_interval(estimate, rng.random(100), np.array(left_out), 0.9)
    assert np.isnan(low)
    assert np.isnan(high)
    assert n_defined == 100


def test_bca_leaves_undefined_replicates_out_and_counts_them(data):
    _, _, replicates, left_out = data
    holed = replicates.copy()
    holed[:, ::3] = np.nan
    estimates = replicates.mean(axis=1)
    made = bca_interval(estimates, holed, left_out, 0.9)
    kept = bca_interval(estimates, replicates[:, np.arange(999) % 3 > 0], left_out, 0.9)
    np.testing.assert_array_equal(made.low, kept.low)
    np.testing.assert_array_equal(made.high, kept.high)
    assert made.n_defined.tolist() == [666] * 3
    assert np.isnan(bca_interval(estimates, np.full((3, 5), np.nan), left_out, 0.9).low).all()


def test_single_precision_is_computed_in_double(rng):
    replicates, left_out, estimates = rng.random((2, 400)), rng.random((2, 30)), rng.random(2).astype(np.float32)
    made = bca_interval(estimates, replicates, left_out, 0.9)
    expected = bca_interval(estimates.astype(float), replicates, left_out, 0.9)
    np.testing.assert_array_equal(np.array(made), np.array(expected), strict=True)


def test_bca_intervals_keep_the_shape_of_what_stands_before_the_replicates(rng):
    replicates, left_out = rng.normal(size=(2, 3, 200)), rng.gamma(1 + np.arange(6.0).reshape(2, 3, 1), size=(2, 3, 30))
    estimates = rng.normal(scale=0.2, size=(2, 3))
    made = bca_interval(estimates, replicates, left_out, 0.9)
    for place in np.ndindex(2, 3):
        one = bca_interval(estimates[place], replicates[place], left_out[place], 0.9)
        np.testing.assert_allclose((made.low[place], made.high[place]), (one.low, one.high), rtol=1e-12)


def test_bca_counts_ties_with_the_estimate_in_each_row():
    """Two rows at once, of which one has ties; by hand: of ten replicates 4.5 lie below, and 3."""
    replicates = np.array([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]) / 10
    estimates, left_out = np.array([0.5, 0.35]), np.array([[-1.0, 0.0, 1.0]] * 2)
    made = bca_interval(estimates, replicates, left_out, 0.5)
    for row, share in enumerate((0.45, 0.3)):
        tails = stats.norm.cdf(2 * stats.norm.ppf(share) + stats.norm.ppf([0.25, 0.75]))
        expected = np.quantile(replicates[row], tails)
        assert (made.low[row], made.high[row]) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


@pytest.mark.parametrize("scale", [1e-40, 1e40])
def test_bca_knows_no_unit(data, scale):
    _, _, replicates, left_out = data
    estimates = np.median(replicates, axis=1)
    made = bca_interval(estimates, replicates, left_out, 0.9)
    scaled = bca_interval(scale * estimates, scale * replicates, scale * left_out, 0.9)
    np.testing.assert_allclose([scaled.low, scaled.high], scale * np.array([made.low, made.high]), rtol=1e-9)


def test_bca_with_half_a_replicate_below_the_estimate(rng):
    """The lowest replicate is the estimate, which counts as half: the least that has a bias."""
    replicates = np.sort(rng.normal(size=200))
    made = bca_interval(replicates[0], replicates, np.array([-1.0, 0.0, 1.0]), 0.9)
    expected = np.quantile(replicates, stats.norm.cdf(2 * stats.norm.ppf(0.5 / 200) + stats.norm.ppf([0.05, 0.95])))
    assert (made.low, made.high) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


def test_bca_needs_one_replicate_on_either_side_of_the_estimate(rng):
    replicates, left_out = np.sort(rng.normal(size=200)), rng.normal(size=30)
    one, none = (bca_interval(replicates[rank], replicates + shift, left_out, 0.9) for rank, shift in ((1, 0), (0, 9)))
    assert np.isfinite([one.low, one.high]).all()
    assert np.isnan([none.low, none.high]).all()


def test_bca_is_nan_where_its_correction_runs_away(rng):
    """One unit carries all of the skew: the acceleration is near its most, 1/6, and the bias is large."""
    replicates = np.concatenate([rng.uniform(0, 1, 1999), [3.0]])
    runs_away, holds = (bca_interval(2.0, replicates, np.append(np.zeros(99), -1.0), level) for level in (0.9999, 0.5))
    assert np.isnan([runs_away.low, runs_away.high]).all()
    assert np.isfinite([holds.low, holds.high]).all()
