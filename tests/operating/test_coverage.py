"""The report's own intervals keep what docs/statistics.md says of them."""

import pytest

from analysis.units import FEWEST
from tests.operating.coverage import AUROCS, joint, several, single

ERROR = 1.0
"""Twice the Monte Carlo standard error of a coverage near 95 % over 2,000 worlds, in percent."""


@pytest.mark.slow
@pytest.mark.parametrize("truth", AUROCS)
@pytest.mark.parametrize("positives", [FEWEST, 20, 50])
@pytest.mark.parametrize("n", [100, 500])
def test_one_auroc_is_covered_from_the_fewest_positives_on(n, positives, truth):
    coverage = float(single(n, positives, truth, {"delong": 2000})["delong"])
    assert 93 <= coverage <= 98.5 + ERROR


@pytest.mark.slow
@pytest.mark.parametrize("truth", [0.85, 0.95])
def test_clusters_are_covered_by_patient_and_not_by_study(truth):
    assert float(several(5, "patient", truth, ("delong",), 1000)["delong"]) >= 93 - ERROR
    assert float(several(5, "study", truth, ("delong",), 1000)["delong"]) < 80


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (3, 0.2), (5, 0.2)])
def test_means_and_boosts_are_covered(seeds, spread):
    found = joint(
        (33, 45, 67, 68, 80), 200, (0.85,) * 5, loss=0.02, correlation=0.8, seeds=seeds, seed_sd=spread, worlds=500
    )
    for name in ("mean", "difference", "one task"):
        assert 93 - 2 * ERROR <= float(found[name]) <= 99, name
