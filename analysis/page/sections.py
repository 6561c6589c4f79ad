"""The report's order: which tables and figures belong together, and what is said about each."""

import pandas as pd

from analysis import tables
from analysis.evaluation import MEAN
from analysis.figures import auroc as auroc_figure
from analysis.figures import boost as boost_figure
from analysis.figures import correlation as correlation_figure
from analysis.figures import family as family_figure
from analysis.figures import pareto as pareto_figure
from analysis.figures import truncation as truncation_figure
from analysis.figures.style import Format
from analysis.page import attached, displays, pictured
from analysis.page.parts import Picture, Section, Table
from analysis.questions import boosts, family, pareto, seeds, truncation
from analysis.questions.associations import ATTENUATED, ATTENUATION, correlation_display, of_record
from analysis.questions.best import best_note
from analysis.questions.interval_methods import DELONG
from analysis.questions.power import reach_notes
from analysis.questions.verdicts import verdicts_display
from analysis.results import Results
from analysis.settings import Settings
from analysis.tables import count, heading
from analysis.units import AUTO, FEWEST

MIN_POINTS = 3
"""Architectures from which a coefficient can take more than two values."""
FEW_POSITIVES = 50
"""Fewer positives than this in a task call for a word about percentile intervals (docs/statistics.md)."""
UNIT_WHY = {"study": "no patient has several studies here", "patient": "patients have several studies here"}
UNTESTED = "p-values are two-sided; those that are not marked as Holm's are not corrected."


def sections(settings: Settings, results: Results) -> list[Section]:
    """Every section of the report, in order; a file is written for each table, also for an empty one."""
    return [
        _verdicts(results),
        _summary(settings, results),
        _auroc(settings, results),
        _boost(settings, results),
        _correlations(settings, results),
        _family(settings, results),
        _truncation(settings, results),
        _pareto(settings, results),
        pictured.roc_section(results.curves, _heads(results), _form(settings)),
        _calibration(settings, results),
        pictured.learning_section(results.curves, _heads(results), _form(settings)),
        attached.maps_section(results.maps, results.cells, settings.tracking.uri),
        attached.mistakes_section(results.mistakes, generated=bool(results.cells["data_generated"].all())),
        attached.data_section(results.cards),
    ]


def notes(settings: Settings, results: Results) -> list[str]:
    """What every table needs beside it, wherever it is taken."""
    table, rule = results.tables["auroc"], results.cells.iloc[0]
    units = count(table["n_units"].iloc[0], results.unit)
    names = list(dict.fromkeys(table.loc[(table["task"] == MEAN) & table["low"].notna(), "method"])) or ["no"]
    joint = f"{settings.resamples} resamples of {units}, the same for every cell"
    lines = [
        f"AUROC by {rule['evaluation.level']}"
        + (f", {rule['evaluation.views']} over its views. " if rule["evaluation.level"] == "study" else ". ")
        + f"Low and High: {100 * settings.level:.4g} % interval of the mean over tasks ({', '.join(names)}; the column "
        + f"method names each row's), from {units if settings.interval == DELONG else joint}."
        + (f" Every other interval over the test set: percentile, from {joint}." if settings.interval == DELONG else "")
    ]
    lines += [f"The unit is {results.unit}: {UNIT_WHY[results.unit]}."] if settings.unit == AUTO else []
    if settings.tasks is not None:
        lines.append(f"Only these tasks were asked for (tasks=): {settings.tasks}; Mean is over them.")
    short = table[table["n_defined"] < table["n_resamples"]]
    short = short[short["n_defined"] > 0]
    if len(short):
        lines.append(
            f"{len(short)} of the {len(table)} intervals rest on fewer resamples, as the others lack a class: "
            f"{short['n_defined'].min()} at the least (n_defined in auroc.csv)."
        )
    return [*_said(results), *lines, *_few_notes(settings, table)]


def _few_notes(settings: Settings, table: pd.DataFrame) -> list[str]:
    """Tasks without an interval and what is offered instead; tasks that are separable; percentiles of few positives."""
    lines, tasks = [], table[table["n_positive"].notna()]
    none = tasks[tasks["method"].str.startswith("too few")].drop_duplicates("task")
    if len(none):
        said = "; ".join(f"{heading(row['task'])}: {row['method']}" for row in none.to_dict("records"))
        other = [task for task in dict.fromkeys(table["task"]) if task.startswith(f"{MEAN}_")]
        lines.append(
            f"No interval, and none of the mean over tasks: {said}. It takes {FEWEST} of each, counted by unit. "
            + (f"{heading(other[0])} is a row of its own in every table; " if other else "")
            + "tasks=NAME,NAME makes a report on chosen tasks."
        )
    apart = tasks[tasks["estimate"].isin([0.0, 1.0]) & tasks["low"].notna()]
    if len(apart):
        lines.append(
            f"{len(apart)} AUROCs are 0 or 1: no resample can show an error that the data do not, so their bound is "
            "one-sided and exact, from pairs of studies with none in common (Clopper and Pearson 1934)."
        )
    rare = tasks["n_positive"].min()
    if settings.interval == "percentile" and rare < FEW_POSITIVES:
        lines.append(
            f"A task has as few as {rare} positives, and percentile intervals of fewer than {FEW_POSITIVES} cover less "
            "than they say: by simulation 81 to 93 of 100 with 10 to 20 positives; interval=delong covers 95 to 98."
        )
    return lines


def _said(results: Results) -> list[str]:
    return [*([results.warning] if results.warning else []), *results.incomplete, *results.cautions]


def _heads(results: Results) -> list[str]:
    """What stands above a figure: what must not be lost when it is taken alone."""
    return _said(results)


def _form(settings: Settings) -> Format:
    return Format(settings.figures.width, settings.figures.font)


def _verdicts(results: Results) -> Section:
    raw = results.tables["verdicts"]
    why = [f"No verdict may be given here: {'; '.join(results.barriers)}."] if results.barriers else []
    rules = ["The rules were fixed beforehand, in conf/claims.yaml. n: architectures. Paper: as it prints the figure."]
    return Section("The paper's claims", [Table("verdicts", raw, verdicts_display(raw), why + rules)])


def _auroc(settings: Settings, results: Results) -> Section:
    raw = results.tables["auroc"]
    one = ["The intervals are about which patients were tested; they hold no variation between training seeds."]
    about = [*one, best_note(settings.level), *notes(settings, results)]
    shown, points = tables.auroc_display(raw), auroc_figure.table(raw)
    drawn = auroc_figure.figure(raw, points, _heads(results), _form(settings))
    alt = "Mean AUROC of each architecture with its interval, pretrained beside scratch"
    spread = results.tables["seeds"]
    several = "Standard deviation and range over the seeds of a network, on the same test set."
    return Section(
        "AUROC",
        [
            Table("auroc", raw, shown, about, strong=tables.auroc_strong(raw, shown)),
            Table("seeds", spread, displays.seeds_display(spread), [several, *_heads(results)]),
        ],
        [Picture("auroc", drawn, points, alt)],
    )


def _boost(settings: Settings, results: Results) -> Section:
    raw, pooled = results.tables["boost"], results.tables["boost_pooled"]
    mine = [
        "AUROC pretrained minus scratch, untruncated, same architecture and seeds, on the same studies.",
        boosts.NOTE,
        seeds.seed_note(results.groups),
        *notes(settings, results),
    ]
    pictures = []
    if len(raw):
        points = boost_figure.table(raw, pooled)
        alt = "Boost of each architecture with its interval, and the mean"
        drawn = boost_figure.figure(raw, points, _heads(results), _form(settings))
        pictures.append(Picture("boost", drawn, points, alt))
        points = boost_figure.size_table(raw, results.groups)
        if len(points):
            drawn = boost_figure.size_figure(raw, points, _heads(results), _form(settings))
            pictures.append(Picture("boost_size", drawn, points, "Boost against the number of parameters"))
    return Section(
        "Pretraining boost",
        [
            Table("boost", raw, tables.boost_display(raw), mine),
            Table("boost_pooled", pooled, displays.pooled_display(pooled), mine),
        ],
        pictures,
        "" if len(raw) else "No boost can be computed: no architecture has both a pretrained and a scratch cell.",
    )


def _correlations(settings: Settings, results: Results) -> Section:
    raw = results.tables["correlations"]
    mine = [
        "Across architectures, on the mean AUROC over tasks. Intervals and p-values hold where architectures are alike "
        "within families: they count as as many independent ones as the column Worth says (Dutilleul 1993).",
        *([ATTENUATION] if raw["note"].str.contains(ATTENUATED).any() else []),
        *_over_networks(settings, results),
    ]
    enough = raw["n"].max() >= MIN_POINTS
    pictures = []
    if enough:
        mine += reach_notes(of_record(raw), settings.level)
        drawn = correlation_figure.table(results.points)
        made = correlation_figure.figure(drawn, of_record(raw), _heads(results), _form(settings))
        pictures.append(Picture("correlations", made, drawn, "ImageNet top-1 and size against AUROC"))
    absent = "" if enough else f"A correlation takes {MIN_POINTS} architectures, and there are not as many here."
    # readers see the interval that carries most; every method's and interval's row is in the CSV file
    table = Table("correlations", raw, correlation_display(of_record(raw)), mine)
    return Section("What predicts AUROC", [table], pictures, absent)


def _family(settings: Settings, results: Results) -> Section:
    raw = results.tables["family"]
    table = Table("family", raw, displays.family_display(raw), [family.NOTE, *_over_networks(settings, results)])
    enough = len(raw) > 0 and raw["n"].max() >= MIN_POINTS and raw["n_families"].max() > 1
    absent = "" if enough else f"It takes {MIN_POINTS} architectures of two families, and there are not as many here."
    pictures = []
    if enough:
        drawn = family_figure.table(results.points)
        about = (
            f"Bars: {100 * settings.level:.4g} % {results.resampling} interval over the test set, {settings.resamples} "
        )
        about += f"resamples, unit {results.unit}."
        made = family_figure.figure(drawn, [*_heads(results), about], _form(settings))
        pictures.append(Picture("family", made, drawn, "AUROC against size, a line for each family"))
    return Section("Family against size", [table], pictures, absent)


def _truncation(settings: Settings, results: Results) -> Section:
    raw, smallest, factors = (
        results.tables[name] for name in ("truncation", "truncation_smallest", "truncation_factors")
    )
    first = f"Truncated minus full network, in the same resamples; the margin is {settings.margin:g} AUROC."
    mine = [first, truncation.NOTE, *_over_networks(settings, results)]
    pictures = []
    if len(raw):
        points = truncation_figure.table(raw)
        drawn = truncation_figure.figure(raw, points, _heads(results), _form(settings))
        pictures.append(Picture("truncation", drawn, points, "AUROC lost against parameters kept"))
    return Section(
        "Truncation",
        [
            Table("truncation", raw, displays.truncation_display(raw), mine),
            Table("truncation_smallest", smallest, displays.smallest_display(smallest), mine),
            Table("truncation_factors", factors, displays.factors_display(factors), mine),
        ],
        pictures,
        "" if len(raw) else "No truncated cell stands beside its full network.",
    )


def _pareto(settings: Settings, results: Results) -> Section:
    raw = results.tables["pareto"]
    mine = [pareto.NOTE, *_over_networks(settings, results)]
    pictures = []
    if len(raw):
        points = pareto_figure.table(raw)
        drawn = pareto_figure.figure(raw, points, _heads(results), _form(settings))
        pictures.append(Picture("pareto", drawn, points, "Mean AUROC against cost"))
    return Section("Accuracy and cost", [Table("pareto", raw, displays.pareto_display(raw), mine)], pictures)


def _summary(settings: Settings, results: Results) -> Section:
    truncated, correlations = results.tables["truncation"], results.tables["correlations"]
    return pictured.summary_section(
        results.points, results.networks, truncated, correlations, _heads(results), _form(settings)
    )


def _calibration(settings: Settings, results: Results) -> Section:
    return pictured.calibration_section(
        results.curves, results.tables["calibration"], results.cells.iloc[0], notes(settings, results),
        _heads(results), _form(settings),
    )  # fmt: skip


def _over_networks(settings: Settings, results: Results) -> list[str]:
    return [UNTESTED, seeds.seed_note(results.groups), *notes(settings, results)]
