import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from analysis.statistics.auroc import auroc, check_models, count_wins, labelled, leave_out_auroc


def pairwise_auroc(labels, scores):
    """Plain Python over every pair: the definition."""
    positives = [s for y, s in zip(labels, scores, strict=True) if y == 1]
    negatives = [s for y, s in zip(labels, scores, strict=True) if y == 0]
    wins = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p in positives for n in negatives)
    return wins / (len(positives) * len(negatives))


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("n", [5, 60, 301])
def test_agrees_with_the_definition_and_with_scikit_learn(n, levels, rng):
    labels = (rng.random(n) < 0.4).astype(float)
    labels[:2] = 0, 1
    scores = rng.integers(levels, size=n) / levels
    assert auroc(labels, scores) == pairwise_auroc(labels, scores)
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_invariants(rng):
    labels = (rng.random(200) < 0.3).astype(float)
    scores = rng.integers(30, size=200) / 30
    value = auroc(labels, scores)
    order = rng.permutation(200)
    assert auroc(labels[order], scores[order]) == value
    assert auroc(labels, np.exp(5 * scores) - 7) == value
    assert auroc(1 - labels, scores) == pytest.approx(1 - value, abs=1e-15)
    assert auroc(labels, -scores) == pytest.approx(1 - value, abs=1e-15)


def test_extremes():
    assert auroc([0, 0, 1], [0.1, 0.2, 0.3]) == 1
    assert auroc([1, 0, 0], [0.1, 0.2, 0.3]) == 0
    assert auroc([1, 0, 0, 1], [0.5, 0.5, 0.5, 0.5]) == 0.5


def test_many_ties_stay_at_or_below_one():
    """Midranks in float32 give more than 1 here."""
    n = 200_000
    labels = np.repeat([0.0, 1.0], n)
    assert auroc(labels, labels) == 1


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, np.nan], [np.nan] * 3])
def test_undefined_without_both_classes(labels):
    assert np.isnan(auroc(labels, [0.1, 0.2, 0.3]))


def test_unlabelled_entries_take_no_part(rng):
    labels = (rng.random(100) < 0.5).astype(float)
    labels[::7] = np.nan
    scores = rng.random(100)
    kept = labelled(labels)
    assert kept.sum() == 85
    assert auroc(labels, scores) == auroc(labels[kept], scores[kept])


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1, -1], [0.1, 0.2, 0.3], r"labels must be 0, 1 or NaN, not -1.0 \(entry 2\)"),
        ([0, 1, 0.5], [0.1, 0.2, 0.3], "labels must be 0, 1 or NaN, not 0.5"),
        ([0, 1, 1], [0.1, np.nan, 0.3], r"scores must be finite, not nan \(entry 1\)"),
        ([0, 1, 1], [0.1, 0.2, np.inf], "scores must be finite, not inf"),
        ([0, 1, np.nan], [0.1, 0.2, np.inf], "scores must be finite, not inf"),
        ([0, 1], [0.1, 0.2, 0.3], r"shape \(2,\) and scores \(3,\)"),
        ([[0, 1]], [[0.1, 0.2]], "one dimension"),
    ],
)
def test_refuses_what_has_no_auroc(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        auroc(labels, scores)


@pytest.mark.parametrize("levels", [2, 7, 1000])
@pytest.mark.parametrize("prevalence", [0.2, 0.8])
def test_wins_are_those_of_every_row(levels, prevalence, rng):
    labels = (rng.random(70) < prevalence).astype(float)
    labels[10:15] = np.nan
    scores = rng.integers(levels, size=(3, 70)) / levels
    wins = count_wins(labels, scores)
    for model, row in enumerate(scores):
        positives, negatives = row[labels == 1], row[labels == 0]
        assert wins.positive[model].tolist() == [(p > negatives).sum() + (p == negatives).sum() / 2 for p in positives]
        assert wins.negative[model].tolist() == [(positives > n).sum() + (positives == n).sum() / 2 for n in negatives]


def test_wins_without_a_class_are_none():
    wins = count_wins([0, 0, np.nan], [[0.1, 0.2, 0.3]])
    assert wins.positive.shape == (1, 0)
    assert wins.negative.tolist() == [[0, 0]]


@pytest.mark.parametrize("n_units", [50, 12])
@pytest.mark.parametrize("levels", [4, 1000])
def test_leaving_out_a_unit_is_scoring_the_rest(levels, n_units, rng):
    """Units of several rows, many with both classes, against scikit-learn on what is left."""
    labels = (rng.random(50) < 0.4).astype(float)
    scores = rng.integers(levels, size=(2, 50)) / levels
    units = rng.permutation(np.arange(50) % n_units)
    labels[rng.random(50) < 0.1] = np.nan
    made = leave_out_auroc(labels, scores, units)
    for unit in range(n_units):
        rest = (units != unit) & labelled(labels)
        expected = [roc_auc_score(labels[rest], row[rest]) for row in scores]
        np.testing.assert_allclose(made[:, unit], expected, rtol=0, atol=1e-12)


def test_a_unit_without_a_class_or_a_label_is_left_out_like_another(rng):
    """The last one, whose numbers are the highest."""
    labels = np.array([1.0, 0, 1, 0, 1, 0, 0, 0, np.nan])
    units, scores = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4]), rng.integers(4, size=(2, 9)) / 4
    made = leave_out_auroc(labels, scores, units)
    for unit in range(5):
        rest = (units != unit) & labelled(labels)
        np.testing.assert_allclose(made[:, unit], [roc_auc_score(labels[rest], row[rest]) for row in scores])


def test_leaving_out_the_only_positive_is_nan():
    made = leave_out_auroc([1, 0, 0], [[0.5, 0.4, 0.6]], np.array([0, 1, 2]))
    np.testing.assert_array_equal(made, [[np.nan, 0, 1]])


def test_single_precision_becomes_double():
    labels, scores = check_models(np.array([0, 1], np.float32), np.array([[0.25, 0.5]], np.float32))
    assert (labels.dtype, scores.dtype) == (np.float64, np.float64)
