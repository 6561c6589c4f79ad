import json
import re

import pytest

from bench.tracking.study import OWN, VIEW, VIEWS, Published, description, refreshed, tags

PUBLISHED = Published("ab12", "2026-01-02T03:04:05+00:00", 7, ("A claim: **undecided**",), False, None)


def states():
    return {key: json.loads(json.loads(tags()[VIEW + key])["state"]) for key in VIEWS}


def test_views_are_saved_as_mlflow_reads_them():
    for key, view in VIEWS.items():
        saved = json.loads(tags()[VIEW + key])
        assert (saved["name"], type(saved["createdAt"]), type(saved["state"])) == (view.title, int, str)
    assert all(len(value) <= 5000 for value in tags().values()), "MLflow's limit on an experiment's tag"


def test_every_view_has_the_axes_as_columns_and_only_cells_as_rows():
    for state in states().values():
        axes = {f"tags.`{name}`" for name in ("family", "pretrained", "truncate", "seed")}
        assert axes <= set(state["selectedColumns"])
        assert state["searchFilter"] == "tags.cell LIKE '%'"
    assert [key["groupByData"] for key in states()["families"]["groupBy"]["groupByKeys"]] == ["family", "pretrained"]


def test_a_chart_is_drawn_in_a_section_that_there_is():
    state = states()["charts"]
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {card["metricSectionId"] for card in state["compareRunCharts"]} == sections
    assert len({card["uuid"] for card in state["compareRunCharts"]}) == len(state["compareRunCharts"])


def test_the_description_links_to_every_view_and_says_that_there_is_no_report_yet():
    text = description("mine", "12")
    assert set(re.findall(r"#/experiments/12/runs\?viewStateShareKey=(\w+)", text)) == set(VIEWS)
    assert "No report has been published yet" in text
    assert "analysis.report experiment=mine" in text


def test_what_was_published_is_linked():
    text = description("mine", "12", PUBLISHED)
    assert "(#/experiments/12/runs/ab12/artifacts/report/index.html)" in text
    assert "7 cells, made 2026-01-02" in text
    assert "- A claim: **undecided**" in text
    assert "demonstration, not a reproduction" not in text
    assert "#/models/" not in text


def test_a_demonstration_and_a_model_are_said():
    made = Published("ab12", "now", 1, (), True, ("name/versions/3", "resnet18-scratch-t0-s0"))
    text = description("mine", "12", made)
    assert "A demonstration, not a reproduction" in text
    assert "[name, version 3](#/models/name/versions/3), resnet18-scratch-t0-s0" in text


def test_what_a_person_wrote_below_the_description_stays():
    mine = description("mine", "12").rstrip() + "\n\nSeed 3 was trained on the old scanner.\n"
    again = refreshed(mine, description("mine", "12", PUBLISHED))
    assert "ab12" in again
    assert again.endswith(f"{OWN}\n\nSeed 3 was trained on the old scanner.\n")
    assert refreshed(again, description("mine", "12", PUBLISHED)) == again


@pytest.mark.parametrize(
    ("old", "kept"),
    [("", ""), ("Transfer learning on chest X-rays: one run is one cell", ""), ("Ask Ann.", "\nAsk Ann.\n")],
)
def test_a_description_from_before_the_harness_becomes_a_note(old, kept):
    assert refreshed(old, f"new\n{OWN}\n") == f"new\n{OWN}\n{kept}"
