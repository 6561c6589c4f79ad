import numpy as np
import pandas as pd
import pytest

from analysis.evaluation import Replicates
from analysis.questions.along import ALL
from analysis.questions.labels import AUROC, WORTH, curves, efficiency_table, patients_needed

PATIENTS = np.array([10.0, 100.0, 1000.0])


def by_hand(target, patients, curve):
    """The simple way: a fine grid of patients, and the first that is there."""
    grid = np.geomspace(patients[0], patients[-1], 200_001)
    values = np.interp(np.log(grid), np.log(patients), curve)
    reached = np.flatnonzero(values >= target)
    if not reached.size:
        return np.inf
    return 0.0 if reached[0] == 0 else grid[reached[0]]


def test_the_curve_is_read_as_by_hand(rng):
    curve = 0.6 + 0.3 * rng.random((5, 300))
    patients = np.array([50.0, 100.0, 400.0, 1000.0, 5000.0])
    target = 0.6 + 0.35 * rng.random(300)
    found = patients_needed(target, patients, curve)
    expected = [by_hand(value, patients, column) for value, column in zip(target, curve.T, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert 0 < np.isinf(found).sum() < 300
    assert 0 < (found == 0).sum() < 300


def test_what_is_undefined_stays_so():
    found = patients_needed(np.array([np.nan, 0.75]), PATIENTS[:2], np.array([[0.7, 0.7], [0.8, np.nan]]))
    assert np.isnan(found).all()


def networks(values, *, rng, noise=0.0, b=400, archs=("a", "b")):
    """Groups and replicates; values: by (pretrained, adapt), AUROC at each of PATIENTS."""
    rows, estimates, resampled = [], [], []
    for arch in archs:
        for (pretrained, adapt), curve in values.items():
            for n, value in zip(PATIENTS, curve, strict=True):
                at = value + noise * rng.normal()
                rows.append(
                    {"arch": arch, "family": arch, "pretrained": pretrained, "adapt": adapt, "truncate": 0, "n": n}
                )
                estimates.append([at, at])
                resampled.append(np.tile(at + noise * rng.normal(size=b), (2, 1)))
    replicates = Replicates(("x", "mean"), np.array(estimates), np.array(resampled), np.array([90, 90]),
                            np.array([30, np.nan]), "study", 90)  # fmt: skip
    groups = pd.DataFrame(rows)
    return groups, replicates, groups["n"].to_numpy()


def worth(table, arch, adapt="full"):
    rows = table[(table["statistic"] == WORTH) & (table["arch"] == arch) & (table["adapt"] == adapt)]
    return rows.set_index("patients")


def test_a_curve_moved_by_a_factor_is_worth_that_factor(rng):
    slope = 0.05 * np.log(10)
    scratch = 0.6 + slope * np.arange(3)
    values = {(True, "full"): scratch + 0.05 * np.log(4), (False, "full"): scratch, (True, "linear"): [0.5, 0.65, 0.66]}
    groups, replicates, patients = networks(values, rng=rng)
    table = efficiency_table(curves(groups, replicates, patients), replicates, level=0.95)
    for arch in ("a", "b", ALL):
        found = worth(table, arch)
        assert found.loc[[10.0, 100.0], "estimate"].tolist() == pytest.approx([4, 4])
        assert np.isinf(found.loc[1000.0, "estimate"])
        assert found.loc[1000.0, "largest"] == 1
    linear = worth(table, "a", "linear")
    assert linear["estimate"].tolist() == pytest.approx([0, np.exp(0.05 / 0.05) * 10 / 100, np.exp(0.06 / 0.05) / 100])
    assert set(table.loc[table["arch"] == ALL, "n_architectures"]) == {2}


def test_an_architecture_without_every_point_is_in_no_mean(rng):
    values = {(True, "full"): [0.7, 0.8, 0.9], (False, "full"): [0.6, 0.7, 0.8]}
    groups, replicates, patients = networks(values, rng=rng, archs=("a", "b", "c"))
    kept = np.flatnonzero(~((groups["arch"] == "c") & (groups["n"] == 10)))
    table = efficiency_table(
        curves(groups.iloc[kept].reset_index(drop=True), replicates.take(kept), patients[kept]), replicates, level=0.95
    )
    assert set(table.loc[table["arch"] == ALL, "n_architectures"]) == {2}
    assert len(table[(table["statistic"] == AUROC) & (table["arch"] == "c")]) == 4


def test_the_interval_covers_what_is_true(rng):
    """Curves known but for the noise of the test set: 95 % intervals of worth hold the truth."""
    slope, hits, total = 0.03 * np.log(10), 0, 0
    scratch = 0.7 + slope * np.arange(3)
    values = {(True, "full"): scratch + 0.03 * np.log(3), (False, "full"): scratch}
    for _ in range(300):
        groups, replicates, patients = networks(values, rng=rng, noise=0.01, archs=("a",))
        table = efficiency_table(curves(groups, replicates, patients), replicates, level=0.95)
        rows = worth(table, "a").loc[[10.0, 100.0]]
        hits += int(((rows["low"] <= 3) & (rows["high"] >= 3)).sum())
        total += 2
    assert 0.93 <= hits / total <= 1.0
