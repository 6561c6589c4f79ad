"""Agreement with R's pROC: figures stored by reference/proc.R on the scores of reference/proc_scores.py."""

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.auroc import auroc
from analysis.statistics.bootstrap import bootstrap_auroc, draw_counts
from analysis.statistics.delong import influence, t_interval, t_p

REFERENCE = Path(__file__).parent / "reference"
SCORES = pd.read_csv(REFERENCE / "proc_scores.csv")
MODELS = [name for name in SCORES.columns if name != "label"]
LABELS, ROWS = SCORES["label"].to_numpy(), SCORES[MODELS].to_numpy().T
PAIRS = list(itertools.combinations(range(len(MODELS)), 2))
N_RESAMPLES = 20_000


@pytest.fixture(scope="module")
def proc():
    """Stored values of one kind, by model or by pair of models in the order of the columns."""
    table = pd.read_csv(REFERENCE / "proc.csv")
    return lambda what: table.loc[table["what"] == what, "value"].to_numpy()


def test_the_data_hold_what_they_should():
    """Imbalance, ties within and across the classes, and a model below one half."""
    assert (len(LABELS), LABELS.sum(), len(MODELS)) == (120, 22, 5)
    rounded = SCORES.groupby("rounded")["label"].nunique()
    assert (rounded == 2).sum() >= 4
    assert auroc(LABELS, ROWS[4]) < 0.5


@pytest.fixture(scope="module")
def made():
    """AUROCs [m] and the influence of every row on them [m, n]."""
    return influence(LABELS, ROWS, np.arange(120), 120)[:2]


def test_auroc_and_delongs_variance(proc, made):
    aurocs, moves = made
    covariance = moves @ moves.T
    np.testing.assert_allclose([auroc(LABELS, row) for row in ROWS], proc("auroc"), rtol=0, atol=1e-14)
    np.testing.assert_allclose(aurocs, proc("auroc"), rtol=0, atol=1e-14)
    np.testing.assert_allclose(np.diag(covariance), proc("variance"), rtol=1e-10)
    np.testing.assert_allclose([covariance[i, j] for i, j in PAIRS], proc("covariance"), rtol=1e-10)


def test_delongs_interval(proc, made):
    """pROC's has the normal quantile, t's of infinitely many degrees of freedom, and is cut off at 0 and 1."""
    aurocs, moves = made
    low, high = t_interval(aurocs, np.linalg.norm(moves, axis=1), np.inf, 0.95)
    np.testing.assert_allclose(np.maximum(low, 0), proc("delong_low"), rtol=0, atol=1e-10)
    np.testing.assert_allclose(np.minimum(high, 1), proc("delong_high"), rtol=0, atol=1e-10)


def test_delongs_paired_test(proc, made):
    first, second = np.array(PAIRS).T
    difference, error = (values[first] - values[second] for values in made)
    error = np.linalg.norm(error, axis=1)
    np.testing.assert_allclose(difference / error, proc("z"), rtol=1e-10)
    np.testing.assert_allclose(t_p(difference, error, np.inf), proc("p_value"), rtol=1e-8)


def test_stratified_bootstrap_within_its_monte_carlo_error(proc):
    """Each bound of pROC's is the same quantile of fewer resamples.

    The share of resamples below an estimated p-quantile varies by sqrt(p (1 - p) (1 / B + 1 / B')) over both runs, so
    pROC's bound lies between our quantiles at p -+ 4 of those, whatever the distribution: 10 of them, 1 in 1,500 by
    chance.
    """
    counts = draw_counts(120, N_RESAMPLES, rng=np.random.default_rng(0), strata=LABELS)
    replicates = bootstrap_auroc(LABELS, ROWS, counts)
    (n_proc,) = proc("resamples")
    for p, bound in ((0.025, "bootstrap_low"), (0.975, "bootstrap_high")):
        margin = 4 * np.sqrt(p * (1 - p) * (1 / N_RESAMPLES + 1 / n_proc))
        least, most = np.quantile(replicates, [p - margin, p + margin], axis=1)
        assert ((least <= proc(bound)) & (proc(bound) <= most)).all()
        assert (most - least < 0.03).all()  # narrow enough to fail


@pytest.mark.slow
def test_the_stored_figures_are_what_r_says(tmp_path):
    if shutil.which("Rscript") is None:
        pytest.skip("no Rscript (Debian: r-cran-proc): the stored pROC figures were not made anew")
    command = ["Rscript", str(REFERENCE / "proc.R"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "there is no package called" in done.stderr:
        pytest.skip("R has no pROC (Debian: r-cran-proc): the stored figures were not made anew")
    assert done.returncode == 0, done.stderr
    stored, made = (pd.read_csv(folder / "proc.csv") for folder in (REFERENCE, tmp_path))
    keys = ["what", "first", "second"]
    pd.testing.assert_frame_equal(made[keys], stored[keys])
    np.testing.assert_allclose(made["value"], stored["value"], rtol=1e-10)
