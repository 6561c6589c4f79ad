import time

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from analysis import bootstrap
from analysis.auroc import auroc
from analysis.bootstrap import bootstrap_auroc, draw_counts, percentile_interval, two_sided_p


@pytest.fixture(params=["pairs", "sorting"])
def each_path(request, monkeypatch):
    """Each of the two ways to count wins, whatever the size."""
    monkeypatch.setattr(bootstrap, "PAIRS_PER_ENTRY", {"pairs": 10**9, "sorting": 0}[request.param])
    return request.param


def plain_loop(labels, scores, draws):
    """The simple loop: resample rows by index, score with scikit-learn; and the counts of those very resamples."""
    replicates = np.full((len(scores), len(draws)), np.nan)
    for b, index in enumerate(draws):
        kept = index[~np.isnan(labels[index])]
        if len(set(labels[kept])) == 2:
            replicates[:, b] = [roc_auc_score(labels[kept], model[kept]) for model in scores]
    return replicates, np.stack([np.bincount(index, minlength=labels.size) for index in draws])


@pytest.mark.parametrize("levels", [3, 10_000])
@pytest.mark.usefixtures("each_path")
def test_agrees_with_the_plain_resampling_loop(levels, rng):
    n = 80
    labels = (rng.random(n) < 0.3).astype(float)
    labels[5:9] = np.nan
    scores = rng.integers(levels, size=(3, n)) / levels
    expected, counts = plain_loop(labels, scores, [rng.integers(n, size=n) for _ in range(60)])
    np.testing.assert_allclose(bootstrap_auroc(labels, scores, counts), expected, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("each_path")
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


@pytest.mark.usefixtures("each_path")
def test_every_entry_once_gives_the_estimate(rng):
    labels, scores = (rng.random(50) < 0.5).astype(float), rng.integers(9, size=(4, 50)) / 9
    once = np.ones((1, 50), dtype=np.uint8)
    expected = [[auroc(labels, model)] for model in scores]
    np.testing.assert_array_equal(bootstrap_auroc(labels, scores, once), expected)


def test_both_ways_are_equal_to_the_last_bit(monkeypatch, rng):
    labels, scores = (rng.random(300) < 0.2).astype(float), rng.integers(40, size=(3, 300)) / 40
    counts = draw_counts(300, 200, rng=rng)
    results = []
    for pairs in (10**9, 0):
        monkeypatch.setattr(bootstrap, "PAIRS_PER_ENTRY", pairs)
        results.append(bootstrap_auroc(labels, scores, counts))
    np.testing.assert_array_equal(*results)


@pytest.mark.usefixtures("each_path")
def test_blocks_change_nothing(monkeypatch, rng):
    labels, scores = (rng.random(40) < 0.5).astype(float), rng.random((2, 40))
    counts = draw_counts(40, 100, rng=rng)
    whole = bootstrap_auroc(labels, scores, counts)
    monkeypatch.setattr(bootstrap, "BLOCK", 40 * 7)
    monkeypatch.setattr(bootstrap, "TILE", 3)
    np.testing.assert_array_equal(bootstrap_auroc(labels, scores, counts), whole)


def test_counts_too_large_for_float32_stay_exact(monkeypatch):
    """Twice the pairs passes 2**24 here, so the pair kernel must not be taken even where it would be quicker."""
    monkeypatch.setattr(bootstrap, "PAIRS_PER_ENTRY", 10**9)
    labels = np.array([1.0, 1.0, 0.0])
    scores = np.array([[0.9, 0.5, 0.5]])
    counts = np.array([[1, 4097, 4099]])
    expected = (1 * 4099 + 0.5 * 4097 * 4099) / (4098 * 4099)
    assert bootstrap_auroc(labels, scores, counts)[0, 0] == expected


@pytest.mark.usefixtures("each_path")
def test_resamples_that_lose_a_class_are_nan_and_counted():
    labels, scores = np.array([1.0, 0.0, 0.0]), np.array([[0.9, 0.2, 0.4]])
    counts = np.array([[1, 1, 1], [0, 2, 1], [3, 0, 0], [2, 0, 1]])
    replicates = bootstrap_auroc(labels, scores, counts)
    np.testing.assert_array_equal(np.isnan(replicates), [[False, True, True, False]])
    assert percentile_interval(replicates, 0.9).n_defined.tolist() == [2]


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


def test_interval_is_the_quantiles_of_the_defined_replicates(rng):
    replicates = rng.random((2, 3, 501))
    replicates[1, 2, ::5] = np.nan
    interval = percentile_interval(replicates, 0.8)
    assert interval.low.shape == (2, 3)
    assert interval.n_defined.tolist() == [[501, 501, 501], [501, 501, 400]]
    row = sorted(replicates[0, 1])  # 501 of them: the tenths lie on entries 50 and 450
    assert (interval.low[0, 1], interval.high[0, 1]) == (pytest.approx(row[50]), pytest.approx(row[450]))
    assert interval.low[1, 2] == pytest.approx(np.nanpercentile(replicates[1, 2], 10))


def test_interval_covers_as_often_as_it_says():
    """Normal scores with a known AUROC: the 90 % interval holds it about 90 times in 100."""
    rng = np.random.default_rng(5)
    truth, hits = 0.7602499389065233, 0  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    labels = np.repeat([1.0, 0.0], [60, 90])
    for _ in range(200):
        scores = rng.normal(size=150) + labels
        replicates = bootstrap_auroc(labels, scores[None], draw_counts(150, 300, rng=rng))
        low, high, _ = percentile_interval(replicates, 0.9)
        hits += int(low[0] <= truth <= high[0])
    assert 0.84 <= hits / 200 <= 0.95


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_interval_refuses_a_level_that_is_no_probability(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile_interval(np.zeros((1, 3)), level)


def test_p_value_follows_its_rule():
    differences = np.array([[0.1] * 999, [-0.1] * 999, [0.1, -0.1, 0.0] * 333, [0.1] * 979 + [-0.1] * 20])
    assert two_sided_p(differences).tolist() == [0.002, 0.002, 1.0, 0.042]


def test_p_value_is_never_zero_and_undefined_is_nan(rng):
    differences = rng.normal(rng.normal(size=(50, 1)), 0.5, size=(50, 99))
    p = two_sided_p(differences)
    assert ((p > 0) & (p <= 1)).all()
    np.testing.assert_array_equal(two_sided_p(-differences), p)
    differences[0] = np.nan
    differences[1, 9:] = np.nan
    assert np.isnan(two_sided_p(differences)[0])
    assert two_sided_p(np.abs(differences[1:2])).tolist() == [0.2]  # 2 (1 + 0) / (9 + 1): only the defined count


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


def test_a_whole_sweep_is_quick(rng):
    """32 models, 5 tasks, 1,000 resamples of 500 studies: 0.2 s on a free core; busy ones may take ten times that."""
    labels, scores = (rng.random((5, 500)) < 0.3).astype(float), rng.random((32, 5, 500))
    start = time.perf_counter()
    counts = draw_counts(500, 1000, rng=rng)
    for t in range(5):
        bootstrap_auroc(labels[t], scores[:, t], counts)
    assert time.perf_counter() - start < 2
