import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from analysis.evaluation import Evaluation, resample
from analysis.questions.roc import GRID, roc_table, sensitivity
from tests.analysis.synthetic import make_cells


def by_scikit_learn(labels, scores, weights, grid):
    """One curve with the definition's own words: the highest rate at or before each false-positive rate."""
    known = ~np.isnan(labels)
    kept = known & (weights > 0)
    if len(set(labels[kept])) < 2:
        return np.full(len(grid), np.nan)
    fpr, tpr, _ = roc_curve(labels[kept], scores[kept], sample_weight=weights[kept], drop_intermediate=False)
    values = []
    for at in grid:
        i = np.flatnonzero(fpr <= at + 1e-9)[-1]
        if i == len(fpr) - 1:
            values.append(tpr[i])
        else:
            values.append(tpr[i] + max(0, at - fpr[i]) / (fpr[i + 1] - fpr[i]) * (tpr[i + 1] - tpr[i]))
    return np.array(values)


@pytest.mark.parametrize("decimals", [1, 12], ids=["ties", "no ties"])
def test_every_resample_is_scikit_learns_curve(rng, decimals):
    labels = (rng.random(80) < 0.3).astype(float)
    labels[:5] = np.nan
    scores = np.round(rng.normal(size=80) + np.nan_to_num(labels), decimals)
    counts = rng.multinomial(80, np.full(80, 1 / 80), size=40).astype(np.uint8)
    found = sensitivity(labels, scores, counts, GRID)
    for row, weights in zip(found, counts, strict=True):
        np.testing.assert_allclose(row, by_scikit_learn(labels, scores, weights, GRID), atol=1e-9)


def test_blocks_do_not_show(rng, monkeypatch):
    labels, scores = (rng.random(30) < 0.5).astype(float), rng.normal(size=30)
    counts = rng.integers(0, 3, size=(9, 30)).astype(np.uint8)
    whole = sensitivity(labels, scores, counts, GRID)
    monkeypatch.setattr("analysis.questions.roc.BLOCK", 4 * 30 * 2)
    np.testing.assert_array_equal(sensitivity(labels, scores, counts, GRID), whole)


@pytest.mark.parametrize("label", [0.0, 1.0, np.nan])
def test_a_task_of_one_class_is_undefined(label):
    found = sensitivity([label] * 3, [0.1, 0.2, 0.3], np.ones((2, 3), dtype=np.uint8), GRID)
    assert found.shape == (2, 101)
    assert np.isnan(found).all()


def test_a_resample_without_a_class_is_undefined():
    found = sensitivity([0, 1], [0.1, 0.2], np.array([[2, 0], [0, 2], [1, 1]]), np.array([0.0, 1.0]))
    assert np.isnan(found[:2]).all()
    assert found[2].tolist() == [1, 1]


def test_the_band_is_in_the_resamples_of_the_auroc(rng):
    cells, _ = make_cells(1, rng=rng)
    labels = np.stack([(rng.random(60) < 0.4).astype(float), np.zeros(60)])
    scores = rng.normal(size=(2, 2, 60)) + labels
    keys = pd.DataFrame({"patient": [f"p{i // 2:02d}" for i in range(60)], "study": [f"s{i:02d}" for i in range(60)]})
    replicates = resample(Evaluation(keys, ("x", "y"), labels, scores), unit="patient", n_resamples=50, rng=rng)
    table = roc_table(cells, [1], replicates.source, level=0.9)
    assert set(table["task"]) == {"x"}  # y has no positive
    assert set(table["cell"]) == {cells["cell"][1]}
    assert table["fpr"].tolist() == GRID.tolist()
    (counts, _) = replicates.source.counts()
    draws = np.array([by_scikit_learn(labels[0], scores[1, 0], row[replicates.source.codes], GRID) for row in counts])
    np.testing.assert_allclose(table["low"], np.nanquantile(draws, 0.05, axis=0), atol=1e-9)
    np.testing.assert_allclose(table["high"], np.nanquantile(draws, 0.95, axis=0), atol=1e-9)
    assert table["n_units"].iloc[0] == 30
    assert np.trapezoid(table["estimate"], table["fpr"]) == pytest.approx(replicates.estimates[1, 0], abs=0.02)
