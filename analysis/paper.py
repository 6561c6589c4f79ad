"""python -m analysis.paper [key=value ...]: the report's correlations on the paper's own points, beside its figures.

out=DIR         also writes the tables (csv, md, tex) and the figures (pdf, png, csv) into that folder
level=0.95      coverage of the intervals
resamples=10000 of the architectures, and of the error of digitisation
permutations=10000
seed=0
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import reference
from analysis.errors import AnalysisError, SettingsError
from analysis.evaluation import MEAN
from analysis.figures import correlation as correlation_figure
from analysis.figures import style
from analysis.figures import summary as summary_figure
from analysis.interrupted import run_command
from analysis.questions.associations import (
    ATTENUATION,
    correlation_statistics,
    correlations,
    digitisation_rows,
    of_record,
)
from analysis.questions.claims import read_claims
from analysis.questions.power import reach_notes, with_needed
from analysis.questions.scatter import (
    AUROC,
    BOOST,
    PAIRED,
    PARAMETERS,
    PRETRAINED,
    SCRATCH,
    TOP1,
    Scatter,
    points_table,
)
from analysis.questions.truncation import COLUMNS as TRUNCATION
from analysis.questions.verdicts import verdicts_table
from analysis.ranges import at_least, between, filled
from analysis.sections import correlations as correlations_section
from analysis.sections import verdicts as verdicts_section
from analysis.settings import read
from analysis.statistics.streams import stream
from analysis.tables import Columns, number, p_value, plain, shown, signed, write_table

KEY = ["x", "y", "subset", "method"]
BESIDE: Columns = {
    "Spearman of": "pair",
    "Cells": "subset",
    "Ours": ("estimate", signed),
    "n": "n",
    "Paper": ("paper", lambda value: number(value, 2, signed=True)),
    "n there": "n_paper",
    "Low": ("low", signed),
    "High": ("high", signed),
    "p": ("p_value", p_value),
    "Reading, low": ("read_low", signed),
    "Reading, high": ("read_high", signed),
}
NOT_PUBLISHED = "The paper's text was not in reach: its truncated networks are not in the sources we could read."


@dataclass
class PaperSettings:
    """What can be typed after the command; explained at the top of this file."""

    out: str | None = filled(None)
    level: float = between(0, 1, 0.95)
    resamples: int = at_least(1, 10000)
    permutations: int = at_least(1, 10000)
    seed: int = at_least(0, 0)


@dataclass(frozen=True)
class Paper:
    """Everything that the command shows.

    Attributes:
        beside: our figure beside each of the paper's, with the interval.
        table: every correlation, method and interval.
        verdicts: the claims on these points, with the sample size that would decide each.
        points: of the figure of correlations.
        panels: of the summary figure.
        notes: what a reader must know.
    """

    beside: pd.DataFrame
    table: pd.DataFrame
    verdicts: pd.DataFrame
    points: pd.DataFrame
    panels: pd.DataFrame
    notes: list[str]


def main(words: Sequence[str]) -> int:
    """Prints the comparison; the exit code is 0, 1 where it cannot be written, 2 where a setting is wrong."""
    if any(word in ("-h", "--help") for word in words):
        sys.stdout.write(str(__doc__))
        return 0
    try:
        settings = read(words, PaperSettings)
        paper = evaluate(settings)
        if settings.out is not None:
            write(paper, Path(settings.out).expanduser())
    except AnalysisError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, SettingsError) else 1
    sys.stdout.write(summary(paper))
    return 0


def published_clouds(points: pd.DataFrame) -> list[Scatter]:
    """The five point clouds of the paper from what its Figure 1 shows; nothing is known of its test set.

    Args:
        points: what `reference.figure1` gives.
    """
    points = points.assign(boost=points["auroc_pretrained"] - points["auroc_scratch"])
    clouds = []
    for x, y, subset, column in (
        (TOP1, AUROC, PRETRAINED, "auroc_pretrained"),
        (TOP1, AUROC, SCRATCH, "auroc_scratch"),
        (PARAMETERS, AUROC, PRETRAINED, "auroc_pretrained"),
        (PARAMETERS, AUROC, SCRATCH, "auroc_scratch"),
        (PARAMETERS, BOOST, PAIRED, "boost"),
    ):
        there, missing = points[points[column].notna()], points[points[column].isna()]
        clouds.append(
            Scatter(
                *(x, y, subset),
                archs=tuple(there["arch"]),
                families=tuple(there["family"]),
                x=there[x].to_numpy(dtype=np.float64),
                y=there[column].to_numpy(dtype=np.float64),
                y_resampled=None,
                n_seeds=np.ones(len(there), dtype=np.int64),
                left_out=tuple(f"{arch} (scratch value not readable)" for arch in missing["arch"]),
                note="digitised" if x == TOP1 else "AUROC digitised; parameters ours",
            )
        )
    return clouds


def published_networks(points: pd.DataFrame) -> pd.DataFrame:
    """The paper's AUROCs in the form of `auroc_table`, without intervals.

    Args:
        points: what `reference.figure1` gives.
    """
    sides = [
        points[["arch", "family"]].assign(pretrained=pretrained, estimate=points[column])
        for pretrained, column in ((True, "auroc_pretrained"), (False, "auroc_scratch"))
    ]
    return pd.concat(sides, ignore_index=True).assign(task=MEAN, truncate=0, low=np.nan, high=np.nan)


def evaluate(settings: PaperSettings) -> Paper:
    """Every figure, from the stored points."""
    streams = {name: stream(settings.seed, name) for name in ("correlations", "digitisation", "verdicts")}
    clouds = published_clouds(reference.figure1())
    shared: dict[str, Any] = {"level": settings.level, "n_resamples": settings.resamples}
    table = correlations(clouds, n_permutations=settings.permutations, rng=streams["correlations"], **shared)
    read = digitisation_rows(clouds, error=reference.DIGITISED_ERROR, rng=streams["digitisation"], **shared)
    statistics = correlation_statistics(table)
    verdicts = with_needed(verdicts_table(read_claims(), statistics), rng=streams["verdicts"])
    points = points_table(clouds, level=settings.level)
    return Paper(
        beside=_beside(table, read),
        table=pd.concat([table, read], ignore_index=True),
        verdicts=verdicts[verdicts["claim"].isin(_measurable(verdicts, statistics))].reset_index(drop=True),
        points=correlation_figure.table(points),
        panels=summary_figure.table(points, published_networks(reference.figure1()), pd.DataFrame(columns=TRUNCATION)),
        notes=_notes(clouds, table, settings),
    )


def summary(paper: Paper) -> str:
    """What the terminal shows."""
    every = correlations_section.display(paper.table[paper.table["interval"] != "digitisation"])
    verdicts = shown(paper.verdicts, verdicts_section.COLUMNS)[["Claim", "Verdict", "n", "Would be decided by"]]
    parts = [
        "CheXtransfer's correlations, computed again from the points of its Figure 1, with intervals of ours:",
        plain(_beside_display(paper.beside)),
        "By three methods, with architectures alike within families and as if they were independent:",
        plain(every.drop(columns=["n"])),
        "What the rules of conf/claims.yaml make of these points:",
        plain(verdicts),
        "\n".join(paper.notes),
    ]
    return "\n\n".join(parts) + "\n"


def write(paper: Paper, out: Path) -> None:
    """Writes the tables and the figures.

    Raises:
        AnalysisError: the folder cannot be written.
    """
    displays = {
        "paper": (paper.beside, _beside_display(paper.beside)),
        "paper_correlations": (paper.table, correlations_section.display(paper.table)),
        "paper_verdicts": (paper.verdicts, shown(paper.verdicts, verdicts_section.COLUMNS)),
    }
    figure = correlation_figure.figure(paper.points, of_record(paper.table), paper.notes[:1])
    absent = summary_figure.ABSENT | {summary_figure.CUT: NOT_PUBLISHED}
    summary = summary_figure.figure(paper.panels, of_record(paper.table), paper.notes[:2], absent=absent)
    try:
        (out / "tables").mkdir(parents=True, exist_ok=True)
        (out / "figures").mkdir(exist_ok=True)
        for name, (raw, display) in displays.items():
            write_table(raw, display, out / "tables", name, paper.notes)
        style.save(figure, paper.points, out / "figures", "paper_correlation")
        style.save(summary, paper.panels, out / "figures", "paper_summary")
    except OSError as error:
        raise AnalysisError(f"out={out} cannot be written: {error.strerror} ({error.filename})") from error


def _beside(table: pd.DataFrame, read: pd.DataFrame) -> pd.DataFrame:
    """The paper's figures with ours: estimate, interval, p, and the interval of the digitisation alone."""
    printed = reference.printed().rename(columns={"value": "paper", "n": "n_paper", "status": "status_paper"})
    ours = of_record(table)[[*KEY, "estimate", "low", "high", "p_value", "n", "level", "interval", "n_resamples"]]
    reading = read[[*KEY, "low", "high"]].rename(columns={"low": "read_low", "high": "read_high"})
    return ours.merge(printed, on=KEY, how="inner").merge(reading, on=KEY, how="left")


def _beside_display(beside: pd.DataFrame) -> pd.DataFrame:
    names = correlations_section.NAMES
    pairs = [f"{names[x]}, {names[y]}" for x, y in zip(beside["x"], beside["y"], strict=True)]
    return shown(beside.assign(pair=pairs), BESIDE)


def _measurable(verdicts: pd.DataFrame, statistics: pd.DataFrame) -> list[str]:
    """The claims that a figure can speak to; the others need predictions."""
    there = set(zip(statistics["statistic"], statistics["subset"], strict=True))
    return [row["claim"] for row in verdicts.to_dict("records") if (row["statistic"], row["subset"]) in there]


def _notes(clouds: Sequence[Scatter], table: pd.DataFrame, settings: PaperSettings) -> list[str]:
    labels = [reference.label(left.split(" ")[0]) for left in clouds[-1].left_out]
    level = f"{100 * settings.level:.4g} %"
    return [
        "AUROC and ImageNet top-1 were digitised from Figure 1 of arXiv 2101.06871 (AUROC to ±0.0001); parameters are "
        "ours, with the 14-output head (timm 1.0.31).",
        f"Not readable there: AUROC from scratch of {', '.join(labels)}. What needs it rests on {clouds[-1].y.size} "
        "architectures, and the paper's own figure on all 16: the two are not estimates of the same thing.",
        "The names of the Inception, MNASNet and MobileNet points were inferred from their top-1.",
        f"Low and High: {level} closed form for as many independent architectures as these are worth, which are alike "
        "within families; the intervals carry nothing of the paper's finite test set, of which too little is known.",
        ATTENUATION,
        *reach_notes(of_record(table), settings.level),
        "Reading: what the error of digitising AUROC alone does to the coefficient. The paper's figures are quoted.",
    ]


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
