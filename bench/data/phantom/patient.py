"""Who the phantom's patients are: their anatomy, and what is found in their chests.

Lengths are in half image heights (see `drawing`). Right and left are the patient's: the right lung is on the
left of a frontal picture.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

DRAWN = ("Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion")
# Share of studies with the finding; near a third, so that a few hundred images have enough of both classes.
PREVALENCE = dict(zip(DRAWN, (0.32, 0.28, 0.28, 0.32, 0.34), strict=True))
# Correlation with the patient's latent congestion: a failing heart is large, and its lungs and pleura fill with water.
CONGESTION = dict(zip(DRAWN, (0.60, 0.65, 0.25, 0.35, 0.60), strict=True))
PERSISTENCE = 0.6  # share of a finding's variance that stays between two studies of a patient
FAINT = 0.3  # how far below the threshold of a positive a finding begins to show, standard deviations
# From the first trace to the full finding, standard deviations. Small patches and plates, which hide behind ribs and
# heart, grow faster than what changes a whole lung, or they would not be found at all.
SPAN = dict(zip(DRAWN, (1.6, 1.8, 1.2, 1.0, 1.8), strict=True))


@dataclass(frozen=True)
class Anatomy:
    """The build of one patient, the same in each of their images."""

    female: bool
    age: int  # years
    fat: float  # thickness of the soft tissue around the thorax
    lung_width: float  # from the midline to the outer border of a lung
    apex: float  # y of the lungs' tops
    floor: float  # y of the costophrenic angles
    dome: float  # height of the diaphragm's domes above them
    dome_excess: float  # by how much the right dome is higher: the liver lies below
    heart_ratio: float  # cardiothoracic ratio of the healthy heart, 1 is the thorax's width
    heart_tilt: float  # lean of the heart's axis, x per y
    mediastinum: float  # half width of the strip between the lungs
    knob: float  # radius of the aortic arch
    rib_spacing: float  # from one rib to the next
    rib_contrast: float  # brightness of the ribs, of 1
    rib_slope: float  # drop of the posterior ribs towards the side, y per squared x
    clavicle: float  # y of the clavicles' inner ends
    scoliosis: float  # sideways bend of the spine
    gastric: float  # radius of the gas bubble under the left dome
    vessels: float  # brightness of the lungs' vessels, of 1


def draw_anatomy(*, rng: np.random.Generator) -> Anatomy:
    """Draws a patient; every length varies by 5 to 20 percent, as people do."""
    female = bool(rng.random() < 0.41)  # CheXpert: 41 % of the images are of women
    age = int(np.clip(rng.normal(61, 17), 18, 90))
    return Anatomy(
        female=female,
        age=age,
        fat=float(rng.uniform(0.05, 0.24)),
        lung_width=float(np.clip(rng.normal(0.76 - 0.04 * female, 0.045), 0.62, 0.88)),
        apex=float(rng.normal(-0.78, 0.04)),
        floor=float(np.clip(rng.normal(0.62, 0.06), 0.45, 0.76)),
        dome=float(np.clip(rng.normal(0.22, 0.035), 0.12, 0.32)),
        dome_excess=float(rng.normal(0.06, 0.025)),
        heart_ratio=float(rng.normal(0.42 + 0.0006 * (age - 60), 0.025)),
        heart_tilt=float(rng.normal(0.28, 0.08)),
        mediastinum=float(rng.normal(0.14, 0.015)),
        knob=float(np.clip(rng.normal(0.09 + 0.0005 * (age - 60), 0.012), 0.05, 0.14)),
        rib_spacing=float(rng.normal(0.165, 0.012)),
        rib_contrast=float(rng.uniform(0.05, 0.13)),
        rib_slope=float(rng.normal(0.32, 0.07)),
        clavicle=float(rng.normal(-0.60, 0.05)),
        scoliosis=float(rng.normal(0, 0.025)),
        gastric=float(rng.uniform(0.0, 0.13)),
        vessels=float(rng.uniform(0.2, 0.36)),
    )


@dataclass(frozen=True)
class Findings:
    """What one study shows: how severe (0 absent to 1 full) and where. Places are drawn for absent findings, too."""

    cardiomegaly: float = 0.0
    edema: float = 0.0
    consolidation: float = 0.0
    atelectasis: float = 0.0
    effusion: tuple[float, float] = (0.0, 0.0)  # (right, left)
    mediastinum: float = 0.0  # widening of the upper mediastinum
    catheter: bool = False
    consolidation_side: int = -1  # -1 the right lung, 1 the left
    consolidation_at: tuple[float, float] = (0.5, 0.5)  # across the lung from the midline, down from the apex; 0 to 1
    consolidation_size: float = 0.2  # radius
    atelectasis_side: int = 1
    atelectasis_at: tuple[float, float] = (0.5, 0.7)
    atelectasis_tilt: float = 0.1  # radians, rising to the side


@dataclass(frozen=True)
class Course:
    """A patient's disease: the part of the latent severities that stays over the studies, in standard deviations."""

    congestion: float
    own: NDArray[np.float64]  # [5], in the order of DRAWN


def draw_course(*, rng: np.random.Generator) -> Course:
    """Draws what stays between the studies of a patient."""
    return Course(float(rng.standard_normal()), rng.standard_normal(len(DRAWN)))


def draw_study(course: Course, *, rng: np.random.Generator) -> dict[str, float]:
    """Draws how far each drawn finding lies above (positive) or below its threshold in one study.

    Returns:
        Standard deviations from the threshold, by the finding's name; a finding is present above 0.
    """
    keep, new = PERSISTENCE**0.5, (1 - PERSISTENCE) ** 0.5
    congestion = keep * course.congestion + new * rng.standard_normal()
    own = keep * course.own + new * rng.standard_normal(len(DRAWN))
    load = np.array([CONGESTION[name] for name in DRAWN])
    latent = load * congestion + np.sqrt(1 - load**2) * own
    return {
        name: float(value) - NormalDist().inv_cdf(1 - PREVALENCE[name])
        for name, value in zip(DRAWN, latent, strict=True)
    }


def place_findings(margins: dict[str, float], *, widening: float, catheter: bool, rng: np.random.Generator) -> Findings:
    """Returns the findings to draw for one study.

    Severity grows steadily through the threshold, so that faint positives look like the worst of the negatives.

    Args:
        margins: distance from the threshold by the finding's name, standard deviations (`draw_study`).
        widening: of the upper mediastinum, 0 to 1.
        catheter: whether a line is in place.
        rng: random numbers of this study's places.
    """
    severity = {name: float(np.clip((margin + FAINT) / SPAN[name], 0, 1)) for name, margin in margins.items()}
    # An effusion of a failing heart is mostly on both sides, else on one; the other side then has less or none.
    weaker = float(rng.uniform(0.3, 1.0)) if rng.random() < 0.45 else 0.0
    sides = (severity["Pleural Effusion"], severity["Pleural Effusion"] * weaker)
    return Findings(
        cardiomegaly=severity["Cardiomegaly"],
        edema=severity["Edema"],
        consolidation=severity["Consolidation"],
        atelectasis=severity["Atelectasis"],
        effusion=sides if rng.random() < 0.55 else sides[::-1],
        mediastinum=widening,
        catheter=catheter,
        consolidation_side=int(rng.choice((-1, 1))),
        consolidation_at=(float(rng.uniform(0.35, 0.75)), float(rng.uniform(0.3, 0.8))),
        consolidation_size=float(rng.uniform(0.17, 0.28)),
        atelectasis_side=int(rng.choice((-1, 1))),
        atelectasis_at=(float(rng.uniform(0.4, 0.65)), float(rng.uniform(0.48, 0.7))),
        atelectasis_tilt=float(rng.normal(0.1, 0.2)),
    )
