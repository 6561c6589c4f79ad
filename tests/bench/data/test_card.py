import dataclasses
import io
import json

import pandas as pd
import pytest
from rich.console import Console

from bench.config import compose_config
from bench.data.card import card, markdown, render
from bench.data.sets import open_dataset


@pytest.fixture(scope="module")
def data(phantom_root):
    overrides = ["data.valid_fraction=0.3", "data.views=frontal", "data.age_min=30", "data.uncertain.edema=u-ones"]
    return open_dataset(compose_config(["data=chexpert", f"data.root={phantom_root}", *overrides]).data)


@pytest.fixture(scope="module")
def made(data):
    return card(data)


@pytest.fixture(scope="module")
def rows(phantom_root):
    """The test set's rows that pass the filters, straight from the file."""
    table = pd.read_csv(phantom_root / "valid.csv")
    return table[(table["Frontal/Lateral"] == "Frontal") & (table["Age"] >= 30)]


def test_the_counts_are_those_of_the_file(made, rows):
    test = made["splits"]["test"]
    patient = rows["Path"].str.extract(r"(patient\d+)", expand=False)
    study = rows["Path"].str.extract(r"(patient\d+/study\d+)", expand=False)
    assert (test["images"], test["studies"], test["patients"]) == (len(rows), study.nunique(), patient.nunique())
    assert test["views"] == {"frontal": len(rows)}
    assert test["ap_pa"] == rows["AP/PA"].value_counts().to_dict()
    assert test["sex"] == rows["Sex"].value_counts().to_dict()
    assert test["labels"]["edema"] == {
        "positive": (rows["Edema"] == 1).sum(),
        "negative": (rows["Edema"] == 0).sum(),
        "uncertain": (rows["Edema"] == -1).sum(),
        "blank": rows["Edema"].isna().sum(),
    }
    assert (test["age"]["mean"], test["age"]["sd"]) == pytest.approx((rows["Age"].mean(), rows["Age"].std()))
    assert (test["age"]["known"], test["age"]["low"], test["age"]["high"]) == (
        len(rows),
        rows["Age"].min(),
        rows["Age"].max(),
    )


def test_training_labels_are_counted_as_given_whatever_the_policy(made, data):
    counts = made["splits"]["train"]["labels"]["edema"]
    assert counts["uncertain"] == int((data.train.frame["edema"] == -1).sum()) > 0
    assert sum(counts.values()) == len(data.train.frame)
    assert made["uncertain"]["edema"] == "u-ones"
    assert made["uncertain"]["fracture"] == "u-ignore"


def test_filters_say_what_they_left_out(made, phantom_root, rows):
    test = [one for one in made["filters"] if one["split"] == "test"]
    assert [one["filter"] for one in test] == ["data.views=frontal", "data.age_min=30", "data.age_min=30"]
    assert sum(one["images"] for one in test) == len(pd.read_csv(phantom_root / "valid.csv")) - len(rows)


def test_the_card_is_json_without_nan(made, data):
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert (made["fingerprint"], made["generated"]) == (data.fingerprint, False)
    assert "0.3 of them to validation" in made["divided"]


def test_what_is_not_known_is_null_and_not_zero(data):
    blank = data.test.frame.assign(age=float("nan"), ap_pa=None)
    test = card(dataclasses.replace(data, test=dataclasses.replace(data.test, frame=blank)))["splits"]["test"]
    assert test["age"] == {"known": 0, "mean": None, "sd": None, "low": None, "high": None}
    assert test["ap_pa"] == {"not given": len(blank)}


def test_ages_that_nobody_has_are_counted(data):
    frame = data.test.frame.assign(impossible_age=[True, True, *[False] * (len(data.test.frame) - 2)])
    made = card(dataclasses.replace(data, test=dataclasses.replace(data.test, frame=frame)))
    assert [made["splits"][name]["impossible_ages"] for name in ("train", "test")] == [0, 2]
    assert "| age: impossible, so unknown | 0 | 0 | 2 |" in markdown(made)


def test_the_page_and_the_terminal_show_the_same_numbers(made):
    page = markdown(made)
    console = Console(record=True, width=160, file=io.StringIO())
    console.print(render(made))
    terminal = console.export_text()
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in terminal.splitlines()]
    for name, split in made["splits"].items():
        assert f"## Labels as given: {name}" in page
        assert f"Labels as given: {name}" in terminal
        counts = ["edema", *(str(count) for count in split["labels"]["edema"].values())]
        assert f"| {' | '.join(counts)} |" in page
        assert counts in cells
    assert made["fingerprint"] in page
    assert made["fingerprint"] in terminal
    assert "| data.views=frontal | train | not frontal |" in page
    assert "u-ignore, edema u-ones" in page
