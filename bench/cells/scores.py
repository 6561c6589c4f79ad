"""From a network's scores to the prediction frame that is saved, and from that frame to the metrics of record."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.errors import AnalysisError
from analysis.statistics.auroc import auroc
from analysis.views import aggregate_views
from bench.data.sets import Split
from bench.data.tasks import choose
from bench.errors import DataError
from bench.schema import EvaluationConfig


def prediction_frame(split: Split, tasks: tuple[str, ...], scores: npt.NDArray[np.float64]) -> pd.DataFrame:
    """One row per image: path, patient, study, view, sex, age, `label/<task>` (0, 1, NaN), `score/<task>` (float64).

    Sex (Female, Male, Unknown) and age (years, NaN unknown) are there where the set has any.

    Args:
        scores: [n, tasks] probabilities.
    """
    columns = {f"label/{task}": split.labels[:, column] for column, task in enumerate(tasks)}
    columns |= {f"score/{task}": scores[:, column] for column, task in enumerate(tasks)}
    frame = split.frame
    known = [name for name in ("sex", "age") if name in frame and not frame[name].isin(["Unknown", np.nan]).all()]
    return frame[["path", "patient", "study", "view", *known]].assign(**columns)


def score_metrics(frame: pd.DataFrame, prefix: str, evaluation: EvaluationConfig) -> dict[str, float]:
    """`<prefix>/auroc/<task>` for each scored task and `<prefix>/auroc`, their mean; NaN where a class is missing.

    Args:
        frame: what `prediction_frame` gives.
        evaluation: which tasks are scored, at which level, and how views are put together.

    Raises:
        DataError: the views of one study carry different labels, or a task to score is none of the frame's.

    The arithmetic is the analysis package's, so that a run's metrics and the report cannot disagree.
    """
    try:
        units = aggregate_views(frame, level=evaluation.level, how=evaluation.views)
    except AnalysisError as error:
        raise DataError(str(error)) from None
    trained = [name.removeprefix("label/") for name in frame.columns if name.startswith("label/")]
    tasks = choose("evaluation.tasks", evaluation.tasks, trained)
    values = [auroc(units[f"label/{task}"].to_numpy(), units[f"score/{task}"].to_numpy()) for task in tasks]
    metrics = {f"{prefix}/auroc/{task}": value for task, value in zip(tasks, values, strict=True)}
    return metrics | {f"{prefix}/auroc": float(np.mean(values))}
