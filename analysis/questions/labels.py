"""Label efficiency: AUROC against training patients, and how many times the labels pretraining is worth."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.evaluation import MEAN, Replicates
from analysis.questions.along import ALL
from analysis.questions.compare import tail
from analysis.statistics.auroc import Floats
from analysis.statistics.bootstrap import percentile_interval

AUROC, WORTH = "auroc", "worth"
SHARE = ("data.fraction", "data.patients")
"""Axes that say how many patients a network was trained on."""
COLUMNS = [
    *(
        "statistic",
        "arch",
        "family",
        "pretrained",
        "adapt",
        "patients",
        "estimate",
        "low",
        "high",
        "smallest",
        "largest",
    ),
    *("n_architectures", "level", "method", "unit", "n", "n_resamples", "n_defined", "n_units"),
]
NOTE = (
    "Worth: a pretrained network has the AUROC that training from scratch would reach with so many times its patients, "
    "by the scratch curve between its points (AUROC straight in the logarithm of patients, where it first reaches the "
    "pretrained one). `> 10`: the scratch curve never reaches it, up to 10 times as many; `< 1`: it is there with its "
    "fewest patients already. Intervals: percentiles over the same resamples of the test set, so that Low or High may "
    "be such a bound too. Noise makes a curve reach early, so worth errs on the small side. mean of all: of the mean "
    "curves of the architectures that have every point; about these architectures, and no others."
)
"""What belongs below the table."""


class Curve(NamedTuple):
    """AUROC of a network, or of a mean over `n_architectures`, with rising numbers of training patients.

    `patients` [k], `estimates` [k] and `resampled` [k, b] are of the mean over tasks; `adapt` says what was trained.
    """

    arch: str
    family: str
    pretrained: bool
    adapt: str
    n_architectures: int
    patients: Floats
    estimates: Floats
    resampled: Floats


def patients_needed(target: Floats, patients: Floats, curve: Floats) -> Floats:
    """With how many patients a curve first reaches a value: [b] by [b] and [k, b].

    Args:
        target: [b] values.
        patients: [k] rising, above 0.
        curve: [k, b] at these; straight between them in log patients.

    Returns:
        [b]; 0 where it is reached with the fewest already, inf where it never is, NaN where anything is undefined.

    Example:
        >>> patients_needed(np.array([0.75, 0.9, 0.6]), np.array([10.0, 1000.0]), np.array([[0.7] * 3, [0.8] * 3]))
        array([100.,  inf,   0.])
    """
    found = np.where(curve[0] >= target, 0.0, np.inf)
    for j in range(len(patients) - 1):
        crosses = np.isinf(found) & (curve[j] < target) & (target <= curve[j + 1])
        share = np.divide(target - curve[j], curve[j + 1] - curve[j], out=np.zeros_like(found), where=crosses)
        found = np.where(crosses, patients[j] * (patients[j + 1] / patients[j]) ** share, found)
    return np.where(np.isnan(target) | np.isnan(curve).any(axis=0), np.nan, found)


def curves(groups: pd.DataFrame, replicates: Replicates, patients: Floats) -> list[Curve]:
    """The curves of the untruncated networks, and the means over those architectures that have every point of a kind.

    Args:
        groups: networks with the columns of the axes; those that differ in another axis than `adapt` and SHARE from
            most take no part (see `sections.labels`).
        replicates: of the same networks.
        patients: [g] that each was trained on; NaN is left out.
    """
    t = replicates.tasks.index(MEAN)
    whole = groups.assign(place=np.arange(len(groups)), patients=patients)
    whole = whole[(whole["truncate"] == 0) & whole["patients"].notna()].sort_values("patients", kind="stable")
    whole = whole.drop_duplicates(["arch", "pretrained", "adapt", "patients"])  # of several weights the first
    found = []
    for (arch, family, pretrained, adapt), rows in whole.groupby(["arch", "family", "pretrained", "adapt"], sort=False):
        at, n = rows["place"].to_numpy(), rows["patients"].to_numpy(dtype=float)
        names = str(arch), str(family), bool(pretrained), str(adapt)
        found.append(Curve(*names, 1, n, replicates.estimates[at, t], replicates.resampled[at, t]))
    return found + list(_means(found))


def _means(found: list[Curve]) -> Iterator[Curve]:
    """One curve a kind, over the architectures that have every kind with every number of patients of that kind."""
    kinds = dict.fromkeys((curve.pretrained, curve.adapt) for curve in found)
    whole = {
        kind: max((one.patients for one in found if (one.pretrained, one.adapt) == kind), key=len) for kind in kinds
    }
    has = {one[:1] + one[2:4] for one in found if np.array_equal(one.patients, whole[one.pretrained, one.adapt])}
    archs = {arch for arch, *_ in has if all((arch, *kind) in has for kind in kinds)}
    for kind in kinds if len(archs) > 1 else []:
        some = [one for one in found if (one.pretrained, one.adapt) == kind and one.arch in archs]
        at = np.mean([one.estimates for one in some], axis=0)
        draws = np.mean([one.resampled for one in some], axis=0)
        yield Curve(ALL, "", *kind, len(some), some[0].patients, at, draws)


def efficiency_table(found: list[Curve], replicates: Replicates, *, level: float) -> pd.DataFrame:
    """Every point of every curve, and what pretraining is worth at each point of the pretrained ones.

    Args:
        found: what `curves` gives.
        replicates: that they were made from.
        level: coverage of the intervals.

    Returns:
        COLUMNS. Rows `auroc`: the mean AUROC with so many patients. Rows `worth`: patients that the scratch curve of
        the same architecture needs for the same AUROC, over the pretrained network's; 0 and inf where that is below
        `smallest` or above `largest`, the least and the greatest that can be seen.

    Source: Kolesnikov and others, ECCV 2020, section 4.2, and He, Girshick and Dollar, ICCV 2019, compare starts so.
    """
    t = replicates.tasks.index(MEAN)
    shared = {name: value for name, value in tail(replicates, t, level).items() if name in COLUMNS}
    scratch = {(curve.arch, curve.adapt): curve for curve in found if not curve.pretrained}
    rows: list[dict[str, Any]] = []
    for curve in found:
        about = {name: getattr(curve, name) for name in ("arch", "family", "pretrained", "adapt", "n_architectures")}
        low, high, defined = percentile_interval(curve.resampled, level)
        for i, n in enumerate(curve.patients):
            row = {"statistic": AUROC, "patients": n, "estimate": curve.estimates[i], "low": low[i], "high": high[i]}
            rows.append(about | shared | row | {"n_defined": int(defined[i])})
        against = scratch.get((curve.arch, "full")) or scratch.get((curve.arch, curve.adapt))
        if curve.pretrained and against is not None and len(against.patients) > 1:
            rows += [about | shared | row for row in _worth(curve, against, level)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _worth(curve: Curve, scratch: Curve, level: float) -> Iterator[dict[str, Any]]:
    for i, n in enumerate(curve.patients):
        at = patients_needed(curve.estimates[i : i + 1], scratch.patients, scratch.estimates[:, None]) / n
        draws = patients_needed(curve.resampled[i], scratch.patients, scratch.resampled) / n
        known = np.sort(draws[~np.isnan(draws)])
        tails = np.array([(1 - level) / 2, (1 + level) / 2]) * (known.size - 1)
        places = int(np.floor(tails[0])), int(np.ceil(tails[1]))  # order statistics: no mean of a bound and a number
        low, high = (float(known[place]) for place in places) if known.size else (np.nan, np.nan)
        yield {"statistic": WORTH, "patients": n, "estimate": float(at[0]), "low": low, "high": high,
               "n_defined": known.size, "smallest": scratch.patients[0] / n,
               "largest": scratch.patients[-1] / n}  # fmt: skip
