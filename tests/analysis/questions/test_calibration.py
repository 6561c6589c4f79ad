import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import brier_score_loss

from analysis.evaluation import Evaluation, resample
from analysis.questions.calibration import calibration_curve, calibration_table, curves_table, quantile_bins
from tests.analysis.synthetic import make_cells


@pytest.fixture
def evaluated(rng):
    cells, _ = make_cells(1, rng=rng)
    labels = np.stack([(rng.random(150) < 0.3).astype(float), np.full(150, np.nan)])
    labels[0, :7] = np.nan
    scores = rng.random((2, 2, 150))
    keys = pd.DataFrame({"patient": [f"p{i:03d}" for i in range(150)], "study": [f"s{i:03d}" for i in range(150)]})
    evaluation = Evaluation(keys, ("x", "y"), labels, scores)
    return cells, evaluation, resample(evaluation, unit="study", n_resamples=60, rng=rng).source


@pytest.mark.parametrize(("n", "bins"), [(0, 0), (5, 1), (40, 2), (199, 9), (500, 10)])
def test_bins_are_as_equal_as_can_be(n, bins, rng):
    sizes = np.bincount(quantile_bins(rng.random(n)))
    assert len(sizes) == bins
    assert n == 0 or sizes.max() - sizes.min() <= 1


def test_equal_scores_share_a_bin(rng):
    scores = rng.choice([0.1, 0.2, 0.9], size=300)
    codes = quantile_bins(scores)
    assert all(len(set(codes[scores == value])) == 1 for value in set(scores))
    assert set(codes) == set(range(codes.max() + 1))


def test_a_curve_is_what_a_loop_over_bins_counts(rng):
    labels, scores = (rng.random(230) < 0.2).astype(float), rng.random(230)
    curve = calibration_curve(labels, scores, level=0.9)
    codes, z = quantile_bins(scores), norm.ppf(0.95)
    for row in curve.to_dict("records"):
        members = labels[codes == row["bin"]]
        n, p = len(members), members.mean()
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        assert (row["n"], row["n_positive"], row["estimate"]) == (n, members.sum(), pytest.approx(p))
        assert (row["low"], row["high"]) == (pytest.approx(middle - half), pytest.approx(middle + half))
        assert row["score"] == pytest.approx(scores[codes == row["bin"]].mean())
    assert curve["n"].sum() == 230


def test_brier_is_scikit_learns_in_every_resample(evaluated):
    cells, evaluation, source = evaluated
    table = calibration_table(cells, source, level=0.9)
    assert table["cell"].tolist() == np.repeat(cells["cell"], 2).tolist()
    known = ~np.isnan(evaluation.labels[0])
    counts = source.counts()[0][:, source.codes[known]]
    for m, row in enumerate(table[table["task"] == "x"].to_dict("records")):
        labels, scores = evaluation.labels[0][known], evaluation.scores[m, 0][known]
        assert row["brier"] == pytest.approx(brier_score_loss(labels, scores))
        draws = [brier_score_loss(labels, scores, sample_weight=weights) for weights in counts]
        assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(draws, [0.05, 0.95])))
        curve = calibration_curve(labels, scores, level=0.9)
        gaps = (curve["score"] - curve["estimate"]).abs()
        assert row["ece"] == pytest.approx((gaps * curve["n"]).sum() / 143)
        assert (row["n"], row["n_bins"], row["prevalence"]) == (143, 7, pytest.approx(labels.mean()))


def test_a_task_without_labels_is_undefined_and_has_no_curve(evaluated):
    cells, _, source = evaluated
    rows = calibration_table(cells, source, level=0.95).query("task == 'y'")
    assert rows[["brier", "low", "high", "ece", "mean_score"]].isna().all(axis=None)
    assert (rows["n"] == 0).all()
    curves = curves_table(cells, [1], source, level=0.95)
    assert set(curves["task"]) == {"x"}
    assert set(curves["cell"]) == {cells["cell"][1]}
    assert calibration_table(cells, None, level=0.95).empty
