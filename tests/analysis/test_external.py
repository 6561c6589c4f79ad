"""External test sets through the whole report."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, norm
from sklearn.metrics import roc_auc_score

from analysis.evaluation import MEAN
from analysis.report import main
from analysis.views import aggregate_views
from tests.analysis.conftest import TASKS, FakeStore, make_predictions

ARCHS = ("resnet18", "resnet34", "densenet121", "efficientnet_b0")
SHARED = TASKS[:3]


def elsewhere(frame):
    """Other patients, of whom two tasks have no label."""
    changed = frame.assign(**{name: "x" + frame[name] for name in ("path", "patient", "study")})
    return changed.assign(**{f"label/{task}": np.nan for task in TASKS[3:]})


@pytest.fixture(scope="module")
def made(empty_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("external")
    shutil.copy(empty_database, folder / "mlflow.db")
    store, frames = FakeStore(folder), {}
    for i, arch in enumerate(ARCHS):
        for pretrained, depth in ((True, 0), (True, 1), (False, 0)):
            number = 4 * i + 2 * pretrained + depth
            test = make_predictions(number, skill=1 + 0.2 * i, n_patients=150)
            other = elsewhere(make_predictions(100 + number, skill=0.5 + 0.2 * i, n_patients=180))
            run = store.add(arch, pretrained, truncate=depth, frame=test, metrics={"parameters": 1e6 * (1 + i)})
            other.to_parquet(store.artifact(run, "predictions/nih.parquet"), index=False)
            frames[f"cell-{arch}-{'pretrained' if pretrained else 'scratch'}-t{depth}-s0"] = test, other
    assert main([*store.words, "resamples=300", "permutations=50", f"out={folder / 'r'}"]) == 0
    return store, folder / "r", frames


def table(out):
    return pd.read_csv(out / "tables" / "external.csv", keep_default_na=False, na_values=["nan", ""])


def by_hand(frame, tasks):
    studies, values = aggregate_views(frame, "study", "max"), []
    for task in tasks:
        known = studies[studies[f"label/{task}"].notna()]
        values.append(roc_auc_score(known[f"label/{task}"], known[f"score/{task}"]))
    return values


def test_the_external_set_gets_what_the_test_set_gets(made):
    _, out, frames = made
    rows = table(out)
    assert set(rows["set"]) == {"nih"}
    assert set(rows["statistic"]) == {"auroc", "boost", "truncation", "correlation", "drop", "order"}
    auroc = rows[rows["statistic"] == "auroc"].set_index(["cell", "task"])
    for cell, (_, other) in frames.items():
        values = by_hand(other, SHARED)
        assert auroc.loc[cell].loc[[*SHARED, MEAN], "estimate"].tolist() == pytest.approx([*values, np.mean(values)])
    boost = rows[(rows["statistic"] == "boost") & (rows["task"] == MEAN)]
    means = auroc.xs(MEAN, level="task")["estimate"]
    for row in boost.to_dict("records"):
        sides = [means[f"cell-{row['arch']}-{side}-t0-s0"] for side in ("pretrained", "scratch")]
        assert row["estimate"] == pytest.approx(sides[0] - sides[1])
    assert len(rows[(rows["statistic"] == "truncation") & (rows["task"] == MEAN)]) == len(ARCHS)


def test_the_drop_is_over_the_tasks_that_both_have_and_its_variances_add(made):
    _, out, frames = made
    rows = table(out)
    drops = rows[rows["statistic"] == "drop"].set_index(["cell", "task"])
    outside = rows[rows["statistic"] == "auroc"].set_index(["cell", "task"])
    auroc = pd.read_csv(out / "tables" / "auroc.csv").set_index(["cell", "task"])
    for cell, (test, other) in frames.items():
        expected = np.mean(by_hand(test, SHARED)) - np.mean(by_hand(other, SHARED))
        assert drops.loc[(cell, MEAN), "estimate"] == pytest.approx(expected)
        one = drops.loc[(cell, SHARED[0])]
        widths = [side.loc[(cell, SHARED[0]), "high"] - side.loc[(cell, SHARED[0]), "low"] for side in (auroc, outside)]
        assert one["se"] == pytest.approx(np.hypot(*widths) / (2 * norm.ppf(0.975)), rel=0.2)
    assert (drops["p_holm"] >= drops["p_normal"] - 1e-12).all()


def test_the_order_is_scipys_on_both_sets(made):
    _, out, frames = made
    order = pd.read_csv(out / "tables" / "external_order.csv")
    order = order[(order["statistic"] == "order") & (order["correlation"] == "kendall")].set_index("subset")
    for subset in ("pretrained", "scratch"):
        pairs = [frames[f"cell-{arch}-{subset}-t0-s0"] for arch in ARCHS]
        sides = [[np.mean(by_hand(pair[side], SHARED)) for pair in pairs] for side in (0, 1)]
        assert order.loc[subset, "estimate"] == pytest.approx(kendalltau(*sides).statistic)
        assert order.loc[subset, "n_architectures"] == len(ARCHS)
    assert "External test sets" in (out / "index.html").read_text(encoding="utf-8")


def test_a_set_that_not_every_cell_has_takes_no_part_and_labels_are_needed(store, tmp_path, capsys):
    for number, arch in enumerate(("resnet18", "resnet34")):
        run = store.add(arch, frame=make_predictions(number))
        nothing = make_predictions(number).assign(**{f"label/{task}": np.nan for task in TASKS})
        nothing.to_parquet(store.artifact(run, "predictions/vindr.parquet"), index=False)
    nothing.to_parquet(store.artifact(run, "predictions/nih.parquet"), index=False)
    assert main([*store.words, "resamples=20", "permutations=20", f"out={tmp_path / 'r'}"]) == 1
    assert "external set vindr: no task of the report has positives and negatives there" in capsys.readouterr().err
