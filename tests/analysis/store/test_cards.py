import json
import math

import pandas as pd
import pytest

from analysis.sections.data import FILTERED, labels_display, splits_display
from analysis.store import artifacts
from analysis.store.cards import load_cards
from analysis.store.io import load_runs
from analysis.tables import shown as text_of
from tests.analysis.recorded import FINGERPRINT, NAME, card, leave_card, split


def loaded(store):
    return load_cards(store.uri, load_runs(store.uri, "chextransfer"))


def test_every_number_of_a_card_comes_back(store):
    leave_card(store, store.add(), card())
    cards = loaded(store)
    labels = cards.labels.set_index(["fingerprint", "split", "task", "value"])["count"].to_dict()
    for split_name, counts in (("train", (2, 3, 1, 12339)), ("test", (2, 3, 1, 2))):
        for value, expected in zip(("positive", "negative", "uncertain", "blank"), counts, strict=True):
            assert labels[FINGERPRINT, split_name, "edema", value] == expected
    assert len(labels) == 8
    facts = cards.splits.set_index(["split", "group", "item"])["value"].to_dict()
    assert [facts["train", "", name] for name in ("images", "studies", "patients")] == [12345, 12344, 12343]
    assert (facts["test", "views", "lateral"], facts["train", "ap_pa", "AP"]) == (3, 4)
    assert (facts["train", "age", "mean"], facts["train", "age", "sd"], facts["train", "age", "high"]) == (
        61.25,
        3.5,
        90,
    )
    assert math.isnan(facts["test", "age", "mean"])
    assert cards.filtered.to_dict("records") == [{"fingerprint": FINGERPRINT} | card()["filters"][0]]
    assert cards.problems == []
    assert cards.sentences == [
        "CheXpert, fingerprint 0123456789. Training and validation divided by a hash of the patient.",
        "Uncertain training labels: u-ignore, edema u-ones. The counts are the labels as given.",
    ]


def test_generated_images_and_an_unfiltered_set_are_said_to_be(store):
    leave_card(store, store.add(), card(generated=True, filters=[]))
    said = " ".join(loaded(store).sentences)
    assert "Generated images, no patients." in said
    assert "No filter left anything out." in said


def test_readers_see_counts_with_their_thousands_apart(store):
    leave_card(store, store.add(), card())
    cards = loaded(store)
    shown = splits_display(cards.splits).set_index("")
    assert shown.loc["Images"].to_dict() == {"train": "12,345", "test": "8"}
    assert shown.loc["View: lateral"].to_dict() == {"train": "0", "test": "3"}
    assert shown.loc["Projection: not given", "test"] == "4"
    assert shown.loc["Age, years: known"].to_dict() == {"train": "5", "test": "0"}
    assert shown.loc["Age, years: mean"].to_dict() == {"train": "61.2", "test": "n/a"}
    labels = labels_display(cards.labels).to_dict("records")
    counts = {"Positive": "2", "Negative": "3", "Uncertain": "1", "Blank": "12,339"}
    assert labels[0] == {"Label": "Edema", "Split": "train"} | counts
    assert labels[1]["Split"] == "test"
    left = text_of(cards.filtered, FILTERED).to_dict("records")
    assert left[0]["Left out because"] == "Male"
    assert (left[0]["Images"], left[0]["Patients with none left"]) == ("1,500", "7")


def test_one_card_is_read_for_each_fingerprint(store, monkeypatch):
    for arch in ("resnet18", "resnet34", "resnet50"):
        leave_card(store, store.add(arch), card())
    other = card(fingerprint="other", name="NIH")
    leave_card(store, store.add("resnet101", tags={"data_fingerprint": "other"}), other)
    asked = []
    read = artifacts.read
    monkeypatch.setattr(artifacts, "read", lambda uri, run, path: asked.append(path) or read(uri, run, path))
    cards = loaded(store)
    assert asked == [NAME, NAME]
    assert set(cards.labels["fingerprint"]) == {FINGERPRINT, "other"}
    assert set(labels_display(cards.labels)["Data"]) == {FINGERPRINT, "other"}, "sets are told apart"
    assert set(splits_display(cards.splits)["Data"]) == {FINGERPRINT, "other"}


def test_a_run_without_a_card_is_passed_over_for_one_with(store):
    store.add("resnet18")
    leave_card(store, store.add("resnet34"), card())
    store.add("resnet50")  # runs are read in no particular order
    cards = loaded(store)
    assert len(cards.labels) == 8
    assert cards.problems == []


def test_older_runs_are_said_to_have_no_card(store):
    store.add()
    cards = loaded(store)
    assert cards.problems == [f"No run on phantom ({FINGERPRINT}) left a {NAME}: it comes with those of this version."]
    assert cards.labels.empty
    assert cards.splits.empty


def torn(made):
    return json.dumps(made).encode()[:-20]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\xfd", "UnicodeDecodeError"),
        (torn(card()), "JSONDecodeError"),
        (b"[]", "TypeError"),
        (b"{}", "KeyError: 'fingerprint'"),
        (card(fingerprint="another"), "it is of the data another, and the run is on 0123456789"),
        (card(splits={"train": split(9) | {"images": 10}}), "edema of train counts 9 labels, and there are 10 images"),
        (card(splits={"train": split(9, sex={"Male": "many"})}), "'many' is not a count"),
        (card(splits={"train": split(9, sex={"Male": -1})}), "-1 is not a count"),
        (card(splits={"train": split(9, sex={"Male": True})}), "True is not a count"),
        (card(splits={"train": []}), "TypeError"),
        (card(splits=None), "AttributeError"),
    ],
)
def test_a_card_that_is_none_is_said_to_be_and_shows_no_number(store, content, message):
    run_id = store.add()
    store.leave(run_id, NAME, content if isinstance(content, bytes) else json.dumps(content).encode())
    cards = loaded(store)
    assert len(cards.problems) == 1
    assert cards.problems[0].startswith(f"{NAME} of run densenet121-pretrained-t0-s0 ({run_id}) cannot be shown: ")
    assert message in cards.problems[0]
    assert all(table.empty for table in (cards.splits, cards.labels, cards.filtered))
    assert list(pd.DataFrame(labels_display(cards.labels)).columns) == []
