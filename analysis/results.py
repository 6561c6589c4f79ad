"""From the runs of an experiment to every table of the report: the one place that computes them all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.evaluation import Evaluation, Replicates, align, resample
from analysis.questions.associations import correlation_table
from analysis.questions.best import with_best
from analysis.questions.boosts import corrected, pooled_table
from analysis.questions.calibration import calibration_table
from analysis.questions.claims import read_claims
from analysis.questions.compare import auroc_table, boost_table, pair_cells
from analysis.questions.curves import Curves, make_curves
from analysis.questions.evidence import gather
from analysis.questions.family import family_table
from analysis.questions.pareto import pareto_table
from analysis.questions.power import with_needed
from analysis.questions.scatter import collect, points_table
from analysis.questions.seeds import group_seeds, spread_table
from analysis.questions.truncation import factors_table, smallest_table, truncation_table
from analysis.questions.verdicts import barriers, verdicts_table
from analysis.settings import Settings
from analysis.statistics.streams import stream
from analysis.store.artifacts import load_predictions
from analysis.store.cards import Cards, load_cards
from analysis.store.cells import left_out, select_cells
from analysis.store.completeness import check_complete
from analysis.store.folders import Runs
from analysis.store.maps import Maps, load_maps
from analysis.store.mistakes import Mistakes, load_mistakes
from analysis.tables import count
from analysis.units import choose_unit, dependent_units
from analysis.views import aggregate_views

DEMONSTRATION = "A demonstration, not a reproduction:"
TOO_SURE = (
    "every interval, p-value and verdict here is too sure of itself (of 95 % intervals 71 % covered with 5 studies a "
    "patient). unit=auto and unit=patient are right."
)
"""What follows where the units are not independent."""


@dataclass(frozen=True)
class Results:
    """Everything that the report shows.

    Attributes:
        cells: the finished cells, in order.
        groups: the same with the seeds of a network together.
        left_out: the other runs of the experiment.
        partners: cells without their pretrained or scratch partner.
        tables: raw long frames by name, one CSV file each.
        points: of the correlations' point clouds.
        networks: AUROC of the groups of seeds, in the form of the table `auroc`.
        curves: of few networks.
        cards: of the data behind the cells.
        maps: recorded with the cells; None where no X-rays are wanted.
        mistakes: of the best cells; None where no X-rays are wanted.
        barriers: why no verdict may be given.
        warning: empty, or why this is a demonstration.
        incomplete: sentences that belong to every table of an incomplete sweep.
        unit: what is resampled, chosen where the settings say `auto`.
        resampling: name of the percentile intervals of all tables over networks.
        cautions: sentences on what the settings make of the intervals, for a box on the page.
    """

    cells: pd.DataFrame
    groups: pd.DataFrame
    left_out: pd.DataFrame
    partners: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    points: pd.DataFrame
    networks: pd.DataFrame
    curves: Curves
    cards: Cards
    maps: Maps | None
    mistakes: Mistakes | None
    barriers: list[str]
    warning: str
    incomplete: list[str]
    unit: str
    resampling: str
    cautions: list[str]


def evaluate(settings: Settings) -> Results:
    """Reads the runs and computes every number.

    Raises:
        AnalysisError: the runs do not allow a report; the message says why and what to do.
    """
    source = Runs(settings.tracking.uri, settings.experiment, settings.results)
    runs = source.table()
    filters = settings.filters()
    cells = select_cells(runs, filters, settings.experiment)
    incomplete = check_complete(
        runs, cells, filters, experiment=settings.experiment, allow_missing=settings.allow_missing
    )
    cells = choose_tasks(cells, settings.tasks)
    evaluation = _evaluation(settings, cells)
    unit = choose_unit(evaluation.keys, settings.unit)
    rng = np.random.default_rng(settings.seed)
    try:
        replicates = resample(
            evaluation, unit=unit, n_resamples=settings.resamples, rng=rng, stratified=settings.stratified
        )
    except ValueError as error:
        raise AnalysisError(f"the predictions of experiment {settings.experiment}: {error}") from error
    groups, grouped = group_seeds(cells, replicates, rng=stream(settings.seed, "seeds"))
    claims = read_claims()
    blocked = barriers(cells, claims.requires)
    images = settings.images and settings.results is None  # files that were exported have none
    chosen = {name: getattr(settings, name) for name in ("level", "margin", "seed")}
    tables = over_networks(groups, grouped, n_permutations=settings.permutations, **chosen)
    dependent = dependent_units(evaluation.keys, unit)
    verdicts = verdicts_table(claims, gather(tables), barriers=blocked, dependent=dependent)
    tables |= _tables(settings, cells, replicates, groups, grouped)
    return Results(
        cells=cells,
        groups=groups,
        left_out=left_out(runs),
        partners=pair_cells(cells).missing,
        tables=tables | {"verdicts": with_needed(verdicts, rng=stream(settings.seed, "verdicts"))},
        points=points_table(collect(groups, grouped), level=settings.level),
        networks=auroc_table(groups, grouped, level=settings.level, interval=settings.interval),
        curves=make_curves(cells, replicates.source, source.histories, level=settings.level),
        cards=load_cards(settings.tracking.uri, cells),
        maps=load_maps(settings.tracking.uri, cells) if images else None,
        mistakes=load_mistakes(settings.tracking.uri, cells) if images else None,
        barriers=blocked,
        warning=warning(cells),
        incomplete=incomplete,
        unit=unit,
        resampling=grouped.method,
        cautions=[f"{dependent}: {TOO_SURE}"] if dependent else [],
    )


def choose_tasks(cells: pd.DataFrame, tasks: str | None) -> pd.DataFrame:
    """The cells, evaluated on the chosen tasks alone.

    Args:
        cells: with `evaluation.tasks`, the same for all.
        tasks: comma-separated; None is all.

    Raises:
        AnalysisError: a task that the runs were not evaluated on.
    """
    if tasks is None:
        return cells
    chosen, there = [task.strip() for task in tasks.split(",")], str(cells["evaluation.tasks"].iloc[0]).split(",")
    strange = [task for task in chosen if task not in there]
    if strange or len(set(chosen)) < len(chosen):
        raise AnalysisError(f"tasks={tasks}: the runs were evaluated on {', '.join(there)}; choose among them")
    return cells.assign(**{"evaluation.tasks": ",".join(chosen)})


def warning(cells: pd.DataFrame) -> str:
    """Why the numbers are a demonstration; empty where nothing in them is made up."""
    parts = []
    standins, generated = int(cells["weights_standin"].sum()), int(cells["data_generated"].sum())
    if standins:
        parts.append(f"the pretrained weights of {count(standins, 'cell')} are stand-ins made offline, not ImageNet's")
    if generated:
        parts.append(f"the images of {count(generated, 'cell')} are generated phantoms, not patients")
    return f"{DEMONSTRATION} {'; '.join(parts)}." if parts else ""


def _evaluation(settings: Settings, cells: pd.DataFrame) -> Evaluation:
    """Every cell's predictions on the same rows."""
    frames = load_predictions(settings.tracking.uri, cells)
    rule = cells.iloc[0]
    units = {}
    for run_id, name in zip(cells["run_id"], cells["name"], strict=True):
        try:
            units[f"{name} ({run_id})"] = aggregate_views(
                frames[run_id], rule["evaluation.level"], rule["evaluation.views"]
            )
        except AnalysisError as error:
            raise AnalysisError(f"run {name} ({run_id}): {error}") from error
    return align(units, rule["evaluation.tasks"].split(","))


def over_networks(
    groups: pd.DataFrame, grouped: Replicates, *, level: float, margin: float, n_permutations: int, seed: int
) -> dict[str, pd.DataFrame]:
    """The tables that the verdicts rest on, by name.

    Args:
        groups: the networks, their seeds together (`group_seeds`).
        grouped: their replicates.
        level: coverage of the intervals.
        margin: AUROC that a truncated network may lose.
        n_permutations: of each permutation test.
        seed: of the report; each table has a random stream of its own.
    """
    drawn: dict[str, Any] = {"level": level, "n_permutations": n_permutations}
    return {
        "boost_pooled": pooled_table(groups, grouped, level=level),
        "correlations": correlation_table(groups, grouped, rng=stream(seed, "correlations"), **drawn),
        "family": family_table(groups, grouped, rng=stream(seed, "family"), **drawn),
        "truncation_factors": factors_table(groups, grouped, level=level, margin=margin),
    }


def _tables(
    settings: Settings, cells: pd.DataFrame, replicates: Replicates, groups: pd.DataFrame, grouped: Replicates
) -> dict[str, pd.DataFrame]:
    """Every other table."""
    level, interval = settings.level, settings.interval
    truncation = truncation_table(groups, grouped, level=level, margin=settings.margin)
    return {
        "auroc": with_best(auroc_table(cells, replicates, level=level, interval=interval), replicates, level=level),
        "seeds": spread_table(cells, replicates),
        "boost": corrected(boost_table(groups, grouped, level=level, interval=interval)),
        "truncation": truncation,
        "truncation_smallest": smallest_table(truncation, groups),
        "pareto": pareto_table(groups, grouped, level=level),
        "calibration": calibration_table(cells, replicates.source, level=level),
    }
