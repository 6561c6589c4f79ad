import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from analysis.auroc import auroc, labelled


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
