import numpy as np
import pytest

from bench.data.labels import test_labels as labels_of_test
from bench.data.labels import training_targets, validation_labels

NAN = np.nan
GIVEN = np.array([[1.0, NAN], [0.0, NAN], [-1.0, NAN], [NAN, NAN]])


@pytest.mark.parametrize(("policy", "uncertain"), [("u-ignore", NAN), ("u-zeros", 0.0), ("u-ones", 1.0)])
def test_each_policy_decides_on_the_uncertain_alone(policy, uncertain):
    np.testing.assert_array_equal(training_targets(GIVEN, policy)[:, 0], [1, 0, uncertain, 0])


def test_a_column_that_was_never_labelled_is_left_out():
    assert np.isnan(training_targets(GIVEN, "u-ones")[:, 1]).all()


def test_evaluation_labels_ignore_the_policy():
    np.testing.assert_array_equal(validation_labels(GIVEN)[:, 0], [1, 0, NAN, 0])
    np.testing.assert_array_equal(labels_of_test(GIVEN)[:, 0], [1, 0, NAN, NAN])


def test_the_given_labels_are_not_changed():
    before = GIVEN.copy()
    training_targets(GIVEN, "u-ones")
    labels_of_test(GIVEN)
    np.testing.assert_array_equal(GIVEN, before)
