import numpy as np
import pytest
from scipy.stats import norm

from analysis.statistics.auroc import auroc
from analysis.statistics.bootstrap import bootstrap_auroc, draw_counts
from analysis.statistics.delong import delong, delong_interval, delong_test


@pytest.fixture
def data(rng):
    """Labels with gaps, and four models with ties, the last as the first but for scale."""
    labels = (rng.random(90) < 0.3).astype(float)
    labels[7:12] = np.nan
    scores = rng.integers(12, size=(4, 90)) + 3.0 * np.nan_to_num(labels)
    scores[3] = np.exp(scores[0])
    return labels, scores


def pairwise(labels, row):
    """Kernel of every positive against every negative: the definition."""
    s_plus, s_minus = row[labels == 1], row[labels == 0]
    return np.array([[1.0 if p > n else 0.5 if p == n else 0.0 for n in s_minus] for p in s_plus])


def plain_covariance(labels, scores):
    """Sample covariances of the structural components, taken from the kernel."""
    kernels = [pairwise(labels, row) for row in scores]
    over_negatives = np.array([k.mean(axis=1) for k in kernels])
    over_positives = np.array([k.mean(axis=0) for k in kernels])
    n_plus, n_minus = kernels[0].shape
    return np.cov(over_negatives) / n_plus + np.cov(over_positives) / n_minus


def plain_clustered_variance(labels, row, units):
    """Obuchowski's sums, cluster by cluster, as the paper writes them."""
    kernel, a = pairwise(labels, row), auroc(labels, row)
    v10, v01 = kernel.mean(axis=1), kernel.mean(axis=0)
    of_plus, of_minus = units[labels == 1], units[labels == 0]
    n_plus, n_minus = len(of_plus), len(of_minus)
    names = sorted({*of_plus, *of_minus})
    with_plus, with_minus, both = len(set(of_plus)), len(set(of_minus)), len(names)
    s10 = s01 = s11 = 0.0
    for name in names:
        up = v10[of_plus == name].sum() - (of_plus == name).sum() * a
        down = v01[of_minus == name].sum() - (of_minus == name).sum() * a
        s10 += with_plus / ((with_plus - 1) * n_plus) * up**2
        s01 += with_minus / ((with_minus - 1) * n_minus) * down**2
        s11 += both / (both - 1) * up * down
    return s10 / n_plus + s01 / n_minus + 2 * s11 / (n_plus * n_minus)


def test_covariance_is_that_of_the_structural_components(data):
    made = delong(*data)
    np.testing.assert_allclose(made.covariance, plain_covariance(*data), rtol=0, atol=1e-15)
    assert made.auroc.tolist() == [auroc(data[0], row) for row in data[1]]
    assert (made.n_positive, made.n_negative) == ((data[0] == 1).sum(), (data[0] == 0).sum())
    assert made.covariance.dtype == np.float64


def test_invariants(data, rng):
    labels, scores = data
    made = delong(labels, scores)
    np.testing.assert_array_equal(made.covariance, made.covariance.T)
    assert np.linalg.eigvalsh(made.covariance).min() > -1e-15
    order = rng.permutation(labels.size)
    np.testing.assert_allclose(delong(labels[order], scores[:, order]).covariance, made.covariance, atol=1e-16)
    np.testing.assert_allclose(delong(1 - labels, -scores).covariance, made.covariance, atol=1e-16)
    np.testing.assert_allclose(delong(labels, -scores).covariance, made.covariance, atol=1e-16)


def test_the_variance_is_what_resampling_finds(rng):
    """Independent of all placements: the bootstrap's spread, within its Monte Carlo error and the 1/n of DeLong's."""
    labels = (rng.random(400) < 0.3).astype(float)
    scores = rng.normal(size=(2, 400)) + labels
    replicates = bootstrap_auroc(labels, scores, draw_counts(400, 5000, rng=rng))
    np.testing.assert_allclose(np.diag(delong(labels, scores).covariance), replicates.var(axis=1), rtol=0.08)


def test_single_rows_as_units_change_nothing(data):
    np.testing.assert_allclose(delong(*data, units=np.arange(90)).covariance, delong(*data).covariance, atol=1e-17)


@pytest.mark.parametrize("n_units", [8, 40])
def test_clusters_agree_with_obuchowskis_sums(data, n_units, rng):
    labels, scores = data
    units = rng.integers(n_units, size=90) * 7 - 3  # any whole numbers
    made = delong(labels, scores, units=units)
    expected = [plain_clustered_variance(labels, row, units) for row in scores]
    np.testing.assert_allclose(np.diag(made.covariance), expected, rtol=1e-12)
    error = delong_test(labels, scores, [(0, 1)], units=units).error[0]
    c = made.covariance
    assert error**2 == pytest.approx(c[0, 0] + c[1, 1] - 2 * c[0, 1], rel=1e-10)


def test_every_row_three_times_over_is_no_new_information(rng):
    """Pretending to independence would divide the variance by three; by cluster it stays nearly what it was."""
    labels = (rng.random(200) < 0.4).astype(float)
    scores = rng.normal(size=(1, 200)) + labels
    once = delong(labels, scores).covariance[0, 0]
    thrice = np.tile(labels, 3), np.tile(scores, 3)
    assert delong(*thrice, units=np.tile(np.arange(200), 3)).covariance[0, 0] == pytest.approx(once, rel=1e-10)
    assert delong(*thrice).covariance[0, 0] == pytest.approx(once / 3, rel=0.02)


def test_paired_test_is_difference_over_its_error(data):
    labels, scores = data
    made = delong_test(labels, scores, [(0, 1), (1, 0), (2, 1)])
    a, c = delong(labels, scores).auroc, plain_covariance(labels, scores)
    for k, (i, j) in enumerate([(0, 1), (1, 0), (2, 1)]):
        error = np.sqrt(c[i, i] + c[j, j] - 2 * c[i, j])
        assert made.difference[k] == a[i] - a[j]
        assert made.error[k] == pytest.approx(error, rel=1e-10)
        assert made.p_value[k] == pytest.approx(2 * (1 - norm.cdf(abs(a[i] - a[j]) / error)), abs=1e-12)
    assert made.z[0] == -made.z[1]
    assert ((made.p_value > 0) & (made.p_value <= 1)).all()


def test_p_values_are_uniform_where_the_models_are_equal():
    """Two models of the same skill: about 5 % of p-values lie below 0.05; 400 of them, so 1.7 % to 8.3 % at 3 sigma."""
    rng = np.random.default_rng(3)
    labels = np.repeat([1.0, 0.0], [50, 100])
    scores = rng.normal(size=(800, 150)) + labels + 0.7 * np.repeat(rng.normal(size=(400, 150)), 2, axis=0)
    p = delong_test(labels, scores, np.arange(800).reshape(400, 2)).p_value
    assert 0.017 <= (p < 0.05).mean() <= 0.083
    assert 0.425 <= (p < 0.5).mean() <= 0.575


def test_models_that_rank_alike_have_no_p_value(data):
    made = delong_test(*data, [(0, 3), (2, 2)])
    assert made.difference.tolist() == made.error.tolist() == [0, 0]
    assert np.isnan(made.z).all()
    assert np.isnan(made.p_value).all()


def test_p_values_far_out_are_probabilities(rng):
    labels = np.repeat([0.0, 1.0], 2000)
    scores = np.stack([labels, -labels]) * 0.5 + rng.normal(size=(2, 4000))
    assert 0 < delong_test(labels, scores, [(0, 1)]).p_value[0] < 1e-100  # 1 - cdf would be 0 beyond 1e-16


@pytest.mark.parametrize(
    ("labels", "defined"),
    [([0, 0, 0, 0], False), ([1, 1, 1, np.nan], False), ([0, 0, 0, 1], True), ([0, 1, 1, 1], True)],
)
def test_too_few_of_a_class_is_nan(labels, defined):
    scores = [[0.1, 0.4, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4]]
    made, test = delong(labels, scores), delong_test(labels, scores, [(0, 1)])
    assert np.isfinite(made.auroc).all() == defined
    assert made.covariance.shape == (2, 2)
    assert np.isnan(made.covariance).all()
    assert np.isnan([test.error, test.z, test.p_value]).all()
    assert np.isnan(delong_interval(made.auroc, np.diag(made.covariance), level=0.9)).all()


def test_one_patient_with_all_positives_has_no_variance():
    made = delong([1, 1, 0, 0, 0], [[0.5, 0.3, 0.4, 0.2, 0.1]], units=np.array([4, 4, 1, 2, 3]))
    assert np.isnan(made.covariance).all()


def test_intervals_on_both_scales():
    aurocs, variances = np.array([0.8, 0.97, 0.03]), np.array([0.01, 0.001, 0.001])
    low, high = delong_interval(aurocs, variances, level=0.9)
    assert (low[0], high[0]) == (pytest.approx(0.8 - 1.6448536 * 0.1), pytest.approx(0.8 + 1.6448536 * 0.1))
    assert high[1] == 1
    assert low[2] == 0
    low, high = delong_interval(aurocs, variances, level=0.9, scale="logit")
    assert ((low > 0) & (low < aurocs) & (aurocs < high) & (high < 1)).all()
    assert (1 - high[1], 1 - low[1]) == (pytest.approx(low[2]), pytest.approx(high[2]))
    half = 1.6448536 * 0.1 / 0.16
    assert (np.log(low / (1 - low))[0], np.log(high / (1 - high))[0]) == (
        pytest.approx(np.log(4) - half),
        pytest.approx(np.log(4) + half),
    )


@pytest.mark.parametrize("scale", ["identity", "logit"])
def test_perfect_separation_has_no_interval(scale):
    made = delong([0, 0, 1, 1], [[0.1, 0.2, 0.3, 0.4]])
    assert made.covariance[0, 0] == 0
    assert np.isnan(delong_interval(made.auroc, np.diag(made.covariance), level=0.95, scale=scale)).all()


def test_single_precision_is_computed_in_double():
    aurocs, variances = np.array([0.8, 0.9], np.float32), np.array([0.01, 0.002], np.float32)
    expected = delong_interval(aurocs.astype(float), variances.astype(float), level=0.9)
    for given in ((aurocs, variances), (aurocs.astype(float), variances)):
        np.testing.assert_array_equal(delong_interval(*given, level=0.9), expected, strict=True)


def test_one_positive_more_than_negatives_is_like_any_number(rng):
    labels, scores = np.array([1.0, 1, 1, 0, 0]), rng.random((2, 5))
    assert np.isfinite(delong(labels, scores).covariance).all()


def test_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match=r"scores must have shape \[models, 2\]"):
        delong([0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="scores must be finite"):
        delong_test([0, 1], [[0.1, np.inf]], [(0, 0)])
    with pytest.raises(ValueError, match=r"units must have shape \(2,\)"):
        delong([0, 1], [[0.1, 0.2]], units=np.arange(3))
    with pytest.raises(ValueError, match="scale=log is not one of identity, logit"):
        delong_interval([0.5], [0.1], level=0.9, scale="log")
    with pytest.raises(ValueError, match="between 0 and 1"):
        delong_interval([0.5], [0.1], level=95)


def test_on_the_logit_scale_the_ends_of_the_range_have_no_interval():
    for bound in delong_interval([0.0, 1.0, 0.5], [0.01, 0.01, 0.0], level=0.95, scale="logit"):
        assert np.isnan(bound).all()
