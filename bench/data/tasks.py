"""The observations of CheXpert, the five that the competition and the paper score, and how a key chooses among a set's.

Source: PROTOCOL, "CheXpert facts" (the columns of train.csv, in their order) and "Known" (the five tasks).
"""

import difflib
from collections.abc import Iterable, Sequence

from bench.errors import DataError

OBSERVATIONS: tuple[str, ...] = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)


def task_name(observation: str) -> str:
    """Return the observation's name in snake case, as in metrics and prediction columns: `pleural_effusion`."""
    return observation.lower().replace(" ", "_")


ALL_TASKS: tuple[str, ...] = tuple(task_name(observation) for observation in OBSERVATIONS)
COMPETITION_TASKS: tuple[str, ...] = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")

TASK_SETS: dict[str, tuple[str, ...]] = {"all": ALL_TASKS, "competition": COMPETITION_TASKS}
"""What `data.tasks` (trained on) and `evaluation.tasks` (scored) may say besides a list; `all` is a set's own tasks."""


def choose(key: str, chosen: str | Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """Return the tasks that a key stands for: `all` that are available, the `competition`'s five, or a list.

    Raises:
        DataError: a name that is not available (the nearest and all valid ones are named), or one given twice.
    """
    if chosen == "all":
        return tuple(available)
    names = COMPETITION_TASKS if chosen == "competition" else tuple(chosen)
    unknown = [name for name in names if name not in available]
    if unknown:
        said = chosen if isinstance(chosen, str) else f"[{','.join(names)}]"
        raise DataError(
            f"{key}={said}: no task {', '.join(near(name, available) for name in unknown)}; "
            f"valid: all, or a list of {', '.join(available)}"
        )
    if len(set(names)) < len(names):
        raise DataError(f"{key}=[{','.join(names)}]: a task is named twice")
    return names


def near(name: str, valid: Iterable[str]) -> str:
    """Return an unknown name for a message, with the valid name that is most like it if there is one."""
    found = difflib.get_close_matches(name, list(valid), n=1)
    return f"{name} (did you mean {found[0]}?)" if found else name
