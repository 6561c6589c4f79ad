"""A generated stand-in for CheXpert: phantom radiographs in CheXpert's own folders and CSV files.

It lets everything run, and be tested, without the real images, which may not be shared. The pictures show each
observation well enough that a network learns it, and poorly enough that it does not learn it perfectly. Numbers from
them say something about the code, and nothing about patients.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.generated.chest import VIEWS, draw
from bench.data.generated.folders import stream, whole_folder, write_card, write_image
from bench.data.generated.patients import (
    FIVE,
    Anatomy,
    Findings,
    draw_anatomy,
    draw_findings,
    draw_margins,
    draw_truth,
    labeller_labels,
)
from bench.data.tasks import OBSERVATIONS

VERSION = 2  # raise it whenever the same spec gives other bytes
COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *OBSERVATIONS)
FIRST_PATIENT = {"train": 1, "valid": 64541}  # as in CheXpert; what lies between bounds the number of patients
WHOLE = 0  # in a stream's key, in place of a study's or view's number, which start at 1: the patient's or study's own


@dataclass(frozen=True)
class PhantomSpec:
    """What is generated. The defaults are small enough for a test of the whole pipeline on two CPU cores.

    Attributes:
        seed: of everything; the same spec gives the same bytes.
        train_patients: patients in train.csv; each has 1.28 studies and 1.67 images on average, so about 800 images.
        test_patients: patients in valid.csv, our test set; 1.11 studies and 1.44 images each, as valid.csv has nearly
            one study a patient: about 200 studies and 260 images.
        label_noise: share of train.csv's labels that are read as their opposite; a labeller of reports errs, too, and a
            method must cope with it.
        lateral_share: share of the studies with a lateral image besides the frontal one.

    Raises:
        ValueError: a negative seed, a split without patients, more in train.csv than there are numbers before those of
            valid.csv, label_noise outside [0, 0.5) or lateral_share outside [0, 1].
    """

    seed: int = 0
    train_patients: int = 480
    test_patients: int = 180
    label_noise: float = 0.03
    lateral_share: float = 0.3

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}.")
        if not 0 < self.train_patients < FIRST_PATIENT["valid"] or self.test_patients < 1:
            raise ValueError(f"train_patients must be 1 to {FIRST_PATIENT['valid'] - 1} and test_patients 1 or more.")
        if not (0 <= self.label_noise < 0.5 and 0 <= self.lateral_share <= 1):
            raise ValueError("label_noise must lie in [0, 0.5) and lateral_share in [0, 1].")

    @property
    def card(self) -> dict[str, Any]:
        """How the set is made: the spec and the version of this code."""
        return {"generator": "phantom", "version": VERSION, "spec": asdict(self)}


@dataclass(frozen=True)
class Study:
    """One study of one patient: what to draw, and its rows' labels."""

    split: str  # train or valid
    patient: int
    number: int  # 1 is the patient's first study
    anatomy: Anatomy
    findings: Findings
    labels: dict[str, float]
    lateral: bool  # whether there is a lateral image
    anteroposterior: bool  # whether the frontal image was taken in bed

    @property
    def views(self) -> tuple[str, ...]:
        """The images of the study, in the order of their numbers."""
        return ("frontal", "lateral") if self.lateral else ("frontal",)

    def file(self, number: int, view: str) -> str:
        """Return the path of an image below the root."""
        return f"{self.split}/patient{self.patient:05d}/study{self.number}/view{number}_{view}.jpg"


def plan_patient(spec: PhantomSpec, split: str, patient: int) -> Iterator[Study]:
    """Yield the studies of one patient; their course of disease makes them resemble each other.

    Args:
        spec: its seed, label noise and share of lateral images.
        split: `train`, with a labeller's labels, fractures and more studies; or `valid`, with radiologists' labels.
        patient: number in the folders' names; gives the patient random numbers of their own.
    """
    rng = stream(spec.seed, patient, WHOLE)
    anatomy, course = draw_anatomy(rng=rng), rng.standard_normal(1 + len(FIVE))
    several = (0.78, 0.16, 0.06) if split == "train" else (0.9, 0.09, 0.01)  # 1, 2 and 3 studies
    for number in range(1, 2 + int(rng.choice(3, p=several))):
        rng = stream(spec.seed, patient, number, WHOLE)
        margins = draw_margins(course, rng=rng)
        truth = draw_truth(margins, fractures=split == "train", rng=rng)
        findings = draw_findings(margins, truth, rng=rng)
        lateral = bool(rng.random() < spec.lateral_share)
        in_bed = not lateral and bool(rng.random() < 0.8)  # who can stand for a lateral image stands for both
        labels = {name: float(present) for name, present in truth.items()}
        if split == "train":
            labels = labeller_labels(truth, noise=spec.label_noise, rng=rng)
        yield Study(split, patient, number, anatomy, findings, labels, lateral, in_bed)


def plan(spec: PhantomSpec, split: str) -> list[Study]:
    """Return all studies of a split, ordered by patient and study."""
    count = spec.train_patients if split == "train" else spec.test_patients
    first = FIRST_PATIENT[split]
    return [study for patient in range(first, first + count) for study in plan_patient(spec, split, patient)]


def render(spec: PhantomSpec, study: Study, number: int, view: str) -> NDArray[np.uint8]:
    """Return one image of a study, grey values `[320, 390]`.

    Args:
        spec: its seed.
        number: of the image in its study, from 1; gives the image random numbers of its own.
    """
    rng = stream(spec.seed, study.patient, study.number, number)
    return draw(VIEWS[view], study.anatomy, study.findings, anteroposterior=study.anteroposterior, rng=rng)


def table(studies: list[Study], root_name: str) -> pd.DataFrame:
    """Return the rows of a CSV file, one for each image, with CheXpert's columns in its order."""
    rows = [
        {
            "Path": f"{root_name}/{study.file(number, view)}",
            "Sex": "Female" if study.anatomy.female else "Male",
            "Age": study.anatomy.age,
            "Frontal/Lateral": view.capitalize(),
            "AP/PA": None if view == "lateral" else "AP" if study.anteroposterior else "PA",
            **study.labels,
        }
        for study in studies
        for number, view in enumerate(study.views, start=1)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def generate(root: Path, spec: PhantomSpec) -> None:
    """Write a data set in CheXpert's layout: train.csv, valid.csv, their images, and phantom.json.

    Args:
        root: the data set's folder, missing or empty; its own name begins each `Path` in the CSV files.

    Raises:
        FileExistsError: `root` holds something. Nothing is changed.
    """
    root = root.resolve()  # "." has no name to begin a Path with
    with whole_folder(root) as folder:
        for split in FIRST_PATIENT:
            studies = plan(spec, split)
            frame = table(studies, root.name)
            if split == "train":
                frame.loc[frame.index[-1], "Sex"] = "Unknown"  # CheXpert has one such row
            frame.to_csv(folder / f"{split}.csv", index=False, lineterminator="\n")
            for study in studies:
                for number, view in enumerate(study.views, start=1):
                    write_image(folder / study.file(number, view), render(spec, study, number, view))
        write_card(folder / "phantom.json", spec.card)
