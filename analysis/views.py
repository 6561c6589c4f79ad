"""From one row an image to one row a study."""

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError

STUDY = ["patient", "study"]
LEVELS = ("study", "image")
HOWS = ("max", "mean")


def aggregate_views(frame: pd.DataFrame, level: str, how: str) -> pd.DataFrame:
    """The rows that are evaluated, sorted by patient and study (and path).

    Args:
        frame: one row an image: path, patient, study, view, `label/<task>` (0, 1 or NaN), `score/<task>`.
        level: `study` gives one row a study, `image` leaves one row an image.
        how: `max` or `mean` of a study's scores over its views; unused at image level.

    Returns:
        patient, study (and path at image level), then the labels and the scores as float64.

    Raises:
        AnalysisError: a missing column or key, an image twice, a score that is not finite, or views of one study with
            different labels.

    Source: PROTOCOL, "Defaults where the paper is silent": study level, maximum over the study's views.
    """
    if level not in LEVELS or how not in HOWS:
        raise AnalysisError(f"level={level} and views={how} must be among {', '.join(LEVELS)} and {', '.join(HOWS)}")
    labels = [name for name in frame.columns if name.startswith("label/")]
    scores = [name for name in frame.columns if name.startswith("score/")]
    _check_images(frame, scores)
    values = frame.astype(dict.fromkeys(labels + scores, "float64"))
    if level == "image":
        columns = [*STUDY, "path", *labels, *scores]
        return values[columns].sort_values([*STUDY, "path"]).reset_index(drop=True)
    studies = values.groupby(STUDY, sort=True)
    merged = [_agreed_labels(values, labels), studies[scores].agg(how)]
    return pd.concat(merged, axis=1).reset_index()


def describe(frame: pd.DataFrame, level: str) -> pd.DataFrame:
    """What is known of the rows of `aggregate_views`, in their order: sex, age and view, as far as the frame has them.

    A study has the sex and age of its first image, and all its views: `frontal`, or `frontal+lateral`.
    """
    there = [name for name in ("sex", "age", "view") if name in frame]
    if level == "image":
        return frame.sort_values([*STUDY, "path"])[there].reset_index(drop=True)
    studies = frame.groupby(STUDY, sort=True)
    columns = {name: studies[name].first() for name in there if name != "view"}
    if "view" in there:
        columns["view"] = studies["view"].agg(lambda views: "+".join(sorted(set(views))))
    return pd.DataFrame(columns).reset_index(drop=True)


def _check_images(frame: pd.DataFrame, scores: list[str]) -> None:
    missing = [name for name in ("path", *STUDY) if name not in frame.columns]
    if missing:
        raise AnalysisError(f"the predictions have no column {', '.join(missing)}")
    if frame.empty:
        raise AnalysisError("the predictions hold no rows")
    if frame[["path", *STUDY]].isna().to_numpy().any():
        raise AnalysisError("the predictions hold a row without path, patient or study")
    twice = frame["path"].duplicated()
    if twice.any():
        raise AnalysisError(f"the predictions hold image {frame.loc[twice, 'path'].iloc[0]} twice")
    for name in scores:  # a maximum over views would pass over a NaN without a word
        strange = ~np.isfinite(frame[name].to_numpy(dtype="float64"))
        if strange.any():
            raise AnalysisError(f"{name} of image {frame.loc[strange, 'path'].iloc[0]} is not a finite number")


def _agreed_labels(values: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """One row a study; an unlabelled view agrees with unlabelled views only."""
    known = values[labels].fillna(np.inf).groupby([values[key] for key in STUDY], sort=True)
    low, high = known.min(), known.max()
    differ = low != high
    if differ.to_numpy().any():
        patient, study = differ.index[differ.any(axis=1)][0]
        task = differ.columns[differ.loc[(patient, study)]][0]
        raise AnalysisError(f"the views of study {study} of patient {patient} disagree on {task}")
    return low.replace(np.inf, np.nan)
