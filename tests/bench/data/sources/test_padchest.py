import shutil

import pandas as pd
import pytest

from bench.data.selection import Dropped
from bench.data.tasks import ALL_TASKS, COMPETITION_TASKS, OBSERVATIONS
from bench.errors import DataError
from tests.bench.data import layouts
from tests.bench.data.sources.edits import replaced

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"


@pytest.fixture(scope="session")
def padchest(phantom_root, tmp_path_factory):
    root = tmp_path_factory.mktemp("padchest") / "PadChest"
    layouts.padchest(phantom_root, root)
    return root


@pytest.fixture
def copy(padchest, tmp_path):
    shutil.copy(padchest / TABLE, tmp_path)
    return tmp_path


@pytest.mark.parametrize("task", COMPETITION_TASKS)
def test_each_image_has_the_labels_of_its_picture(padchest, read, pairs, task):
    observation = OBSERVATIONS[ALL_TASKS.index(task)]
    release = read("padchest", padchest)
    told = pairs(pd.concat([release.train, release.tests["test"]]), padchest)
    assert len(told) + sum(drop.images for drop in release.dropped) == len(pd.read_csv(padchest / TABLE))
    assert [row[task] for row, _ in told] == [float(phantom[observation] == "1.0") for _, phantom in told]
    assert {row[task] for row, _ in told} == {0.0, 1.0}


def test_sex_age_view_and_projection_are_the_pictures(padchest, read, pairs):
    for row, phantom in pairs(read("padchest", padchest).train, padchest):
        assert (row["sex"], row["age"]) == (phantom["Sex"], float(phantom["Age"]))
        assert row["view"] == phantom["Frontal/Lateral"].lower()
        assert (row["ap_pa"] if row["view"] == "frontal" else "") == phantom["AP/PA"]


def test_outside_it_is_what_physicians_labelled(padchest, read, pairs):
    external = read("padchest", padchest, primary="chexpert")
    assert {phantom["split"] for _, phantom in pairs(external.tests["test"], padchest)} == {"valid"}
    assert len(external.tests["test"]) == (pd.read_csv(padchest / TABLE)["MethodLabel"] == "Physician").sum()
    assert len(external.train) == 0


def test_trained_on_a_few_patients_are_held_out_of_whom_physicians_rows_are_tested_on(padchest, read):
    release, file = read("padchest", padchest), pd.read_csv(padchest / TABLE, dtype=str)
    physicians = set(file.loc[file["MethodLabel"] == "Physician", "PatientID"])
    tested = set(release.tests["test"]["patient"])
    assert tested
    assert tested < physicians
    assert not tested & set(release.train["patient"])
    (drop,) = release.dropped
    assert (drop.filter, drop.split) == ("MethodLabel", "test")
    everyone = file["PatientID"].nunique()
    assert release.train["patient"].nunique() + len(tested) + drop.patients == everyone
    assert 0 < everyone - release.train["patient"].nunique() < everyone / 3


def test_who_is_held_out_depends_on_nobody_else(copy, read, edit):
    before = set(read("padchest", copy).tests["test"]["patient"])
    edit(copy / TABLE, lambda table: table.iloc[::-1].iloc[: len(table) // 2])
    after = read("padchest", copy)
    assert set(after.tests["test"]["patient"]) <= before
    assert not set(after.train["patient"]) & before


def test_long_numbers_lose_no_digit(padchest, read):
    test, file = read("padchest", padchest, primary="chexpert").tests["test"], pd.read_csv(padchest / TABLE, dtype=str)
    file = file[file["MethodLabel"] == "Physician"]
    assert test["patient"].to_list() == file["PatientID"].to_list()
    assert test["study"].to_list() == (file["PatientID"] + "/" + file["StudyID"]).to_list()


@pytest.mark.parametrize(
    ("label", "task"),
    [
        ("total atelectasis", "atelectasis"),
        ("air bronchogram", "consolidation"),
        ("pulmonary edema", "edema"),
        ("loculated fissural effusion", "pleural_effusion"),
        (" pleural effusion", "pleural_effusion"),
        ("callus rib fracture", "fracture"),
    ],
)
def test_a_term_counts_with_its_children(copy, read, edit, label, task):
    edit(copy / TABLE, replaced("Labels", str([label, "unchanged"])))
    first = read("padchest", copy).train.iloc[0]
    assert {name for name in ALL_TASKS if first[name] == 1} == {task}


def test_both_of_a_hydropneumothorax_are_there(copy, read, edit):
    edit(copy / TABLE, replaced("Labels", "['hydropneumothorax']"))
    first = read("padchest", copy).train.iloc[0]
    assert (first["pneumothorax"], first["pleural_effusion"], first["no_finding"]) == (1, 1, 0)


def test_a_longer_word_is_another_label(copy, read, edit):
    """`pericardial effusion` and `breast mass` hold words that are mapped, and are neither of the two."""
    edit(copy / TABLE, replaced("Labels", "['pericardial effusion', 'breast mass', 'abnormal']"))
    assert not (read("padchest", copy).train.iloc[0][list(ALL_TASKS)] == 1).any()


def test_what_has_no_one_term_is_blank_throughout(padchest, read):
    train = read("padchest", padchest).train
    blank = {"enlarged_cardiomediastinum", "lung_opacity", "support_devices"}
    assert {name for name in ALL_TASKS if train[name].isna().any()} == blank


def test_what_may_be_inverted_is_dropped_and_counted(copy, read, edit):
    before = read("padchest", copy).train
    edit(copy / TABLE, lambda table: table.assign(PhotometricInterpretation_DICOM="MONOCHROME2"))
    pd.testing.assert_frame_equal(read("padchest", copy).train, before)
    edit(copy / TABLE, replaced("PhotometricInterpretation_DICOM", "MONOCHROME1"))
    release = read("padchest", copy)
    pd.testing.assert_frame_equal(release.train, before.iloc[1:].reset_index(drop=True))
    (drop,) = (drop for drop in release.dropped if drop.filter == "PhotometricInterpretation_DICOM")
    assert (drop.reason, drop.split, drop.images) == ("MONOCHROME1, inverted or not", "train", 1)


@pytest.mark.parametrize("labels", ["", "[]", "['exclude']", "['unchanged', '']", "['exclude', 'pneumonia']"])
def test_a_row_that_says_nothing_is_dropped_and_counted(copy, read, edit, labels):
    before = read("padchest", copy).train
    alone = int((before["patient"] == before["patient"][0]).sum() == 1)
    edit(copy / TABLE, replaced("Labels", labels))
    release = read("padchest", copy)
    assert release.dropped[0] == Dropped("Labels", "neither a finding nor normal", "train", 1, alone)
    assert release.train["path"].to_list() == before["path"].to_list()[1:]


def test_other_projections_are_dropped_and_counted(copy, read, edit):
    before = read("padchest", copy).train
    edit(copy / TABLE, replaced("Projection", "COSTAL", 0))
    edit(copy / TABLE, replaced("Projection", "", 5))
    release = read("padchest", copy)
    assert release.dropped[0].filter == "Projection"
    assert sum(drop.images for drop in release.dropped if drop.filter == "Projection") == 2
    assert len(release.train) == len(before) - 2


def test_resized_copies_in_one_folder_are_found(copy, read):
    (copy / "images-224").mkdir()
    name = pd.read_csv(copy / TABLE)["ImageID"][0]
    (copy / "images-224" / name).touch()
    paths = read("padchest", copy).train["path"]
    assert paths[0] == f"images-224/{name}"
    assert paths[1].startswith("1/"), "an image that is nowhere is looked for where the release has it"


def test_an_unknown_birth_or_another_sex_is_not_known(copy, read, edit):
    edit(copy / TABLE, replaced("PatientBirth", ""))
    edit(copy / TABLE, replaced("PatientSex_DICOM", "O", 1))
    edit(copy / TABLE, replaced("PatientBirth", "2050", 2))
    edit(copy / TABLE, replaced("PatientBirth", "1880", 3))
    train = read("padchest", copy).train
    assert train["age"].isna().to_list()[:5] == [True, False, True, True, False]
    assert train["impossible_age"].to_list()[:5] == [False, False, True, True, False]
    assert train["sex"][1] == "Unknown"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced("Labels", "normal", 2), r"Labels is not a list like \['normal'\] in 1 row\(s\) \(row 4: 'normal'\)"),
        (replaced("Labels", "['normal'", 2), "Labels is not a list"),
        (replaced("PatientBirth", "12.5.1950"), r"PatientBirth is not a year in 1 row\(s\) \(row 2: '12.5.1950'\)"),
        (replaced("StudyDate_DICOM", "15/09/2014"), "StudyDate_DICOM is not a date"),
        (replaced("PatientSex_DICOM", "W"), "PatientSex_DICOM is none of F, M, O"),
        (replaced("PatientID", ""), "PatientID is blank"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "the same ImageID twice"),
        (lambda table: table.rename(columns={"Labels": "Label"}), "no column Labels"),
        (lambda table: table.iloc[:0], "no rows"),
    ],
)
def test_a_faulty_table_is_refused_with_its_rows(copy, read, edit, change, message):
    edit(copy / TABLE, change)
    with pytest.raises(DataError, match=f"{TABLE}: .*{message}"):
        read("padchest", copy)


def test_an_external_set_without_physicians_is_refused(copy, read, edit):
    edit(copy / TABLE, lambda table: table.assign(MethodLabel="RNN_model"))
    with pytest.raises(DataError, match="no row to test on, which takes MethodLabel=Physician"):
        read("padchest", copy, primary="chexpert")


def test_a_wrong_folder_names_what_was_looked_for(tmp_path, read):
    with pytest.raises(DataError, match=rf"{tmp_path}: no {TABLE} or .*; the set's root must be"):
        read("padchest", tmp_path)
