"""What the runs of an experiment say, read once, for every section of the report."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis import axes
from analysis.errors import AnalysisError
from analysis.evaluation import Evaluation, Replicates, align, resample
from analysis.figures.style import Format
from analysis.questions.claims import read_claims
from analysis.questions.compare import auroc_table
from analysis.questions.scatter import collect, points_table
from analysis.questions.seeds import group_seeds
from analysis.questions.verdicts import barriers
from analysis.settings import Settings
from analysis.statistics.streams import stream
from analysis.store.artifacts import load_predictions
from analysis.store.cards import Cards, load_cards
from analysis.store.cells import left_out, select_cells
from analysis.store.completeness import check_complete
from analysis.store.folders import Runs
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
class Models:
    """Cells, and networks with their seeds together: frames with the replicates of their rows."""

    cells: pd.DataFrame
    replicates: Replicates
    groups: pd.DataFrame
    grouped: Replicates

    def at(self, variant: str) -> "Models":
        """Those of one variant."""
        rows, networks = (np.flatnonzero(frame["variant"] == variant) for frame in (self.cells, self.groups))
        if len(rows) == len(self.cells):
            return self
        return Models(
            self.cells.iloc[rows].reset_index(drop=True),
            self.replicates.take(rows),
            self.groups.iloc[networks].reset_index(drop=True),
            self.grouped.take(networks),
        )


@dataclass(frozen=True)
class Results:
    """Everything that a section is made from.

    Attributes:
        settings: of the report.
        cells: the finished cells at the first level of each axis, in order: what the report is about.
        replicates: of the cells.
        groups: the cells with the seeds of a network together.
        grouped: replicates of the groups.
        every: the same four of the cells at all levels, with a column `variant` that says where a cell is not at the
            first level of each axis.
        varied: the axes in which the cells differ, each with its levels.
        left_out: the other runs of the experiment.
        incomplete: sentences that belong to every table of an incomplete sweep.
        barriers: why no verdict may be given.
        unit: what is resampled, chosen where the settings say `auto`.
        dependent: why the units are not independent; empty where they are.
        source: of the runs.
        tables: raw long frames by name, one CSV file each; filled by the sections.
    """

    settings: Settings
    cells: pd.DataFrame
    replicates: Replicates
    groups: pd.DataFrame
    grouped: Replicates
    every: "Models"
    varied: dict[axes.Axis, list[str]]
    left_out: pd.DataFrame
    incomplete: list[str]
    barriers: list[str]
    unit: str
    dependent: str
    source: Runs
    tables: dict[str, pd.DataFrame]

    @cached_property
    def points(self) -> pd.DataFrame:
        """The correlations' point clouds."""
        return points_table(collect(self.groups, self.grouped), level=self.settings.level)

    @cached_property
    def networks(self) -> pd.DataFrame:
        """AUROC of the groups of seeds, in the form of the table `auroc`."""
        settings = self.settings
        return auroc_table(self.groups, self.grouped, level=settings.level, interval=settings.interval)

    @cached_property
    def cards(self) -> Cards:
        """The data cards of all cells."""
        return load_cards(self.settings.tracking.uri, self.every.cells)

    @property
    def warning(self) -> str:
        """Why the numbers are a demonstration; empty where nothing in them is made up."""
        return warning(self.every.cells)

    @property
    def cautions(self) -> list[str]:
        """What the settings make of the intervals, for a box on the page."""
        return [f"{self.dependent}: {TOO_SURE}"] if self.dependent else []

    @property
    def images(self) -> bool:
        """Whether X-rays are shown: files that were exported have none."""
        return self.settings.images and self.settings.results is None

    @property
    def heads(self) -> list[str]:
        """What stands above a figure and below a table: what must not be lost when either is taken alone."""
        return [*([self.warning] if self.warning else []), *self.incomplete, *self.cautions]

    @property
    def form(self) -> Format:
        """How figures are printed."""
        return Format(self.settings.figures.width, self.settings.figures.font)


def read_runs(settings: Settings) -> Results:
    """Read the runs and resample them; the tables are still empty.

    Raises:
        AnalysisError: the runs do not allow a report; the message says why and what to do.
    """
    source = Runs(settings.tracking.uri, settings.experiment, settings.results, settings.where)
    runs = source.table()
    filters = settings.filters()
    cells = select_cells(runs, filters, settings.experiment)
    incomplete = check_complete(
        runs, cells, filters, experiment=settings.experiment, allow_missing=settings.allow_missing
    )
    cells = choose_tasks(cells, settings.tasks)
    evaluation = read_evaluation(settings, cells)
    unit = choose_unit(evaluation.keys, settings.unit)
    rng = np.random.default_rng(settings.seed)
    try:
        replicates = resample(
            evaluation, unit=unit, n_resamples=settings.resamples, rng=rng, stratified=settings.stratified
        )
    except ValueError as error:
        raise AnalysisError(f"the predictions of experiment {settings.experiment}: {error}") from error
    groups, grouped = group_seeds(cells, replicates, rng=stream(settings.seed, "seeds"))
    varied = axes.levels(cells)
    cells, groups = (frame.assign(variant=axes.variants(frame, varied)) for frame in (cells, groups))
    every = Models(cells, replicates, groups, grouped)
    first = every.at("")
    if first.cells.empty:
        there = "; ".join(f"{axis.name}: {', '.join(found)}" for axis, found in varied.items())
        raise AnalysisError(
            f"no cell is at the first level of each axis ({there}), with which the others are compared; choose one "
            "level of an axis, as adapt=linear"
        )
    return Results(
        settings=settings,
        **vars(first),
        every=every,
        varied=varied,
        left_out=left_out(runs),
        incomplete=incomplete,
        barriers=barriers(first.cells, read_claims().requires),
        unit=unit,
        dependent=dependent_units(evaluation.keys, unit),
        source=source,
        tables={},
    )


def choose_tasks(cells: pd.DataFrame, tasks: str | None) -> pd.DataFrame:
    """The cells, evaluated on the chosen tasks alone.

    Args:
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


def read_evaluation(settings: Settings, cells: pd.DataFrame, split: str = "test") -> Evaluation:
    """Every cell's predictions on the same rows of one set.

    Args:
        settings: of the report.
        cells: run_id, name, artifacts, and how they are evaluated.
        split: test, valid, or an external set.

    Raises:
        AnalysisError: predictions that cannot be read, or that are not of the same rows and labels.
    """
    frames = load_predictions(settings.tracking.uri, cells, split)
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
