import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from analysis.statistics import bootstrap
from analysis.statistics.auroc import auroc
from analysis.statistics.bootstrap import bootstrap_auroc, draw_counts, percentile_interval, two_sided_p


@pytest.fixture(params=["narrow", "wide"])
def each_width(request, monkeypatch):
    """Float32 where the sums fit in it, and float64 throughout."""
    if request.param == "wide":
        monkeypatch.setattr(bootstrap, "EXACT", 0)
    return request.param


def plain_loop(labels, scores, draws):
    """The simple loop: resample rows by index, score with scikit-learn; and the counts of those very resamples."""
    replicates = np.full((len(scores), len(draws)), np.nan)
    for b, index in enumerate(draws):
        kept = index[~np.isnan(labels[index])]
        if len(set(labels[kept])) == 2:
            replicates[:, b] = [roc_auc_score(labels[kept], model[kept]) for model in scores]
    return replicates, np.stack([np.bincount(index, minlength=labels.size) for index in draws])


@pytest.mark.parametrize("prevalence", [0.3, 0.8])
@pytest.mark.parametrize("levels", [3, 10_000])
@pytest.mark.usefixtures("each_width")
def test_agrees_with_the_plain_resampling_loop(levels, prevalence, rng):
    n = 80
    labels = (rng.random(n) < prevalence).astype(float)
    labels[5:9] = np.nan
    scores = rng.integers(levels, size=(3, n)) / levels
    expected, counts = plain_loop(labels, scores, [rng.integers(n, size=n) for _ in range(60)])
    np.testing.assert_allclose(bootstrap_auroc(labels, scores, counts), expected, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("each_width")
def test_clusters_agree_with_the_plain_loop_over_clusters(rng):
    cluster = np.sort(rng.integers(25, size=70))
    labels = (rng.random(70) < 0.4).astype(float)
    scores = rng.random((2, 70))
    drawn = [rng.integers(25, size=25) for _ in range(40)]
    rows = [np.concatenate([np.flatnonzero(cluster == c) for c in draw]) for draw in drawn]
    expected, counts = plain_loop(labels, scores, rows)
    by_cluster = np.stack([np.bincount(draw, minlength=25) for draw in drawn])[:, cluster]
    np.testing.assert_array_equal(counts, by_cluster)
    np.testing.assert_allclose(bootstrap_auroc(labels, scores, by_cluster), expected, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("each_width")
def test_every_entry_once_gives_the_estimate(rng):
    labels, scores = (rng.random(50) < 0.5).astype(float), rng.integers(9, size=(4, 50)) / 9
    once = np.ones((1, 50), dtype=np.uint8)
    expected = [[auroc(labels, model)] for model in scores]
    np.testing.assert_array_equal(bootstrap_auroc(labels, scores, once), expected)


def test_both_widths_are_equal_to_the_last_bit(monkeypatch, rng):
    labels, scores = (rng.random(300) < 0.2).astype(float), rng.integers(40, size=(3, 300)) / 40
    counts = draw_counts(300, 200, rng=rng)
    narrow = bootstrap_auroc(labels, scores, counts)
    monkeypatch.setattr(bootstrap, "EXACT", 0)
    np.testing.assert_array_equal(bootstrap_auroc(labels, scores, counts), narrow)


@pytest.mark.usefixtures("each_width")
def test_blocks_change_nothing(monkeypatch, rng):
    labels, scores = (rng.random(40) < 0.5).astype(float), rng.integers(15, size=(5, 40)) / 15
    counts = draw_counts(40, 100, rng=rng)
    whole = bootstrap_auroc(labels, scores, counts)
    monkeypatch.setattr(bootstrap, "BLOCK", 200)  # two models and a few resamples at a time
    monkeypatch.setattr(bootstrap, "TILE", 3)
    np.testing.assert_array_equal(bootstrap_auroc(labels, scores, counts), whole)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [63, 64, 65, 4097, 16_383, 16_384, 2**22, 2**31])
def test_large_counts_stay_exact(size, flip):
    """Twice the sum passes 8, 16 and 32 bits, and twice the pairs what float32 holds: against Python's integers."""
    counts = np.array([[1, size, size + 1]])
    labels, scores = np.array([1.0, 1.0, 0.0]), np.array([[0.9, 0.5, 0.5]])
    twice_wins = 2 * (size + 1) + size * (size + 1)
    expected = twice_wins / (2 * (size + 1) ** 2)
    if flip:
        labels, expected = 1 - labels, 1 - expected
    assert bootstrap_auroc(labels, scores, counts)[0, 0] == pytest.approx(expected, rel=1e-15)


@pytest.mark.usefixtures("each_width")
def test_resamples_that_lose_a_class_are_nan_and_counted():
    labels, scores = np.array([1.0, 0.0, 0.0]), np.array([[0.9, 0.2, 0.4]])
    counts = np.array([[1, 1, 1], [0, 2, 1], [3, 0, 0], [2, 0, 1]])
    replicates = bootstrap_auroc(labels, scores, counts)
    np.testing.assert_array_equal(np.isnan(replicates), [[False, True, True, False]])
    assert percentile_interval(replicates, 0.9).n_defined.tolist() == [2]


def test_a_single_pair_is_enough_and_no_resample_is_none():
    counts = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0]])
    np.testing.assert_array_equal(bootstrap_auroc([0, 0, 1], [[0.2, 0.8, 0.5]], counts), [[1, 0, np.nan]])
    assert bootstrap_auroc([0, 0, 1], [[0.2, 0.8, 0.5]], counts[:0]).shape == (1, 0)


def test_one_class_alone_is_nan_throughout(rng):
    replicates = bootstrap_auroc(np.ones(5), rng.random((2, 5)), draw_counts(5, 10, rng=rng))
    assert replicates.shape == (2, 10)
    assert np.isnan(replicates).all()
    interval = percentile_interval(replicates, 0.95)
    assert np.isnan(interval.low).all()
    assert interval.n_defined.tolist() == [0, 0]


def test_draw_counts_are_multinomial_and_reproducible(rng):
    counts = draw_counts(30, 4000, rng=rng)
    assert (counts.sum(axis=1) == 30).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(30), abs=0.08)
    assert counts.var(axis=0) == pytest.approx(np.full(30, 1 - 1 / 30), abs=0.12)  # of a binomial(30, 1/30)
    again = draw_counts(30, 4000, rng=np.random.default_rng(20210404))
    np.testing.assert_array_equal(counts, again)
    assert (draw_counts(30, 10, rng=np.random.default_rng(1)) != again[:10]).any()


def test_one_unit_is_drawn_once(rng):
    assert draw_counts(1, 1, rng=rng).tolist() == [[1]]


def test_strata_keep_their_sizes_and_are_drawn_uniformly(rng):
    strata = np.repeat([5, 0, 2], [1, 8, 21])[rng.permutation(30)]
    counts = draw_counts(30, 4000, rng=rng, strata=strata)
    for stratum, size in ((5, 1), (0, 8), (2, 21)):
        inside = counts[:, strata == stratum]
        assert (inside.sum(axis=1) == size).all()
        assert inside.mean(axis=0) == pytest.approx(np.ones(size), abs=0.08)
        assert inside.var(axis=0) == pytest.approx(np.full(size, 1 - 1 / size), abs=0.12)  # of a binomial(size, 1/size)


def test_a_pair_of_a_stratum_varies_together_as_independent_draws_do(rng):
    """Where fewer were drawn than a stratum holds, the rest is drawn anew, and not one of the others repeated."""
    counts = draw_counts(12, 15_000, rng=rng, strata=np.repeat([0, 1], [4, 8])).astype(float)
    covariance = np.cov(counts.T)
    expected = np.zeros((12, 12))
    expected[:4, :4], expected[4:, 4:] = np.eye(4) - 1 / 4, np.eye(8) - 1 / 8  # multinomial
    np.testing.assert_allclose(covariance, expected, atol=0.05)


def test_strata_share_the_draws_of_generators_in_the_same_state():
    """One stratum is no stratum; the same strata give the same counts; two sets of strata stay alike."""
    made = [
        draw_counts(200, 300, rng=np.random.default_rng(1), strata=strata).astype(float)
        for strata in (None, np.zeros(200, int), np.arange(200) % 5 // 4, np.arange(200) % 7 // 6)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    assert np.corrcoef(made[2].ravel(), made[3].ravel())[0, 1] > 0.9
    other = draw_counts(200, 300, rng=np.random.default_rng(2), strata=np.arange(200) % 5 // 4)
    assert abs(np.corrcoef(made[2].ravel(), other.ravel())[0, 1]) < 0.05


def test_strata_must_be_one_a_unit(rng):
    with pytest.raises(ValueError, match=r"strata must have shape \(5,\)"):
        draw_counts(5, 10, rng=rng, strata=np.zeros(4, int))


def test_a_stratum_of_one_unit_is_drawn_once(rng):
    counts = draw_counts(4, 50, rng=rng, strata=np.array([0, 1, 1, 1]))
    assert (counts[:, 0] == 1).all()
    assert (counts.sum(axis=1) == 4).all()


def test_p_value_follows_its_rule():
    differences = np.array([[0.1] * 999, [-0.1] * 999, [0.1, -0.1, 0.0] * 333, [0.1] * 979 + [-0.1] * 20])
    assert two_sided_p(differences) == pytest.approx([0.002, 0.002, 1.0, 2 * 19.5 / 998])


def test_p_value_is_below_5_percent_exactly_where_the_95_percent_interval_leaves_0_out(rng):
    """Also where a replicate more or less in the tail decides, and where many replicates are exactly 0."""
    differences = np.sort(rng.normal(size=(200, 1000)), axis=1)
    differences -= differences[:, 20:31].mean(axis=1, keepdims=True) + rng.normal(scale=0.02, size=(200, 1))
    differences[::3] = np.round(differences[::3], 1)
    low, high, _ = percentile_interval(differences, 0.95)
    outside = (low > 0) | (high < 0)
    assert 20 < outside.sum() < 180
    np.testing.assert_array_equal(two_sided_p(differences) < 0.05, outside)
    np.testing.assert_array_equal(two_sided_p(-differences) < 0.05, outside)


def test_p_value_is_never_zero_and_undefined_is_nan(rng):
    differences = rng.normal(rng.normal(size=(50, 1)), 0.5, size=(50, 99))
    p = two_sided_p(differences)
    assert ((p > 0) & (p <= 1)).all()
    np.testing.assert_allclose(two_sided_p(-differences), p, rtol=0, atol=1e-12)
    differences[0] = np.nan
    differences[1, 9:] = np.nan
    assert np.isnan(two_sided_p(differences)[0])
    assert two_sided_p(np.abs(differences[1:2])).tolist() == [0.2]  # 2 (1 + 0) / (9 + 1): only the defined count


def test_p_values_keep_the_shape_of_what_stands_before_the_replicates(rng):
    differences = rng.normal(rng.normal(size=(3, 4, 1)), 0.5, size=(3, 4, 49))
    each = [[float(two_sided_p(row)) for row in rows] for rows in differences]
    np.testing.assert_array_equal(two_sided_p(differences), each)


def test_a_single_defined_difference_has_a_p_value():
    assert float(two_sided_p(np.array([0.1, np.nan, np.nan]))) == 1.0  # 2 (1 + 0) / (1 + 1)


@pytest.mark.parametrize(
    ("labels", "scores", "counts", "message"),
    [
        ([0, 1], [0.1, 0.2], [[1, 1]], r"scores must have shape \[models, 2\]"),
        ([0, 1], [[0.1, 0.2, 0.3]], [[1, 1]], r"scores must have shape \[models, 2\]"),
        ([0, 1], [[0.1, 0.2]], [[1, 1, 1]], r"counts must have shape \[resamples, 2\]"),
        ([0, 1], [[0.1, np.nan]], [[1, 1]], "scores must be finite"),
        ([0, 2], [[0.1, 0.2]], [[1, 1]], "labels must be 0, 1 or NaN"),
        ([0, 1], [[0.1, 0.2]], [[1, -1]], "counts must be whole numbers"),
        ([0, 1], [[0.1, 0.2]], [[1.0, 1.0]], "counts must be whole numbers"),
    ],
)
def test_refuses_what_cannot_be_resampled(labels, scores, counts, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_auroc(labels, scores, np.array(counts))


def test_refuses_to_draw_nothing(rng):
    with pytest.raises(ValueError, match="at least 1"):
        draw_counts(0, 10, rng=rng)
