import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from analysis.questions.claims import Rule, read_claims
from analysis.questions.power import (
    CAP,
    correlation_power,
    critical_spearman,
    mean_power,
    n_for_correlation,
    n_for_mean,
    reach_notes,
    with_needed,
)
from analysis.questions.verdicts import verdicts_table
from analysis.statistics.correlation import closed_form

ABOVE, WITHIN = Rule("above", 0.0), Rule("within", 0.5)


@pytest.mark.parametrize(("n", "level"), [(16, 0.95), (7.3, 0.95), (16, 0.8), (4, 0.95)])
def test_at_the_critical_value_an_interval_just_touches_0(n, level):
    least = critical_spearman(n, level)
    low, _, p = closed_form(least, n, "spearman", level)
    assert 0 < least < 1
    assert low == pytest.approx(0, abs=1e-6)
    assert p == pytest.approx(1 - level, abs=1e-6)
    assert math.isnan(critical_spearman(3, level))


def test_a_sentence_says_what_a_coefficient_must_reach_as_these_architectures_are_worth_fewer():
    table = pd.DataFrame({"method": ["spearman", "spearman", "kendall", "spearman"], "n": [16, 16, 16, 11]})
    table = table.assign(n_effective=[7.04, 9.9, 5.0, 11.0])
    worth = [f"{critical_spearman(n, 0.95):.2f}" for n in (16, 9.9, 7.0)]
    first, second = reach_notes(table, 0.95)
    assert first == (
        f"Of 16 architectures, Spearman's |rho| must reach {worth[0]} for an interval without 0 if they were "
        f"independent, and {worth[1]} to {worth[2]} as these are worth 7.0 to 9.9 such ones."
    )
    assert float(worth[0]) < float(worth[1]) < float(worth[2])
    assert second.startswith("Of 11 architectures")
    assert second.endswith("as these are worth 11.0 such ones.")
    assert reach_notes(table.assign(n_effective=float("nan")), 0.95) == []


def test_points_for_a_correlation_of_one_half(rng):
    """May and Looney 2020 give 3 + (1 + rho^2 / 2) ((z + z) / atanh rho)^2 with Bonett and Wright's variance: 33."""
    closed = 3 + (1 + 0.5**2 / 2) * ((1.959964 + 0.841621) / math.atanh(0.5)) ** 2
    needed = n_for_correlation(0.5, ABOVE, rng=rng)
    assert closed == pytest.approx(32.3, abs=0.1)
    assert needed.n == pytest.approx(closed, abs=3)
    assert needed.verdict == "reproduced"


@pytest.mark.parametrize(
    ("rho", "rule", "verdict"),
    [
        (0.56, ABOVE, "reproduced"),
        (-0.4, ABOVE, "contradicted"),
        (-0.72, Rule("below", 0.0), "reproduced"),
        (0.06, WITHIN, "reproduced"),
        (0.65, WITHIN, "contradicted"),
    ],
)
def test_the_size_found_has_the_power_wanted(rho, rule, verdict):
    needed = n_for_correlation(rho, rule, rng=np.random.default_rng(1))
    assert needed.verdict == verdict
    side = 0 if verdict == "reproduced" else 1
    powers = [
        correlation_power(rho, n, rule, n_simulations=8000, rng=np.random.default_rng(2))[side]
        for n in (needed.n, round(0.6 * needed.n))
    ]
    assert 0.775 <= powers[0] <= 0.85  # one point more or less is up to 0.04
    assert powers[1] < 0.72


def test_power_against_a_plain_loop():
    """Spearman by scipy, the interval by hand, one data set at a time."""
    rng, hits, n = np.random.default_rng(5), 0, 20
    r = 2 * math.sin(math.pi * 0.5 / 6)
    for _ in range(1500):
        x, e = rng.standard_normal((2, n))
        rho = stats.spearmanr(x, r * x + math.sqrt(1 - r * r) * e).statistic
        hits += math.atanh(rho) - stats.t.ppf(0.975, n - 2) * math.sqrt((1 + rho**2 / 2) / (n - 3)) > 0
    ours = correlation_power(0.5, n, ABOVE, n_simulations=8000, rng=rng)[0]
    assert ours == pytest.approx(hits / 1500, abs=0.05)


def test_simulated_points_have_the_correlation_asked_for():
    """Without an effect a 95 % rule errs at most one time in forty on each side; with t for z a little less."""
    above, below = correlation_power(0.0, 30, ABOVE, n_simulations=20_000, rng=np.random.default_rng(0))
    assert 0.012 <= above <= 0.028
    assert 0.012 <= below <= 0.028


@pytest.mark.parametrize("rho", [0.0, 0.01, 0.49, 0.5, 0.51, 1.0])
def test_what_no_size_decides_has_none(rho, rng):
    for rule in (ABOVE, WITHIN):
        needed = n_for_correlation(rho, rule, rng=rng)
        hopeless = rho in (0.0, 0.01) if rule == ABOVE else rho > 0.4
        assert (needed.n is None) == (hopeless or rho == 1.0)
    assert n_for_correlation(0.5, WITHIN, rng=rng).verdict == "undecided"


@pytest.mark.parametrize("effect", [0.3, 0.5, 1.0])
def test_studies_for_a_mean_are_statsmodels(effect, rng):
    """An interval of +-z / 10 at n = 100 is that of a standard deviation of 1."""
    half = 1.959964 / 10
    needed = n_for_mean(effect, effect - half, effect + half, 100, ABOVE, rng=rng)
    theirs = TTestPower().solve_power(effect, power=0.8, alpha=0.05, alternative="two-sided")
    assert needed.n == pytest.approx(theirs, rel=0.08, abs=1.5)
    mirrored = n_for_mean(-effect, -effect - half, -effect + half, 100, ABOVE, rng=rng)
    assert (mirrored.verdict, mirrored.n) == ("contradicted", pytest.approx(theirs, rel=0.08, abs=1.5))


def test_power_of_a_mean_is_statsmodels():
    ours = mean_power(0.5, 1.0, 20, ABOVE, n_simulations=20_000, rng=np.random.default_rng(0))[0]
    theirs = TTestPower().power(0.5, 20, 0.025, alternative="larger")
    assert ours == pytest.approx(theirs, abs=0.012)


def test_a_mean_that_no_size_decides(rng):
    assert n_for_mean(0.0, -1.0, 1.0, 100, ABOVE, rng=rng).n is None
    assert n_for_mean(0.001, -1.0, 1.0, 100, ABOVE, rng=rng).n is None  # above the cap
    assert n_for_mean(0.2, 0.2, 0.2, 100, ABOVE, rng=rng).n is None  # no width to go by
    assert n_for_mean(0.2, np.nan, 0.4, 100, ABOVE, rng=rng).n is None
    assert n_for_mean(0.001, -0.01, 0.012, 100, ABOVE, cap=10**6, rng=rng).n > CAP


def test_every_claim_gets_its_number(rng):
    """Where nothing at all was measured it goes by the paper's figures."""
    claims = read_claims()
    nothing = verdicts_table(claims, pd.DataFrame(columns=["statistic", "subset", "estimate", "low", "high", "n"]))
    table = with_needed(nothing, rng=rng)
    by_name = table.set_index("claim")
    assert by_name.loc["small_networks_gain_more", "n_to_decide"] == pytest.approx(14, abs=3)
    assert "if the paper's figure is true" in by_name.loc["small_networks_gain_more", "needed"]
    assert by_name.loc["pretraining_helps", "needed"] == "nothing to go by"
    again = with_needed(nothing, rng=np.random.default_rng(20210404))
    pd.testing.assert_frame_equal(table, again)
