"""Subgroups of patients."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.evaluation import MEAN
from analysis.figures import subgroups as figures
from analysis.questions import subgroups
from analysis.questions.along import ALL
from analysis.results import Results, read_evaluation
from analysis.sections.notes import over_networks
from analysis.sections.parts import Picture, Section, Table
from analysis.statistics.auroc import Floats
from analysis.statistics.streams import stream
from analysis.store.artifacts import load_predictions
from analysis.tables import INTERVAL, PLAIN, Columns, p_value, shown, yes
from analysis.views import describe

PLACE = 105
TITLE = "Subgroups"
COLUMNS: Columns = {
    "What": "statistic",
    "By": "by",
    "Group": "group",
    "Against": "against",
    "Architecture": "arch",
    "Pretrained": ("pretrained", yes),
    "Truncated": "truncate",
    **INTERVAL,
    "p": ("p_value", p_value),
    "p (Holm)": ("p_holm", p_value),
}


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """`subgroups`, of the columns that `subgroups=` asks for.

    Raises:
        AnalysisError: neither the predictions nor the own table have such a column.
    """
    settings, replicates = results.settings, results.replicates
    wanted = [word.strip() for word in settings.subgroups.strip("[] ").split(",") if word.strip()]
    if not wanted or replicates.source is None:
        return {"subgroups": pd.DataFrame(columns=subgroups.COLUMNS)}
    facts = _facts(results, "test", replicates.source.evaluation.keys)
    missing = [word for word in wanted if word not in facts or facts[word].isna().all()]
    if missing:
        raise AnalysisError(
            f"subgroups={','.join(missing)}: the predictions hold {', '.join(facts.columns)}; name a table of your own "
            "with it in subgroups_file, with a column study or patient"
        )
    groups = {word: subgroups.groups_of(facts, word) for word in wanted}
    shared = {"level": settings.level}
    made = subgroups.subgroups_table(
        results.cells, replicates, groups, seed=partial(stream, settings.seed, "seeds"), **shared
    )
    alone = _alone(results, facts, len(replicates.source.evaluation.labels))
    floors = subgroups.floors(replicates, alone, rng=stream(settings.seed, "subgroups"), **shared)
    return {"subgroups": pd.concat([made, floors], ignore_index=True).astype({"n_positive": "Int64"})}


def section(results: Results) -> Section:
    """Gaps between groups, and what pretraining and truncation do to them."""
    raw = results.tables["subgroups"]
    floors, rows = raw["statistic"] == subgroups.FLOOR, raw["task"] == MEAN
    parts = shown(raw[rows & raw["arch"].eq(ALL)], COLUMNS), shown(raw[rows & floors], {**COLUMNS, **PLAIN})
    display = pd.concat(parts, ignore_index=True)
    table = Table("subgroups", raw, display, [subgroups.NOTE, *over_networks(results)])
    if raw.empty:
        return Section(TITLE, [table], absent="subgroups=[sex,age,view] asks for them.")
    points, pictures = figures.table(raw), []
    if len(points):
        drawn = figures.figure(raw, points, results.heads, results.form)
        pictures.append(Picture("subgroups", drawn, points, "Gaps between groups, pretrained beside scratch"))
    return Section(TITLE, [table], pictures)


def _facts(results: Results, split: str, keys: pd.DataFrame) -> pd.DataFrame:
    """What is known of each row: sex, age, view, and the columns of the own table."""
    settings, rule = results.settings, results.cells.iloc[0]
    frame = next(iter(load_predictions(settings.tracking.uri, results.cells.iloc[:1], split).values()))
    facts = describe(frame, rule["evaluation.level"])
    if not settings.subgroups_file:
        return facts
    path = Path(settings.subgroups_file).expanduser()
    try:
        own = pd.read_csv(path, dtype={"study": str, "patient": str})
        key = next(name for name in ("study", "patient") if name in own)
    except (OSError, ValueError, StopIteration) as error:
        raise AnalysisError(f"subgroups_file={path} is no CSV file with a column study or patient: {error}") from error
    found = keys[[key]].merge(own.drop_duplicates(key), on=key, how="left").drop(columns=key)
    return facts.assign(**{str(name): found[name].to_numpy() for name in found})


def _alone(results: Results, facts: pd.DataFrame, n_tasks: int) -> Floats:
    """Scores [t, n] of the test rows by a model of sex, age and view alone; NaN where the runs do not have these."""
    try:
        valid = read_evaluation(results.settings, results.cells.iloc[:1], "valid")
        known = _facts(results, "valid", valid.keys)
    except AnalysisError:  # of runs that left no validation predictions
        return np.full((n_tasks, len(facts)), np.nan)
    both = pd.concat([known, facts])[[name for name in ("sex", "age", "view") if name in known and name in facts]]
    x = pd.get_dummies(both.drop(columns="age", errors="ignore").astype(str)).to_numpy(dtype=np.float64)
    if "age" in both:
        decades = both["age"].astype(float).fillna(both["age"].astype(float).mean()).to_numpy() / 10
        x = np.column_stack([x, decades - decades.mean(), (decades - decades.mean()) ** 2])
    scores = [subgroups.logistic_scores(x[: len(known)], labels, x[len(known) :]) for labels in valid.labels]
    return np.array(scores)
