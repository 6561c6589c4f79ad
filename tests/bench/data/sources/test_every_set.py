"""Each set through `open_dataset`: trained on, and tested on by a network of another."""

import numpy as np
import pandas as pd
import pytest

from bench.config import compose_config
from bench.data.sets import open_dataset
from bench.data.tasks import ALL_TASKS, COMPETITION_TASKS, OBSERVATIONS
from tests.bench.data import layouts

SETS = ("nih", "mimic", "vindr", "padchest")
FRONTAL = ("nih", "vindr")


@pytest.fixture(scope="session")
def roots(phantom_root, tmp_path_factory):
    base = tmp_path_factory.mktemp("every")
    for name in SETS:
        getattr(layouts, name)(phantom_root, base / name)
    return {name: base / name for name in SETS}


@pytest.mark.parametrize("name", SETS)
def test_each_set_can_be_trained_on(roots, name):
    data = open_dataset(compose_config([f"data={name}", f"data.root={roots[name]}", "data.tasks=competition"]).data)
    assert data.tasks == COMPETITION_TASKS
    for split in (data.train, data.valid, data.test):
        assert len(split.frame) == len(split.labels) > 0
        assert all((split.root / path).is_file() for path in split.frame["path"])
    sides = [set(split.frame["patient"]) for split in (data.train, data.valid, data.test)]
    assert sum(map(len, sides)) == len(set().union(*sides))


def test_one_set_is_trained_on_and_tested_on_all_others(phantom_root, roots, pairs):
    external = [f"data.external=[{','.join(SETS)}]", *(f"data.roots.{name}={root}" for name, root in roots.items())]
    data = open_dataset(compose_config(["data=chexpert", f"data.root={phantom_root}", *external]).data)
    valid = pd.read_csv(phantom_root / "valid.csv")
    frontal = valid[valid["Frontal/Lateral"] == "Frontal"]
    assert tuple(data.external) == SETS
    for name, split in data.external.items():
        assert split.root == roots[name]
        assert len(split.frame) == len(frontal if name in FRONTAL else valid)
        told = pairs(split.frame, split.root)
        for task in COMPETITION_TASKS:
            observation = OBSERVATIONS[ALL_TASKS.index(task)]
            expected = [float(phantom[observation]) for _, phantom in told]
            np.testing.assert_array_equal(split.labels[:, data.tasks.index(task)], expected, err_msg=f"{name} {task}")


def test_a_task_that_an_external_set_was_never_labelled_for_is_undefined_there(phantom_root, roots):
    settings = [f"data.root={phantom_root}", "data.external=[nih]", f"data.roots.nih={roots['nih']}"]
    data = open_dataset(compose_config(["data=chexpert", *settings]).data)
    labels = data.external["nih"].labels
    assert np.isnan(labels[:, data.tasks.index("support_devices")]).all()
    assert not np.isnan(labels[:, data.tasks.index("edema")]).any()
