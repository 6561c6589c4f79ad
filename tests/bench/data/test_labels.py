import numpy as np
import pytest

from bench.data.labels import (
    SMOOTHED,
    empty_classes,
    labelled,
    policies,
    share,
    training_targets,
    validation_labels,
    widths,
)
from bench.data.labels import test_labels as labels_of_test
from bench.errors import DataError

NAN = np.nan
GIVEN = np.array([[1.0, NAN], [0.0, NAN], [-1.0, NAN], [NAN, NAN]])
TASKS = ("edema", "fracture")
IMAGES = [f"patient0000{number}/study1/view1_frontal.jpg" for number in range(4)]


def targets(given, *chosen, images=IMAGES, known=None):
    known = labelled(given) if known is None else np.array(known)
    return training_targets(given, chosen, known=known, images=images, tasks=TASKS)


@pytest.mark.parametrize(
    ("policy", "uncertain"), [("u-ignore", NAN), ("u-zeros", 0.0), ("u-ones", 1.0), ("u-multiclass", 2.0)]
)
def test_each_policy_decides_on_the_uncertain_alone(policy, uncertain):
    np.testing.assert_array_equal(targets(GIVEN, policy, policy)[:, 0], [1, 0, uncertain, 0])


@pytest.mark.parametrize(("policy", "low", "high"), [("u-zeros-lsr", 0.0, 0.3), ("u-ones-lsr", 0.55, 0.85)])
def test_smoothed_targets_are_uniform_over_the_papers_interval(policy, low, high):
    given = np.full((4000, 2), -1.0)
    given[0] = [1.0, 0.0]
    drawn = targets(given, policy, policy, images=[f"image {number}" for number in range(4000)])
    np.testing.assert_array_equal(drawn[0], [1, 0])
    values = np.sort(drawn[1:].ravel())
    assert low <= values[0] < values[-1] < high
    expected = low + (high - low) * np.arange(1, len(values) + 1) / len(values)
    assert np.abs(values - expected).max() < 1.63 / np.sqrt(len(values)) * (high - low)  # Kolmogorov, 1 %
    assert abs(np.corrcoef(drawn[1:].T)[0, 1]) < 0.06, "tasks are drawn apart"


def test_a_smoothed_target_depends_on_neither_order_nor_company():
    given = np.full((4, 2), -1.0)
    whole = targets(given, "u-ones-lsr", "u-ones-lsr")
    np.testing.assert_array_equal(targets(given[::-1], "u-ones-lsr", "u-ones-lsr", images=IMAGES[::-1]), whole[::-1])
    np.testing.assert_array_equal(
        targets(given[2:3], "u-ones-lsr", "u-ignore", images=IMAGES[2:3])[:, 0], whole[2:3, 0]
    )


def test_the_draw_is_pinned():
    """Another draw under the same policy name would make another cell of the same identity."""
    assert share("patient00001/study1/view1_frontal.jpg", "edema") == 0.8050830797130465


def test_each_task_has_its_own_policy():
    both = np.array([[-1.0, -1.0], [1.0, 0.0]])
    drawn = targets(both, "u-ones", "u-multiclass", images=IMAGES[:2])
    np.testing.assert_array_equal(drawn, [[1, 2], [1, 0]])


def test_policies_are_the_default_but_for_those_named():
    chosen = policies({"default": "u-ignore", "fracture": "u-multiclass"}, TASKS)
    assert chosen == ("u-ignore", "u-multiclass")
    assert widths(chosen) == (1, 3)


def test_a_policy_for_no_task_is_refused_with_the_nearest():
    with pytest.raises(DataError, match=r"data.uncertain.oedema \(did you mean edema\?\): no task that is trained on"):
        policies({"default": "u-ignore", "oedema": "u-ones"}, TASKS)


def test_a_task_that_was_never_labelled_is_left_out():
    assert np.isnan(targets(GIVEN, "u-ones", "u-ones")[:, 1]).all()


def test_a_task_whose_labels_are_in_another_split_is_blank_and_so_negative_here():
    np.testing.assert_array_equal(targets(GIVEN, "u-ones", "u-ones", known=[True, True])[:, 1], 0)
    np.testing.assert_array_equal(validation_labels(GIVEN, known=np.array([True, True]))[:, 1], 0)


def test_evaluation_labels_ignore_the_policy():
    np.testing.assert_array_equal(validation_labels(GIVEN, known=labelled(GIVEN))[:, 0], [1, 0, NAN, 0])
    np.testing.assert_array_equal(labels_of_test(GIVEN)[:, 0], [1, 0, NAN, NAN])


def test_the_given_labels_are_not_changed():
    before = GIVEN.copy()
    targets(GIVEN, "u-ones", "u-ones-lsr")
    labels_of_test(GIVEN)
    np.testing.assert_array_equal(GIVEN, before)


def test_an_empty_class_is_said_with_its_counts():
    wide = np.array([[0.7, 2.0], [0.9, 0.0], [NAN, 0.0]])
    problems = empty_classes("training", wide, TASKS, (1, 3), TASKS)
    assert problems[0].startswith("the training split (3 images) has 2 positive and 0 negative edema")
    assert problems[1].startswith("the training split (3 images) has 0 positive and 2 negative fracture")
    assert empty_classes("training", wide, TASKS, (1, 3), ()) == []


def test_smoothed_zeros_are_negatives_and_smoothed_ones_positives():
    (low, high), (bottom, top) = SMOOTHED["u-zeros-lsr"], SMOOTHED["u-ones-lsr"]
    column = np.array([[low], [high], [bottom], [top]])
    assert empty_classes("training", column, ("edema",), (1,), ("edema",)) == []
    assert "0 positive and 2 negative" in empty_classes("training", column[:2], ("edema",), (1,), ("edema",))[0]
    assert "2 positive and 0 negative" in empty_classes("training", column[2:], ("edema",), (1,), ("edema",))[0]
