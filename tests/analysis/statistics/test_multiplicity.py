import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from analysis.statistics.multiplicity import holm


@pytest.mark.parametrize("n", [1, 2, 7, 80])
@pytest.mark.parametrize("ties", [False, True])
def test_holm_is_statsmodels(rng, n, ties):
    p = rng.random(n) ** 4
    if ties:
        p = np.round(p, 1)
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)


def test_the_order_of_the_tests_does_not_matter_and_nothing_is_above_one(rng):
    p = rng.random(20)
    order = rng.permutation(20)
    np.testing.assert_array_equal(holm(p[order]), holm(p)[order])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_no_test_is_no_p_value():
    assert holm(np.empty(0)).shape == (0,)
