import numpy as np
import pytest

from analysis.statistics.auroc import auroc
from analysis.statistics.bootstrap import bootstrap_auroc, draw_counts
from analysis.statistics.delong import influence, t_interval, t_p


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


def delong(labels, scores, units=None):
    """AUROCs and their covariance."""
    n = len(labels)
    made = influence(labels, scores, np.arange(n) if units is None else units, n)
    return made.auroc, made.values @ made.values.T


def test_covariance_is_that_of_the_structural_components(data):
    aurocs, covariance = delong(*data)
    np.testing.assert_allclose(covariance, plain_covariance(*data), rtol=0, atol=1e-15)
    assert aurocs.tolist() == [auroc(data[0], row) for row in data[1]]
    made = influence(*data, np.arange(90), 90)
    assert (made.n_positive, made.n_negative) == ((data[0] == 1).sum(), (data[0] == 0).sum())
    np.testing.assert_allclose(made.alone, np.diag(covariance), rtol=1e-12)


def test_invariants(data, rng):
    labels, scores = data
    covariance = delong(labels, scores)[1]
    order = rng.permutation(labels.size)
    np.testing.assert_allclose(delong(labels[order], scores[:, order])[1], covariance, atol=1e-16)
    np.testing.assert_allclose(delong(1 - labels, -scores)[1], covariance, atol=1e-16)
    np.testing.assert_allclose(delong(labels, -scores)[1], covariance, atol=1e-16)


def test_the_variance_is_what_resampling_finds(rng):
    """Independent of all placements: the bootstrap's spread, within its Monte Carlo error and the 1/n of DeLong's."""
    labels = (rng.random(400) < 0.3).astype(float)
    scores = rng.normal(size=(2, 400)) + labels
    replicates = bootstrap_auroc(labels, scores, draw_counts(400, 5000, rng=rng))
    np.testing.assert_allclose(np.diag(delong(labels, scores)[1]), replicates.var(axis=1), rtol=0.08)


@pytest.mark.parametrize("n_units", [8, 40])
def test_clusters_agree_with_obuchowskis_sums_but_for_a_factor_near_one(data, n_units, rng):
    """Hers stretches the cross term by the number of all clusters, and not by those of either class."""
    labels, scores = data
    units = rng.integers(n_units, size=90)
    made = influence(labels, scores, units, 90)
    expected = [plain_clustered_variance(labels, row, units) for row in scores]
    np.testing.assert_allclose((made.values**2).sum(axis=1), expected, rtol=1 / n_units)
    one_class = np.where(labels == 1, units, units + n_units)  # without units of both classes there is no cross term
    expected = [plain_clustered_variance(labels, row, one_class) for row in scores]
    np.testing.assert_allclose((influence(labels, scores, one_class, 90).values ** 2).sum(axis=1), expected, rtol=1e-10)


def test_every_row_three_times_over_is_no_new_information(rng):
    """Pretending to independence would divide the variance by three; by cluster it stays nearly what it was."""
    labels = (rng.random(200) < 0.4).astype(float)
    scores = rng.normal(size=(1, 200)) + labels
    once = delong(labels, scores)[1].item()
    made = influence(np.tile(labels, 3), np.tile(scores, 3), np.tile(np.arange(200), 3), 200)
    assert (made.values**2).sum() == pytest.approx(once, rel=1e-10)
    assert made.alone.item() == pytest.approx(once / 3, rel=0.02)


def test_p_values_are_uniform_where_the_models_are_equal():
    """Two models of the same skill: about 5 % of p-values lie below 0.05; 400 of them, so 1.7 % to 8.3 % at 3 sigma."""
    rng = np.random.default_rng(3)
    labels = np.repeat([1.0, 0.0], [50, 100])
    scores = rng.normal(size=(800, 150)) + labels + 0.7 * np.repeat(rng.normal(size=(400, 150)), 2, axis=0)
    made = influence(labels, scores, np.arange(150), 150)
    errors = np.linalg.norm(made.values[::2] - made.values[1::2], axis=1)
    p = t_p(made.auroc[::2] - made.auroc[1::2], errors, np.full(400, 148.0))
    assert 0.017 <= (p < 0.05).mean() <= 0.083
    assert 0.425 <= (p < 0.5).mean() <= 0.575


def test_models_that_rank_alike_have_no_p_value(data):
    made = influence(*data, np.arange(90), 90)
    error = np.linalg.norm(made.values[0] - made.values[3])
    assert error == made.auroc[0] - made.auroc[3] == 0
    assert np.isnan(t_p(np.zeros(1), np.array([error]), np.array([9.0]))).all()
    assert np.isnan(t_interval(np.zeros(1), np.array([error]), np.array([9.0]), 0.95)).all()


def test_p_values_far_out_are_probabilities():
    assert 0 < t_p(np.array([0.5]), np.array([0.02]), np.array([4000.0]))[0] < 1e-100  # 1 - cdf: 0 beyond 1e-16


@pytest.mark.parametrize(
    ("labels", "defined"),
    [([0, 0, 0, 0], False), ([1, 1, 1, np.nan], False), ([0, 0, 0, 1], True), ([0, 1, 1, 1], True)],
)
def test_too_few_of_a_class_is_nan(labels, defined):
    aurocs, covariance = delong(labels, [[0.1, 0.4, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4]])
    assert np.isfinite(aurocs).all() == defined
    assert covariance.shape == (2, 2)
    assert np.isnan(covariance).all()


def test_one_patient_with_all_positives_has_no_variance():
    assert np.isnan(delong([1, 1, 0, 0, 0], [[0.5, 0.3, 0.4, 0.2, 0.1]], np.array([4, 4, 1, 2, 3]))[1]).all()


def test_perfect_separation_has_no_interval():
    aurocs, covariance = delong([0, 0, 1, 1], [[0.1, 0.2, 0.3, 0.4]])
    assert covariance.item() == 0
    assert np.isnan(t_interval(aurocs, np.sqrt(np.diag(covariance)), np.full(1, np.inf), 0.95)).all()


def test_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match=r"scores must have shape \[models, 2\]"):
        influence([0, 1], [0.1, 0.2], np.arange(2), 2)
    with pytest.raises(ValueError, match="scores must be finite"):
        influence([0, 1], [[0.1, np.inf]], np.arange(2), 2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        t_interval(np.array([0.5]), np.array([0.1]), np.array([9.0]), 95)
