"""The paper's claims against the intervals: reproduced, contradicted, or undecided and why."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from omegaconf import OmegaConf

from analysis import reference
from analysis.errors import AnalysisError
from analysis.questions.claims import Claim, Claims, Requires, Rule
from analysis.settings import PROJECT, flat
from analysis.tables import count, number

PROTOCOLS = PROJECT / "conf" / "protocol"
UNREAD = ("protocol.name", "protocol.lr_grid", "protocol.probe_epochs")
"""Values that tell protocols apart by name only, or that nothing reads unless lr=auto or adapt=lpft, which say it."""

REPRODUCED, CONTRADICTED, UNDECIDED = "reproduced", "contradicted", "undecided"
STATISTIC_COLUMNS = ["statistic", "subset", "estimate", "low", "high", "n"]
VERDICT_COLUMNS = [
    *("claim", "verdict", "reason", "sentence", "statistic", "subset", "rule", "bound"),
    *("estimate", "low", "high", "level", "n", "n_effective", "unit", "scale", "paper"),
]

Masks = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]


def decide(rule: Rule, estimate: float, low: float, high: float) -> str:
    """What an interval says under a rule: `reproduced`, `contradicted` or `undecided`.

    Args:
        rule: its kind and bound.
        estimate: in the unit of the bound.
        low, high: its interval. Undefined, or an interval that does not hold its own estimate, is undecided.

    >>> decide(Rule("above", 0.0), 0.56, 0.11, 0.86)
    'reproduced'
    """
    reproduced, contradicted = decisions(rule, np.float64(estimate), np.float64(low), np.float64(high))
    return REPRODUCED if reproduced else CONTRADICTED if contradicted else UNDECIDED


def decisions(rule: Rule, estimate: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> Masks:
    """The same for arrays of one shape: where the claim is reproduced, and where it is contradicted; never both.

    Args:
        estimate: [...] in the unit of the bound.
        low, high: [...] its interval; NaN, or an interval without its own estimate, is neither.
    """
    at, lo, hi = (np.asarray(value, dtype=np.float64) for value in (estimate, low, high))
    holds = (lo <= at) & (at <= hi)  # False where any of them is NaN
    if rule.kind == "above":
        reproduced, contradicted = lo > rule.bound, hi < rule.bound
    elif rule.kind == "below":
        reproduced, contradicted = hi < rule.bound, lo > rule.bound
    else:
        reproduced = (lo > -rule.bound) & (hi < rule.bound)
        contradicted = (lo > rule.bound) | (hi < -rule.bound)
    return holds & reproduced, holds & contradicted


def barriers(cells: pd.DataFrame, requires: Requires) -> list[str]:
    """Why no verdict may be given on these cells, whatever their intervals say; empty where one may.

    Args:
        cells: arch, pretrained, weights; where there are such columns also weights_standin, data_generated,
            protocol_values (each protocol's values, JSON by key) and the columns that `requires.same` names.
    """
    found = []
    pretrained = cells[cells["pretrained"].astype(bool)]
    if requires.imagenet_weights:
        standins = pretrained.get("weights_standin", pd.Series(False, index=pretrained.index)).astype(bool)
        unknown = sorted({str(name) for name in pretrained.loc[~standins, "weights"] if np.isnan(reference.top1(name))})
        if standins.any():
            found.append(f"the pretrained weights of {count(int(standins.sum()), 'cell')} are stand-ins")
        if unknown:
            found.append(f"weights that are not published ImageNet weights: {', '.join(unknown)}")
    if requires.real_data and "data_generated" in cells.columns and cells["data_generated"].any():
        found.append("the images are generated")
    for column, allowed in requires.same.items():
        wanted = [str(value) for value in allowed]
        others = sorted({str(value) for value in cells.get(column, [])} - set(wanted))
        if others:
            found.append(f"{column}={' or '.join(others)}, and the claims are about {' or '.join(wanted)}")
    if requires.protocol_values and "protocol_values" in cells.columns:
        changed = {part for row in cells.to_dict("records") for part in _changed(row)}
        found += [f"protocol values that are not those of its file: {', '.join(sorted(changed))}"] if changed else []
    n = cells["arch"].nunique()
    if n < requires.min_architectures:
        found.append(f"{count(n, 'architecture')}, and a verdict takes {requires.min_architectures}")
    return found


def verdicts_table(
    claims: Claims, statistics: pd.DataFrame, *, barriers: Sequence[str] = (), dependent: str = ""
) -> pd.DataFrame:
    """Each claim with its verdict and the reason for it.

    Args:
        claims: as `read_claims` gives them.
        statistics: STATISTIC_COLUMNS, n in architectures; where there are such columns also `level`, `n_effective` (of
            the architectures, NaN: as many as there are) and `reliability` (NaN: not known), without enough of which
            no claim is reproduced that noise alone could reproduce.
        barriers: as `barriers` gives them; any makes every verdict `undecided`.
        dependent: as `dependent_units` gives it; makes every verdict `undecided` that rests on resamples of the test
            set, by its interval or by `reliability`.

    Returns:
        VERDICT_COLUMNS, one row a claim in the order of the file; NaN where nothing was measured.

    Raises:
        AnalysisError: a column is missing, or a statistic is there twice.
    """
    missing = [name for name in STATISTIC_COLUMNS if name not in statistics.columns]
    if missing:
        raise AnalysisError(f"the statistics have no column {', '.join(missing)}")
    twice = statistics[statistics.duplicated(["statistic", "subset"])]
    if len(twice):
        row = twice.iloc[0]
        raise AnalysisError(f"statistic {row['statistic']} of {row['subset']} cells is there twice; keep one of them")
    if "level" not in statistics.columns:
        statistics = statistics.assign(level=claims.level)
    measured = {(row["statistic"], row["subset"]): row for row in statistics.to_dict("records")}
    rows = []
    for claim in claims.claims:
        resampled = claim.scale != "correlation" or claim.noise == "guarded"
        why = [*barriers, *([dependent] if dependent and resampled else [])]
        rows.append(_verdict(claim, claims, measured.get((claim.statistic, claim.subset)), why))
    kinds = {"n": "Int64", "paper": "float64", "n_effective": "float64"}
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS).astype(kinds)


def verdicts_dict(verdicts: pd.DataFrame, barriers: Sequence[str] = ()) -> dict[str, Any]:
    """What verdicts.json holds: how many of each, why none could be given, and every row; undefined is null."""
    rows = [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in verdicts.astype(object).to_dict("records")
    ]
    counts = {word: int((verdicts["verdict"] == word).sum()) for word in (REPRODUCED, CONTRADICTED, UNDECIDED)}
    return {"counts": counts, "barriers": list(barriers), "verdicts": rows}


def _verdict(claim: Claim, claims: Claims, found: dict[Any, Any] | None, barriers: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "claim": claim.name,
        **{name: getattr(claim, name) for name in ("sentence", "statistic", "subset", "rule", "bound")},
        **{name: getattr(claim, name) for name in ("unit", "scale", "paper")},
        **dict.fromkeys(("estimate", "low", "high"), math.nan),
        "level": claims.level,
        "n": None,
        "n_effective": math.nan,
    }
    if found is not None:
        row |= {name: found[name] for name in ("estimate", "low", "high", "level")}
        row |= {
            "n": None if pd.isna(found["n"]) else int(found["n"]),
            "n_effective": found.get("n_effective", math.nan),
        }
    reason = _hindrance(claim, claims, found, barriers)
    if reason:
        return row | {"verdict": UNDECIDED, "reason": reason}
    verdict = decide(claim.test, row["estimate"], row["low"], row["high"])
    noise = _noise(claim, claims.requires, found) if verdict == REPRODUCED else ""
    if noise:
        return row | {"verdict": UNDECIDED, "reason": f"{_explained(claim.test, verdict, row)}, but {noise}"}
    return row | {"verdict": verdict, "reason": _explained(claim.test, verdict, row)}


def _hindrance(claim: Claim, claims: Claims, found: dict[Any, Any] | None, barriers: Sequence[str]) -> str:
    """Why the rule is not even asked; empty where it is."""
    if barriers:
        return "; ".join(barriers)
    if found is None or any(pd.isna(found[name]) for name in ("estimate", "low", "high", "n")):
        what = f"{claim.statistic} of {claim.subset} cells"
        return f"not measured: {what}" if found is None else f"not measured: {what} is undefined"
    if not math.isclose(found["level"], claims.level):
        return f"the interval has level {found['level']:g}, and the rule was fixed for {claims.level:g}"
    if int(found["n"]) < claims.requires.min_architectures:
        n = count(int(found["n"]), "architecture")
        return f"rests on {n}, and a verdict takes {claims.requires.min_architectures}"
    if not found["low"] <= found["estimate"] <= found["high"]:
        return "the interval does not hold its own estimate"
    return ""


def _noise(claim: Claim, requires: Requires, found: dict[Any, Any] | None) -> str:
    """Why noise alone may have reproduced a claim; empty where it cannot. It never contradicts one."""
    reliability = math.nan if found is None else found.get("reliability", math.nan)
    if claim.noise != "guarded" or reliability >= requires.min_reliability:
        return ""
    if math.isnan(reliability):
        return (
            "how much of what sets the architectures apart is noise of the test set and of training is not known: it "
            "takes two seeds or more of each network"
        )
    return (
        f"noise of the test set and of training is too large a part of what sets the architectures apart (reliability "
        f"{number(reliability, 2)}, and a verdict takes {number(requires.min_reliability, 2)})"
    )


def _changed(row: dict[Any, Any]) -> list[str]:
    """`key=value (file: value)` for every value of a run's protocol that is not its file's."""
    path = PROTOCOLS / f"{row.get('protocol', '')}.yaml"
    if not path.is_file():
        return []  # a protocol of one's own has another name, which says it
    values = json.loads(row["protocol_values"])
    if values.get("protocol.micro_batch") == values.get("protocol.batch_size"):  # all of a batch at once
        values["protocol.micro_batch"] = "None"
    given = {f"protocol.{key}": value for key, value in flat(OmegaConf.to_container(OmegaConf.load(path))).items()}
    return [
        f"{key}={values[key]} (file: {value})"
        for key, value in given.items()
        if key in values and key not in UNREAD and not _equal(values[key], value)
    ]


def _equal(text: str, value: Any) -> bool:
    try:
        return float(text) == float(value)
    except (TypeError, ValueError):
        return text == str(value)


def _explained(rule: Rule, verdict: str, row: dict[str, Any]) -> str:
    interval = f"the interval {number(row['low'])} to {number(row['high'])}"
    bound = number(rule.bound, 2)
    where = {"above": f"above {bound}", "below": f"below {bound}", "within": f"within ±{bound}"}[rule.kind]
    if verdict == REPRODUCED:
        return f"{interval} lies {where}"
    if verdict == UNDECIDED:
        return f"{interval} does not decide: neither {where} nor clearly outside"
    return f"{interval} lies wholly {'outside ±' if rule.kind == 'within' else 'on the other side of '}{bound}"
