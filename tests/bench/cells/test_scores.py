from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from bench.cells.scores import prediction_frame, score_metrics
from bench.data.sets import Split
from bench.data.tasks import ALL_TASKS, COMPETITION_TASKS
from bench.errors import DataError
from bench.schema import EvaluationConfig


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    studies = np.repeat(np.arange(40), 2)
    images = pd.DataFrame(
        {
            "path": [f"train/{row}.jpg" for row in range(80)],
            "patient": [f"patient{study:05d}" for study in studies],
            "study": [f"patient{study:05d}/study1" for study in studies],
            "view": ["frontal", "lateral"] * 40,
        }
    )
    labels = np.repeat(rng.integers(0, 2, (40, 14)).astype(float), 2, axis=0)
    return prediction_frame(Split(Path("root"), images, labels), ALL_TASKS, rng.random((80, 14)))


def test_predictions_say_who_is_seen_and_how_where_the_set_does():
    images = pd.DataFrame({"path": ["a", "b"], "patient": ["1", "2"], "study": ["1/1", "2/1"], "view": "frontal"})
    labels = np.array([[0.0], [1.0]])

    def columns(**facts):
        split = Split(Path("root"), images.assign(**facts), labels)
        return list(prediction_frame(split, ("edema",), labels))

    start, end = ["path", "patient", "study", "view"], ["label/edema", "score/edema"]
    assert columns() == [*start, *end]
    assert columns(sex="Unknown", age=np.nan) == [*start, *end]
    assert columns(sex=["Unknown", "Male"], age=np.nan) == [*start, "sex", *end]
    assert columns(sex=["Female", "Male"], age=[np.nan, 61.0]) == [*start, "sex", "age", *end]


@pytest.mark.parametrize(("level", "views"), [("study", "max"), ("study", "mean"), ("image", "max")])
def test_metrics_are_scikit_learns_on_the_saved_frame(frame, level, views):
    metrics = score_metrics(frame, "test", EvaluationConfig("competition", level, views))
    units = (
        frame
        if level == "image"
        else frame.groupby("study").agg(
            {name: (views if name.startswith("score/") else "first") for name in frame if "/" in name}
        )
    )
    expected = {
        f"test/auroc/{task}": roc_auc_score(units[f"label/{task}"], units[f"score/{task}"])
        for task in COMPETITION_TASKS
    }
    expected["test/auroc"] = np.mean(list(expected.values()))
    assert metrics == pytest.approx(expected, abs=1e-12)


def test_a_task_with_one_class_makes_the_mean_undefined(frame):
    frame["label/edema"] = 0.0
    metrics = score_metrics(frame, "valid", EvaluationConfig("competition", "study", "max"))
    assert np.isnan(metrics["valid/auroc/edema"])
    assert np.isnan(metrics["valid/auroc"])
    assert not np.isnan(metrics["valid/auroc/atelectasis"])


def test_views_that_disagree_are_refused(frame):
    frame.loc[1, "label/edema"] = 1 - frame.loc[1, "label/edema"]
    with pytest.raises(DataError, match="disagree on label/edema"):
        score_metrics(frame, "test", EvaluationConfig("competition", "study", "max"))


@pytest.mark.parametrize(("tasks", "count"), [("all", 14), (["edema", "fracture"], 2)])
def test_the_scored_tasks_are_chosen_among_those_of_the_frame(frame, tasks, count):
    metrics = score_metrics(frame, "test", EvaluationConfig(tasks, "study", "max"))
    assert len(metrics) == count + 1
    named = [value for name, value in metrics.items() if name.startswith("test/auroc/")]
    assert metrics["test/auroc"] == np.mean(named)


def test_a_task_that_is_not_in_the_frame_is_refused_with_the_nearest(frame):
    with pytest.raises(DataError, match=r"evaluation.tasks=\[oedema\]: no task oedema \(did you mean edema\?\)"):
        score_metrics(frame, "test", EvaluationConfig(["oedema"], "study", "max"))
