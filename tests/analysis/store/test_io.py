import pytest

from analysis.errors import AnalysisError
from analysis.store import io
from analysis.store.cells import left_out, select_cells
from analysis.store.completeness import check_complete
from analysis.store.folders import Runs
from analysis.store.io import load_runs


def test_every_run_comes_back_with_its_tags_and_settings(four_cells):
    runs = load_runs(four_cells.uri, "chextransfer")
    assert sorted(runs["status"]) == ["FAILED"] + ["FINISHED"] * 4 + ["KILLED", "RUNNING"]
    cell = runs[runs["name"] == "resnet18-scratch-t0-s0"].iloc[0]
    assert (cell["arch"], cell["family"], cell["pretrained"], cell["truncate"]) == ("resnet18", "ResNet", False, 0)
    assert (cell["weights_standin"], cell["evaluation.level"], cell["protocol"]) == (False, "study", "quick")
    failed = runs[runs["status"] == "FAILED"].iloc[0]
    assert failed["failure"] == "WeightsError: no weights"


def test_the_summary_run_is_none_of_them(store):
    cell = store.add("resnet18")
    store.client.create_run(store.experiment_id, tags={"summary": "true"})
    assert load_runs(store.uri, "chextransfer")["run_id"].tolist() == [cell]


def test_paging_loses_no_run(four_cells, monkeypatch):
    whole = load_runs(four_cells.uri, "chextransfer")
    monkeypatch.setattr(io, "PAGE", 2)
    assert set(load_runs(four_cells.uri, "chextransfer")["run_id"]) == set(whole["run_id"])


def test_an_unknown_experiment_names_those_there_are(four_cells):
    with pytest.raises(AnalysisError, match=r"no experiment chextranfer; there are: Default, chextransfer"):
        load_runs(four_cells.uri, "chextranfer")


def test_what_the_contract_does_not_name_has_a_default(store):
    store.add(tags=dict.fromkeys(["protocol", "weights_standin", "data_generated", "data_uncertain"]))
    run = load_runs(store.uri, "chextransfer").iloc[0]
    assert (run["protocol"], run["data_uncertain"]) == ("quick", "u-ignore")  # from the parameters
    assert (run["weights_standin"], run["data_generated"]) == (False, False)


@pytest.mark.parametrize(
    ("tag", "value", "message"),
    [
        ("family", None, "run densenet121-pretrained-t0-s0 has no tag family"),
        ("pretrained", "True", "tag pretrained=True, which is not true or false"),
        ("truncate", "one", "tag truncate=one, which is not a whole number"),
    ],
)
def test_a_cell_with_a_bad_tag_costs_itself_alone_and_is_named(store, tag, value, message):
    store.add(tags={tag: value})
    store.add("resnet18")
    runs = load_runs(store.uri, "chextransfer").sort_values("name", ignore_index=True)
    assert runs["status"].tolist() == [io.UNREADABLE, "FINISHED"]
    assert message in runs.loc[0, "failure"]
    cells = select_cells(runs, {}, "chextransfer")
    assert cells["arch"].tolist() == ["resnet18"]
    assert message in left_out(runs).loc[0, "reason"]
    named = {"experiment": "chextransfer", "allow_missing": False}
    with pytest.raises(AnalysisError, match=f"1 of the 2 cells .* are missing: densenet121.*{message}"):
        check_complete(runs, cells, {}, **named)
    assert message in check_complete(runs, cells, {}, **named | {"allow_missing": True})[0]
    with pytest.raises(AnalysisError, match=message):
        select_cells(runs[:1], {}, "chextransfer")


def test_overridden_protocols_are_told_apart(store):
    store.add("resnet18")
    store.add("resnet34", params={"protocol.epochs": "1"})
    store.add("resnet50", params={"protocol.name": "another name of the same"})
    runs = load_runs(store.uri, "chextransfer").set_index("arch")["protocol_settings"]
    assert runs["resnet18"] != runs["resnet34"]
    assert runs["resnet18"] == runs["resnet50"]


def test_metrics_are_numbers_and_nan_where_a_run_has_none(store):
    run_id = store.add("resnet18")
    store.client.log_metric(run_id, "parameters", 11183694)
    store.client.log_metric(run_id, "fit_seconds", 1.5)
    store.client.log_metric(run_id, "latency_ms", 2e-5)
    store.client.log_metric(store.add("resnet34"), "latency_ms", float("nan"))
    runs = load_runs(store.uri, "chextransfer").set_index("arch")
    values = runs.loc["resnet18", ["parameters", "fit_seconds", "latency_ms"]]
    assert values.tolist() == [11183694.0, 1.5, 2e-5]
    assert runs.loc["resnet34", ["parameters", "macs", "latency_ms", "fit_seconds"]].isna().all()


def test_of_unfinished_runs_what_they_say_is_kept_and_nothing_made_up(store):
    unsaid = dict.fromkeys(["sweep", "weights", "protocol"])
    store.add("resnet18", status="FAILED", truncate=2, tags={"seed": "none", "pretrained": "false", **unsaid})
    run = load_runs(store.uri, "chextransfer").iloc[0]
    assert (run["arch"], run["truncate"], run["pretrained"], run["protocol"]) == ("resnet18", 2, False, "quick")
    assert [run[name] for name in ("seed", "sweep", "weights", "parameters")] == [None] * 4


def test_a_run_that_stopped_before_its_settings_were_written_claims_no_protocol(store):
    tags = {"cell": "c", "arch": "resnet18", "truncate": "0", "seed": "0", "pretrained": "true"}
    store.client.create_run(store.experiment_id, run_name="early", tags=tags)
    store.add("resnet34", status="FAILED")
    runs = load_runs(store.uri, "chextransfer").set_index("arch")
    assert runs.loc["resnet18", "protocol_settings"] is None
    assert isinstance(runs.loc["resnet34", "protocol_settings"], str)


def test_a_number_that_is_none_is_refused():
    column = io.Column("x", ("metric:x",), float, "nan")
    with pytest.raises(AnalysisError, match="run r has metric x=many, which is not a number"):
        io._value(column, {"metric": {"x": "many"}}, "r", defaults=True)
    for text in ("1", "-2.5", "1e-05", "1.5e+16", "inf", "nan"):
        assert str(io._value(column, {"metric": {"x": text}}, "r", defaults=True)) == str(float(text))


def test_no_run_has_no_history(store):
    points = Runs(store.uri, "chextransfer").histories([], ["valid/auroc"])
    assert (len(points), list(points.columns)) == (0, ["run_id", "key", "step", "value"])
