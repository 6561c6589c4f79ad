import shutil

import pandas as pd
import pytest

from bench.data.tasks import ALL_TASKS, COMPETITION_TASKS, OBSERVATIONS
from bench.errors import DataError
from tests.bench.data import layouts
from tests.bench.data.sources.edits import replaced

TRAIN, TEST = (f"annotations/image_labels_{split}.csv" for split in ("train", "test"))


@pytest.fixture(scope="session")
def vindr(phantom_root, tmp_path_factory):
    root = tmp_path_factory.mktemp("vindr") / "vindr-cxr"
    layouts.vindr(phantom_root, root)
    return root


@pytest.fixture
def copy(vindr, tmp_path):
    shutil.copytree(vindr / "annotations", tmp_path / "annotations")
    return tmp_path


@pytest.mark.parametrize("task", COMPETITION_TASKS)
def test_each_image_has_the_labels_of_its_picture_though_one_reader_of_three_errs(vindr, read, pairs, task):
    observation = OBSERVATIONS[ALL_TASKS.index(task)]
    release = read("vindr", vindr)
    told = pairs(pd.concat([release.train, release.tests["test"]]), vindr)
    assert [row[task] for row, _ in told] == [float(phantom[observation] == "1.0") for _, phantom in told]
    assert {row[task] for row, _ in told} == {0.0, 1.0}


def test_one_vote_of_three_is_no_and_two_are_yes(copy, read, edit):
    votes = ["0", "0", "1", "1", "0", "1", "0", "0", "0", "1", "1", "1"]

    def change(table):
        return table.iloc[:12].assign(Edema=votes)

    edit(copy / TRAIN, change)
    assert read("vindr", copy).train["edema"].to_list() == [0.0, 1.0, 0.0, 1.0]


def test_a_fracture_is_one_of_either_bone_and_the_majority_is_of_each(copy, read, edit):
    def change(table):
        rows = table.iloc[:6].assign(**{"Rib fracture": "0", "Clavicle fracture": "0"})
        rows.loc[rows.index[[0, 1]], "Clavicle fracture"] = "1"
        rows.loc[rows.index[3], "Rib fracture"] = rows.loc[rows.index[4], "Clavicle fracture"] = "1"
        return rows

    edit(copy / TRAIN, change)
    assert read("vindr", copy).train["fracture"].to_list() == [1.0, 0.0]


def test_training_and_test_images_are_the_releases(vindr, read, pairs):
    release = read("vindr", vindr)
    assert {phantom["split"] for _, phantom in pairs(release.train, vindr)} == {"train"}
    assert {phantom["split"] for _, phantom in pairs(release.tests["test"], vindr)} == {"valid"}


def test_each_image_is_a_patient_and_all_are_pa_of_nobody_in_particular(vindr, read):
    train = read("vindr", vindr).train
    assert train["patient"].is_unique
    assert (train["study"] == train["patient"]).all()
    assert [set(train[name]) for name in ("view", "ap_pa", "sex")] == [{"frontal"}, {"PA"}, {"Unknown"}]
    assert train["age"].isna().all()


def test_what_vindr_never_labelled_is_blank_throughout(vindr, read):
    train = read("vindr", vindr).train
    assert {name for name in ALL_TASKS if train[name].isna().any()} == {"enlarged_cardiomediastinum", "support_devices"}


@pytest.mark.parametrize("ending", [".dicom", ".dcm", ".jpg", ".PNG"])
def test_images_are_found_with_any_ending(copy, read, ending):
    name = pd.read_csv(copy / TEST)["image_id"][0]
    (copy / "test").mkdir()
    (copy / "test" / f"{name}{ending}").touch()
    (copy / "test" / f"{name}.txt").touch()
    paths = read("vindr", copy).tests["test"]["path"]
    assert paths[0] == f"test/{name}{ending}"
    assert paths[1].endswith(".dicom"), "an image that is nowhere is looked for where the release has it"


def test_a_picture_beside_its_dicom_is_refused(copy, read):
    name = pd.read_csv(copy / TRAIN)["image_id"][0]
    (copy / "train").mkdir()
    for ending in ("dicom", "png"):
        (copy / "train" / f"{name}.{ending}").touch()
    with pytest.raises(DataError, match=f"train/{name}.dicom and train/{name}.png are one image"):
        read("vindr", copy)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (TRAIN, lambda table: table.iloc[1:], r"1 image\(s\) without 3 rows by 3 radiologists \(\w{32}\)"),
        (TRAIN, lambda table: pd.concat([table, table.iloc[:1]]), r"1 image\(s\) without 3 rows by 3 radiologists"),
        (TRAIN, lambda table: table.assign(rad_id="R1"), r"55 image\(s\) without 3 rows by 3 radiologists"),
        (TRAIN, replaced("Edema", "2", 3), r"Edema is none of 1, 0 in 1 row\(s\) \(row 5: "),
        (TRAIN, replaced("Edema", "", 3), r"Edema is blank in 1 row\(s\) \(row 5: "),
        (TRAIN, replaced("rad_id", ""), "rad_id is blank"),
        (TRAIN, lambda table: table.drop(columns="rad_id"), "no column rad_id"),
        (TEST, replaced("Pleural effusion", "yes"), r"Pleural effusion is none of 1, 0 in 1 row\(s\) \(row 2: 'yes'\)"),
        (TEST, replaced("Pleural effusion", "-1"), "Pleural effusion is none of 1, 0"),
        (TEST, lambda table: pd.concat([table, table.iloc[:1]]), "twice"),
        (TEST, lambda table: table.rename(columns={"Pleural effusion": "Effusion"}), "no column Pleural effusion"),
        (TEST, lambda table: table.iloc[:0], "no rows"),
    ],
)
def test_a_faulty_file_is_refused_with_its_rows(copy, read, edit, file, change, message):
    edit(copy / file, change)
    with pytest.raises(DataError, match=f"{file}: .*{message}"):
        read("vindr", copy)


def test_problems_of_both_files_come_together(copy, read, edit):
    edit(copy / TRAIN, replaced("Edema", "2"))
    (copy / TEST).unlink()
    with pytest.raises(DataError) as caught:
        read("vindr", copy)
    assert f"{TRAIN}: Edema" in str(caught.value)
    assert f"{TEST}: no such file" in str(caught.value)
