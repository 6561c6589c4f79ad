"""Who the phantom's patients are, what their studies show, and what is said about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.data.tasks import OBSERVATIONS

FIVE = ("Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion")
# Share of studies with the finding; near a third, so that a few hundred images have enough of both classes.
PREVALENCE = dict(zip(FIVE, (0.32, 0.28, 0.28, 0.32, 0.34), strict=True))
# Correlation with the patient's congestion: a failing heart is large, and its lungs and pleura fill with water.
CONGESTION = dict(zip(FIVE, (0.60, 0.65, 0.25, 0.35, 0.60), strict=True))
PERSISTENCE = 0.6  # share of a finding's variance that stays between two studies of a patient
FAINT, SPAN = 0.3, 1.6  # a trace begins so far below the threshold of a positive, and grows over so much; both in SD
OPACITIES = ("Edema", "Consolidation", "Atelectasis")  # each of them is a lung opacity
RARE = {"Lung Lesion": 0.04, "Pneumothorax": 0.06, "Pleural Other": 0.02, "Fracture": 0.04}  # share of the studies
SIDED = ("Consolidation", "Pneumonia", "Atelectasis", "Pleural Effusion", *RARE)  # of one lung
# Share of the labeller's mentions of a present finding that are uncertain. CheXpert's own shares differ as much.
UNCERTAIN = {"Atelectasis": 0.3, "Consolidation": 0.3, "Pneumonia": 0.4, "Edema": 0.15, "Cardiomegaly": 0.15}
UNCERTAIN_OTHERS = 0.08
NEGATED = 0.2  # share of the absent findings that a report denies; the others it does not mention
SUSPECTED = 0.04  # share of the absent findings that a report calls possible


@dataclass(frozen=True)
class Anatomy:
    """The build of one patient, the same in each of their images; lengths are half picture heights."""

    female: bool
    age: int  # years
    width: float  # of a lung, half
    apex: float  # y of the lungs' tops
    floor: float  # y of their lowest points
    dome: float  # height of the diaphragm above them
    heart: float  # half width of the healthy heart
    ribs: float  # from one rib to the next
    bone: float  # brightness of the ribs
    fat: float  # thickness of the soft tissue around the lungs


@dataclass(frozen=True)
class Findings:
    """What one study shows: how much of each observation (0 absent to 1 full), and where."""

    severity: Mapping[str, float]
    sides: Mapping[str, int]  # 0 the right lung, which is on the left of the picture; 1 the left lung
    across: Mapping[str, float]  # place in the lung, -1 at the heart to 1 at the ribs
    down: Mapping[str, float]  # 0 at the lung's top to 1 at its lowest point


def draw_anatomy(*, rng: np.random.Generator) -> Anatomy:
    """Draw a patient; lengths vary by 5 to 20 percent, as people do."""
    female = bool(rng.random() < 0.41)  # CheXpert: 41 % of the images are of women
    age = int(np.clip(rng.normal(61, 17), 18, 90))
    return Anatomy(
        female=female,
        age=age,
        width=float(np.clip(rng.normal(0.35 - 0.02 * female, 0.02), 0.28, 0.4)),
        apex=float(rng.normal(-0.75, 0.04)),
        floor=float(np.clip(rng.normal(0.66, 0.05), 0.5, 0.78)),
        dome=float(np.clip(rng.normal(0.22, 0.03), 0.12, 0.3)),
        heart=float(rng.normal(0.32 + 0.0005 * (age - 60), 0.02)),
        ribs=float(rng.normal(0.19, 0.015)),
        bone=float(rng.uniform(0.05, 0.12)),
        fat=float(rng.uniform(0.05, 0.2)),
    )


def draw_margins(course: NDArray[np.float64], *, rng: np.random.Generator) -> dict[str, float]:
    """Draw how far each of the five lies above (present) or below its threshold in one study, standard deviations.

    `course` is what stays between the patient's studies: six standard normal numbers, congestion and the five's own.
    """
    state = PERSISTENCE**0.5 * course + (1 - PERSISTENCE) ** 0.5 * rng.standard_normal(len(course))
    load = np.array([CONGESTION[name] for name in FIVE])
    latent = load * state[0] + np.sqrt(1 - load**2) * state[1:]
    limits = [NormalDist().inv_cdf(1 - PREVALENCE[name]) for name in FIVE]
    return dict(zip(FIVE, (latent - limits).tolist(), strict=True))


def draw_truth(margins: Mapping[str, float], *, fractures: bool, rng: np.random.Generator) -> dict[str, bool]:
    """Return what is present in a study, by observation.

    Args:
        margins: of the five, distance from the threshold in standard deviations; above 0 is present.
        fractures: whether a fracture may occur; CheXpert's valid.csv has none.
        rng: random numbers of this study.
    """
    truth = {name: margins[name] > 0 for name in FIVE}
    truth["Enlarged Cardiomediastinum"] = bool(rng.random() < (0.6 if truth["Cardiomegaly"] else 0.08))
    truth["Lung Opacity"] = any(truth[name] for name in OPACITIES)
    truth["Pneumonia"] = bool(rng.random() < (0.3 if truth["Consolidation"] else 0.01))
    for name, share in RARE.items():
        truth[name] = bool(rng.random() < share) and (fractures or name != "Fracture")
    sick = sum(truth[name] for name in FIVE)
    truth["No Finding"] = not any(truth.values())
    truth["Support Devices"] = bool(rng.random() < 0.2 + 0.1 * sick)
    return {name: truth[name] for name in OBSERVATIONS}


def draw_findings(margins: Mapping[str, float], truth: Mapping[str, bool], *, rng: np.random.Generator) -> Findings:
    """Return what to draw for one study.

    The five grow steadily through their thresholds, so that faint positives look like the worst of the negatives.

    Args:
        margins: of the five (`draw_margins`).
        truth: what is present (`draw_truth`).
        rng: random numbers of this study's places.
    """
    severity = {name: float(truth[name] * rng.uniform(0.3, 1)) for name in OBSERVATIONS}
    severity |= {name: float(np.clip((margin + FAINT) / SPAN, 0, 1)) for name, margin in margins.items()}
    return Findings(
        severity,
        {name: int(rng.integers(2)) for name in SIDED},
        {name: float(rng.uniform(-0.3, 0.6)) for name in SIDED},
        {name: float(rng.uniform(0.25, 0.7)) for name in SIDED},
    )


def labeller_labels(truth: Mapping[str, bool], *, noise: float, rng: np.random.Generator) -> dict[str, float]:
    """Return what an automatic labeller reads from the report: 1.0, 0.0, -1.0 (uncertain) or NaN (not mentioned).

    Args:
        noise: share of the observations that are read as their opposite.
        rng: random numbers of this report.
    """
    labels = {}
    for name in OBSERVATIONS[1:]:
        chance = rng.random(2)  # two for each observation, so that one observation's rates leave the others alone
        if truth[name] != (chance[0] < noise):
            labels[name] = -1.0 if chance[1] < UNCERTAIN.get(name, UNCERTAIN_OTHERS) else 1.0
        else:
            labels[name] = -1.0 if chance[1] < SUSPECTED else 0.0 if chance[1] < SUSPECTED + NEGATED else np.nan
    # CheXpert's labeller: no finding when nothing but devices is positive or uncertain, otherwise blank.
    found = any(abs(value) == 1 for name, value in labels.items() if name != "Support Devices")
    return {"No Finding": np.nan if found else 1.0, **labels}
