"""What is said about a phantom study: the truth, as radiologists write it, and a labeller's reading of a report."""

from collections.abc import Mapping

import numpy as np

from bench.data.phantom.patient import DRAWN
from bench.data.tasks import OBSERVATIONS

OPACITIES = ("Edema", "Consolidation", "Atelectasis")  # each of them is a lung opacity
# Share of the studies with a finding that is rare and not drawn.
RARE = {"Lung Lesion": 0.04, "Pneumothorax": 0.06, "Pleural Other": 0.02, "Fracture": 0.04}
# Share of the labeller's mentions of a present finding that are uncertain. CheXpert's own shares differ as much.
UNCERTAIN = {"Atelectasis": 0.3, "Consolidation": 0.3, "Pneumonia": 0.4, "Edema": 0.15, "Cardiomegaly": 0.15}
UNCERTAIN_OTHERS = 0.08
NEGATED = 0.2  # share of the absent findings that a report denies; the others it does not mention
SUSPECTED = 0.04  # share of the absent findings that a report calls possible

Truth = Mapping[str, bool]


def draw_truth(margins: Mapping[str, float], *, fractures: bool, rng: np.random.Generator) -> dict[str, bool]:
    """Returns what is present in a study, by observation.

    Args:
        margins: of the drawn findings, distance from the threshold in standard deviations; above 0 is present.
        fractures: whether a fracture may occur; CheXpert's valid.csv has none.
        rng: random numbers of this study.
    """
    truth = {name: margins[name] > 0 for name in DRAWN}
    wide = 0.6 if truth["Cardiomegaly"] else 0.08
    truth["Enlarged Cardiomediastinum"] = bool(rng.random() < wide)
    truth["Lung Opacity"] = any(truth[name] for name in OPACITIES)
    truth["Pneumonia"] = bool(rng.random() < (0.3 if truth["Consolidation"] else 0.01))
    for name, share in RARE.items():
        truth[name] = bool(rng.random() < share) and (fractures or name != "Fracture")
    sick = sum(truth[name] for name in DRAWN)
    truth["No Finding"] = not any(truth.values())
    truth["Support Devices"] = bool(rng.random() < 0.2 + 0.1 * sick)
    return {name: truth[name] for name in OBSERVATIONS}


def radiologist_labels(truth: Truth) -> dict[str, float]:
    """Returns 1.0 or 0.0 for each observation."""
    return {name: float(present) for name, present in truth.items()}


def labeller_labels(truth: Truth, *, noise: float, rng: np.random.Generator) -> dict[str, float]:
    """Returns what an automatic labeller reads from the report: 1.0, 0.0, -1.0 (uncertain) or NaN (not mentioned).

    Args:
        truth: what is present.
        noise: share of the observations that are read as their opposite.
        rng: random numbers of this report.
    """
    labels = {}
    for name in OBSERVATIONS[1:]:
        chance = rng.random(2)  # two for each observation, so that one observation's rates leave the others alone
        present = truth[name] != (chance[0] < noise)
        if present:
            labels[name] = -1.0 if chance[1] < UNCERTAIN.get(name, UNCERTAIN_OTHERS) else 1.0
        else:
            labels[name] = -1.0 if chance[1] < SUSPECTED else 0.0 if chance[1] < SUSPECTED + NEGATED else np.nan
    # CheXpert's labeller: no finding when nothing but devices is positive or uncertain, otherwise blank.
    found = any(abs(value) == 1 for name, value in labels.items() if name != "Support Devices")
    return {"No Finding": np.nan if found else 1.0, **labels}
