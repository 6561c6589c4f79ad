import numpy as np
import pytest

from analysis.statistics import studentised
from analysis.statistics.bootstrap import bootstrap_auroc, draw_counts
from analysis.statistics.delong import delong, delong_test
from analysis.statistics.studentised import bootstrap_errors


@pytest.fixture
def data(rng):
    """Two tasks with gaps, three models with ties."""
    labels = (rng.random((2, 60)) < [[0.3], [0.6]]).astype(float)
    labels[0, 5:9] = np.nan
    return labels, rng.integers(9, size=(3, 2, 60)) + 2 * np.nan_to_num(labels)


def gathered(counts):
    """Rows of a resample, each as often as it was drawn."""
    return [np.repeat(np.arange(row.size), row) for row in counts]


def test_errors_are_delongs_on_the_gathered_rows(data, rng):
    labels, scores = data
    counts = draw_counts(60, 25, rng=rng)
    errors = bootstrap_errors(labels, scores, counts)
    assert errors.shape == (3, 3, 25)
    for b, rows in enumerate(gathered(counts)):
        for t in range(2):
            expected = np.diag(delong(labels[t, rows], scores[:, t, rows]).covariance)
            np.testing.assert_allclose(errors[:, t, b] ** 2, expected, rtol=1e-10)


def test_errors_of_differences_are_those_of_the_paired_test(data, rng):
    labels, scores = data
    counts = draw_counts(60, 25, rng=rng)
    errors = bootstrap_errors(labels, scores, counts, contrasts=[[1, -1, 0], [0, 1, -1], [1, 0, 0], [0, 0, 0]])
    for b, rows in enumerate(gathered(counts)):
        for t in range(2):
            expected = delong_test(labels[t, rows], scores[:, t, rows], [(0, 1), (1, 2)]).error
            np.testing.assert_allclose(errors[:2, t, b], expected, rtol=1e-10)
    np.testing.assert_allclose(errors[2], bootstrap_errors(labels, scores, counts)[0], rtol=1e-14)
    assert (errors[3] == 0).all()


@pytest.mark.parametrize("n_units", [60, 25])
def test_clusters_of_one_class_are_obuchowskis(rng, n_units):
    """Every drawn copy of a unit is a unit of its own; without units of both classes there is no cross term."""
    units = np.sort(np.concatenate([np.arange(n_units), rng.integers(n_units, size=90 - n_units)]))
    labels = (rng.random(n_units) < 0.4).astype(float)[units]
    scores = rng.integers(9, size=(2, 90)) + 2 * labels
    counts = draw_counts(n_units, 20, rng=rng)
    errors = bootstrap_errors(labels[None], scores[:, None], counts, units=units)
    for b, row in enumerate(counts):
        copies = [np.flatnonzero(units == unit) for unit in np.repeat(np.arange(n_units), row)]
        rows, names = np.concatenate(copies), np.repeat(np.arange(len(copies)), [len(copy) for copy in copies])
        expected = np.diag(delong(labels[rows], scores[:, rows], units=names).covariance)
        np.testing.assert_allclose(errors[:, 0, b] ** 2, expected, rtol=1e-10)


def test_mixed_clusters_differ_from_obuchowskis_in_a_factor_near_one(data, rng):
    labels, scores = data
    units = rng.permutation(np.arange(60) // 2)
    once = np.ones((1, 30), dtype=np.uint8)
    errors = bootstrap_errors(labels, scores, once, units=units)
    for t in range(2):
        expected = np.diag(delong(labels[t], scores[:, t], units=units).covariance)
        np.testing.assert_allclose(errors[:, t, 0] ** 2, expected, rtol=0.03)
        assert (np.abs(errors[:, t, 0] ** 2 - expected) > 1e-12).any()


def test_the_mean_of_a_task_with_itself_is_the_task(data, rng):
    labels, scores = data
    twice = labels[[1, 1]], scores[:, [1, 1]]
    errors = bootstrap_errors(*twice, draw_counts(60, 10, rng=rng))
    np.testing.assert_allclose(errors[:, 2], errors[:, 0], rtol=1e-12)


def test_the_error_of_the_mean_is_that_of_resampling():
    """Correlated tasks: the spread of the replicates of their mean, and not that of independent tasks."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=500)
    labels = (shared + 0.5 * rng.normal(size=(2, 500)) > 0.7).astype(float)
    scores = (shared + rng.normal(size=500) + 0.3 * rng.normal(size=(2, 500)))[None]
    counts = draw_counts(500, 3000, rng=rng)
    spread = np.mean([bootstrap_auroc(labels[t], scores[:, t], counts) for t in range(2)], axis=0).std()
    error = bootstrap_errors(labels, scores, np.ones((1, 500), dtype=int))[0, :, 0]
    assert error[2] == pytest.approx(spread, rel=0.08)
    assert error[2] > 1.1 * np.hypot(*error[:2]) / 2


def test_tasks_may_have_counts_of_their_own(data, rng):
    labels, scores = data
    first, second = draw_counts(60, 12, rng=rng), draw_counts(60, 12, rng=rng)
    errors = bootstrap_errors(labels, scores, [first, second])
    np.testing.assert_array_equal(errors[:, 0], bootstrap_errors(labels, scores, first)[:, 0])
    np.testing.assert_array_equal(errors[:, 1], bootstrap_errors(labels, scores, second)[:, 1])


def test_tiles_change_nothing(data, monkeypatch, rng):
    labels, scores = data
    counts = draw_counts(60, 50, rng=rng)
    whole = bootstrap_errors(labels, scores, counts)
    monkeypatch.setattr(studentised, "BLOCK", 60 * 4 * 7)
    np.testing.assert_allclose(bootstrap_errors(labels, scores, counts), whole, rtol=1e-13)


def test_resamples_with_less_than_two_of_a_class_have_no_error():
    labels, scores = np.array([[1.0, 1.0, 0.0, 0.0]]), np.array([[[0.9, 0.3, 0.2, 0.4]]])
    counts = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 1, 1, 2], [2, 2, 0, 0], [1, 1, 0, 2]])
    errors = bootstrap_errors(labels, scores, counts)[0, 0]
    assert np.isfinite(errors).tolist() == [True, True, False, False, True]  # copies of a row count as rows


def test_refuses_what_it_cannot_use(data):
    labels, scores = data
    once = np.ones((1, 60), dtype=int)
    with pytest.raises(ValueError, match=r"scores must have shape \[models, 2, 60\]"):
        bootstrap_errors(labels, scores[:, 0], once)
    with pytest.raises(ValueError, match=r"scores must have shape \[models, 2, 60\]"):
        bootstrap_errors(labels, scores[:, :, 1:], once)
    with pytest.raises(ValueError, match=r"counts must have shape \[resamples, 60\]"):
        bootstrap_errors(labels, scores, once[:, 1:])
    with pytest.raises(ValueError, match="labels must be 0, 1 or NaN"):
        bootstrap_errors(labels + 1, scores, once)
