import pytest

from analysis.errors import AnalysisError
from analysis.store.cells import select_cells
from analysis.store.completeness import check_complete, missing_cells
from analysis.store.io import load_runs
from tests.analysis.store.test_cells import frame, run


def cell(arch, pretrained, truncate=0, seed=0, status="FINISHED", **changes):
    name = f"{arch}-{'pretrained' if pretrained else 'scratch'}-t{truncate}-s{seed}"
    made = run(arch, pretrained, status, truncate=truncate, seed=seed, name=name, cell=f"cell-{name}", run_id=name)
    return made | {"weights": f"{arch}.tv" if pretrained else "none"} | changes


def missing(*rows, **filters):
    runs = frame(*rows)
    found = missing_cells(runs, select_cells(runs, filters, "mine"), filters)
    return dict(zip(found["name"], found["reason"], strict=True))


def test_one_arm_alone_is_a_whole_sweep():
    assert missing(cell("a", True)) == {}
    assert missing(cell("a", True), cell("b", True), cell("c", True, 1)) == {}
    assert missing(cell("a", False), cell("b", False)) == {}
    assert missing(cell("a", True), cell("b", False)) == {}  # no architecture has both


def test_both_arms_are_wanted_where_any_architecture_has_both():
    both = [cell("a", True), cell("a", False)]
    assert missing(*both) == {}
    assert missing(*both, cell("b", True)) == {"b-scratch-t0-s0": "never started"}
    assert missing(*both, cell("b", True), cell("b", True, 1)) == {"b-scratch-t0-s0": "never started"}
    assert missing(*both, cell("a", True, 1), cell("a", False, 1), cell("b", False, 1)) == {
        "b-pretrained-t1-s0": "never started"
    }


def test_a_failed_arm_counts_as_wanted_and_says_why():
    rows = [cell("a", True), cell("a", False, status="FAILED", failure="no room\nmore"), cell("b", True)]
    assert missing(*rows) == {"a-scratch-t0-s0": "FAILED: no room", "b-scratch-t0-s0": "never started"}
    assert missing(cell("a", True), cell("b", True, 2, status="RUNNING")) == {"b-pretrained-t2-s0": "RUNNING"}
    assert missing(cell("a", True), cell("b", True, 2, status="KILLED")) == {"b-pretrained-t2-s0": "KILLED"}


def test_what_failed_once_and_finished_later_is_there():
    again = cell("a", True, run_id="again", cell="another hash: the weights were not found", status="FAILED")
    assert missing(cell("a", True), again) == {}
    assert missing(cell("a", True), cell("b", True), again | {"weights": None}) == {}
    other = cell("a", True, run_id="other", weights="a.other", status="FAILED")
    assert missing(cell("a", True), other) == {"a-pretrained-t0-s0": "FAILED"}


def test_every_seed_is_wanted_of_every_architecture_at_its_depth():
    seeds = [cell("a", True, seed=seed) for seed in (0, 1, 2)]
    assert missing(*seeds, cell("b", True), cell("b", True, seed=2)) == {"b-pretrained-t0-s1": "never started"}
    assert missing(*seeds, cell("a", True, 1)) == {}  # truncated with one seed
    both = [cell("a", side, seed=seed) for seed in (0, 1) for side in (True, False)]
    assert missing(*both[:3]) == {"a-scratch-t0-s1": "never started"}


def test_runs_of_other_data_or_another_protocol_or_sweep_are_not_of_this_report():
    for change in ({"data_fingerprint": "bb"}, {"protocol_settings": "p2"}):
        assert missing(cell("a", True), cell("b", True, status="FAILED", **change)) == {}
    filters = {"data_fingerprint": "aa"}
    other = cell("b", False, data_fingerprint="bb")
    assert missing(cell("a", True), other, **filters) == {}
    assert missing(cell("a", True), cell("b", True, status="FAILED", sweep="truncation"), sweep="paper") == {}
    assert missing(cell("a", True), cell("b", True, status="FAILED", sweep="x,paper"), sweep="paper") != {}
    unsaid = {"data_fingerprint": None, "protocol_settings": None, "sweep": None}
    assert missing(cell("a", True), cell("b", True, status="FAILED", **unsaid)) == {"b-pretrained-t0-s0": "FAILED"}


def test_a_run_that_is_no_cell_is_none_that_is_missing():
    assert missing(cell("a", True), cell("b", True, status="FAILED", cell=None)) == {}
    assert missing(cell("a", True), cell("b", True, status="FAILED", truncate=None)) == {}


def test_a_report_stops_and_names_them_or_goes_on_with_a_note():
    runs = frame(cell("a", True), cell("a", False), cell("b", True), cell("c", False, status="KILLED"))
    cells = select_cells(runs, {}, "mine")
    words = (
        "3 of the 6 cells of experiment mine are missing: b-scratch-t0-s0 (never started); "
        "c-pretrained-t0-s0 (never started); c-scratch-t0-s0 (KILLED)"
    )
    with pytest.raises(AnalysisError) as error:
        check_complete(runs, cells, {}, experiment="mine", allow_missing=False)
    assert str(error.value) == f"{words}. Train them, or report without them with allow_missing=true"
    notes = check_complete(runs, cells, {}, experiment="mine", allow_missing=True)
    assert notes == [f"Incomplete: {words}. Every number is of the finished cells alone."]
    whole = frame(cell("a", True))
    assert check_complete(whole, whole, {}, experiment="mine", allow_missing=False) == []


def test_on_a_real_store(store):
    for arch in ("resnet18", "resnet34"):
        store.add(arch, True)
    store.add("resnet18", False)
    store.add("resnet34", False, status="FAILED", tags={"failure": "OutOfMemoryError: x"})
    store.add("resnet50", True, status="RUNNING", params={"protocol.epochs": "9"})  # another protocol
    store.add("resnet101", True, status="KILLED")
    runs = load_runs(store.uri, "chextransfer")
    found = missing_cells(runs, select_cells(runs, {}, "chextransfer"), {})
    assert found[["name", "reason"]].to_numpy().tolist() == [
        ["resnet101-pretrained-t0-s0", "KILLED"],
        ["resnet101-scratch-t0-s0", "never started"],
        ["resnet34-scratch-t0-s0", "FAILED: OutOfMemoryError: x"],
    ]
