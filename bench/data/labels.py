"""Label policies: turn CheXpert's 1, 0, -1 and blank into training targets."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bench.data.tasks import near
from bench.errors import DataError

FloatArray = npt.NDArray[np.float64]

UNCERTAIN = {"u-ignore": np.nan, "u-zeros": 0.0, "u-ones": 1.0, "u-multiclass": 2.0}
"""What -1 becomes, per policy: NaN is left out of the loss, 2 is a class of its own.

Source: the CheXpert paper (Irvin et al., AAAI 2019).
"""

SMOOTHED = {"u-zeros-lsr": (0.0, 0.3), "u-ones-lsr": (0.55, 0.85)}
"""The interval that a label-smoothed policy draws the target of a -1 from, uniformly.

Source: Pham et al., "Interpreting chest X-rays via CNNs that exploit hierarchical disease dependencies and uncertainty
labels", Neurocomputing 2021 (arXiv 1911.06475).
"""

CLASSES = 3
"""Logits of a u-multiclass task, whose targets are classes and not probabilities."""

HALF = 0.5
"""A smoothed target from here on is a positive."""

REMEDIES = {
    "training": "train on more patients, or leave it out of evaluation.tasks",
    "validation": "raise data.valid_fraction, or leave it out of evaluation.tasks",
}

DRAW = "label smoothing, seed 0"
"""Part of the hash that draws a smoothed target: one draw for everybody, as it belongs to the data and not to a run."""


def policies(uncertain: Mapping[str, str], tasks: Sequence[str]) -> tuple[str, ...]:
    """Return the policy of each task.

    Args:
        uncertain: the node data.uncertain: `default`, and tasks with their own.

    Raises:
        DataError: a key is no task that is trained on.
    """
    unknown = [name for name in uncertain if name != "default" and name not in tasks]
    if unknown:
        said = ", ".join(f"data.uncertain.{near(name, tasks)}" for name in unknown)
        raise DataError(f"{said}: no task that is trained on; those are: {', '.join(tasks)}")
    return tuple(uncertain.get(task, uncertain["default"]) for task in tasks)


def widths(chosen: Sequence[str]) -> tuple[int, ...]:
    """Return how many logits each task's policy needs: 3 (negative, positive, uncertain) for u-multiclass, else 1."""
    return tuple(CLASSES if policy == "u-multiclass" else 1 for policy in chosen)


def labelled(labels: FloatArray) -> npt.NDArray[np.bool_]:
    """Return whether each task has any label, [tasks]; a set that was never labelled for a task is blank throughout."""
    return np.asarray(~np.isnan(labels).all(axis=0))


def training_targets(
    labels: FloatArray,
    chosen: Sequence[str],
    *,
    known: npt.NDArray[np.bool_],
    images: Sequence[str],
    tasks: Sequence[str],
) -> FloatArray:
    """Return the targets for the loss.

    A blank is a negative (the labeller found no mention; PROTOCOL, "outputs"), except in a task that the set was never
    labelled for: that is left out.

    Args:
        labels: [n, tasks] float64 of 1, 0, -1 and NaN (blank).
        chosen: [tasks] the policies.
        known: [tasks] which tasks the whole set is labelled for (`labelled`).
        images: [n] what names each image for good, whatever else is there and in which order.
        tasks: [tasks] names.

    Returns:
        [n, tasks] float64 in [0, 1]; 2 for an uncertain label under u-multiclass; NaN left out of the loss.
    """
    targets = filled(labels, known)
    for column, policy in enumerate(chosen):
        rows = np.flatnonzero(targets[:, column] == -1)
        if policy in SMOOTHED:
            low, high = SMOOTHED[policy]
            shares = [share(images[row], tasks[column]) for row in rows.tolist()]
            targets[rows, column] = low + (high - low) * np.array(shares)
        else:
            targets[rows, column] = UNCERTAIN[policy]
    return targets


def share(image: str, task: str) -> float:
    """Return a uniform number in [0, 1) that depends on the image and the task alone."""
    digest = hashlib.sha256(f"{DRAW}: {task}: {image}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def filled(labels: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Return a copy of [n, tasks] labels with 0 for the blanks of the `known` tasks."""
    return np.where(np.isnan(labels) & known, 0.0, labels)


def empty_classes(
    split: str, targets: FloatArray, tasks: Sequence[str], widths: Sequence[int], scored: Sequence[str]
) -> list[str]:
    """Return a sentence, with counts, for every scored task that lacks positives or negatives in a split.

    Args:
        targets: [n, tasks] float64.
        tasks, widths: [tasks] of the columns.
    """
    problems = []
    for column, (task, width) in enumerate(zip(tasks, widths, strict=True)):
        values = targets[:, column]
        positive = int((values == 1 if width == CLASSES else values >= HALF).sum())
        negative = int((values == 0 if width == CLASSES else values < HALF).sum())
        if task in scored and not (positive and negative):
            problems.append(
                f"the {split} split ({len(values)} images) has {positive} positive and {negative} negative {task}, so "
                f"that it can be neither learnt nor scored: {REMEDIES[split]}"
            )
    return problems


def validation_labels(labels: FloatArray, *, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the validation labels, made by the training set's labeller: a blank is 0, uncertain ones are undefined.

    Args:
        labels: [n, tasks] float64 of 1, 0, -1 and NaN.
        known: [tasks] as for training.

    Returns:
        [n, tasks] float64 of 1, 0 and NaN.
    """
    return test_labels(filled(labels, known))


def test_labels(labels: FloatArray) -> FloatArray:
    """Return test labels as given in the file: uncertain and blank ones are undefined, nothing is filled in.

    Args:
        labels: [n, tasks] float64 of 1, 0, -1 and NaN.

    Returns:
        [n, tasks] float64 of 1, 0 and NaN.
    """
    return np.where(labels == -1, np.nan, labels)
