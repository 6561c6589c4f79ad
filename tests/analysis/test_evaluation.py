import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.evaluation import Evaluation, align, resample
from analysis.statistics.auroc import auroc
from analysis.statistics.bootstrap import bootstrap_auroc
from analysis.units import choose_unit, clustered, unit_codes
from analysis.views import aggregate_views

TASKS = ("atelectasis", "edema")


@pytest.fixture
def evaluation(predictions):
    frames = {f"m{i}": aggregate_views(predictions(i), "study", "max") for i in range(3)}
    return align(frames, TASKS)


def test_models_stand_side_by_side(evaluation, predictions):
    frame = aggregate_views(predictions(2), "study", "max")
    assert evaluation.scores.shape == (3, 2, len(frame))
    np.testing.assert_array_equal(evaluation.scores[2, 1], frame["score/edema"])
    np.testing.assert_array_equal(evaluation.labels[0], frame["label/atelectasis"])


def test_the_mean_is_undefined_wherever_a_task_is():
    keys = pd.DataFrame({"patient": list("abcd"), "study": list("abcd")})
    frame = keys.assign(
        **{"label/x": [1.0, 0.0, 0.0, 0.0], "label/y": [1.0, 1.0, 0.0, 0.0]},
        **{"score/x": [0.9, 0.5, 0.4, 0.3], "score/y": [0.9, 0.1, 0.4, 0.3]},
    )
    rng = np.random.default_rng(0)
    made = resample(align({"m": frame}, ["x", "y"]), unit="study", n_resamples=300, rng=rng, fewest=1)
    x, y, mean = made.resampled[0]
    lost = np.isnan(x) | np.isnan(y)
    assert 0 < lost.sum() < 300
    np.testing.assert_array_equal(np.isnan(mean), lost)
    np.testing.assert_allclose(mean[~lost], (x[~lost] + y[~lost]) / 2)
    assert made.tasks == ("x", "y", "mean")
    assert made.n.tolist() == [4, 4, 4]
    assert made.n_positive[:2].tolist() == [1, 2]
    assert np.isnan(made.n_positive[2])


def test_the_interval_of_the_mean_is_of_joint_replicates_and_not_a_mean_of_intervals(evaluation):
    """Tasks on the same studies are correlated but not one: the mean varies less than its parts do on average."""
    made = resample(evaluation, unit="study", n_resamples=800, rng=np.random.default_rng(0))
    parts, mean = np.nanstd(made.resampled[:, :2], axis=-1), np.nanstd(made.resampled[:, 2], axis=-1)
    assert (mean < 0.9 * parts.mean(axis=1)).all()


def test_the_same_resamples_serve_every_model(evaluation):
    """A model beside itself differs by exactly nothing in every resample."""
    twin = align({"a": frame_of(evaluation, 0), "b": frame_of(evaluation, 0)}, TASKS)
    made = resample(twin, unit="study", n_resamples=50, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(made.resampled[0], made.resampled[1])


def frame_of(evaluation, model):
    columns = {f"label/{task}": evaluation.labels[t] for t, task in enumerate(TASKS)}
    columns |= {f"score/{task}": evaluation.scores[model, t] for t, task in enumerate(TASKS)}
    return evaluation.keys.assign(**columns)


@pytest.mark.parametrize(
    ("level", "unit", "key"),
    [
        ("study", "study", "study"),
        ("study", "patient", "patient"),
        ("image", "study", "study"),
        ("image", "image", "path"),
    ],
)
def test_units_are_resampled_whole(level, unit, key, predictions):
    """Replicates agree with AUROCs of rows gathered unit by unit, drawn by the same generator."""
    rows = aggregate_views(predictions(1), level, "max")
    made = resample(align({"m": rows}, ["edema"]), unit=unit, n_resamples=20, rng=np.random.default_rng(3))
    names = sorted(rows[key].unique())
    assert made.n_units == len(names)
    rng = np.random.default_rng(3)
    members = rows.groupby(key).indices
    for b in range(20):
        drawn = rng.integers(len(names), size=len(names))
        taken = rows.iloc[np.concatenate([members[names[u]] for u in drawn])]
        expected = auroc(taken["label/edema"].to_numpy(), taken["score/edema"].to_numpy())
        assert made.resampled[0, 0, b] == pytest.approx(expected, abs=1e-12)


def test_patients_with_several_studies_widen_the_interval():
    """Every study three times over, by patient: resampling studies would pretend to three times the data."""
    rng = np.random.default_rng(0)
    one = pd.DataFrame({"patient": [f"p{i:03d}" for i in range(80)]})
    one["label/x"] = (rng.random(80) < 0.5).astype(float)
    one["score/x"] = rng.random(80) + 0.3 * one["label/x"]
    three = pd.concat([one.assign(study=f"s{k}") for k in range(3)], ignore_index=True)
    evaluation = align({"m": three}, ["x"])
    by_unit = {
        unit: np.nanstd(resample(evaluation, unit=unit, n_resamples=600, rng=np.random.default_rng(1)).resampled)
        for unit in ("study", "patient")
    }
    assert by_unit["patient"] / by_unit["study"] == pytest.approx(np.sqrt(3), rel=0.15)


def test_units_that_the_rows_do_not_have_are_refused(evaluation):
    with pytest.raises(AnalysisError, match="evaluated by study"):
        unit_codes(evaluation.keys, "image")
    with pytest.raises(AnalysisError, match="not one of study, patient, image"):
        unit_codes(evaluation.keys, "hospital")


def test_runs_on_different_studies_are_refused_with_the_first_difference(predictions):
    first = aggregate_views(predictions(0), "study", "max")
    with pytest.raises(
        AnalysisError, match=r"runs one and two .* patient patient00000.* is in one only \(1 such rows\)"
    ):
        align({"one": first, "two": first.iloc[1:].reset_index(drop=True)}, TASKS)


@pytest.mark.parametrize("label", [1.0, np.nan])
def test_runs_with_different_labels_are_refused_with_the_first_difference(predictions, label):
    first = aggregate_views(predictions(0), "study", "max")
    second = first.copy()
    row = int(np.flatnonzero(first["label/edema"] == 0)[3])
    second.loc[row, "label/edema"] = label
    with pytest.raises(AnalysisError, match=rf"label/edema of .*study {first['study'][row]} is 0.0 and {label}"):
        align({"one": first, "two": second}, TASKS)


def test_a_task_that_was_not_predicted_is_refused(predictions):
    with pytest.raises(AnalysisError, match="run one have no column label/fracture, score/fracture"):
        align({"one": aggregate_views(predictions(0), "study", "max")}, ["fracture"])


def test_strata_keep_each_tasks_units(predictions):
    """By patient, some with both classes: a resample holds as many patients with a positive as the data, by task."""
    rows = aggregate_views(predictions(1), "image", "max")
    made = resample(
        align({"m": rows}, TASKS), unit="patient", n_resamples=40, rng=np.random.default_rng(3), stratified=True
    )
    assert made.stratified
    for t, counts in enumerate(made.source.counts()):
        has = [pd.Series(made.source.evaluation.labels[t] == y).groupby(made.source.codes).any() for y in (1, 0)]
        assert (has[0] & has[1]).any()
        positive, negative = has[0].to_numpy(), (has[1] & ~has[0]).to_numpy()
        assert (counts[:, positive].sum(axis=1) == positive.sum()).all()
        assert (counts[:, negative].sum(axis=1) == negative.sum()).all()
        expected = bootstrap_auroc(
            made.source.evaluation.labels[t], rows[[f"score/{TASKS[t]}"]].T, counts[:, made.source.codes]
        )
        np.testing.assert_array_equal(made.resampled[:, t], expected)


def test_strata_lose_no_class_and_unstratified_draws_do():
    keys = pd.DataFrame({"patient": list("abcdefgh"), "study": list("abcdefgh")})
    frame = keys.assign(**{"label/x": [1.0, 1.0] + [0.0] * 6, "score/x": np.linspace(0.9, 0.1, 8)})
    evaluation = align({"m": frame}, ["x"])
    lost = [
        np.isnan(
            resample(
                evaluation, unit="study", n_resamples=500, rng=np.random.default_rng(0), stratified=stratified, fewest=1
            ).resampled
        ).sum()
        for stratified in (False, True)
    ]
    assert lost[0] > 0
    assert lost[1] == 0


def test_strata_keep_the_tasks_together(rng):
    """Two tasks nearly alike: drawn apart, their replicates would lose their correlation, and the mean its variance."""
    keys = pd.DataFrame({"patient": np.arange(300), "study": np.arange(300)})
    first = (rng.random(300) < 0.2).astype(float)
    second = np.where(rng.random(300) < 0.05, 1 - first, first)
    scores = np.tile(rng.normal(size=300) + first, (1, 2, 1))
    twin = Evaluation(keys, TASKS, np.stack([first, second]), scores)
    made = [
        resample(twin, unit="study", n_resamples=2000, rng=np.random.default_rng(0), stratified=stratified).resampled
        for stratified in (False, True)
    ]
    joint = [np.corrcoef(values[0, 0], values[0, 1])[0, 1] for values in made]
    assert joint[0] > 0.7
    assert joint[1] == pytest.approx(joint[0], abs=0.08)


@pytest.mark.parametrize("stratified", [False, True])
def test_the_generator_moves_on_and_its_state_decides(evaluation, stratified):
    rng = np.random.default_rng(5)
    first, second = (
        resample(evaluation, unit="study", n_resamples=20, rng=rng, stratified=stratified).resampled for _ in range(2)
    )
    assert (first != second).any()
    again = resample(evaluation, unit="study", n_resamples=20, rng=np.random.default_rng(5), stratified=stratified)
    np.testing.assert_array_equal(again.resampled, first)
    np.testing.assert_array_equal(again.source.counts()[0], again.source.counts()[0])


def test_the_source_draws_the_same_resamples_again(evaluation):
    made = resample(evaluation, unit="patient", n_resamples=20, rng=np.random.default_rng(5))
    counts = made.source.counts()
    assert counts[0] is counts[1]
    again = bootstrap_auroc(evaluation.labels[1], evaluation.scores[:, 1], counts[1][:, made.source.codes])
    np.testing.assert_array_equal(made.resampled[:, 1], again)


def labelled_by(n_positive, n=60):
    """Three tasks on studies of a patient each, with so many positives; scores of two models."""
    keys = pd.DataFrame({"patient": [f"p{i:02d}" for i in range(n)], "study": [f"s{i:02d}" for i in range(n)]})
    rng = np.random.default_rng(3)
    labels = np.stack([(np.arange(n) < k).astype(float) for k in n_positive])
    return Evaluation(keys, ("x", "y", "z"), labels, labels + rng.normal(size=(2, 3, n)))


def test_a_task_with_too_few_positives_has_no_replicates_and_the_mean_over_the_others_is_offered():
    made = resample(labelled_by((20, 9, 55)), unit="study", n_resamples=50, rng=np.random.default_rng(0))
    assert made.tasks == ("x", "y", "z", "mean")  # y lacks positives and z negatives: no two tasks are left to average
    assert made.few == ("", "too few positives (9)", "too few negatives (5)",
                        "y: too few positives (9); z: too few negatives (5)")  # fmt: skip
    made = resample(labelled_by((20, 3, 30)), unit="study", n_resamples=50, rng=np.random.default_rng(0))
    assert made.tasks == ("x", "y", "z", "mean_without_y", "mean")
    assert np.isnan(made.resampled[:, [1, 4]]).all()
    assert not np.isnan(made.resampled[:, [0, 2, 3]]).any()
    np.testing.assert_allclose(made.resampled[:, 3], made.resampled[:, [0, 2]].mean(axis=1))
    np.testing.assert_allclose(made.estimates[:, 3], made.estimates[:, [0, 2]].mean(axis=1))
    np.testing.assert_allclose(made.estimates[:, 4], made.estimates[:, :3].mean(axis=1))


def test_units_and_not_rows_are_counted():
    made = labelled_by((20, 20, 20))
    keys = made.keys.assign(patient=[f"p{i // 3}" for i in range(60)])
    few = resample(Evaluation(keys, made.tasks, made.labels, made.scores), unit="patient", n_resamples=20,
                   rng=np.random.default_rng(0)).few  # fmt: skip
    assert few[0] == "too few positives (7)"  # 20 rows of 7 patients


def test_the_unit_follows_the_data():
    keys = pd.DataFrame({"patient": list("abc"), "study": list("uvw"), "path": list("xyz")})
    assert choose_unit(keys, "auto") == "study"
    assert choose_unit(keys.assign(patient=list("aab")), "auto") == "patient"
    assert choose_unit(keys.assign(patient=list("aab"), study=list("uuw")), "auto") == "study"  # views of one study
    assert choose_unit(keys.assign(patient=list("aab")), "study") == "study"
    views = keys.assign(patient=list("aab"), study=list("uuw"))
    assert [clustered(views, unit) for unit in ("study", "image")] == [0, 1]
    assert clustered(keys.assign(patient=list("aab")), "patient") == 0
