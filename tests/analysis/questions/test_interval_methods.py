from dataclasses import replace

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.evaluation import align, resample
from analysis.questions.interval_methods import INTERVALS, intervals, method_name
from analysis.statistics.auroc import auroc
from analysis.statistics.bootstrap import percentile_interval
from analysis.statistics.intervals import bca_interval, studentised_interval
from analysis.statistics.studentised import bootstrap_errors
from analysis.views import aggregate_views

TASKS = ("atelectasis", "edema")


@pytest.fixture
def evaluation(predictions):
    return align({f"m{i}": aggregate_views(predictions(i), "study", "max") for i in range(3)}, TASKS)


def make(evaluation, *, unit="patient", stratified=False, n_resamples=300):
    rng = np.random.default_rng(4)
    return resample(evaluation, unit=unit, n_resamples=n_resamples, rng=rng, stratified=stratified)


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("unit", ["patient", "study"])
@pytest.mark.parametrize("method", INTERVALS)
def test_every_method_gives_every_model_and_task_an_interval(evaluation, method, unit, stratified):
    replicates = make(evaluation, unit=unit, stratified=stratified)
    made = intervals(replicates, method=method, level=0.9)
    plain = percentile_interval(replicates.resampled, 0.9)
    assert made.low.shape == made.high.shape == made.n_defined.shape == (3, 3)
    assert ((made.low < replicates.estimates) & (replicates.estimates < made.high)).all()
    np.testing.assert_allclose(made.high - made.low, plain.high - plain.low, rtol=0.6)
    assert ((made.low >= 0) & (made.high <= 1)).all()


def test_percentile_is_the_plain_one(evaluation):
    replicates = make(evaluation)
    for made, expected in zip(
        intervals(replicates, level=0.9), percentile_interval(replicates.resampled, 0.9), strict=True
    ):
        np.testing.assert_array_equal(made, expected)
    paired = intervals(replicates, level=0.9, contrasts=[[1, 0, -1]])
    expected = percentile_interval(replicates.resampled[0] - replicates.resampled[2], 0.9)
    np.testing.assert_array_equal(paired.low[0], expected.low)


def test_bca_leaves_whole_patients_out(evaluation):
    """The jackknife by hand: rows of one patient dropped, both tasks scored, and their mean."""
    replicates = make(evaluation)
    patients = evaluation.keys["patient"].to_numpy()
    left_out = []
    for patient in sorted(set(patients)):
        rest = patients != patient
        values = []
        for t in range(2):
            known = rest & ~np.isnan(evaluation.labels[t])
            values.append(auroc(evaluation.labels[t, known], evaluation.scores[1, t, known]))
        left_out.append([*values, np.mean(values)])
    assert len(left_out) == replicates.n_units
    expected = bca_interval(replicates.estimates[1], replicates.resampled[1], np.array(left_out).T, 0.9)
    made = intervals(replicates, method="bca", level=0.9)
    np.testing.assert_allclose(made.low[1], expected.low, atol=1e-12)
    np.testing.assert_allclose(made.high[1], expected.high, atol=1e-12)


@pytest.mark.parametrize("method", INTERVALS)
def test_differences_are_paired_and_change_sign(evaluation, method):
    replicates = make(evaluation)
    made = intervals(replicates, method=method, level=0.9, contrasts=[[1, -1, 0], [-1, 1, 0]])
    np.testing.assert_allclose(made.low[0], -made.high[1], atol=1e-12)
    np.testing.assert_allclose(made.high[0], -made.low[1], atol=1e-12)
    assert (made.low >= -1).all()


def test_a_model_less_itself_is_0_by_percentile_and_undefined_otherwise(evaluation):
    replicates = make(evaluation)
    nothing = [[0, 0, 0]]
    assert intervals(replicates, level=0.9, contrasts=nothing).low.tolist() == [[0, 0, 0]]
    for method in ("bca", "studentised"):
        assert np.isnan(intervals(replicates, method=method, level=0.9, contrasts=nothing).low).all()


@pytest.mark.parametrize("stratified", [False, True])
def test_studentised_divides_by_the_errors_of_its_own_resamples(evaluation, stratified):
    replicates = make(evaluation, stratified=stratified)
    labels, scores, source = evaluation.labels, evaluation.scores, replicates.source
    made = intervals(replicates, method="studentised", level=0.9)
    for t in range(2):
        task = labels[[t]], scores[:, [t]]
        once = np.ones((1, replicates.n_units), dtype=int)
        errors = bootstrap_errors(*task, once, units=source.codes)[:, 0, 0]
        within = bootstrap_errors(*task, source.counts()[t], units=source.codes)[:, 0]
        low, _, n_defined = studentised_interval(
            replicates.estimates[:, t], errors, replicates.resampled[:, t], within, 0.9
        )
        np.testing.assert_allclose(made.low[:, t], low, atol=1e-12)
        np.testing.assert_array_equal(made.n_defined[:, t], n_defined)


def test_studentised_bounds_stay_in_range(predictions):
    """Models nearly perfect and nearly perfectly wrong, whose bounds would pass 1 and 0."""
    frame = aggregate_views(predictions(0, skill=2.5), "study", "max")
    wrong = frame.assign(**{f"score/{task}": 1 - frame[f"score/{task}"] for task in TASKS})
    made = intervals(make(align({"right": frame, "wrong": wrong}, TASKS)), method="studentised", level=0.99)
    assert made.high[0].max() == 1
    assert made.low[1].min() == 0


def test_what_cannot_be_made_is_refused(evaluation):
    replicates = make(evaluation)
    with pytest.raises(AnalysisError, match="interval=wald is not one of percentile, bca, studentised"):
        intervals(replicates, method="wald", level=0.9)
    with pytest.raises(AnalysisError, match="interval=bca needs the data behind the replicates; use"):
        intervals(replace(replicates, source=None), method="bca", level=0.9)
    with pytest.raises(ValueError, match="between 0 and 1"):
        intervals(replicates, level=95)


def test_names():
    assert method_name("percentile", stratified=False) == "percentile bootstrap"
    assert method_name("studentised", stratified=True) == "stratified studentised bootstrap"
