import pandas as pd
import pytest

from analysis.axes import AXES, COLUMNS
from analysis.errors import AnalysisError
from analysis.store.cells import left_out, order_cells, select_cells

SAME = {axis.column: axis.default for axis in AXES} | {
    "data": "phantom",
    "data_fingerprint": "aa",
    "protocol": "paper",
    "protocol_settings": "p1",
    "evaluation.tasks": "x,y",
    "evaluation.level": "study",
    "evaluation.views": "max",
}


def run(arch="resnet18", pretrained=True, status="FINISHED", **changes):
    name = f"{arch}-{'pretrained' if pretrained else 'scratch'}"
    row = {"run_id": f"id-{name}", "name": name, "status": status, "cell": f"cell-{name}", "failure": ""}
    row |= {"arch": arch, "family": "ResNet", "pretrained": pretrained, "truncate": 0, "seed": 0, "sweep": "paper"}
    return row | {"weights": "w" if pretrained else "none", "params": {}} | SAME | changes


def frame(*rows):
    return pd.DataFrame(list(rows), dtype=object)


def select(*rows, **filters):
    return select_cells(frame(*rows), {name.replace("__", "."): value for name, value in filters.items()}, "mine")


def test_only_finished_cells_count_and_the_others_are_named():
    rows = [
        run(),
        run("a", status="FAILED", failure="no weights\nmore"),
        run("b", status="RUNNING"),
        run("c", cell=None),
    ]
    rows.append(run(run_id="id-again", status="KILLED"))
    assert select(*rows)["name"].tolist() == ["resnet18-pretrained"]
    assert left_out(frame(*rows)).to_numpy().tolist() == [
        ["a-pretrained", "FAILED", "no weights"],
        ["c-pretrained", "FINISHED", "no cell: the run has no tag `cell`"],
        ["resnet18-pretrained", "KILLED", "the same cell is finished in another run"],
        ["b-pretrained", "RUNNING", ""],
    ]


def test_without_finished_cells_the_states_are_named():
    with pytest.raises(AnalysisError, match=r"experiment mine has no finished cell \(2 RUNNING, 1 FAILED\)"):
        select(run(status="RUNNING"), run("b", status="RUNNING"), run("c", status="FAILED"))
    with pytest.raises(AnalysisError, match="no runs at all"):
        select_cells(frame(run()).iloc[:0], {}, "mine")


def test_a_cell_finished_twice_is_refused_with_both_runs():
    with pytest.raises(
        AnalysisError, match=r"cell-resnet18-pretrained is finished twice.*\(one\).*\(two\).*delete one"
    ):
        select(run(run_id="one"), run(run_id="two"))


@pytest.mark.parametrize("column", sorted(SAME.keys() - set(COLUMNS)))
def test_cells_of_different_kinds_are_not_pooled(column):
    rows = [run("a", **{column: "study"}), run("b", **{column: "study"}), run("c", **{column: "image"})]
    message = rf"differ in {column} must not be pooled \(study: 2 cells; image: 1 cells\); choose with {column}=study"
    with pytest.raises(AnalysisError, match=message):
        select_cells(frame(*rows), {}, "mine")
    assert select_cells(frame(*rows), {column: "image"}, "mine")["arch"].tolist() == ["c"]


def test_a_filter_that_leaves_nothing_names_what_there_is():
    with pytest.raises(AnalysisError, match="has data=chexpert; there is phantom"):
        select(run(), data="chexpert")


def test_a_sweep_is_one_of_the_words_of_its_tag():
    rows = [run("a", sweep="pretraining,paper"), run("b", sweep="truncation"), run("c", sweep="")]
    assert select(*rows, sweep="paper")["arch"].tolist() == ["a"]


def test_different_cells_in_the_same_place_are_refused():
    two = run(run_id="two", cell="other")
    with pytest.raises(AnalysisError, match=r"alike in all that a report compares.*choose one with sweep=NAME"):
        select(run(run_id="one"), two)
    said = r"differ in trainer.compile true and false; choose one with 'where=params.`trainer.compile` = \"true\"'"
    with pytest.raises(AnalysisError, match=said):
        select(run(params={"trainer.compile": "true", "outputs": "a"}), two | {"params": {"trainer.compile": "false"}})


def test_the_order_is_by_family_and_numbers_are_numbers():
    rows = [
        run("zeta", family="A new one"), run("resnet101"), run("resnet18", False), run("resnet18"),
        run("resnet18", seed=1),
        run("densenet121", family="DenseNet"), run("densenet121", family="DenseNet", truncate=1),
    ]  # fmt: skip
    ordered = order_cells(frame(*rows))
    assert ordered[["arch", "truncate", "pretrained", "seed"]].to_numpy().tolist() == [
        ["densenet121", 0, True, 0],
        ["densenet121", 1, True, 0],
        ["resnet18", 0, True, 0],
        ["resnet18", 0, True, 1],
        ["resnet18", 0, False, 0],
        ["resnet101", 0, True, 0],
        ["zeta", 0, True, 0],
    ]
