import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from bench.config import compose_config
from bench.data.generated import phantom
from bench.data.sets import open_dataset
from bench.data.splits import write_split
from bench.data.tasks import ALL_TASKS, COMPETITION_TASKS, OBSERVATIONS
from bench.errors import DataError
from tests.bench.data import layouts
from tests.perf.index import LIMITS, measure, write

SETTINGS = ("data.phantom.train_patients=90", "data.phantom.test_patients=60", "data.phantom.seed=3")


def opened(root, *overrides, scored="competition"):
    settings = [f"data.root={root}", *overrides]
    if not any(text.startswith("data.split_file") for text in overrides):
        settings.insert(1, "data.valid_fraction=0.3")
    return open_dataset(compose_config(["data=chexpert", *settings]).data, scored=scored)


@pytest.fixture
def copy(phantom_root, tmp_path):
    root = tmp_path / "renamed"
    shutil.copytree(phantom_root, root)
    return root


@pytest.fixture
def official(copy):
    """The copy, with a few of its test patients as the released test set is laid out."""
    table = pd.read_csv(copy / "valid.csv")
    table["Study"] = table["Path"].str.extract(r"(patient\d+/study\d+)", expand=False)
    studies = table.drop_duplicates("Study").head(20)
    for study in studies["Study"]:
        shutil.copytree(copy / "valid" / study, copy / "test" / study)
    studies = studies.assign(Study="CheXpert-v1.0/test/" + studies["Study"])
    studies[["Study", *OBSERVATIONS]].to_csv(copy / "groundtruth.csv", index=False)
    return copy


def rewrite(root, name, change):
    table = pd.read_csv(root / name)
    change(table).to_csv(root / name, index=False)


def test_patients_never_cross_splits(phantom_root):
    data = opened(phantom_root)
    sides = [set(split.frame["patient"]) for split in (data.train, data.valid, data.test)]
    assert all(sides)
    assert sum(map(len, sides)) == len(set().union(*sides))


def test_the_policy_reaches_training_and_no_evaluation(phantom_root):
    zeros, ones = opened(phantom_root, "data.uncertain=u-zeros"), opened(phantom_root, "data.uncertain=u-ones")
    assert (zeros.train.labels != ones.train.labels).sum() > 0
    np.testing.assert_array_equal(zeros.valid.labels, ones.valid.labels)
    np.testing.assert_array_equal(zeros.test.labels, ones.test.labels)
    assert zeros.fingerprint == ones.fingerprint, "the policy is part of the cell, not of the data"


def test_one_task_has_its_own_policy_and_width(phantom_root):
    plain = opened(phantom_root)
    data = opened(phantom_root, "data.uncertain.edema=u-multiclass", "data.uncertain.consolidation=u-ones")
    changed = {
        task
        for column, task in enumerate(data.tasks)
        if not np.array_equal(data.train.labels[:, column], plain.train.labels[:, column], equal_nan=True)
    }
    assert changed == {"edema", "consolidation"}
    assert data.widths == tuple(3 if task == "edema" else 1 for task in ALL_TASKS)
    column = data.tasks.index("edema")
    uncertain = data.train.frame["edema"] == -1
    assert set(data.train.labels[uncertain, column]) == {2.0}
    assert set(data.valid.labels[:, column][~np.isnan(data.valid.labels[:, column])]) == {0.0, 1.0}


def test_a_smoothed_label_is_the_same_in_a_filtered_set(phantom_root):
    whole, part = (opened(phantom_root, "data.uncertain=u-ones-lsr", f"data.views={v}") for v in ("all", "frontal"))
    rows = whole.train.frame["path"].isin(part.train.frame["path"]).to_numpy()
    assert 0 < rows.sum() < len(rows)
    np.testing.assert_array_equal(whole.train.labels[rows], part.train.labels)
    soft = part.train.labels[(part.train.frame[list(ALL_TASKS)] == -1).to_numpy()]
    assert soft.min() >= 0.55
    assert soft.max() <= 0.85
    assert len(np.unique(soft)) > len(soft) / 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.uncertain.oedema=u-ones", r"data.uncertain.oedema \(did you mean edema\?\)"),
        ("data.tasks=[oedema]", r"data.tasks=\[oedema\]: no task oedema \(did you mean edema\?\); valid: all"),
        ("data.test=official", r"groundtruth.csv: no such file"),
    ],
)
def test_a_key_that_does_not_fit_the_set_is_refused(phantom_root, override, message):
    with pytest.raises(DataError, match=message):
        opened(phantom_root, override)


def test_tasks_are_those_asked_for(phantom_root):
    data = opened(phantom_root, "data.tasks=[edema,atelectasis]", scored=["edema"])
    assert data.tasks == ("edema", "atelectasis")
    assert data.test.labels.shape == (len(data.test.frame), 2)
    assert set(ALL_TASKS) <= set(data.train.frame.columns), "the labels as given stay, for the card"
    with pytest.raises(DataError, match="evaluation.tasks=competition: no task cardiomegaly"):
        opened(phantom_root, "data.tasks=[edema,atelectasis]")


def test_test_labels_are_the_files(phantom_root):
    data = opened(phantom_root)
    file = pd.read_csv(phantom_root / "valid.csv")
    np.testing.assert_array_equal(data.test.labels, file[list(OBSERVATIONS)].replace(-1, np.nan))


def test_blank_is_negative_in_training_and_validation_and_nothing_in_the_test(copy):
    for name in ("train.csv", "valid.csv"):
        rewrite(copy, name, lambda table: table.assign(Fracture=[None, *table["Fracture"].iloc[1:].fillna(0)]))
    data = opened(copy)
    column = data.tasks.index("fracture")
    assert np.isnan(data.test.labels[0, column])
    for split in (data.train, data.valid):
        given = split.frame["fracture"]
        np.testing.assert_array_equal(split.labels[:, column], given.fillna(0).replace(-1, np.nan))


def test_the_fingerprint_is_the_contents_and_not_the_place(phantom_root, copy):
    assert opened(copy).fingerprint == opened(phantom_root).fingerprint
    rewrite(copy, "train.csv", lambda table: table.sample(frac=1, random_state=0))
    assert opened(copy).fingerprint == opened(phantom_root).fingerprint, "the order of the rows is no content"


def test_shares_of_one_set_have_its_fingerprint_in_common(phantom_root):
    whole, some, few = (opened(phantom_root, *one) for one in ([], ["data.fraction=0.5"], ["data.patients=20"]))
    assert len({whole.fingerprint, some.fingerprint, few.fingerprint}) == 3
    assert whole.whole == some.whole == few.whole == whole.fingerprint
    assert opened(phantom_root, "data.fraction=0.5", "data.views=frontal").whole != whole.whole


def test_a_changed_label_image_or_split_is_another_fingerprint(phantom_root, copy):
    seen = {opened(phantom_root, *one).fingerprint for one in ([], ["data.valid_fraction=0.4"], ["data.views=frontal"])}
    for image in copy.rglob("*.jpg"):
        image.write_bytes(image.read_bytes() + b"\0")
    seen.add(opened(copy).fingerprint)
    shutil.rmtree(copy)
    shutil.copytree(phantom_root, copy)
    rewrite(copy, "valid.csv", lambda table: table.assign(Edema=[1 - table.loc[0, "Edema"], *table["Edema"].iloc[1:]]))
    seen.add(opened(copy).fingerprint)
    assert len(seen) == 5


def test_a_filter_is_for_every_split_and_says_what_it_left_out(phantom_root):
    data, whole = opened(phantom_root, "data.views=frontal"), opened(phantom_root)
    for name in ("train", "valid", "test"):
        split, before = getattr(data, name), getattr(whole, name).frame
        assert set(split.frame["view"]) == {"frontal"}
        (said,) = (one for one in data.dropped if one.split == name)
        assert (said.filter, said.images) == ("data.views=frontal", int((before["view"] == "lateral").sum()))
    assert whole.dropped == ()


def test_a_share_of_the_patients_is_for_training_alone(phantom_root):
    data, whole = opened(phantom_root, "data.fraction=0.5"), opened(phantom_root)
    assert set(data.train.frame["patient"]) < set(whole.train.frame["patient"])
    for name in ("valid", "test"):
        pd.testing.assert_frame_equal(getattr(data, name).frame, getattr(whole, name).frame)
    assert [one.split for one in data.dropped] == ["train"]
    assert data.sides == whole.sides, "the split is that of the whole set"


def test_a_published_split_is_used_again_whatever_the_hash_says(phantom_root, copy, tmp_path):
    data = opened(phantom_root)
    write_split(tmp_path / "split.csv", data.sides)
    again = opened(phantom_root, f"data.split_file={tmp_path}/split.csv")
    assert again.fingerprint == data.fingerprint
    assert "split.csv" in again.divided
    swapped = {who: {"train": "valid", "valid": "train"}[side] for who, side in data.sides.items()}
    write_split(tmp_path / "swapped.csv", swapped)
    other = opened(phantom_root, f"data.split_file={tmp_path}/swapped.csv")
    pd.testing.assert_frame_equal(other.valid.frame, data.train.frame)


def test_two_ways_to_split_are_refused(phantom_root, tmp_path):
    with pytest.raises(DataError, match="data.split_file and data.valid_fraction both divide"):
        opened(phantom_root, f"data.split_file={tmp_path}/split.csv", "data.valid_fraction=0.2")


def test_a_validation_split_without_a_class_is_refused_with_the_remedy(copy):
    rewrite(copy, "train.csv", lambda table: table.assign(Edema=0.0))
    with pytest.raises(DataError) as caught:
        opened(copy)
    text = str(caught.value)
    assert "the training split (" in text
    assert text.count("0 positive and") == 2
    assert "negative edema, so that it can be neither learnt nor scored: raise data.valid_fraction" in text
    opened(copy, scored=["atelectasis"])


def test_training_without_a_positive_is_refused_where_the_filter_took_it(phantom_root):
    with pytest.raises(DataError, match=r"the training split \(\d+ images\) has \d+ positive and \d+ negative \w+"):
        opened(phantom_root, "data.patients=1")


@pytest.mark.parametrize("age", [-3, 130])
def test_one_impossible_age_is_unknown_in_any_set(copy, age):
    rewrite(copy, "valid.csv", lambda table: table.assign(Age=[age, *table["Age"].iloc[1:]]))
    frame = opened(copy).test.frame
    assert frame["age"].isna().to_list() == frame["impossible_age"].to_list() == [True, *[False] * (len(frame) - 1)]


def test_a_patient_in_both_files_is_refused(copy):
    train, test = (pd.read_csv(copy / name) for name in ("train.csv", "valid.csv"))
    pd.concat([test, train.iloc[:1]]).to_csv(copy / "valid.csv", index=False)
    with pytest.raises(DataError, match=r"patient\d+ is in both \w+ and test"):
        opened(copy)


@pytest.mark.parametrize(
    ("root", "message"), [("null", "needs data.root=DIR"), ("/no/such", "data.root=/no/such: no such folder")]
)
def test_a_root_that_is_none_is_refused(root, message):
    with pytest.raises(DataError, match=message):
        opened(root)


def test_missing_images_are_named_or_left_to_those_who_read_them(copy):
    for image in copy.rglob("*.jpg"):
        image.unlink()
    with pytest.raises(DataError, match=r"images are not there: .*view1_\w+.jpg \(row 2 of train.csv\), "):
        opened(copy)
    assert len(opened(copy, "data.on_bad_image=skip").train.frame) > 0


def test_the_official_test_set_takes_the_place_of_valid_csv(official):
    data = opened(official, "data.test=official")
    assert data.test.frame["path"].str.startswith("test/").all()
    assert data.test.frame["study"].nunique() == 20
    assert data.fingerprint != opened(official).fingerprint


def test_external_sets_are_scored_on_their_own_labels_under_the_same_filters(official):
    data = opened(
        official, "data.external=[chexpert_test]", "data.views=frontal", "data.tasks=[edema,atelectasis]", scored=None
    )
    (name,) = data.external
    split = data.external[name]
    assert list(data.evaluated) == ["valid", "test", "chexpert_test"]
    assert split.root == official
    assert set(split.frame["view"]) == {"frontal"}
    np.testing.assert_array_equal(split.labels, split.frame[["edema", "atelectasis"]].replace(-1, np.nan))
    assert {one.split for one in data.dropped} == {"train", "valid", "test", "chexpert_test"}
    assert opened(official).fingerprint != opened(official, "data.external=[chexpert_test]").fingerprint


def test_networks_are_tested_on_another_hospitals_layout(phantom_root, tmp_path):
    layouts.mimic(phantom_root, tmp_path / "mimic")
    data = opened(phantom_root, "data.external=[mimic]", f"data.roots.mimic={tmp_path}/mimic")
    alone = open_dataset(compose_config(["data=mimic", f"data.root={tmp_path}/mimic", "data.valid_fraction=0.3"]).data)
    split = data.external["mimic"]
    assert split.root == tmp_path / "mimic"
    assert len(split.frame) > 0
    pd.testing.assert_frame_equal(split.frame, alone.test.frame)
    columns = [alone.tasks.index(task) for task in COMPETITION_TASKS]
    assert {0.0, 1.0} <= set(split.labels[:, columns].ravel())
    assert [one for one in data.dropped if one.split == "mimic"] == [
        dataclasses.replace(one, split="mimic") for one in alone.dropped if one.split == "test"
    ]


def test_an_official_validation_split_is_used_unless_another_is_asked_for(phantom_root, tmp_path):
    layouts.mimic(phantom_root, tmp_path / "mimic")
    settings = ["data=mimic", f"data.root={tmp_path}/mimic"]
    own = open_dataset(compose_config(settings).data)
    hashed = open_dataset(compose_config([*settings, "data.valid_fraction=0.3"]).data)
    table = pd.read_csv(next((tmp_path / "mimic").glob("*-split.csv*")))
    expected = set(table["subject_id"][table["split"] == "validate"].astype(str))
    assert {who.lstrip("p") for who in own.valid.frame["patient"]} == expected
    assert own.divided == "the release's own split"
    assert set(hashed.sides) == set(own.sides)
    assert hashed.sides != own.sides


def test_an_external_set_of_another_kind_needs_its_root(phantom_root):
    with pytest.raises(DataError, match="data.external=nih needs data.roots.nih=DIR"):
        opened(phantom_root, "data.external=[nih]")
    with pytest.raises(DataError, match="data.roots.nih=/no/such: no such folder"):
        opened(phantom_root, "data.external=[nih]", "data.roots.nih=/no/such")


@pytest.mark.parametrize("side", ["train", "valid"])
def test_patients_of_training_or_validation_in_an_external_set_of_the_same_source_are_refused(phantom_root, copy, side):
    sides = opened(phantom_root).sides
    table = pd.read_csv(copy / "train.csv")
    own = table["Path"].str.extract(r"(patient\d+)", expand=False).map(sides) == side
    table[own].to_csv(copy / "valid.csv", index=False)
    with pytest.raises(DataError, match=rf"patient\d+ is in both {side} and external chexpert"):
        opened(phantom_root, "data.external=[chexpert]", f"data.roots.chexpert={copy}")


def test_an_external_set_without_a_label_that_was_trained_on_is_refused(phantom_root, copy):
    rewrite(copy, "valid.csv", lambda table: table.assign(Fracture=None))
    with pytest.raises(
        DataError, match=r"data.external=chexpert: none of its labels is of a task trained on \(fracture\)"
    ):
        opened(
            phantom_root,
            "data.tasks=[fracture]",
            "data.external=[chexpert]",
            f"data.roots.chexpert={copy}",
            scored=None,
        )


def test_the_phantom_is_generated_once_on_first_use(tmp_path, monkeypatch):
    calls = []
    generate = phantom.generate
    monkeypatch.setattr(phantom, "generate", lambda root, spec: (calls.append(spec), generate(root, spec)))
    config = compose_config([f"data.root={tmp_path}/p", "data.valid_fraction=0.3", *SETTINGS]).data
    first, second = open_dataset(config), open_dataset(config)
    assert len(calls) == 1
    assert first.fingerprint == second.fingerprint
    assert first.generated
    assert not opened(first.train.root).generated


def test_the_phantom_goes_through_the_code_that_reads_chexpert(phantom_root):
    """The same files, opened as either, are the same data."""
    as_phantom = open_dataset(compose_config([f"data.root={phantom_root}", "data.valid_fraction=0.3", *SETTINGS]).data)
    assert as_phantom.fingerprint == opened(phantom_root).fingerprint


def test_the_real_xrays_open(shared):
    data = opened(shared / "data" / "nih-chexpert-small", "data.valid_fraction=0.2")
    assert len(data.train.frame) + len(data.valid.frame) == 614
    positives = [int((data.test.labels[:, data.tasks.index(task)] == 1).sum()) for task in COMPETITION_TASKS]
    assert positives == [44, 6, 13, 35, 38]  # as the README beside the images counts them
    fracture = data.tasks.index("fracture")
    assert np.isnan(data.train.labels[:, fracture]).all(), "NIH never labelled fractures"


@pytest.mark.slow
def test_a_set_of_chexperts_size_opens_within_a_gigabyte(tmp_path):
    write(tmp_path / "made-up")
    assert measure("ours", tmp_path / "made-up")["bytes"] < LIMITS["bytes"]
