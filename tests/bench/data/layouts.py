"""Phantom data sets in other sets' layouts: the same images and labels in the files of NIH, MIMIC, VinDr and PadChest.

Made from a phantom in CheXpert's layout, so that what a reader says of them can be held against that phantom's own CSV
files. A layout that has no lateral images, no uncertain labels or no demographics loses them, as the set itself does.
"""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from bench.data.tasks import OBSERVATIONS
from tests.bench.data.files import write_dicom

VALIDATED = 10
"""In MIMIC's layout, one patient in so many of train.csv is in the split `validate`."""

FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
NIH = dict(zip(FIVE, (*FIVE[:4], "Effusion"), strict=True)) | {"Pneumonia": "Pneumonia", "Pneumothorax": "Pneumothorax"}
PADCHEST = {name: name.lower() for name in NIH} | {"Edema": "pulmonary edema", "Atelectasis": "laminar atelectasis"}
VINDR = {name: name for name in NIH} | {"Pleural Effusion": "Pleural effusion", "Fracture": "Rib fracture"}
"""The finding that each layout writes for an observation; observations that are not here are not written."""


def rows(source: Path) -> pd.DataFrame:
    """train.csv and valid.csv of a phantom, one below the other, with what the other layouts name a row by.

    Besides CheXpert's columns: `split` (train or valid), `file` (path relative to `source`), `patient` and `study`
    (int, their numbers), `image` (int, unique).
    """
    parts = [pd.read_csv(source / f"{split}.csv").assign(split=split) for split in ("train", "valid")]
    table = pd.concat(parts, ignore_index=True)
    names = table["Path"].str.extract(r"((?:train|valid)/patient(\d+)/study(\d+)/.*)")
    patient, study = names[1].astype(int), names[2].astype(int)
    return table.assign(file=names[0], patient=patient, study=study, image=np.arange(len(table)))


def nih(source: Path, root: Path, *, first_release: bool = False) -> None:
    """Writes the frontal images as ChestX-ray14: table, official lists (valid.csv is the test list), PNG images.

    Args:
        source: a phantom in CheXpert's layout.
        root: the folder to write; it may not exist.
        first_release: in the file name, the ages (058Y) and the folders (images_001/images/ ...) of 2017.
    """
    table = _frontal(source)
    names = [
        f"{patient:08d}_{number:03d}.png" for patient, number in zip(table["patient"], table["image"], strict=True)
    ]
    folders = [f"images_{1 + number % 2:03d}/images" if first_release else "images" for number in table["image"]]
    for file, folder, name in zip(table["file"], folders, names, strict=True):
        _convert(source / file, root / folder / name)
    columns = {
        "Image Index": names,
        "Finding Labels": ["|".join(found) or "No Finding" for found in _findings(table, NIH)],
        "Follow-up #": table["study"] - 1,
        "Patient ID": table["patient"],
        "Patient Age": table["Age"].map("{:03d}Y".format) if first_release else table["Age"],
        "Patient Gender": table["Sex"].map({"Female": "F", "Male": "M"}),
        "View Position": table["AP/PA"],
        "OriginalImage[Width": 390,
        "Height]": 320,
    }
    name = "Data_Entry_2017.csv" if first_release else "Data_Entry_2017_v2020.csv"
    pd.DataFrame(columns).to_csv(root / name, index=False)
    for split, file in (("train", "train_val_list.txt"), ("valid", "test_list.txt")):
        listed = [name for name, own in zip(names, table["split"], strict=True) if own == split]
        (root / file).write_text("\n".join(listed) + "\n", encoding="utf-8")


def mimic(source: Path, root: Path) -> None:
    """Writes all images as MIMIC-CXR-JPG: labels by study, metadata and split (valid.csv is `test`), compressed."""
    found = rows(source)
    validated = found["patient"] % VALIDATED == 0
    images = pd.DataFrame(
        {
            "dicom_id": [hashlib.sha256(file.encode()).hexdigest()[:40] for file in found["file"]],
            "subject_id": 10_000_000 + found["patient"],
            "study_id": 50_000_000 + 10 * found["patient"] + found["study"],
            "split": np.where(found["split"] == "valid", "test", np.where(validated, "validate", "train")),
            "ViewPosition": found["AP/PA"].fillna("LATERAL"),
        }
    )
    for file, image in zip(found["file"], images.itertuples(), strict=True):
        folder = root / "files" / f"p{str(image.subject_id)[:2]}" / f"p{image.subject_id}" / f"s{image.study_id}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, folder / f"{image.dicom_id}.jpg")
    labels = pd.concat([images[["subject_id", "study_id"]], found[list(OBSERVATIONS)]], axis=1)
    labels.drop_duplicates("study_id").to_csv(root / "mimic-cxr-2.0.0-chexpert.csv.gz", index=False)
    images.drop(columns="ViewPosition").to_csv(root / "mimic-cxr-2.0.0-split.csv.gz", index=False)
    images.drop(columns="split").to_csv(root / "mimic-cxr-2.0.0-metadata.csv.gz", index=False)


def vindr(source: Path, root: Path, *, dicom: bool = False) -> None:
    """Writes the frontal images as VinDr-CXR: of the three readers of each training label, one always errs.

    Args:
        source: a phantom in CheXpert's layout.
        root: the folder to write; it may not exist.
        dicom: DICOM files as in the release, in place of PNG files made of them.
    """
    table = _frontal(source)
    names = [hashlib.md5(file.encode(), usedforsecurity=False).hexdigest() for file in table["file"]]
    truth = pd.DataFrame({finding: (table[name] == 1).astype(int) for name, finding in VINDR.items()})
    for blank in ("Clavicle fracture", "Lung Opacity", "Nodule/Mass", "Pleural thickening"):
        truth[blank] = 0
    truth["No finding"] = (truth.max(axis=1) == 0).astype(int)
    training = (table["split"] == "train").to_numpy()
    for file, name, trained in zip(table["file"], names, training, strict=True):
        target = root / ("train" if trained else "test") / name
        _convert(source / file, target.with_suffix(".dicom" if dicom else ".png"))
    (root / "annotations").mkdir()
    said = truth.assign(image_id=names)
    said[~training].to_csv(root / "annotations" / "image_labels_test.csv", index=False)
    turn = np.add.outer(np.arange(len(truth)), np.arange(truth.shape[1])) % 3
    votes = [said.assign(rad_id=f"R{reader}", **truth.where(turn != reader, 1 - truth)) for reader in range(3)]
    together = pd.concat([vote[training] for vote in votes]).sort_values("image_id", kind="stable")
    together.to_csv(root / "annotations" / "image_labels_train.csv", index=False)


def padchest(source: Path, root: Path) -> None:
    """Writes all images as PadChest: 16-bit PNG in two folders; valid.csv is what physicians labelled."""
    table = rows(source)
    names, folders = [f"{10**15 + number}_a.png" for number in table["image"]], [str(n % 2) for n in table["image"]]
    for file, folder, name in zip(table["file"], folders, names, strict=True):
        _convert(source / file, root / folder / name, deep=True)
    found = [[*findings] or ["normal"] for findings in _findings(table, PADCHEST)]
    columns = {
        "ImageID": names,
        "ImageDir": folders,
        "StudyDate_DICOM": 20140915,
        "StudyID": [
            f"20{patient:028d}{study}" for patient, study in zip(table["patient"], table["study"], strict=True)
        ],
        "PatientID": [f"8{patient:030d}" for patient in table["patient"]],
        "PatientBirth": 2014.0 - table["Age"],
        "PatientSex_DICOM": table["Sex"].map({"Female": "F", "Male": "M"}),
        "Projection": table["AP/PA"].fillna("L").replace("AP", "AP_horizontal"),
        "MethodLabel": np.where(table["split"] == "valid", "Physician", "RNN_model"),
        "Labels": [str([f" {finding}" for finding in findings]) for findings in found],
    }
    pd.DataFrame(columns).to_csv(root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", index=False)


def csv(source: Path, root: Path) -> None:
    """Writes all images as a laboratory's own table: scans/, cohort.csv and held_out.csv, columns named its own way."""
    found = rows(source)
    for file in found["file"]:
        (root / "scans" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, root / "scans" / file)
    columns = {
        "File": "scans/" + found["file"],
        "Case": found["patient"],
        "Visit": found["study"],
        "Projection": found["Frontal/Lateral"],
        "Gender": found["Sex"].str[0].where(found["Sex"] != "Unknown"),
        "Years": found["Age"],
    }
    own = pd.concat([pd.DataFrame(columns), found[list(FIVE)].rename(columns={"Edema": "Lung-Oedema"})], axis=1)
    for split, name in (("train", "cohort.csv"), ("valid", "held_out.csv")):
        own[found["split"] == split].to_csv(root / name, index=False)


def _frontal(source: Path) -> pd.DataFrame:
    found = rows(source)
    return found[found["Frontal/Lateral"] == "Frontal"].reset_index(drop=True)


def _findings(found: pd.DataFrame, names: Mapping[str, str]) -> list[list[str]]:
    """For each row, the layout's names of what is positive; uncertain is not written."""
    positive = found[list(names)].eq(1).to_numpy()
    return [[name for name, there in zip(names.values(), row, strict=True) if there] for row in positive]


def _convert(source: Path, target: Path, *, deep: bool = False) -> None:
    """Writes an image as DICOM or PNG, by the ending; `deep` is a PNG of 16 bits, each grey value times 257."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        grey = np.asarray(image.convert("L"))
    if target.suffix == ".dicom":
        write_dicom(target, grey)
    else:
        Image.fromarray(grey.astype(np.uint16) * 257 if deep else grey).save(target, compress_level=1)
