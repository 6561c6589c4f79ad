import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.views import aggregate_views


@pytest.fixture
def images():
    return pd.DataFrame(
        {
            "path": ["b/1/1", "a/1/2", "a/1/1", "a/2/1"],
            "patient": ["b", "a", "a", "a"],
            "study": ["b/1", "a/1", "a/1", "a/2"],
            "view": ["frontal", "lateral", "frontal", "frontal"],
            "label/edema": [0.0, 1.0, 1.0, np.nan],
            "label/other": [1, 0, 0, 1],
            "score/edema": [0.1, 0.2, 0.6, 0.9],
            "score/other": [0.5, 0.3, 0.1, 0.7],
        }
    )


@pytest.mark.parametrize(("how", "edema"), [("max", 0.6), ("mean", 0.4)])
def test_one_row_a_study(images, how, edema):
    studies = aggregate_views(images, "study", how)
    assert studies["study"].tolist() == ["a/1", "a/2", "b/1"]
    assert studies["patient"].tolist() == ["a", "a", "b"]
    assert studies["score/edema"].tolist() == pytest.approx([edema, 0.9, 0.1])
    np.testing.assert_array_equal(studies["label/edema"], [1.0, np.nan, 0.0])
    assert studies["label/other"].tolist() == [0.0, 1.0, 1.0]


def test_study_numbers_of_different_patients_are_different_studies(images):
    images["study"] = "study1"
    images["path"] = list("wxyz")
    images.loc[images["patient"] == "a", ["label/edema", "label/other"]] = 1.0
    assert aggregate_views(images, "study", "max")["patient"].tolist() == ["a", "b"]


def test_image_level_leaves_every_image(images):
    rows = aggregate_views(images, "image", "max")
    assert rows["path"].tolist() == ["a/1/1", "a/1/2", "a/2/1", "b/1/1"]
    assert rows["score/edema"].tolist() == [0.6, 0.2, 0.9, 0.1]


def test_the_order_of_the_images_does_not_matter(images, rng):
    shuffled = images.iloc[rng.permutation(4)]
    pd.testing.assert_frame_equal(aggregate_views(shuffled, "study", "mean"), aggregate_views(images, "study", "mean"))


@pytest.mark.parametrize("label", [0.0, np.nan])
def test_views_that_disagree_are_refused_by_name(images, label):
    images.loc[1, "label/edema"] = label
    with pytest.raises(AnalysisError, match="study a/1 of patient a disagree on label/edema"):
        aggregate_views(images, "study", "max")
    assert len(aggregate_views(images, "image", "max")) == 4


def test_a_score_that_is_no_number_is_refused_and_not_passed_over(images):
    images.loc[1, "score/edema"] = np.nan
    with pytest.raises(AnalysisError, match="score/edema of image a/1/2 is not a finite number"):
        aggregate_views(images, "study", "max")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="study"), "no column study"),
        (lambda f: f.assign(patient=[None, "a", "a", "a"]), "without path, patient or study"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "hold image b/1/1 twice"),
        (lambda f: f.iloc[:0], "hold no rows"),
    ],
)
def test_frames_that_are_not_predictions_are_refused(images, change, message):
    with pytest.raises(AnalysisError, match=message):
        aggregate_views(change(images), "study", "max")


def test_unknown_words_are_refused(images):
    with pytest.raises(AnalysisError, match="must be among study, image and max, mean"):
        aggregate_views(images, "study", "median")
