"""Metrics beside AUROC through the whole report."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from analysis.evaluation import MEAN
from analysis.report import main
from analysis.views import aggregate_views
from tests.analysis.conftest import TASKS, make_predictions


@pytest.fixture(scope="module")
def made(empty_database, tmp_path_factory):
    import shutil

    from tests.analysis.conftest import FakeStore

    folder = tmp_path_factory.mktemp("metrics")
    shutil.copy(empty_database, folder / "mlflow.db")
    store, frames = FakeStore(folder), {}
    for i, arch in enumerate(("resnet18", "densenet121")):
        for pretrained in (True, False):
            test, valid = (make_predictions(seed + 2 * i + pretrained, skill=2.0, n_patients=120) for seed in (0, 50))
            run = store.add(arch, pretrained, frame=test)
            valid.to_parquet(store.artifact(run, "predictions/valid.parquet"), index=False)
            frames[f"cell-{arch}-{'pretrained' if pretrained else 'scratch'}-t0-s0"] = test, valid
    words = ["resamples=200", "permutations=50", "metrics=[auroc,average_precision,sensitivity]", "unit=study"]
    assert main([*store.words, *words, f"out={folder / 'r'}"]) == 0
    return store, folder / "r", frames


def studies(frame, task):
    rows = aggregate_views(frame, "study", "max")
    rows = rows[rows[f"label/{task}"].notna()]
    return rows[f"label/{task}"].to_numpy(), rows[f"score/{task}"].to_numpy()


def test_every_metric_is_that_of_the_saved_predictions(made):
    _, out, frames = made
    table = pd.read_csv(out / "tables" / "metrics.csv").set_index(["metric", "cell", "task"])
    for cell, (test, valid) in frames.items():
        for task in TASKS:
            labels, scores = studies(test, task)
            expected = average_precision_score(labels, scores)
            assert table.loc[("average_precision", cell, task), "estimate"] == pytest.approx(expected)
            of_valid, by_valid = studies(valid, task)
            row = table.loc[("sensitivity", cell, task)]
            assert np.mean(by_valid[of_valid == 0] <= row["cut"]) >= 0.9
            assert row["estimate"] == pytest.approx(np.mean(scores[labels == 1] > row["cut"]))
            specificity = table.loc[("specificity", cell, task), "estimate"]
            assert specificity == pytest.approx(np.mean(scores[labels == 0] <= row["cut"]))
    assert (table["low"] <= table["estimate"]).all()
    assert (table["high"] >= table["estimate"]).all()


def test_boosts_are_differences_in_the_same_resamples(made):
    _, out, _ = made
    table = pd.read_csv(out / "tables" / "metrics.csv").set_index(["metric", "cell", "task"])["estimate"]
    boosts = pd.read_csv(out / "tables" / "metrics_boost.csv")
    assert len(boosts) == 3 * 2 * 6
    for row in boosts.to_dict("records"):
        sides = [table[row["metric"], row[f"cell_{side}"], row["task"]] for side in ("pretrained", "scratch")]
        assert row["estimate"] == pytest.approx(sides[0] - sides[1], abs=1e-12)
    mean = boosts[(boosts["metric"] == "average_precision") & (boosts["task"] == MEAN)]
    assert set(mean["n_tests"]) == {2}
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "its floor is the prevalence" in page


def test_auroc_is_as_without_them_and_a_wrong_word_is_refused(made, tmp_path, capsys):
    store, out, _ = made
    words = [*store.words, "resamples=200", "permutations=50", "unit=study"]
    assert main([*words, f"out={tmp_path / 's'}"]) == 0
    for name in ("auroc", "boost"):
        assert (tmp_path / "s" / "tables" / f"{name}.csv").read_bytes() == (out / "tables" / f"{name}.csv").read_bytes()
    assert main([*words, f"out={tmp_path / 't'}", "metrics=[auroc,f1]"]) == 2
    assert "metrics=[auroc,f1]: not some of auroc, average_precision, sensitivity" in capsys.readouterr().err


def test_runs_without_validation_predictions_are_named(store, tmp_path, capsys):
    store.add()
    words = [*store.words, f"out={tmp_path / 'r'}", "resamples=20", "permutations=20"]
    assert main([*words, "metrics=[sensitivity]"]) == 1
    assert "predictions/valid.parquet of run densenet121-pretrained-t0-s0" in capsys.readouterr().err
    assert main([*words, "metrics=[average_precision]"]) == 0
