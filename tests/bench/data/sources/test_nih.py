import re
import shutil

import numpy as np
import pandas as pd
import pytest

from bench.data.tasks import ALL_TASKS, COMPETITION_TASKS, OBSERVATIONS, task_name
from bench.errors import DataError
from tests.bench.data import layouts
from tests.bench.data.sources.edits import replaced

TABLE = "Data_Entry_2017_v2020.csv"


@pytest.fixture(scope="session")
def nih(phantom_root, tmp_path_factory):
    root = tmp_path_factory.mktemp("nih") / "ChestX-ray14"
    layouts.nih(phantom_root, root)
    return root


@pytest.fixture
def copy(nih, tmp_path):
    shutil.copytree(nih, tmp_path / "nih", copy_function=lambda *_: None)  # folders only: the tables say the rest
    for file in nih.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path / "nih")
    return tmp_path / "nih"


@pytest.mark.parametrize("task", COMPETITION_TASKS)
def test_each_image_has_the_labels_of_its_picture(nih, read, pairs, task):
    observation = OBSERVATIONS[ALL_TASKS.index(task)]
    release = read("nih", nih)
    told = pairs(pd.concat([release.train, release.tests["test"]]), nih)
    assert [row[task] for row, _ in told] == [float(phantom[observation] == "1.0") for _, phantom in told]
    assert {row[task] for row, _ in told} == {0.0, 1.0}


def test_the_official_lists_divide_training_from_test(nih, read, pairs):
    release = read("nih", nih)
    assert {phantom["split"] for _, phantom in pairs(release.train, nih)} == {"train"}
    assert {phantom["split"] for _, phantom in pairs(release.tests["test"], nih)} == {"valid"}
    assert release.valid is None
    assert [file.name for file in release.files] == [TABLE, "train_val_list.txt", "test_list.txt"]


def test_sex_age_projection_and_identity_are_the_pictures(nih, read, pairs):
    for row, phantom in pairs(read("nih", nih).train, nih):
        patient, study = re.search(r"patient(\d+)/study(\d+)", phantom["Path"]).groups()
        assert (row["patient"], row["study"]) == (str(int(patient)), f"{int(patient)}/{int(study) - 1}")
        assert (row["sex"], row["age"], row["ap_pa"]) == (phantom["Sex"], float(phantom["Age"]), phantom["AP/PA"])
        assert row["view"] == "frontal"


def test_what_nih_never_labelled_is_blank_throughout_and_nothing_else_is(nih, read):
    train = read("nih", nih).train
    blank = {name for name in ALL_TASKS if train[name].isna().all()}
    assert blank == {"enlarged_cardiomediastinum", "fracture", "support_devices"}
    assert not train[[name for name in ALL_TASKS if name not in blank]].isna().any(axis=None)


def test_the_first_release_says_the_same(phantom_root, nih, tmp_path, read):
    layouts.nih(phantom_root, tmp_path / "old", first_release=True)
    old, new = read("nih", tmp_path / "old"), read("nih", nih)
    pd.testing.assert_frame_equal(old.train.drop(columns=["path", "csv"]), new.train.drop(columns=["path", "csv"]))
    assert {path.rpartition("/")[0] for path in old.train["path"]} == {"images_001/images", "images_002/images"}
    assert all((tmp_path / "old" / path).is_file() for path in old.train["path"])


def test_the_real_rows_get_the_labels_of_the_real_chexpert_copy(shared, tmp_path, read):
    """source_rows.csv holds NIH's own rows; train.csv and valid.csv what somebody else made of them."""
    source = shared / "data" / "nih-chexpert-small"
    rows = pd.read_csv(source / "source_rows.csv", dtype=str)
    rows.drop(columns="Path").to_csv(tmp_path / TABLE, index=False)
    for split, file in (("train", "train_val_list.txt"), ("valid", "test_list.txt")):
        (tmp_path / file).write_text("\n".join(rows.loc[rows["Path"].str.contains(f"/{split}/"), "Image Index"]))
    release = read("nih", tmp_path)
    for split, frame in (("train", release.train), ("valid", release.tests["test"])):
        expected = pd.read_csv(source / f"{split}.csv").set_index("Path")
        expected = expected.loc[rows.loc[rows["Path"].str.contains(f"/{split}/"), "Path"]]
        for observation in OBSERVATIONS:
            np.testing.assert_array_equal(frame[task_name(observation)], expected[observation], err_msg=observation)


def test_an_older_table_may_call_the_sex_column_otherwise(copy, read, edit):
    before = read("nih", copy).train["sex"]
    edit(copy / TABLE, lambda table: table.rename(columns={"Patient Gender": "Patient Sex"}))
    pd.testing.assert_series_equal(read("nih", copy).train["sex"], before)
    edit(copy / TABLE, lambda table: table.drop(columns="Patient Sex"))
    with pytest.raises(DataError, match=f"{TABLE}: no column Patient Gender or Patient Sex; there are: Image Index"):
        read("nih", copy)


@pytest.mark.parametrize(
    ("text", "years"), [("58", 58), ("058Y", 58), ("006M", 0.5), ("073D", 0.2), ("414", None), ("-1", None)]
)
def test_ages_are_years_and_an_impossible_one_is_blank(copy, read, edit, text, years):
    edit(copy / TABLE, lambda table: table.assign(**{"Patient Age": text}))
    train = read("nih", copy).train
    ages = train["age"]
    assert ages.isna().all() if years is None else ages.to_numpy() == pytest.approx(years, abs=1e-3)
    assert set(train["impossible_age"]) == {years is None}


def test_an_image_that_is_nowhere_keeps_the_path_where_it_should_be(copy, read):
    assert read("nih", copy).train["path"].iloc[0].startswith("images/00000001_")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced("Finding Labels", "Oedema|Mass"), r"Finding Labels has a finding .* in 1 row\(s\) \(row 2: 'Oedema"),
        (replaced("Finding Labels", ""), r"Finding Labels is blank in 1 row\(s\) \(row 2"),
        (replaced("View Position", "LL", 3), r"View Position is none of AP, PA in 1 row\(s\) \(row 5: 'LL'\)"),
        (replaced("Patient Age", "old"), r"Patient Age is not .* \(row 2: 'old'\)"),
        (replaced("Patient Gender", "X", 1), r"Patient Gender is none of F, M in 1 row\(s\) \(row 3: 'X'\)"),
        (replaced("Patient ID", "", 1), r"Patient ID is blank in 1 row\(s\) \(row 3"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "the same Image Index twice in 1 row"),
        (lambda table: table.iloc[:0], f"{TABLE}: no rows"),
        (lambda table: table.rename(columns={"Finding Labels": "Findings"}), "no column Finding Labels"),
        (lambda table: table.iloc[5:], r"do not name the same images: 5 only in the second \(00000001_000.png"),
    ],
)
def test_a_faulty_table_is_refused_with_its_rows(copy, read, edit, change, message):
    edit(copy / TABLE, change)
    with pytest.raises(DataError, match=message):
        read("nih", copy)


def test_problems_of_table_and_lists_come_together(copy, read, edit):
    edit(copy / TABLE, replaced("Finding Labels", "Oedema"))
    (copy / "train_val_list.txt").unlink()
    (copy / "test_list.txt").write_text("")
    with pytest.raises(DataError) as caught:
        read("nih", copy)
    message = str(caught.value)
    assert "Oedema" in message
    assert "train_val_list.txt: no such file" in message
    assert "test_list.txt: the file is empty" in message


def test_an_image_in_both_lists_is_refused(copy, read):
    name = (copy / "train_val_list.txt").read_text().split()[0]
    with (copy / "test_list.txt").open("a") as file:
        file.write(name)
    with pytest.raises(DataError, match=rf"1 image\(s\) are in both .* first {name}"):
        read("nih", copy)


def test_an_image_in_two_folders_is_refused(copy, read):
    for folder in ("images", "images-224"):
        (copy / folder).mkdir(exist_ok=True)
        (copy / folder / "00000001_000.png").touch()
    with pytest.raises(DataError, match="images-224/00000001_000.png and images/00000001_000.png are one image"):
        read("nih", copy)


def test_a_wrong_folder_names_what_was_looked_for(tmp_path, read):
    with pytest.raises(DataError, match=rf"{tmp_path}: no {TABLE} or Data_Entry_2017.csv; the set's root must be"):
        read("nih", tmp_path)
