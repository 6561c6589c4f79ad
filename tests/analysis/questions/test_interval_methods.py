from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student

from analysis.errors import AnalysisError
from analysis.evaluation import align, resample
from analysis.questions.closed_intervals import COVERS, PAIRED, WITH_SEEDS
from analysis.questions.interval_methods import INTERVALS, intervals, method_name
from analysis.statistics.auroc import auroc
from analysis.statistics.bootstrap import percentile_interval
from analysis.statistics.delong import influence
from analysis.statistics.intervals import bca_interval
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
    plain = percentile_interval(replicates.resampled, 0.9)
    for made, expected in zip(intervals(replicates, level=0.9), plain, strict=False):
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
    for method in ("bca", "delong"):
        assert np.isnan(intervals(replicates, method=method, level=0.9, contrasts=nothing).low).all()


def test_what_cannot_be_made_is_refused(evaluation):
    replicates = make(evaluation)
    with pytest.raises(AnalysisError, match="interval=wald is not one of delong, percentile, bca$"):
        intervals(replicates, method="wald", level=0.9)
    with pytest.raises(AnalysisError, match="interval=bca needs the data behind the replicates; use"):
        intervals(replace(replicates, source=None), method="bca", level=0.9)
    with pytest.raises(ValueError, match="between 0 and 1"):
        intervals(replicates, level=95)


def test_names():
    assert method_name("percentile", stratified=False) == "percentile bootstrap"
    assert method_name("bca", stratified=True) == "stratified BCa bootstrap"


@pytest.mark.parametrize("unit", ["study", "patient"])
def test_delong_is_newcombes_score_and_zous_mover_by_a_plain_loop(evaluation, unit):
    replicates = make(evaluation, unit=unit)
    made = intervals(replicates, method="delong", level=0.9)
    source = replicates.source
    for m in range(3):
        margins, values = [], []
        for t in range(2):
            labels, scores = evaluation.labels[t], evaluation.scores[m, t]
            parts = influence(labels, scores[None], source.codes, source.n_units)
            variance, estimate = (parts.values**2).sum(), replicates.estimates[m, t]
            sizes = (int((labels == 1).sum()), int((labels == 0).sum()))
            up, down = (parts.values[0, rows] for rows in (parts.positive, parts.known & ~parts.positive))
            a, b = (up**2).sum(), (down**2).sum()
            freedom = (a + b) ** 2 / (a**2 / (len(up) - 1) + b**2 / (len(down) - 1))
            design = max(1.0, variance / parts.alone[0])
            scale = (variance / expected_variance(estimate, sizes) * freedom + 10 * design) / (freedom + 10)
            reach = student.ppf(0.95, freedom + 10)

            def beyond(value, estimate=estimate, scale=scale, sizes=sizes, reach=reach):
                return (estimate - value) ** 2 - reach**2 * scale * expected_variance(value, sizes)

            low, high = brentq(beyond, 0, estimate), brentq(beyond, estimate, 1)
            assert (made.low[m, t], made.high[m, t]) == pytest.approx((low, high), abs=1e-10)
            margins.append((estimate - low, high - estimate))
            values.append(parts.values[0])
        rho = np.dot(*values) / np.sqrt(np.prod([(row**2).sum() for row in values]))
        for bound, (x, y), sign in zip((made.low, made.high), zip(*margins, strict=True), (-1, 1), strict=True):
            reach = np.sqrt(x**2 + y**2 + 2 * rho * x * y) / 2
            assert bound[m, 2] == pytest.approx(replicates.estimates[m, 2] + sign * reach)
    assert set(made.method[0]) == {"DeLong score", "DeLong score, MOVER"}


def expected_variance(value, sizes):
    """Hanley and McNeil's, the larger of its two forms for the smaller class."""
    forms = []
    for few, many in (sorted(sizes), sorted(sizes)):
        q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
        if forms:
            q1, q2 = q2, q1
        terms = value * (1 - value) + (few - 1) * (q1 - value**2) + (many - 1) * (q2 - value**2)
        forms.append(terms / (few * many))
    return max(forms)


def placement_variance(labels, first, second):
    """DeLong's of a difference, from the kernels of every positive against every negative."""
    kernel = np.subtract(*(np.heaviside(row[labels == 1][:, None] - row[labels == 0], 0.5) for row in (first, second)))
    return sum(kernel.mean(axis=axis).var(ddof=1) / kernel.shape[1 - axis] for axis in (0, 1))


def test_a_delong_difference_is_the_paired_test_by_student_t(evaluation):
    replicates = make(evaluation, unit="study")
    made = intervals(replicates, method="delong", level=0.9, contrasts=[[1, -1, 0]])
    for t in range(2):
        labels, (first, second) = evaluation.labels[t], evaluation.scores[:2, t]
        error = np.sqrt(placement_variance(labels, first, second))
        p_normal = 2 * norm.sf(abs(auroc(labels, first) - auroc(labels, second)) / error)
        assert made.se[0, t] == pytest.approx(error)
        assert p_normal < made.p_value[0, t] < p_normal + 0.05  # t, and not normal
    assert ((made.p_value < 0.1) == ((made.low > 0) | (made.high < 0))).all()


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_p_values_are_the_intervals_inverted(evaluation, method):
    """At its own p-value as the level, an interval ends at 0."""
    replicates = make(evaluation)
    pairs = [[1, -1, 0], [0, 1, -1], [-1, 0, 1]]
    p = intervals(replicates, method=method, level=0.9, contrasts=pairs).p_value
    found = 0
    for k, t in np.ndindex(p.shape):
        if 2 / 301 < p[k, t] < 1:
            made = intervals(replicates, method=method, level=1 - p[k, t], contrasts=pairs)
            assert min(abs(made.low[k, t]), abs(made.high[k, t])) < 1e-9
            found += 1
    assert found > 3


def test_a_separable_task_has_an_exact_bound_whatever_the_method(evaluation):
    labels = evaluation.labels
    evaluation = replace(evaluation, scores=np.stack([np.nan_to_num(labels), -np.nan_to_num(labels)]))
    replicates = make(evaluation, unit="patient")
    for method in INTERVALS:
        made = intervals(replicates, method=method, level=0.9)
        for t in range(2):
            positive, negative = (set(evaluation.keys["patient"][labels[t] == label]) for label in (1, 0))
            n = min(len(positive), len(negative), len(positive | negative) // 2)
            assert (made.low[0, t], made.high[0, t]) == pytest.approx((0.1 ** (1 / n), 1))
            assert (made.low[1, t], made.high[1, t]) == pytest.approx((0, 1 - 0.1 ** (1 / n)))
            assert made.method[0, t] == "exact, one-sided"


def test_seeds_add_their_spread_and_its_few_degrees_of_freedom(evaluation):
    replicates = make(evaluation, unit="study")
    seeded = replace(replicates, estimates=np.stack([replicates.estimates[:2].mean(axis=0), replicates.estimates[2]]),
                     resampled=np.stack([replicates.resampled[:2].mean(axis=0), replicates.resampled[2]]),
                     members=(np.array([0, 1]), np.array([2])))  # fmt: skip
    made = intervals(seeded, method="delong", level=0.9, contrasts=[[1, -1]])
    still = intervals(replicates, method="delong", level=0.9, contrasts=[[0.5, 0.5, -1]])
    spread = replicates.estimates[:2].var(axis=0, ddof=1) / 2
    np.testing.assert_allclose(made.se[0] ** 2, still.se[0] ** 2 + spread)
    assert set(made.method[0]) == {f"{PAIRED}{WITH_SEEDS}", f"{PAIRED}{WITH_SEEDS}{COVERS}"}
    assert ((made.high - made.low) > (still.high - still.low)).all()


def test_too_few_positives_are_said_in_every_row(evaluation):
    labels = evaluation.labels.copy()
    labels[1] = np.where(np.cumsum(labels[1] == 1) > 3, 0.0, labels[1])
    replicates = make(replace(evaluation, labels=labels), unit="study")
    for method in INTERVALS:
        made = intervals(replicates, method=method, level=0.9)
        assert np.isnan(made.low[:, 1:]).all()
        assert made.method[:, 1].tolist() == ["too few positives (3)"] * 3
        assert made.method[:, 2].tolist() == ["edema: too few positives (3)"] * 3
        assert not np.isnan(made.low[:, 0]).any()
