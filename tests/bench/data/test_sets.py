import shutil

import numpy as np
import pandas as pd
import pytest

from bench.config import compose_config
from bench.data import phantom
from bench.data.sets import open_dataset
from bench.data.tasks import COMPETITION_TASKS
from bench.errors import DataError


def opened(root, *overrides):
    return open_dataset(
        compose_config(["data=chexpert", f"data.root={root}", "data.valid_fraction=0.3", *overrides]).data
    )


@pytest.fixture
def copy(phantom_root, tmp_path):
    root = tmp_path / "renamed"
    shutil.copytree(phantom_root, root)
    return root


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


def test_test_labels_are_the_files(phantom_root):
    data = opened(phantom_root)
    file = pd.read_csv(phantom_root / "valid.csv")
    column = data.tasks.index("pleural_effusion")
    np.testing.assert_array_equal(data.test.labels[:, column], file["Pleural Effusion"])


def test_the_fingerprint_is_the_contents_and_not_the_place(phantom_root, copy):
    assert opened(copy).fingerprint == opened(phantom_root).fingerprint
    table = pd.read_csv(copy / "train.csv")
    table.sample(frac=1, random_state=0).to_csv(copy / "train.csv", index=False)
    assert opened(copy).fingerprint == opened(phantom_root).fingerprint, "the order of the rows is no content"


def test_a_changed_label_image_or_split_is_another_fingerprint(phantom_root, copy):
    original = opened(phantom_root).fingerprint
    assert opened(phantom_root, "data.valid_fraction=0.4").fingerprint != original
    assert opened(phantom_root, "data.views=frontal").fingerprint != original
    for image in copy.rglob("*.jpg"):
        image.write_bytes(image.read_bytes() + b"\0")
    assert opened(copy).fingerprint != original
    table = pd.read_csv(phantom_root / "valid.csv")
    table.loc[0, "Edema"] = 1 - table.loc[0, "Edema"]
    shutil.rmtree(copy)
    shutil.copytree(phantom_root, copy)
    table.to_csv(copy / "valid.csv", index=False)
    assert opened(copy).fingerprint != original


def test_views_can_be_chosen(phantom_root):
    assert set(opened(phantom_root, "data.views=frontal").train.frame["view"]) == {"frontal"}
    assert set(opened(phantom_root).train.frame["view"]) == {"frontal", "lateral"}


def test_a_validation_split_without_a_class_is_refused_with_the_remedy(copy):
    table = pd.read_csv(copy / "train.csv")
    table["Edema"] = 0.0
    table.to_csv(copy / "train.csv", index=False)
    with pytest.raises(DataError, match=r"0 positive and \d+ negative edema.*raise data.valid_fraction"):
        opened(copy)


def test_a_patient_in_both_files_is_refused(copy):
    train, test = (pd.read_csv(copy / name) for name in ("train.csv", "valid.csv"))
    pd.concat([test, train.iloc[:1]]).to_csv(copy / "valid.csv", index=False)
    with pytest.raises(DataError, match=r"patient\d+ is in both \w+ and test"):
        opened(copy)


@pytest.mark.parametrize(
    ("root", "message"), [("null", "needs data.root=DIR"), ("/no/such", "/no/such: no such folder")]
)
def test_a_root_that_is_none_is_refused(root, message):
    with pytest.raises(DataError, match=message):
        opened(root)


def test_a_missing_image_is_named(copy):
    for image in copy.rglob("*.jpg"):
        image.unlink()
    with pytest.raises(DataError, match=r"view\d_\w+.jpg: No such file"):
        opened(copy)


def test_the_phantom_is_generated_once_on_first_use(tmp_path, monkeypatch):
    calls = []
    generate = phantom.generate
    monkeypatch.setattr(phantom, "generate", lambda root, spec: (calls.append(spec), generate(root, spec)))
    settings = ["data.phantom.train_patients=90", "data.phantom.test_patients=60", "data.phantom.seed=3"]
    config = compose_config([f"data.root={tmp_path}/p", "data.valid_fraction=0.3", *settings]).data
    first, second = open_dataset(config), open_dataset(config)
    assert len(calls) == 1
    assert first.fingerprint == second.fingerprint
    assert first.generated
    assert not opened(first.root).generated


def test_the_phantom_goes_through_the_code_that_reads_chexpert(phantom_root):
    """The same files, opened as either, are the same data."""
    settings = ["data.phantom.train_patients=90", "data.phantom.test_patients=60", "data.phantom.seed=3"]
    as_phantom = open_dataset(compose_config([f"data.root={phantom_root}", "data.valid_fraction=0.3", *settings]).data)
    assert as_phantom.fingerprint == opened(phantom_root).fingerprint


def test_the_real_xrays_open(shared):
    data = opened(shared / "data" / "nih-chexpert-small", "data.valid_fraction=0.2")
    assert len(data.train.frame) + len(data.valid.frame) == 614
    positives = [int((data.test.labels[:, data.tasks.index(task)] == 1).sum()) for task in COMPETITION_TASKS]
    assert positives == [44, 6, 13, 35, 38]  # as the README beside the images counts them
    fracture = data.tasks.index("fracture")
    assert np.isnan(data.train.labels[:, fracture]).all(), "NIH never labelled fractures"
