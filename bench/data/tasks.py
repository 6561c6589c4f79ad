"""The observations of CheXpert and the five that the competition and the paper score.

Source: PROTOCOL, "CheXpert facts" (the columns of train.csv, in their order) and "Known" (the five tasks).
"""

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
    """The observation's name in snake case, as metrics and prediction columns carry it: `pleural_effusion`."""
    return observation.lower().replace(" ", "_")


ALL_TASKS: tuple[str, ...] = tuple(task_name(observation) for observation in OBSERVATIONS)
COMPETITION_TASKS: tuple[str, ...] = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")

TASK_SETS: dict[str, tuple[str, ...]] = {"all": ALL_TASKS, "competition": COMPETITION_TASKS}
"""What the keys `data.tasks` (trained on) and `evaluation.tasks` (scored) may say."""
