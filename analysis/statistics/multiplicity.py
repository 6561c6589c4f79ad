"""Holm's correction of p-values for how many were looked at.

Our own, as statsmodels' `multipletests` collects the whole process's garbage at every call (0.05 s and more, dozens of
times a report); the tests hold it against that. Benjamini and Hochberg's is scipy's `false_discovery_control`.
"""

import numpy as np

from analysis.statistics.auroc import Floats


def holm(p_values: Floats) -> Floats:
    """p-values that control the family-wise error rate, whatever the tests' dependence.

    Args:
        p_values: [n] float64 in [0, 1], none undefined.

    Returns:
        [n] float64, in the order given.

    Example:
        >>> holm(np.array([0.04, 0.01, 0.03]))
        array([0.06, 0.03, 0.06])

    Source: Holm, Scandinavian Journal of Statistics 1979.
    """
    order = np.argsort(p_values)
    stepped = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected
