import numpy as np
import pandas as pd
import pytest

from analysis.questions import curves
from analysis.questions.curves import choose, learning_table
from analysis.store.io import load_histories
from tests.analysis.synthetic import make_cells


@pytest.fixture
def cells(rng):
    made, _ = make_cells(3, depths=(0, 1), seeds=(0, 1), rng=rng)
    return made.assign(valid_auroc=np.nan, run_id=[f"run{i}" for i in range(len(made))])


class Log:
    """Histories made up, and which were asked for."""

    def __init__(self, values=(0.7, 0.8)):
        self.values, self.asked = values, []

    def __call__(self, run_ids, keys):
        self.asked += run_ids
        rows = [(run, key, 100 * i, value) for run in run_ids for key in keys for i, value in enumerate(self.values)]
        return pd.DataFrame(rows, columns=["run_id", "key", "step", "value"])


def test_the_best_by_validation_are_chosen_and_truncated_ones_never(cells):
    cells["valid_auroc"] = np.linspace(0.7, 0.8, len(cells))
    whole = cells[cells["truncate"] == 0]
    models, said = choose(cells)
    expected = [whole.index[whole["pretrained"] == side][-1] for side in (True, False)]
    assert models == expected
    assert "DenseNet201 pretrained (of 6) and DenseNet201 from scratch (of 6)" in said
    cells.loc[cells["truncate"] > 0, "valid_auroc"] = 1.0
    assert choose(cells)[0] == expected
    cells.loc[expected[0], "valid_auroc"] = np.nan
    assert choose(cells)[0] != expected


def test_without_validation_nothing_is_chosen_but_what_needs_no_choice(cells):
    models, said = choose(cells)
    assert models == []
    assert "validation AUROC" in said
    one = cells[(cells["truncate"] == 0) & (cells["seed"] == 0) & (cells["arch"] == "densenet121")]
    assert choose(one.reset_index(drop=True))[0] == [0, 1]


def test_learning_takes_the_first_seed_of_whole_networks_only(cells):
    log = Log()
    table, said = learning_table(cells, log)
    chosen = cells.set_index("run_id").loc[log.asked]
    assert (chosen["truncate"] == 0).all()
    assert (chosen["seed"] == 0).all()
    assert len(chosen) == 6
    assert len(table) == 6 * 2 * 2
    assert table.columns.tolist() == curves.LEARNING_COLUMNS
    assert "6 lines" in said
    assert "18 other cells not shown" in said


def test_of_many_networks_so_many_histories_are_read_and_no_more(cells, monkeypatch):
    monkeypatch.setattr(curves, "MOST_RUNS", 4)
    log = Log()
    _, said = learning_table(cells, log)
    assert len(log.asked) == 4
    assert "4 lines, evenly taken from 6" in said


def test_single_values_are_no_curve_and_the_evaluation_in_training_counts_at_the_end(cells):
    assert learning_table(cells, Log((0.7,)))[0].empty
    assert "more than once" in learning_table(cells, Log(()))[1]

    def twice(run_ids, keys):
        first = Log()(run_ids, keys)
        return pd.concat([first, first[first["step"] == 100].assign(value=0.99)], ignore_index=True)

    assert learning_table(cells, twice)[0]["value"].max() == 0.8


def test_histories_come_back_in_order(store):
    run_id = store.add("resnet18")
    for step, time, value in ((200, 3, 0.9), (100, 1, 0.7), (200, 2, 0.8)):
        store.client.log_metric(run_id, "valid/auroc", value, timestamp=time, step=step)
    frame = load_histories(store.uri, [run_id], ["valid/auroc", "train/loss"])
    assert frame.to_dict("list") == {
        "run_id": [run_id] * 3,
        "key": ["valid/auroc"] * 3,
        "step": [100, 200, 200],
        "value": [0.7, 0.8, 0.9],
    }
