"""Label policies: from CheXpert's 1, 0, -1 and blank to what the loss is given. Training labels only."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

UNCERTAIN = {"u-ignore": np.nan, "u-zeros": 0.0, "u-ones": 1.0}
"""What -1 becomes, per policy; NaN is left out of the loss. Source: the CheXpert paper (Irvin et al., AAAI 2019)."""


def training_targets(labels: FloatArray, uncertain: str) -> FloatArray:
    """Targets for the loss.

    A blank is a negative (the labeller found no mention; PROTOCOL, "outputs"), except where a column is blank
    throughout: then the set was never labelled for that observation, and it is left out.

    Args:
        labels: [n, tasks] float64 of 1, 0, -1 and NaN (blank).
        uncertain: a key of UNCERTAIN.

    Returns:
        [n, tasks] float64 of 1, 0 and NaN (left out of the loss).
    """
    labelled = ~np.isnan(labels).all(axis=0)
    targets = np.where(np.isnan(labels) & labelled, 0.0, labels)
    return np.where(targets == -1, UNCERTAIN[uncertain], targets)


def validation_labels(labels: FloatArray) -> FloatArray:
    """Labels of the validation split, which comes from train.csv: a blank as in training, uncertain ones undefined.

    Args:
        labels: [n, tasks] float64 of 1, 0, -1 and NaN.

    Returns:
        [n, tasks] float64 of 1, 0 and NaN.
    """
    return training_targets(labels, "u-ignore")


def test_labels(labels: FloatArray) -> FloatArray:
    """Labels of a test set as given in its file: uncertain and blank are undefined, nothing is filled in.

    Args:
        labels: [n, tasks] float64 of 1, 0, -1 and NaN.

    Returns:
        [n, tasks] float64 of 1, 0 and NaN.
    """
    return np.where(labels == -1, np.nan, labels)
