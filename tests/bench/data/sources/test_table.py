import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from bench.config import compose_config
from bench.data.phantom import layouts
from bench.data.sources import read_release
from bench.data.sources.table import label_names
from bench.errors import DataError
from tests.bench.data.sources.edits import replaced

COLUMNS = (
    "data.table.image=File",
    "data.table.patient=Case",
    "data.table.study=Visit",
    "data.table.view=Projection",
    "data.table.sex=Gender",
    "data.table.age=Years",
    "data.table.labels=[Atelectasis,Cardiomegaly,Consolidation,Lung-Oedema,Pleural Effusion]",
)
OWN = ("data.table.train=cohort.csv", "data.table.test=held_out.csv", *COLUMNS)
ALONE = ("data.table.train=cohort.csv", "data.table.test=null", *COLUMNS)
TASKS = ("atelectasis", "cardiomegaly", "consolidation", "lung_oedema", "pleural_effusion")


@pytest.fixture(scope="session")
def own(phantom_root, tmp_path_factory):
    root = tmp_path_factory.mktemp("csv") / "cohort"
    layouts.csv(phantom_root, root)
    return root


@pytest.fixture
def copy(own, tmp_path):
    for name in ("cohort.csv", "held_out.csv"):
        shutil.copy(own / name, tmp_path)
    return tmp_path


def test_each_image_has_the_labels_of_its_picture_under_the_tables_own_names(own, read, pairs):
    release = read("csv", own, *OWN)
    assert release.observations == TASKS
    for frame, split in ((release.train, "train"), (release.tests["test"], "valid")):
        told = pairs(frame, own)
        assert {phantom["split"] for _, phantom in told} == {split}
        for task, observation in (("lung_oedema", "Edema"), ("pleural_effusion", "Pleural Effusion")):
            expected = [float(phantom[observation] or "nan") for _, phantom in told]
            np.testing.assert_array_equal([row[task] for row, _ in told], expected)


def test_sex_age_view_and_study_are_the_pictures(own, read, pairs):
    told = pairs(read("csv", own, *OWN).train, own)
    for row, phantom in told:
        assert (row["sex"], row["age"]) == (phantom["Sex"], float(phantom["Age"]))
        assert row["view"] == phantom["Frontal/Lateral"].lower()
    assert len({row["study"] for row, _ in told}) == len({phantom["Path"].rpartition("/")[0] for _, phantom in told})


def test_columns_that_are_not_there_are_made_up_for_by_what_is_known(own, read):
    bare = [f"data.table.{key}=null" for key in ("study", "view", "sex", "age")]
    train = read("csv", own, *OWN, *bare).train
    assert train["study"].is_unique
    assert set(train["view"]) == {"frontal"}
    assert set(train["sex"]) == {"Unknown"}
    assert train["age"].isna().all()


def test_without_a_test_file_there_is_no_test_set_unless_the_table_is_an_external_one(own, copy, read):
    assert read("csv", own, *ALONE).tests == {}
    other = read("csv", copy, *ALONE, f"data.root={own}")
    alone = read("csv", copy, *ALONE)
    pd.testing.assert_frame_equal(other.tests["test"], alone.train)


def test_another_set_is_tested_on_the_tables_test_file(own, read):
    config = dataclasses.replace(compose_config(["data=csv", *OWN]).data, name="chexpert", root="/elsewhere")
    pd.testing.assert_frame_equal(read_release("csv", own, config).tests["test"], read("csv", own, *OWN).tests["test"])


def test_a_set_without_table_settings_says_what_is_missing(own, read):
    with pytest.raises(DataError, match=r"data.table.labels names no column"):
        read("csv", own, primary="chexpert")


@pytest.mark.parametrize(("text", "sex"), [("f", "Female"), ("Male", "Male"), ("MALE", "Male"), ("", "Unknown")])
def test_sex_may_be_a_letter_or_a_word(copy, read, edit, text, sex):
    edit(copy / "cohort.csv", lambda table: table.assign(Gender=text))
    assert set(read("csv", copy, *OWN).train["sex"]) == {sex}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced("Lung-Oedema", "2", 1), r"lung_oedema .* in 1 row\(s\) \(row 3: "),
        (replaced("Lung-Oedema", "yes", 1), r"lung_oedema .* in 1 row\(s\) \(row 3: 'yes'\)"),
        (replaced("Projection", "oblique"), r"view .* in 1 row\(s\) \(row 2: 'oblique'\)"),
        (replaced("Gender", "divers"), r"sex .* in 1 row\(s\) \(row 2: 'divers'\)"),
        (replaced("Years", "old"), r"age .* in 1 row\(s\) \(row 2: 'old'\)"),
        (replaced("Case", ""), r"patient .*blank in 1 row\(s\) \(row 2"),
        (replaced("File", "../secret.jpg"), r"path .*outside the root in 1 row\(s\) \(row 2: '../secret.jpg'\)"),
        (replaced("File", "/etc/passwd"), "outside the root"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "twice"),
        (lambda table: table.rename(columns={"Lung-Oedema": "Lung Oedema"}), "no column Lung-Oedema.*Lung Oedema"),
        (lambda table: table.iloc[:0], "no rows"),
    ],
)
def test_a_faulty_table_is_refused_with_its_rows(copy, read, edit, change, message):
    edit(copy / "cohort.csv", change)
    with pytest.raises(DataError, match=f"cohort.csv: .*{message}"):
        read("csv", copy, *OWN)


def test_problems_of_both_files_come_together(copy, read, edit):
    edit(copy / "cohort.csv", replaced("Years", "old"))
    (copy / "held_out.csv").unlink()
    with pytest.raises(DataError) as caught:
        read("csv", copy, *OWN)
    assert "cohort.csv: age" in str(caught.value)
    assert "held_out.csv: no such file" in str(caught.value)


def test_labels_are_named_in_snake_case_and_keep_their_order():
    assert label_names(["Pleural Effusion", "Lung-Oedema", "T1N0 (path.)"]) == {
        "pleural_effusion": "Pleural Effusion",
        "lung_oedema": "Lung-Oedema",
        "t1n0_path": "T1N0 (path.)",
    }


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([], "names no column"),
        (["Edema", "edema "], "'Edema' and 'edema ' would both be named edema"),
        (["View"], "'View' would be named 'view', which is taken"),
        (["%"], "'%' would be named '', which is taken"),
    ],
)
def test_labels_that_cannot_be_named_are_refused(columns, message):
    with pytest.raises(DataError, match=message):
        label_names(columns)
