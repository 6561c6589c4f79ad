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
from analysis.statistics.delong import delong, delong_interval, delong_test

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


def test_auroc_and_delongs_variance(proc):
    made = delong(LABELS, ROWS)
    np.testing.assert_allclose([auroc(LABELS, row) for row in ROWS], proc("auroc"), rtol=0, atol=1e-14)
    np.testing.assert_allclose(made.auroc, proc("auroc"), rtol=0, atol=1e-14)
    np.testing.assert_allclose(np.diag(made.covariance), proc("variance"), rtol=1e-10)
    covariances = [made.covariance[i, j] for i, j in PAIRS]
    np.testing.assert_allclose(covariances, proc("covariance"), rtol=1e-10)


def test_delongs_interval(proc):
    made = delong(LABELS, ROWS)
    low, high = delong_interval(made.auroc, np.diag(made.covariance), level=0.95)
    np.testing.assert_allclose(low, proc("delong_low"), rtol=0, atol=1e-10)
    np.testing.assert_allclose(high, proc("delong_high"), rtol=0, atol=1e-10)


def test_delongs_paired_test(proc):
    made = delong_test(LABELS, ROWS, PAIRS)
    np.testing.assert_allclose(made.z, proc("z"), rtol=1e-10)
    np.testing.assert_allclose(made.p_value, proc("p_value"), rtol=1e-8)


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
