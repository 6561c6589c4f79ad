import gzip
import shutil

import numpy as np
import pandas as pd
import pytest

from bench.config import compose_config
from bench.data.selection import Dropped
from bench.data.sources import read_external
from bench.data.tasks import OBSERVATIONS, task_name
from bench.errors import DataError
from tests.bench.data import layouts
from tests.bench.data.sources.edits import replaced

LABELS, SPLIT, METADATA = (f"mimic-cxr-2.0.0-{part}.csv.gz" for part in ("chexpert", "split", "metadata"))


@pytest.fixture(scope="session")
def mimic(phantom_root, tmp_path_factory):
    root = tmp_path_factory.mktemp("mimic") / "MIMIC-CXR-JPG"
    layouts.mimic(phantom_root, root)
    return root


@pytest.fixture
def copy(mimic, tmp_path):
    for name in (LABELS, SPLIT, METADATA):
        shutil.copy(mimic / name, tmp_path)
    return tmp_path


def test_each_image_has_every_label_of_its_picture_uncertain_and_blank_ones_too(mimic, read, pairs):
    release = read("mimic", mimic)
    told = pairs(pd.concat([release.train, release.valid, release.tests["test"]]), mimic)
    for observation in OBSERVATIONS:
        expected = [float(phantom[observation] or "nan") for _, phantom in told]
        np.testing.assert_array_equal([row[task_name(observation)] for row, _ in told], expected, err_msg=observation)
    assert {-1.0, 0.0, 1.0} <= set(release.train["edema"])


def test_the_official_split_holds(mimic, read, pairs):
    release = read("mimic", mimic)
    assert {phantom["split"] for _, phantom in pairs(release.tests["test"], mimic)} == {"valid"}
    assert {phantom["split"] for _, phantom in pairs(pd.concat([release.train, release.valid]), mimic)} == {"train"}
    assert {int(patient[1:]) % 10 for patient in release.valid["patient"]} == {0}
    assert 0 not in {int(patient[1:]) % 10 for patient in release.train["patient"]}
    assert release.dropped == ()


def test_views_and_projections_are_the_pictures_and_nobody_has_a_sex_or_age(mimic, read, pairs):
    train = read("mimic", mimic).train
    for row, phantom in pairs(train, mimic):
        assert row["view"] == phantom["Frontal/Lateral"].lower()
        assert (row["ap_pa"] if row["view"] == "frontal" else "") == phantom["AP/PA"]
    assert set(train["view"]) == {"frontal", "lateral"}
    assert set(train["sex"]) == {"Unknown"}
    assert train["age"].isna().all()


def test_the_two_views_of_a_study_are_one_study(mimic, read):
    sizes = read("mimic", mimic).train.groupby("study")["view"].apply(sorted)
    assert ["frontal", "lateral"] in sizes.to_list()


def test_what_is_left_out_is_counted_by_split_with_its_patients(copy, mimic, read, edit):
    before = read("mimic", copy).train
    study = before["study"].iloc[-1].partition("/s")[2]
    edit(copy / METADATA, replaced("ViewPosition", "LAO", 0))
    edit(copy / METADATA, replaced("ViewPosition", "", 1))
    edit(copy / LABELS, lambda table: table[table["study_id"] != study])
    release = read("mimic", copy)
    unlabelled = before[before["study"].str.endswith(study)]
    others = before[~before["study"].str.endswith(study)]["patient"]
    assert release.dropped == (
        Dropped("ViewPosition", "none of AP, PA, LATERAL, LL", "train", 2, before["patient"].iloc[:2].nunique()),
        Dropped(
            LABELS,
            "of a study without labels",
            "train",
            len(unlabelled),
            int(~unlabelled["patient"].isin(others).any()),
        ),
    )
    assert len(release.train) == len(before) - 2 - len(unlabelled)


def test_ll_is_a_lateral(copy, read, edit):
    before = read("mimic", copy)
    edit(copy / METADATA, lambda table: table.replace({"ViewPosition": {"LATERAL": "LL"}}))
    after = read("mimic", copy)
    pd.testing.assert_frame_equal(after.train, before.train)
    assert after.dropped == ()


def test_negbios_labels_are_read_where_they_are_asked_for_and_not_for_an_external_set(copy, read, edit):
    negbio = "mimic-cxr-2.0.0-negbio.csv.gz"
    shutil.copy(copy / LABELS, copy / negbio)
    edit(copy / negbio, lambda table: table.assign(Edema="1.0"))
    asked = read("mimic", copy, f"data.labels_file={negbio}")
    assert set(asked.train["edema"]) == {1.0}
    assert asked.files[0].name == negbio
    external = read("mimic", copy, "data.labels_file=train_cheXbert.csv", primary="chexpert")
    assert external.files[0].name == LABELS


def test_unpacked_files_are_found(copy, read):
    packed = read("mimic", copy)
    for name in (LABELS, SPLIT, METADATA):
        (copy / name.removesuffix(".gz")).write_bytes(gzip.decompress((copy / name).read_bytes()))
        (copy / name).unlink()
    pd.testing.assert_frame_equal(read("mimic", copy).train.drop(columns="csv"), packed.train.drop(columns="csv"))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            LABELS,
            replaced("Edema", "2"),
            rf"{LABELS}: Edema is none of 1, 0, -1 in 1 row\(s\) \(row 2: (np\.float64\()?2",
        ),
        (LABELS, replaced("Edema", "yes", 4), rf"{LABELS}: Edema is none of 1, 0, -1 in 1 row\(s\) \(row 6: 'yes'"),
        (LABELS, replaced("study_id", ""), "study_id is blank"),
        (LABELS, lambda table: pd.concat([table, table.iloc[:1]]), "the same study_id twice"),
        (LABELS, lambda table: table.rename(columns={"Pleural Effusion": "Effusion"}), "no column Pleural Effusion"),
        (LABELS, lambda table: table.iloc[:0], f"{LABELS}: no rows"),
        (SPLIT, replaced("split", "val", 2), r"split is none of train, validate, test in 1 row\(s\) \(row 4: 'val'\)"),
        (SPLIT, lambda table: table.iloc[1:], "do not name the same images: 1 only in the first"),
        (METADATA, lambda table: table.iloc[1:], "do not name the same images: 1 only in the second"),
        (METADATA, lambda table: pd.concat([table, table.iloc[:1]]), "the same dicom_id twice"),
    ],
)
def test_a_faulty_file_is_refused_with_its_rows(copy, read, edit, file, change, message):
    edit(copy / file, change)
    with pytest.raises(DataError, match=message):
        read("mimic", copy)


def test_problems_of_all_files_come_together(copy, read, edit):
    edit(copy / LABELS, replaced("Edema", "2"))
    edit(copy / SPLIT, replaced("split", "val"))
    edit(copy / METADATA, replaced("dicom_id", ""))
    with pytest.raises(DataError) as caught:
        read("mimic", copy)
    assert all(part in str(caught.value) for part in (f"{LABELS}: Edema", f"{SPLIT}: split", f"{METADATA}: dicom_id"))


def test_all_missing_files_are_named_at_once(tmp_path, read):
    with pytest.raises(DataError) as caught:
        read("mimic", tmp_path)
    assert all(name in str(caught.value) for name in (LABELS, SPLIT, METADATA))


OFFICIAL = "mimic-cxr-2.1.0-test-set-labeled.csv"


@pytest.fixture
def official(copy, read):
    """Radiologist's labels of all test studies but the first: the opposite of the labeller's, and one more study."""
    table = pd.read_csv(copy / LABELS, dtype={"study_id": str}).set_index("study_id")
    studies = read("mimic", copy).tests["test"]["study"].str.partition("/s")[2].unique()
    labels = (
        table.loc[studies[1:], list(OBSERVATIONS)]
        .eq(0)
        .astype(float)
        .rename(columns={"Lung Opacity": "Airspace Opacity"})
    )
    labels.loc["59999999"] = 1.0
    labels.reset_index(names="study_id").to_csv(copy / OFFICIAL, index=False)
    return copy


def test_the_radiologists_labels_take_the_place_of_the_labellers_in_the_test_alone(official, read):
    plain, release = read("mimic", official), read("mimic", official, "data.test=official")
    for name in ("train", "valid"):
        pd.testing.assert_frame_equal(getattr(release, name), getattr(plain, name))
    first = plain.tests["test"]["study"] == plain.tests["test"]["study"].iloc[0]
    expected, test = plain.tests["test"][~first].reset_index(drop=True), release.tests["test"]
    assert test["path"].to_list() == expected["path"].to_list()
    for name in ("lung_opacity", "edema", "fracture"):
        np.testing.assert_array_equal(test[name], expected[name].eq(0).astype(float))
    assert release.dropped == (Dropped(OFFICIAL, "of a study without labels", "test", int(first.sum()), 1),)
    assert release.files[-1] == official / OFFICIAL


def test_a_network_of_another_set_is_tested_on_either_labels(official, phantom_root):
    config = compose_config(["data=chexpert", f"data.root={phantom_root}", "data.test=official"]).data
    plain, test = (read_external(name, official, config)[0] for name in ("mimic", "mimic_test"))
    assert len(plain) > len(test)
    assert not plain["edema"][-len(test) :].reset_index(drop=True).equals(test["edema"])


def test_the_radiologists_labels_are_asked_for_only_where_they_are_used(copy, read):
    read("mimic", copy)
    with pytest.raises(DataError, match=f"{OFFICIAL}: no such file"):
        read("mimic", copy, "data.test=official")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.rename(columns={"Airspace Opacity": "Lung Opacity"}), "no column Airspace Opacity"),
        (replaced("Airspace Opacity", "2"), r"Airspace Opacity is none of 1, 0, -1 in 1 row\(s\) \(row 2: 2\)"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "the same study_id twice"),
    ],
)
def test_wrong_radiologists_labels_are_refused(official, read, edit, change, message):
    edit(official / OFFICIAL, change)
    with pytest.raises(DataError, match=f"{OFFICIAL}: {message}"):
        read("mimic", official, "data.test=official")


@pytest.mark.parametrize("ending", [".png", ".dcm"])
def test_copies_with_another_ending_are_found_under_an_unchanged_table(mimic, read, tmp_path, ending):
    shutil.copytree(mimic, tmp_path / "mimic")
    for image in list((tmp_path / "mimic").rglob("*.jpg")):
        image.rename(image.with_suffix(ending))
    release = read("mimic", tmp_path / "mimic")
    for frame in (release.train, release.valid, release.tests["test"]):
        assert all((tmp_path / "mimic" / path).is_file() for path in frame["path"])
