import numpy as np
import pytest
from sklearn.metrics import average_precision_score, recall_score, roc_curve

from analysis.statistics.bootstrap import draw_counts
from analysis.statistics.metrics import bootstrap_average_precision, bootstrap_share, cut_for


@pytest.fixture
def data(rng):
    labels = (rng.random(120) < 0.3).astype(float)
    labels[::17] = np.nan
    scores = np.round(np.nan_to_num(labels) + rng.normal(size=(3, 120)), 1)  # with ties
    return labels, scores, draw_counts(120, 60, rng=rng)


def test_average_precision_is_scikit_learns_in_every_resample(data):
    labels, scores, counts = data
    found, known = bootstrap_average_precision(labels, scores, counts), ~np.isnan(labels)
    for model, row in enumerate(scores):
        for draw, weights in enumerate(counts):
            expected = average_precision_score(labels[known], row[known], sample_weight=weights[known])
            assert found[model, draw] == pytest.approx(expected, abs=1e-12)


def test_a_resample_without_a_class_has_none():
    counts = np.array([[1, 1, 0], [0, 0, 2], [1, 0, 1]])
    found = bootstrap_average_precision([0, 0, 1], [[0.1, 0.2, 0.3]], counts)
    assert np.isnan(found[0, :2]).all()
    assert found[0, 2] == 1
    assert np.isnan(bootstrap_average_precision([np.nan] * 2, [[0.1, 0.2]], counts[:, :2])).all()


def test_sensitivity_is_scikit_learns_recall_in_every_resample(data):
    labels, scores, counts = data
    found = bootstrap_share(scores > 0.5, labels == 1, counts)
    known = ~np.isnan(labels)
    for draw, weights in enumerate(counts):
        expected = recall_score(labels[known], scores[1, known] > 0.5, sample_weight=weights[known])
        assert found[1, draw] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(bootstrap_share(scores > 0.5, labels == 2, counts)).all()


@pytest.mark.parametrize("specificity", [0.5, 0.8, 0.9, 0.95])
def test_the_cut_is_the_best_of_scikit_learns_roc_curve(data, specificity):
    labels, scores, _ = data
    known = ~np.isnan(labels)
    for row in scores:
        cut = cut_for(labels, row, specificity)
        fpr, tpr, _ = roc_curve(labels[known], row[known], drop_intermediate=False)
        assert np.mean(row[labels == 0] > cut) <= 1 - specificity + 1e-12
        assert np.mean(row[labels == 1] > cut) == pytest.approx(tpr[fpr <= 1 - specificity + 1e-12].max())
    assert np.isnan(cut_for(np.ones(3), np.arange(3.0), specificity))
