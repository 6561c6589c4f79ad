"""Which architectures enter a correlation, with which x and y: cells in, points out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import reference
from analysis.errors import AnalysisError
from analysis.evaluation import MEAN, Replicates
from analysis.questions.compare import pair_cells
from analysis.questions.seeds import numbers
from analysis.statistics.auroc import Floats
from analysis.statistics.bootstrap import percentile_interval

TOP1, PARAMETERS = "imagenet_top1", "parameters"
AUROC, BOOST = "auroc", "boost"
PRETRAINED, SCRATCH, PAIRED = "pretrained", "scratch", "paired"
NEEDED = ("arch", "family", "pretrained", "truncate", "seed", "weights")
POINT_COLUMNS = ["x", "y", "subset", "arch", "family", "x_value", "estimate", "low", "high", "level", "n_seeds"]


@dataclass(frozen=True)
class Scatter:
    """n architectures, each with its x and its y.

    Attributes:
        x_name: `imagenet_top1` or `parameters`.
        y_name: `auroc` (mean over the tasks) or `boost` (pretrained minus scratch).
        subset: `pretrained`, `scratch` or `paired`.
        archs: n names.
        families: n names.
        x: [n] top-1 from 0 to 1, or a count of parameters.
        y: [n] from 0 to 1 (a boost: -1 to 1), the mean over seeds.
        y_resampled: [n, b] in resamples of the test set and of the seeds where a network has several; None where
            nothing is known of the test set.
        n_seeds: [n] training seeds behind each point.
        left_out: architectures that have a y and no place here, each with its reason.
        note: what a reader must know of x.
    """

    x_name: str
    y_name: str
    subset: str
    archs: tuple[str, ...]
    families: tuple[str, ...]
    x: Floats
    y: Floats
    y_resampled: Floats | None
    n_seeds: npt.NDArray[np.int64]
    left_out: tuple[str, ...] = ()
    note: str = ""

    @property
    def x_scaled(self) -> Floats:
        """x as Pearson takes it: parameters in log10, which no rank method notices."""
        return np.log10(self.x) if self.x_name == PARAMETERS else self.x

    @property
    def reliability(self) -> float:
        """Share of the variance of y between the points that is noise neither of the test set nor of training; from 0.

        NaN where it is not known: no resamples, no variance, or a network with a single seed, whose training noise
        nothing shows. What all points share in a resample is no noise of their order, so it is taken out. The noise
        attenuates a correlation by about the root of the reliability.

        Source: Spearman, American Journal of Psychology 1904; Lord and Novick, Statistical Theories of Mental Test
        Scores, 1968, 3.
        """
        if self.y_resampled is None or (self.n_seeds < 2).any():
            return float("nan")
        draws = self.y_resampled[:, ~np.isnan(self.y_resampled).any(axis=0)]
        if len(draws) < 2 or draws.shape[1] < 2 or np.ptp(self.y) == 0:
            return float("nan")
        noise = (draws - draws.mean(axis=0)).var(axis=1, ddof=1).sum() / (len(draws) - 1)
        return max(0.0, 1 - float(noise) / float(np.var(self.y, ddof=1)))

    @property
    def x_scale(self) -> str:
        """`log10` or `linear`."""
        return "log10" if self.x_name == PARAMETERS else "linear"


def collect(cells: pd.DataFrame, replicates: Replicates) -> list[Scatter]:
    """The five point clouds of the paper: top-1 and size against AUROC, with and without pretraining; size and boost.

    Args:
        cells: m rows in the order of the replicates, the seeds of a network grouped (`seeds.group_seeds`): NEEDED,
            `n_seeds` (no such column: 1), `parameters` (NaN or no such column: unknown), and `weights_standin` (bool;
            no such column: none is). Truncated cells take no part.

    Raises:
        AnalysisError: a column is missing, the replicates are of other models, or a network is there twice.
    """
    missing = [name for name in NEEDED if name not in cells.columns]
    if missing:
        raise AnalysisError(f"the cells have no column {', '.join(missing)}, which the correlations need")
    if len(cells) != len(replicates.estimates):
        raise AnalysisError(f"{len(cells)} cells cannot go with the replicates of {len(replicates.estimates)} models")
    kept, other_tags = _one_tag(cells.reset_index(drop=True))
    mean = replicates.tasks.index(MEAN)
    estimates, resampled = replicates.estimates[:, mean], replicates.resampled[:, mean]
    whole = kept[kept["truncate"] == 0]
    clouds = []
    for x_name in (TOP1, PARAMETERS):
        for side, subset in ((True, PRETRAINED), (False, SCRATCH)):
            rows = whole[whole["pretrained"] == side]
            x, note = _top1(rows, whole) if x_name == TOP1 else (_parameters(rows), "")
            at = rows.index.to_numpy()
            left = other_tags if side else ()
            clouds.append(_cloud((x_name, AUROC, subset), rows, x, estimates[at], resampled[at], left, note))
    pairs = pair_cells(kept).both
    first, second = kept.index[pairs["pretrained"]].to_numpy(), kept.index[pairs["scratch"]].to_numpy()
    rows = kept.loc[first]
    if "n_seeds" in kept.columns:  # a boost is known as well as the side with fewer seeds
        rows = rows.assign(n_seeds=np.minimum(rows["n_seeds"].to_numpy(), kept.loc[second, "n_seeds"].to_numpy()))
    y, y_resampled = estimates[first] - estimates[second], resampled[first] - resampled[second]
    clouds.append(_cloud((PARAMETERS, BOOST, PAIRED), rows, _parameters(rows), y, y_resampled, other_tags, ""))
    return clouds


def points_table(clouds: Sequence[Scatter], *, level: float) -> pd.DataFrame:
    """The points for a figure, each with the interval of its y from the test set alone.

    Returns:
        POINT_COLUMNS, one row an architecture and cloud; low and high are NaN where nothing is known of the test set.
    """
    rows = []
    for cloud in clouds:
        n = len(cloud.archs)
        low, high = np.full(n, np.nan), np.full(n, np.nan)
        if cloud.y_resampled is not None and n:
            low, high, _ = percentile_interval(cloud.y_resampled, level)
        rows += [
            dict(zip(POINT_COLUMNS, (cloud.x_name, cloud.y_name, cloud.subset, *point, level, seed), strict=True))
            for *point, seed in zip(
                cloud.archs, cloud.families, cloud.x, cloud.y, low, high, cloud.n_seeds, strict=True
            )
        ]
    return pd.DataFrame(rows, columns=POINT_COLUMNS)


def _one_tag(cells: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """One pretrained weight tag an architecture, so that it is one point: the paper-era one, else the first."""
    pretrained = cells["pretrained"].astype(bool)
    drop, named = [], []
    for arch, rows in cells[pretrained & (cells["truncate"] == 0)].groupby("arch", sort=False):
        tags = list(dict.fromkeys(rows["weights"]))
        chosen = next((tag for tag in tags if tag == reference.paper_era(str(arch))), tags[0])
        named += [f"{tag} (a second weight tag; {chosen} is the point)" for tag in tags if tag != chosen]
        drop += rows.index[rows["weights"] != chosen].tolist()
    return cells.drop(index=drop), tuple(named)


def _parameters(rows: pd.DataFrame) -> pd.Series:
    known = rows["parameters"] if PARAMETERS in rows.columns else pd.Series(np.nan, index=rows.index)
    known = known.astype(float)
    return known.where(known > 0)


def _top1(rows: pd.DataFrame, whole: pd.DataFrame) -> tuple[pd.Series, str]:
    """Top-1 of each row's weights; of a scratch row, its pretrained partner's, else the paper-era tag's."""
    own = pd.Series([_published(row) for row in whole.to_dict("records")], index=whole.index, dtype=float)
    if rows["pretrained"].all():
        return own.loc[rows.index], "top-1 of the weights in use"
    partners = own[whole["pretrained"].astype(bool)].groupby(whole["arch"]).first().dropna()
    era = {arch: reference.top1(reference.paper_era(str(arch))) for arch in rows["arch"].unique()}
    x = pd.Series([partners.get(arch, era[arch]) for arch in rows["arch"]], index=rows.index, dtype=float)
    by_era = sorted({str(arch) for arch in rows["arch"] if arch not in partners.index and not np.isnan(era[arch])})
    note = "top-1 of the pretrained partner's weights"
    return x, f"{note}; of the paper-era weights for {', '.join(by_era)}" if by_era else note


def _published(row: dict[object, object]) -> float:
    return float("nan") if row.get("weights_standin", False) else reference.top1(str(row["weights"]))


def _cloud(
    names: tuple[str, str, str],
    rows: pd.DataFrame,
    x: pd.Series,
    y: Floats,
    y_resampled: Floats,
    left_out: tuple[str, ...],
    note: str,
) -> Scatter:
    """One point a row; those without x or y are named."""
    twice = rows["arch"][rows["arch"].duplicated()]
    if len(twice):
        raise AnalysisError(f"{twice.iloc[0]} is there more than once; group its seeds first")
    x_values, archs = x.to_numpy(dtype=np.float64), rows["arch"].to_numpy(dtype=str)
    unknown = "no published top-1" if names[0] == TOP1 else "no count of parameters"
    kept = np.isfinite(x_values) & np.isfinite(y)
    lost = [f"{arch} ({unknown})" for arch in archs[np.isnan(x_values)]]
    lost += [f"{arch} (undefined {names[1]})" for arch in archs[np.isfinite(x_values) & np.isnan(y)]]
    n_seeds = numbers(rows, "n_seeds") if "n_seeds" in rows.columns else np.ones(len(rows))
    return Scatter(
        *names,
        archs=tuple(archs[kept].tolist()),
        families=tuple(rows["family"].to_numpy(dtype=str)[kept].tolist()),
        x=x_values[kept],
        y=y[kept],
        y_resampled=y_resampled[kept],
        n_seeds=n_seeds[kept].astype(np.int64),
        left_out=(*left_out, *lost),
        note=note,
    )
