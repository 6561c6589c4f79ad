"""How many architectures or studies would decide a claim, by simulation."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm, t

from analysis.questions.claims import Rule
from analysis.questions.verdicts import CONTRADICTED, REPRODUCED, UNDECIDED, decisions
from analysis.statistics.auroc import Floats
from analysis.statistics.correlation import correlate
from analysis.tables import count, number

POWER = 0.8
"""Chance of a decision that counts as enough. Source: Cohen, Statistical Power Analysis, 1988, 2.4."""
CAP = 1000
"""Sample sizes beyond this are not searched: nobody trains a thousand architectures."""
SIMULATIONS = 2000
"""Data sets a sample size: a power of 0.8 is known to +-0.018 with 95 % certainty, better after the fit over sizes."""
FACTORS = np.array([0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5])
"""Sample sizes simulated, around the closed form's."""


STEPS = "no number (a factor moves in steps); more studies, and networks of more families"
"""Of a claim on a factor."""


class Needed(NamedTuple):
    """A sample size.

    Attributes:
        n: the smallest with the wanted power; None where it is above CAP, or where no size would do.
        verdict: what it would decide; `undecided` for an effect that lies on the bound, which no size decides.
        assumed: the effect that is taken to be true.
    """

    n: int | None
    verdict: str
    assumed: float


def critical_spearman(n: float, level: float) -> float:
    """The |rho| of n independent points from which its interval (`closed_form`) leaves 0 out; NaN of 3 or fewer.

    >>> round(critical_spearman(16, 0.95), 2)
    0.57
    """
    if not n > 3:
        return math.nan
    reach = float(t.ppf((1 + level) / 2, n - 2)) / math.sqrt(n - 3)
    return float(brentq(lambda rho: math.atanh(rho) - reach * math.sqrt(1 + rho**2 / 2), 0.0, 1 - 1e-12))


def reach_notes(table: pd.DataFrame, level: float) -> list[str]:
    """What Spearman's |rho| must reach, in a sentence for each number of architectures, the largest first.

    Args:
        table: rows of one interval a correlation, with method, n and n_effective.
        level: coverage of the intervals.
    """
    notes, rows = [], table[table["method"] == "spearman"]
    for n in sorted({int(n) for n in rows["n"]}, reverse=True):
        worth = sorted({round(float(value), 1) for value in rows.loc[rows["n"] == n, "n_effective"].dropna()})
        if worth:
            reach = " to ".join(number(critical_spearman(value, level), 2) for value in {worth[-1]: 0, worth[0]: 0})
            said = " to ".join(number(value, 1) for value in {worth[0]: 0, worth[-1]: 0})
            notes.append(
                f"Of {count(n, 'architecture')}, Spearman's |rho| must reach {number(critical_spearman(n, level), 2)} "
                f"for an interval without 0 if they were independent, and {reach} as these are worth {said} such ones."
            )
    return notes


def correlation_power(
    rho: float, n: int, rule: Rule, *, level: float = 0.95, n_simulations: int = SIMULATIONS, rng: np.random.Generator
) -> tuple[float, float]:
    """How often n points decide a claim on Spearman's rho: the shares reproduced and contradicted.

    Args:
        rho: the true Spearman correlation; the points are bivariate normal.
        rule: of the decision, on `closed_form`'s interval.

    Source: Pearson's r of the normal pair is 2 sin(pi rho / 6) (Pearson, Biometrika 1907).
    """
    r = 2 * math.sin(math.pi * rho / 6)
    x, e = rng.standard_normal((2, n_simulations, n))
    estimates = correlate(x, r * x + math.sqrt(1 - r**2) * e, "spearman")
    half = t.ppf((1 + level) / 2, n - 2) * np.sqrt((1 + estimates**2 / 2) / (n - 3))
    centre = np.arctanh(np.clip(estimates, -1 + 1e-9, 1 - 1e-9))
    reproduced, contradicted = decisions(rule, estimates, np.tanh(centre - half), np.tanh(centre + half))
    return float(reproduced.mean()), float(contradicted.mean())


def mean_power(
    mean: float, sd: float, n: int, rule: Rule, *, level: float = 0.95, n_simulations: int = SIMULATIONS,
    rng: np.random.Generator,
) -> tuple[float, float]:  # fmt: skip
    """The same for a mean of n normal values, on its t interval.

    Args:
        mean: the true one.
        sd: of one value, in the same unit.
    """
    estimates = mean + sd / math.sqrt(n) * rng.standard_normal(n_simulations)
    errors = sd * np.sqrt(rng.chisquare(n - 1, n_simulations) / (n - 1) / n)
    half = t.ppf((1 + level) / 2, n - 1) * errors
    reproduced, contradicted = decisions(rule, estimates, estimates - half, estimates + half)
    return float(reproduced.mean()), float(contradicted.mean())


def n_for_correlation(
    rho: float, rule: Rule, *, level: float = 0.95, power: float = POWER, rng: np.random.Generator
) -> Needed:
    """Points with which a claim on Spearman's rho is decided with the wanted power, if rho is the truth.

    Args:
        rho: taken as true: what was observed, or what the paper prints.

    >>> n_for_correlation(0.5, Rule("above", 0.0), rng=np.random.default_rng(0)).n in range(28, 36)
    True
    """
    verdict = _side(rule, rho)
    if verdict == UNDECIDED or not abs(rho) < 1:
        return Needed(None, verdict, rho)
    distance = abs(math.atanh(rho) - math.atanh(_edge(rule, rho)))
    start = 3 + (1 + rho**2 / 2) * (_z(rule, rho, level, power) / distance) ** 2
    which = 0 if verdict == REPRODUCED else 1
    n = _search(lambda n: correlation_power(rho, n, rule, level=level, rng=rng)[which], start, 5, power)
    return Needed(n, verdict, rho)


def n_for_mean(
    estimate: float, low: float, high: float, n: int, rule: Rule, *, level: float = 0.95, power: float = POWER,
    cap: int = CAP, rng: np.random.Generator,
) -> Needed:  # fmt: skip
    """Studies or architectures with which a claim on a mean or difference is decided with the wanted power.

    Args:
        estimate: taken as true.
        low, high: its interval at `level` with n of them, whose width is taken to fall as 1 / sqrt(n).
        n: studies, or architectures: whatever the interval was resampled over.
    """
    verdict = _side(rule, estimate)
    sd = (high - low) / (2 * float(norm.ppf((1 + level) / 2))) * math.sqrt(n)
    gap = abs(estimate - _edge(rule, estimate))
    if verdict == UNDECIDED or not sd > 0:
        return Needed(None, verdict, estimate)
    start = (sd * _z(rule, estimate, level, power) / gap) ** 2
    which = 0 if verdict == REPRODUCED else 1
    found = _search(lambda n: mean_power(estimate, sd, n, rule, level=level, rng=rng)[which], start, 3, power, cap)
    return Needed(found, verdict, estimate)


def with_needed(verdicts: pd.DataFrame, *, rng: np.random.Generator) -> pd.DataFrame:
    """The verdicts with the sample size that would decide each.

    Args:
        verdicts: what `verdicts_table` gives.

    Returns:
        The same with n_to_decide (NA: above CAP, or nothing to go by), would_be (the verdict it would give), assumed
        (the effect taken as true: the estimate, else the paper's), power, and `needed`, which says it in words. Of a
        correlation the number grows as the architectures at hand are worth less than independent ones (`n_effective`).
    """
    rows = []
    for row in verdicts.to_dict("records"):
        rule, level = Rule(row["rule"], row["bound"]), row["level"]
        measured = not any(pd.isna(row[name]) for name in ("estimate", "low", "high", "n"))
        assumed = row["estimate"] if measured else row["paper"]
        found = None
        if row["scale"] == "correlation" and not pd.isna(assumed):
            found = n_for_correlation(float(assumed), rule, level=level, rng=rng)
            worth = row["n_effective"] / row["n"] if measured else math.nan
            if found.n is not None and worth < 1:
                wanted = math.ceil(found.n / worth)
                found = found._replace(n=wanted if wanted <= CAP else None)
        elif measured and row["scale"] == "mean":
            found = n_for_mean(
                row["estimate"], row["low"], row["high"], int(row["n"]), rule, level=level, rng=rng
            )  # fmt: skip
        source = "the estimate" if measured else "the paper's figure"
        rows.append(
            {
                "n_to_decide": found.n if found else None,
                "would_be": found.verdict if found else "",
                "assumed": found.assumed if found else math.nan,
                "power": POWER,
                "needed": STEPS if row["scale"] == "factor" else _words(found, str(row["unit"]), source),
            }
        )
    added = pd.DataFrame(rows, index=verdicts.index).astype({"n_to_decide": "Int64", "assumed": "float64"})
    return pd.concat([verdicts, added], axis=1)


def _words(found: Needed | None, unit: str, source: str) -> str:
    if found is None:
        return "nothing to go by"
    if found.verdict == UNDECIDED:
        return f"no number ({source} lies on the bound)"
    size = f"more than {count(CAP, unit)}" if found.n is None else count(found.n, unit)
    return f"{size} ({found.verdict}, if {source} is true)"


def _side(rule: Rule, effect: float) -> str:
    """The verdict that an effect leads to when enough is measured."""
    if math.isclose(abs(effect) if rule.kind == "within" else effect, rule.bound, abs_tol=1e-9):
        return UNDECIDED
    holds = {"above": effect > rule.bound, "below": effect < rule.bound, "within": abs(effect) < rule.bound}[rule.kind]
    return REPRODUCED if holds else CONTRADICTED


def _edge(rule: Rule, effect: float) -> float:
    """The bound that the interval must keep clear of; of `within`, the one on the effect's side."""
    return math.copysign(rule.bound, effect) if rule.kind == "within" else rule.bound


def _z(rule: Rule, effect: float, level: float, power: float) -> float:
    """Standard errors between effect and edge; an effect in the middle of `within` can fail on either side."""
    both = rule.kind == "within" and abs(effect) < 0.1 * rule.bound
    return float(norm.ppf((1 + level) / 2) + norm.ppf((1 + power) / 2 if both else power))


def _search(simulate: Callable[[int], float], start: float, smallest: int, power: float, cap: int = CAP) -> int | None:
    """The size with the wanted power: simulated around `start`, read off a probit line in sqrt(n)."""
    for _ in range(12):
        if start > 1.2 * cap:
            return None
        sizes = np.unique(np.maximum(smallest, np.rint(start * FACTORS))).astype(int)
        powers = np.array([simulate(int(n)) for n in sizes])
        if powers[0] >= power and sizes[0] == smallest:
            return smallest
        if powers.max() >= power > powers.min():
            n = _crossing(sizes, powers, power)
            return n if n <= cap else None
        start *= 1.5 if powers.max() < power else 0.6
    return None


def _crossing(sizes: Floats, powers: Floats, power: float) -> int:
    z = norm.ppf(np.clip(powers, 0.001, 0.999))
    near = np.abs(z - norm.ppf(power)) < 1.5  # the line is one near the wanted power
    roots = np.sqrt(sizes)
    if near.sum() < 2:
        return int(sizes[np.argmax(powers >= power)])
    slope, intercept = np.polyfit(roots[near], z[near], 1)
    if slope <= 0:
        return int(sizes[np.argmax(powers >= power)])
    return math.ceil(float((norm.ppf(power) - intercept) / slope) ** 2)
