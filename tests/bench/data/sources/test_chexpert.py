import json
import shutil

import numpy as np
import pandas as pd
import pytest

from bench.config import compose_config
from bench.data.sources import read_external, read_release
from bench.data.tasks import ALL_TASKS, OBSERVATIONS
from bench.errors import DataError

PATIENTS = {"train": (1, 2, 3), "valid": (64541, 64542), "test": (64741, 64742)}
BATCHES = {
    "valid": "CheXpert-v1.0 batch 1 (validate & csv)/valid",
    1: "CheXpert-v1.0 batch 2 (train 1)",
    2: "CheXpert-v1.0 batch 3 (train 2)",
    3: "CheXpert-v1.0 batch 4 (train 3)",
}


def table(split, **changes):
    """Two images of each patient, as train.csv lists them."""
    rows = pd.DataFrame(
        [
            {
                "Path": f"CheXpert-v1.0/{split}/patient{who:05d}/study1/view{view}_{side}.jpg",
                "Sex": "Female",
                "Age": 60,
                "Frontal/Lateral": side.capitalize(),
                "AP/PA": "AP" if side == "frontal" else None,
            }
            for who in PATIENTS[split]
            for view, side in ((1, "frontal"), (2, "lateral"))
        ]
    )
    labels = np.resize([1.0, 0.0, -1.0, np.nan, 0.0], (len(rows), len(OBSERVATIONS)))
    return rows.assign(**dict(zip(OBSERVATIONS, labels.T, strict=True))).assign(**changes)


def official(**changes):
    """groundtruth.csv: a row a study, and no word about the patients."""
    rows = pd.DataFrame({"Study": [f"CheXpert-v1.0/test/patient{who}/study1" for who in PATIENTS["test"]]})
    return rows.assign(**{name: [1, 0] for name in OBSERVATIONS}).assign(**changes)


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


@pytest.fixture
def root(tmp_path):
    """A release in one folder; images are not read here, so that empty files do."""
    for split in ("train", "valid"):
        table(split).to_csv(tmp_path / f"{split}.csv", index=False)
        touch(tmp_path, *(path.split("/", 1)[1] for path in table(split)["Path"]))
    official().to_csv(tmp_path / "groundtruth.csv", index=False)
    touch(
        tmp_path,
        "test/patient64741/study1/view1_frontal.jpg",
        "test/patient64741/study1/view2_lateral.jpg",
        "test/patient64741/study1/view3_frontal.jpg",
        "test/patient64742/study1/view1_frontal.jpg",
        "test/patient64742/study1/.DS_Store",
    )
    return tmp_path


def read(root, *overrides):
    return read_release("chexpert", root, compose_config(["data=chexpert", f"data.root={root}", *overrides]).data)


def test_rows_come_out_as_they_went_in(root):
    release = read(root)
    assert release.observations == ALL_TASKS
    assert release.files == (root / "train.csv", root / "valid.csv")
    assert release.valid is None
    assert list(release.train["path"][:2]) == [
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00001/study1/view2_lateral.jpg",
    ]
    assert list(release.train["study"][:3]) == ["patient00001/study1", "patient00001/study1", "patient00002/study1"]
    assert list(release.train["view"][:2]) == ["frontal", "lateral"]
    assert list(release.train["row"]) == [2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(release.train[list(ALL_TASKS)], table("train")[list(OBSERVATIONS)])
    assert set(release.tests["test"]["patient"]) == {"patient64541", "patient64542"}


@pytest.mark.parametrize("prefix", ["CheXpert-v1.0-small", "/mnt/disk 1/CheXpert-v1.0", "data/train/CheXpert", ""])
def test_what_stands_before_train_in_a_path_does_not_matter(root, prefix):
    plain = read(root).train
    paths = (
        table("train")["Path"].str.replace("CheXpert-v1.0", prefix, regex=False).str.lstrip("/" if not prefix else "")
    )
    table("train", Path=paths).to_csv(root / "train.csv", index=False)
    pd.testing.assert_frame_equal(read(root).train, plain)


def test_columns_are_found_by_name_in_any_order(root):
    plain = read(root).train
    rows = table("train", Extra=1)
    rows[sorted(rows.columns, reverse=True)].to_csv(root / "train.csv", index=True)
    pd.testing.assert_frame_equal(read(root).train, plain)


def test_the_official_test_set_has_every_view_of_every_study_and_nothing_invented(root):
    frame = read(root, "data.test=official").tests["test"]
    assert list(frame["path"]) == [
        "test/patient64741/study1/view1_frontal.jpg",
        "test/patient64741/study1/view2_lateral.jpg",
        "test/patient64741/study1/view3_frontal.jpg",
        "test/patient64742/study1/view1_frontal.jpg",
    ]
    assert list(frame["view"]) == ["frontal", "lateral", "frontal", "frontal"]
    assert list(frame["edema"]) == [1, 1, 1, 0]
    assert list(frame["row"]) == [2, 2, 2, 3]
    assert set(frame["sex"]) == {"Unknown"}
    assert frame["age"].isna().all()
    assert frame["ap_pa"].isna().all()


def test_the_external_names_are_valid_csv_and_the_official_test_set(root):
    config = compose_config(["data=nih", f"data.root={root}"]).data
    (root / "train.csv").unlink()  # not needed where one trains on another set
    (valid, _), (test, dropped) = (read_external(name, root, config) for name in ("chexpert", "chexpert_test"))
    assert set(valid["patient"]) == {"patient64541", "patient64542"}
    assert dropped == ()
    assert set(test["patient"]) == {"patient64741", "patient64742"}


@pytest.fixture
def batches(tmp_path):
    """The later download: CSV files beside valid/, patients in three other folders."""
    root = tmp_path / "chexpertchestxrays-u20210408"
    first = root / "CheXpert-v1.0 batch 1 (validate & csv)"
    first.mkdir(parents=True)
    for split in ("train", "valid"):
        table(split).to_csv(first / f"{split}.csv", index=False)
        for path in table(split)["Path"]:
            patient = path.split("/", 2)[2]
            touch(root, f"{BATCHES['valid' if split == 'valid' else int(patient[7:12])]}/{patient}")
    table("train", Edema=1.0).to_csv(root / "train_visualCheXbert.csv", index=False)
    return root


def test_batch_folders_are_searched(batches):
    release = read(batches)
    assert release.files[0].parent.name == "CheXpert-v1.0 batch 1 (validate & csv)"
    for frame in (release.train, release.tests["test"]):
        assert all((batches / path).is_file() for path in frame["path"])
    assert len(release.train) == 6
    plain = ["patient00001/study1", "patient00002/study1", "patient00003/study1"]
    assert list(release.train["study"].unique()) == plain


def test_a_batch_that_was_not_downloaded_leaves_paths_whose_absence_is_said_later(batches):
    (batches / BATCHES[2]).rename(batches.parent / "elsewhere")
    paths = read(batches).train["path"]
    assert [(batches / path).is_file() for path in paths] == [True, True, False, False, True, True]
    assert paths[2] == "train/patient00002/study1/view1_frontal.jpg"


def test_a_relabelled_copy_takes_the_place_of_train_csv(batches):
    release = read(batches, "data.labels_file=train_visualCheXbert.csv")
    assert set(release.train["edema"]) == {1.0}
    assert not read(batches).train["edema"].eq(1).all(), "else it shows nothing"
    assert release.files[0] == batches / "train_visualCheXbert.csv"


def test_a_relabelled_copy_is_nothing_to_the_test_set(batches):
    pd.testing.assert_frame_equal(
        read(batches, "data.labels_file=train_visualCheXbert.csv").tests["test"], read(batches).tests["test"]
    )


def test_a_relabelled_copy_that_is_not_there_is_said(root):
    with pytest.raises(DataError, match=rf"{root}/train_cheXbert.csv: no such file"):
        read(root, "data.labels_file=train_cheXbert.csv")


def test_a_wrong_folder_says_which_file_was_looked_for_and_where(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert f"{tmp_path}/train.csv: no such file; in {tmp_path} there is holiday.jpg" in str(caught.value)
    assert f"{tmp_path}/valid.csv: no such file" in str(caught.value)


def test_the_folder_above_is_told_apart(root, tmp_path_factory):
    above = tmp_path_factory.mktemp("above")
    root.rename(above / "CheXpert-v1.0")
    with pytest.raises(
        DataError, match=rf"{above}/train.csv: no such file, but .* give data.root={above}/CheXpert-v1.0"
    ):
        read(above)


def test_tables_without_images_are_refused(root):
    (root / "train").rename(root / "images")
    with pytest.raises(DataError, match=rf"{root}/train: no such folder, and no '\*batch \[0-9\]\*' in {root}"):
        read(root)


def test_frontal_images_that_are_neither_ap_nor_pa_are_unknown(root):
    table("train", **{"AP/PA": ["LL", "RL", "AP", "PA", None, "AP"]}).to_csv(root / "train.csv", index=False)
    assert list(read(root).train["ap_pa"].fillna("")) == ["", "", "AP", "PA", "", "AP"]


def test_a_blank_sex_is_unknown(root):
    table("train", Sex=[None, "Unknown", "Male", "Male", "Male", "Male"]).to_csv(root / "train.csv", index=False)
    assert list(read(root).train["sex"][:3]) == ["Unknown", "Unknown", "Male"]


def test_all_problems_of_all_files_come_together_in_the_files_own_words(root):
    rows = table("train", Edema=["yes", 2, None, 0, 0, 0], **{"Frontal/Lateral": "Frontal"})
    rows.loc[1, "Frontal/Lateral"] = "Oblique"
    rows.loc[5, "Path"] = rows.loc[0, "Path"]
    rows.to_csv(root / "train.csv", index=False)
    table("valid").drop(columns="Fracture").rename(columns={"Edema": "Oedema"}).to_csv(root / "valid.csv", index=False)
    with pytest.raises(DataError) as caught:
        read(root)
    first, second = str(caught.value).split("\n")
    assert first.startswith(f"{root}/train.csv: ")
    assert "Edema is none of -1, 0, 1 in 2 row(s) (row 2: 'yes', row 3: '2')" in first
    assert "Frontal/Lateral is none of Frontal, Lateral in 1 row(s) (row 3: 'Oblique')" in first
    assert "the same Path twice in 1 row(s) (row 7: 'CheXpert-v1.0/train/patient00001/" in first
    assert second.startswith(f"{root}/valid.csv: no column Edema (did you mean Oedema?), Fracture; there are: ")


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "CheXpert/train/patient1/study1/../../../x.jpg",
        "CheXpert/train/patient1/study1/..",
        "a/train/1.jpg",
        "/train/patient1/x.jpg",
        "",
    ],
)
def test_a_path_that_is_not_chexperts_is_refused(root, path):
    rows = table("train")
    rows.loc[1, "Path"] = path
    rows.to_csv(root / "train.csv", index=False)
    with pytest.raises(DataError, match=r"(Path is not a path that ends|Path is blank|outside the root).*row 3: "):
        read(root)


@pytest.mark.parametrize("name", ["train.csv", "valid.csv"])
def test_an_empty_file_is_refused(root, name):
    (root / name).write_text((root / name).read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match=f"{name}: no rows"):
        read(root)
    (root / name).write_text("")
    with pytest.raises(DataError, match=f"{name}: the file is empty"):
        read(root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Study": ["CheXpert-v1.0/test/patient64741/study1"] * 2}, r"the same Study twice in 1 row\(s\) \(row 3: "),
        (
            {"Study": ["patient64741", "x/test/patient64742/study1"]},
            r"Study is not a path .* \(row 2: 'patient64741'\)",
        ),
        (
            {"Study": ["x/test/patient64741/study1", "x/test/patient9/study1"]},
            "1 studies have no .*: test/patient9/study1",
        ),
        ({"Edema": [1, 2]}, r"Edema is none of -1, 0, 1 in 1 row\(s\) \(row 3: 2\)"),
    ],
)
def test_a_wrong_groundtruth_is_refused(root, changes, message):
    official(**changes).to_csv(root / "groundtruth.csv", index=False)
    with pytest.raises(DataError, match=rf"groundtruth.csv: .*{message}"):
        read(root, "data.test=official")


def test_the_official_test_set_is_not_asked_for_where_it_is_not_used(root):
    (root / "groundtruth.csv").unlink()
    read(root)
    with pytest.raises(DataError, match=rf"{root}/groundtruth.csv: no such file"):
        read(root, "data.test=official")


def relabelled(**changes):
    """test_labels.csv as CheXlocalize has it: a row an image, and no word about the patients."""
    paths = [
        "test/patient64741/study1/view1_frontal.jpg",
        "test/patient64741/study1/view2_lateral.jpg",
        "test/patient64742/study1/view1_frontal.jpg",
    ]
    return pd.DataFrame({"Path": paths}).assign(**{name: [1.0, 1.0, 0.0] for name in OBSERVATIONS}).assign(**changes)


def test_the_official_labels_may_be_a_row_an_image(root):
    (root / "groundtruth.csv").unlink()
    relabelled().to_csv(root / "test_labels.csv", index=False)
    release = read(root, "data.test=official")
    frame = release.tests["test"]
    assert release.files[1] == root / "test_labels.csv"
    assert list(frame["path"]) == list(relabelled()["Path"]), "an image without a row is not tested on"
    assert list(frame["study"]) == ["patient64741/study1", "patient64741/study1", "patient64742/study1"]
    assert list(frame["view"]) == ["frontal", "lateral", "frontal"]
    assert list(frame["edema"]) == [1, 1, 0]
    assert set(frame["sex"]) == {"Unknown"}
    assert frame[["age", "ap_pa"]].isna().all(axis=None)


def test_of_two_files_of_official_labels_the_first_is_read(root):
    relabelled().to_csv(root / "test_labels.csv", index=False)
    assert read(root, "data.test=official").files[1] == root / "groundtruth.csv"


@pytest.mark.parametrize("path", ["patient64741/study1/view1_frontal.jpg", "test/patient1/study1/scan.jpg", ""])
def test_official_labels_of_no_view_are_refused(root, path):
    (root / "groundtruth.csv").unlink()
    relabelled(
        Path=["test/patient64741/study1/view1_frontal.jpg", path, "x/test/patient2/study1/view2_lateral.png"]
    ).to_csv(root / "test_labels.csv", index=False)
    with pytest.raises(DataError, match=r"test_labels.csv: Path is .* in 1 row\(s\) \(row 3: "):
        read(root, "data.test=official")


@pytest.mark.parametrize("ending", [".png", ".PNG", ".dcm", ".jpeg"])
def test_copies_with_another_ending_are_found_under_an_unchanged_table(root, ending):
    for image in list(root.rglob("*.jpg")):
        image.rename(image.with_suffix(ending))
    for settings in ([], ["data.test=official"]):
        release = read(root, *settings)
        for frame in (release.train, release.tests["test"]):
            assert all((root / path).is_file() for path in frame["path"])
            assert set(frame["path"].str.extract(r"(\.\w+)$")[0]) == {ending}
    assert read(root).train["row"].to_list() == [2, 3, 4, 5, 6, 7]


def test_a_picture_in_two_forms_is_refused_where_the_table_names_a_third(root):
    first = root / "train/patient00001/study1/view1_frontal"
    for image in list((root / "train").rglob("*.jpg")):
        image.rename(image.with_suffix(".png"))
    first.with_suffix(".dcm").touch()
    with pytest.raises(
        DataError, match=r"view1_frontal.dcm and \S+/view1_frontal.png are one image to the set's table"
    ):
        read(root)
    first.with_suffix(".jpg").touch()
    assert read(root).train["path"][0].endswith("view1_frontal.jpg"), "the one that is named is meant"


def test_another_file_of_the_name_of_a_missing_image_is_not_taken_for_it(root):
    first = root / "train/patient00001/study1/view1_frontal.jpg"
    first.rename(first.with_suffix(".png"))
    assert read(root).train["path"][0].endswith("view1_frontal.jpg"), "the others are there: this one is missing"


def test_an_official_study_in_two_forms_is_refused(root):
    (root / "test/patient64742/study1/view1_frontal.png").touch()
    with pytest.raises(DataError, match=r"view1_frontal.jpg and view1_frontal.png are one image"):
        read(root, "data.test=official")


def plus(root, **changes):
    """The table of CheXpert Plus and one of its files of labels, with PNG files where it unpacks them."""
    paths = [path.split("/", 1)[1] for split in ("train", "valid") for path in table(split)["Path"]]
    rows = pd.DataFrame({"path_to_image": paths, "split": [path.split("/")[0] for path in paths]})
    rows = rows.assign(sex="Male", age=41.0, frontal_lateral="Frontal", ap_pa="PA", section_impression='No "acute",\nx')
    rows.to_csv(root / "df_chexpert_plus_240401.csv")
    labels = [
        {"path_to_image": path} | dict.fromkeys(OBSERVATIONS) | {"Edema": at % 3 - 1} for at, path in enumerate(paths)
    ]
    write_lines(root, labels)
    for path in paths:
        touch(root, f"PNG/{path.replace('.jpg', '.png')}")
    return labels


def write_lines(root, records):
    (root / "impression_fixed.json").write_text("\n".join(map(json.dumps, records)) + "\n")


def test_chexpert_plus_is_trained_on_and_chexperts_own_labels_are_tested_on(root):
    shutil.rmtree(root / "train")
    plus(root)
    release = read(root, "data.labels_file=impression_fixed.json")
    train = release.train
    assert list(train["path"][:2]) == [
        f"PNG/train/patient00001/study1/view{view}.png" for view in ("1_frontal", "2_lateral")
    ]
    assert all((root / path).is_file() for path in train["path"])
    assert list(train["edema"]) == [-1, 0, 1, -1, 0, 1]
    assert train["fracture"].isna().all()
    assert set(zip(train["sex"], train["age"], train["view"], train["ap_pa"], strict=True)) == {
        ("Male", 41.0, "frontal", "PA")
    }
    assert list(train["row"]) == [2, 3, 4, 5, 6, 7], "a report with a line break is one row"
    assert set(train["csv"]) == {"df_chexpert_plus_240401.csv"}
    assert set(release.tests["test"]["patient"]) == {"patient64541", "patient64542"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels: labels[1:], r"1 images of \S+.csv have no labels: train/patient00001/\S+ \(row 2\)"),
        (lambda labels: [*labels, labels[0]], "1 lines have the path_to_image of another"),
        (lambda labels: [{"path": one["path_to_image"]} for one in labels], "nothing under path_to_image"),
        (lambda labels: [labels[0] | {"Edema": "yes"}, *labels[1:]], "not a JSON object a line"),
        (
            lambda labels: [labels[0] | {"Edema": 2}, *labels[1:]],
            r"Edema is none of -1, 0, 1 in 1 row\(s\) \(row 2: 2\)",
        ),
        (lambda labels: [labels], "not a JSON object a line"),
    ],
)
def test_labels_that_are_not_chexpert_plus_are_refused(root, change, message):
    write_lines(root, change(plus(root)))
    with pytest.raises(DataError, match=message):
        read(root, "data.labels_file=impression_fixed.json")
