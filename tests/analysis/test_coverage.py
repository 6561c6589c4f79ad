"""How often 95 % intervals hold a known AUROC: which methods keep their promise on small, unbalanced test sets."""

import numpy as np
import pytest
from scipy.special import ndtri

from analysis.statistics.auroc import leave_out_auroc
from analysis.statistics.bootstrap import bootstrap_auroc, draw_counts
from analysis.statistics.delong import influence, logit_t_interval, t_interval
from analysis.statistics.intervals import bca_interval, percentile_interval

TRUTH = 0.85
N_SIMULATIONS, BATCH, N_RESAMPLES = 4000, 200, 1000
ERROR = 100 * np.sqrt(0.95 * 0.05 / N_SIMULATIONS)
"""Monte Carlo standard error of a coverage in percent: 0.34."""
LONG_RUN = {
    200: {"delong": 91.5, "delong logit": 93.6, "percentile": 92.5, "bca": 94.1},
    500: {"delong": 93.5, "delong logit": 94.5, "percentile": 93.8, "bca": 94.8},
}
"""Coverage in percent over 10,000 simulations of another seed, standard error 0.25."""
KEEPS = ("delong logit", "bca")
"""Within 93 to 97 % at both sizes. DeLong's plain interval and the percentile are not, with 20 positives."""


def simulate(n, n_positive, rng):
    """Coverage in percent by method: binormal scores; simulations of a batch share their resamples, as models do."""
    labels = np.repeat([1.0, 0.0], [n_positive, n - n_positive])
    hits = dict.fromkeys(LONG_RUN[n], 0)
    for _ in range(N_SIMULATIONS // BATCH):
        scores = rng.normal(size=(BATCH, n)) + np.sqrt(2) * ndtri(TRUTH) * labels
        made = influence(labels, scores, np.arange(n), n)
        normal = np.sqrt((made.values**2).sum(axis=1)), np.inf, 0.95
        counts = draw_counts(n, N_RESAMPLES, rng=rng)
        replicates = bootstrap_auroc(labels, scores, counts)
        intervals = {
            "delong": t_interval(made.auroc, *normal),
            "delong logit": logit_t_interval(made.auroc, *normal),
            "percentile": percentile_interval(replicates, 0.95),
            "bca": bca_interval(made.auroc, replicates, leave_out_auroc(labels, scores, np.arange(n)), 0.95),
        }
        for method, (low, high, *_) in intervals.items():
            hits[method] += int(((low <= TRUTH) & (high >= TRUTH)).sum())
    return {method: 100 * count / N_SIMULATIONS for method, count in hits.items()}


@pytest.mark.slow
@pytest.mark.parametrize("n", LONG_RUN)
def test_95_percent_intervals_cover_93_to_97_percent_at_10_percent_prevalence(n):
    coverage = simulate(n, n // 10, np.random.default_rng(1))
    for method in KEEPS:
        assert 93 <= coverage[method] <= 97, method
    for method, expected in LONG_RUN[n].items():  # those that fall short are known to, and by how much
        assert coverage[method] == pytest.approx(expected, abs=4 * np.hypot(ERROR, 0.25)), method


def test_the_record_says_which_methods_keep_their_promise():
    kept = [m for m in LONG_RUN[200] if all(93 <= LONG_RUN[n][m] <= 97 for n in LONG_RUN)]
    assert tuple(kept) == KEEPS
