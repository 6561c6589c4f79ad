import dataclasses
import shutil
import unicodedata

import numpy as np
import pandas as pd
import pytest

from bench.config import compose_config
from bench.data.sources import read_release
from bench.data.sources.table import label_names
from bench.errors import DataError
from tests.bench.data import layouts
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
        (replaced("File", r"..\secret.jpg"), r"path .*outside the root in 1 row\(s\) \(row 2: '../secret.jpg'\)"),
        (replaced("File", r"C:\scans\1.jpg"), "outside the root"),
        (replaced("File", ""), r"path is blank in 1 row\(s\) \(row 2"),
        (
            replaced("Case", "1.23E+11", 2),
            r"patient is a number that a spreadsheet has shortened .*\(row 4: '1.23E\+11'",
        ),
        (lambda table: pd.concat([table, table["Years"]], axis=1), "its header has Years more than once"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "twice"),
        (lambda table: table.rename(columns={"Lung-Oedema": "Lung Oedema"}), "no column Lung-Oedema.*Lung Oedema"),
        (lambda table: table.iloc[:0], "no rows"),
    ],
)
def test_a_faulty_table_is_refused_with_its_rows(copy, read, edit, change, message):
    edit(copy / "cohort.csv", change)
    with pytest.raises(DataError, match=f"cohort.csv: .*{message}"):
        read("csv", copy, *OWN)


@pytest.mark.parametrize("written", ["./{}", ".\\{}", "{}", " {} "])
def test_a_path_is_the_file_that_is_meant(own, copy, read, edit, written):
    edit(copy / "cohort.csv", lambda table: table.assign(File=[written.format(path) for path in table["File"]]))
    edit(copy / "held_out.csv", lambda table: table.assign(File=table["File"].str.replace("/", "\\")))
    found, plain = read("csv", copy, *OWN), read("csv", own, *OWN)
    pd.testing.assert_series_equal(found.train["path"], plain.train["path"])
    pd.testing.assert_series_equal(found.tests["test"]["path"], plain.tests["test"]["path"])


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_accents_may_be_composed_in_the_table_otherwise_than_on_the_disk(copy, read, edit, stored, written):
    name = "scans/J\u00f6rg \u00e9t\u00e9.png"
    (copy / "scans").mkdir()
    (copy / unicodedata.normalize(stored, name)).touch()
    edit(copy / "cohort.csv", replaced("File", unicodedata.normalize(written, name)))
    assert (copy / read("csv", copy, *OWN).train["path"][0]).is_file()
    edit(copy / "cohort.csv", replaced("File", unicodedata.normalize("NFD" if written == "NFC" else "NFC", name), 1))
    with pytest.raises(DataError, match=r"path is there twice in 1 row\(s\) \(row 3"):
        read("csv", copy, *OWN)


def test_an_image_may_be_named_without_its_ending(copy, read, edit):
    (copy / "scans").mkdir()
    for name in ("1.2.840.1.dcm", "1.2.840.2", "1.2.840.2.txt"):
        (copy / "scans" / name).touch()
    edit(copy / "cohort.csv", replaced("File", "scans/1.2.840.1"))
    edit(copy / "cohort.csv", replaced("File", "scans/1.2.840.2", 1))
    assert list(read("csv", copy, *OWN).train["path"][:2]) == ["scans/1.2.840.1.dcm", "scans/1.2.840.2"]


def test_ids_are_compared_as_people_mean_them(copy, read, edit):
    plain = read("csv", copy, *OWN).train
    edit(copy / "cohort.csv", lambda table: table.assign(Case=table["Case"] + ".0", Visit=table["Visit"] + " "))
    pd.testing.assert_frame_equal(read("csv", copy, *OWN).train, plain)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le"])
def test_another_encoding_is_named_by_the_message_and_read_by_the_key(copy, read, edit, encoding):
    edit(copy / "cohort.csv", replaced("File", "scans/J\u00f6rg.png"))
    (copy / "cohort.csv").write_bytes((copy / "cohort.csv").read_text(encoding="utf-8").encode(encoding))
    with pytest.raises(DataError, match="cohort.csv: .*data.table.encoding=latin-1"):
        read("csv", copy, *OWN)
    (copy / "held_out.csv").write_bytes((copy / "held_out.csv").read_text(encoding="utf-8").encode(encoding))
    assert read("csv", copy, *OWN, f"data.table.encoding={encoding}").train["path"][0] == "scans/J\u00f6rg.png"


def test_a_german_excels_table_is_read(copy, read):
    plain = read("csv", copy, *OWN).train
    table = pd.read_csv(copy / "cohort.csv", dtype={"Case": str, "Visit": str})
    table.to_csv(copy / "cohort.csv", sep=";", decimal=",", index=False, encoding="utf-8-sig", lineterminator="\r\n")
    pd.testing.assert_frame_equal(read("csv", copy, *OWN).train, plain)


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
