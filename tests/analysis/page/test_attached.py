"""Data card and activation maps in the whole report."""

import json
import re

import pandas as pd
import pytest

from analysis.report import main
from analysis.store import maps
from tests.analysis.recorded import card, leave_card, network, record

EVIL = "<script>alert(1)</script>"


def written(store, out):
    assert main([*store.words, f"out={out}", "resamples=20", "permutations=20"]) == 0
    return (out / "index.html").read_text(encoding="utf-8")


def section(page, title):
    return page.partition(f">{title}</h2>")[2].partition("<h2 ")[0]


def test_the_page_shows_the_card(store, tmp_path):
    leave_card(store, store.add(), card())
    data = section(written(store, tmp_path / "r"), "Data")
    assert data.index("Uncertain training labels: u-ignore, edema u-ones") < data.index("<table>")
    assert data.count("Uncertain training labels") == 1
    folded = re.search(r"<details><summary>(.*?)</summary>(.*?)</details>", data, flags=re.DOTALL)
    assert folded[1] == "Labels as given, by label and split (2 rows)"
    assert "12,339" in folded[2]
    assert "data.sex=Female" in data.replace(folded[0], ""), "what was left out is open to view"


def test_the_tables_hold_the_card(store, tmp_path):
    leave_card(store, store.add(), card())
    written(store, tmp_path / "r")
    labels = pd.read_csv(tmp_path / "r" / "tables" / "data_card.csv", dtype={"fingerprint": str})
    assert labels.columns.tolist() == ["fingerprint", "split", "task", "value", "count"]
    assert labels["count"].tolist() == [2, 3, 1, 12339, 2, 3, 1, 2]
    text = (tmp_path / "r" / "tables" / "data_card.md").read_text(encoding="utf-8")
    assert "| --- | --- | ---: | ---: | ---: | ---: |" in text
    assert "Uncertain training labels" in text


def test_a_report_of_older_runs_says_what_they_lack(store, tmp_path):
    run_id = store.add()
    page = written(store, tmp_path / "r")
    assert "No run on phantom (0123456789) left a data_card.json" in section(page, "Data")
    command = f"python -m bench.cam run={run_id} tracking.uri={store.uri} compare="
    assert command in section(page, "Class activation maps")
    assert "<img" not in section(page, "Class activation maps")
    assert pd.read_csv(tmp_path / "r" / "tables" / "data_card.csv").empty


def test_maps_are_in_the_page_itself_with_what_they_show(store, tmp_path, monkeypatch):
    monkeypatch.setattr(maps, "MOST", 1)
    run_id = store.add()
    for task in ("edema", "atelectasis"):
        record(store, run_id, f"{task}-vs-01234567", network(run_id), network(truncate=2))
    shown = section(written(store, tmp_path / "r"), "Class activation maps")
    assert shown.count('<img src="data:image/png;base64,iVBORw0KGgo') == 1
    assert "<figcaption>Atelectasis: ResNet-18 from scratch, whole" in shown
    assert "1 figure left out here." in shown


def test_the_page_stays_below_ten_megabytes(store, tmp_path):
    run_id = store.add()
    for place in range(9):
        record(store, run_id, f"task_{place}", image=bytes(1_000_000))
    page = written(store, tmp_path / "r")
    assert page.count("data:image/png") == 4
    assert "5 figures left out here." in page
    assert len(page.encode()) < 10e6


def test_maps_that_are_all_too_large_are_counted(store, tmp_path):
    run_id = store.add()
    for task in ("edema", "atelectasis"):
        record(store, run_id, task, image=bytes(6_000_000))
    shown = section(written(store, tmp_path / "r"), "Class activation maps")
    assert "2 figures too large for this page." in shown
    assert "<img" not in shown


@pytest.mark.parametrize("place", ["card", "map"])
def test_what_other_people_wrote_is_escaped(store, tmp_path, place):
    run_id = store.add()
    if place == "card":
        one = json.loads(json.dumps(card()).replace("edema", EVIL).replace("Male", EVIL).replace("frontal", EVIL))
        leave_card(store, run_id, one | {"name": EVIL, "divided": EVIL})
    else:
        record(store, run_id, "edema", network(EVIL, network=EVIL, seed=EVIL))
    page = written(store, tmp_path / "r")
    assert "&lt;script&gt;alert(1)" in page.replace("&lt;Script", "&lt;script")
    for file in (tmp_path / "r").rglob("*.*"):
        if file.suffix in (".html", ".md"):  # a page has a script of its own
            assert file.read_text(encoding="utf-8").lower().count("<script") == (file.suffix == ".html")
