"""A whole sweep of real names, through `python -m analysis.report`, every table against the one it follows from."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analysis import reference
from analysis.questions.associations import FAMILIES, POINTS
from analysis.questions.boosts import RANDOM
from analysis.report import main
from analysis.sections import evaluate
from analysis.settings import read_settings
from tests import told

DEPTHS = 3


@pytest.fixture(scope="module")
def sweep(empty_database, tmp_path_factory):
    """The 16 architectures, pretrained and scratch, and four of them cut: better when larger and when pretrained."""
    import shutil

    from tests.analysis.conftest import FakeStore, make_predictions

    folder = tmp_path_factory.mktemp("sweep")
    shutil.copy(empty_database, folder / "mlflow.db")
    store = FakeStore(folder)
    about = {"protocol": "paper", "data": "chexpert"}
    paper = {"tags": about, "params": {"protocol.name": "paper", "protocol.epochs": "3"}}
    points = reference.figure1()
    for i, row in enumerate(points.to_dict("records")):
        arch, parameters = row["arch"], float(row["parameters"])
        for pretrained in (True, False):
            skill = 0.4 * np.log10(parameters / 1e6) + (0.8 if pretrained else 0.2)
            tags = paper["tags"] | {
                "family": row["family"],
                "weights": reference.paper_era(arch) if pretrained else "none",
            }
            for depth in range(DEPTHS if pretrained and i < 4 else 1):
                run = store.add(
                    arch,
                    pretrained,
                    truncate=depth,
                    frame=make_predictions(10 * i + pretrained + 100 * depth, skill=skill - 0.1 * depth),
                    tags=tags,
                    params=paper["params"],
                    metrics={"parameters": parameters / 4**depth, "train/loss": 0.5, "valid/auroc": 0.5 + skill / 10},
                )
                store.client.log_metric(run, "train/loss", 0.4, step=100)
    return store


@pytest.fixture(scope="module")
def tables(sweep, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "report"
    assert main([*sweep.words, f"out={out}", "resamples=200", "permutations=500"]) == 0
    return out


def computed(store, *words):
    """The raw tables, without a report of them."""
    return evaluate(read_settings([*store.words, *words])).tables


def read(folder, name):
    return pd.read_csv(folder / "tables" / f"{name}.csv")


def means(folder):
    table = read(folder, "auroc")
    return table[table["task"] == "mean"].set_index(["arch", "pretrained", "truncate"])["estimate"]


def test_every_section_has_its_figure(tables):
    names = {path.stem for path in (tables / "figures").glob("*.png")}
    asked = {"auroc", "boost", "boost_size", "correlations", "family", "truncation", "pareto", "summary"}
    assert names == asked | {"roc", "calibration", "learning"}


def test_the_best_by_validation_have_curves_and_every_network_a_training(tables):
    roc, auroc = (pd.read_csv(tables / "figures" / "roc.csv"), read(tables, "auroc"))
    assert set(roc["arch"]) == {reference.figure1().set_index("arch")["parameters"].idxmax()}  # as made above
    for (cell, task), curve in roc.groupby(["cell", "task"]):
        of_record = auroc[(auroc["cell"] == cell) & (auroc["task"] == task)]["estimate"].iloc[0]
        assert np.trapezoid(curve["estimate"], curve["fpr"]) == pytest.approx(of_record, abs=0.01)
    learning = pd.read_csv(tables / "figures" / "learning.csv")
    assert len(learning.query("metric == 'train/loss'")) == 2 * 32
    calibration = pd.read_csv(tables / "figures" / "calibration.csv")
    assert set(calibration["cell"]) == set(roc["cell"])


def test_the_summary_has_all_four_panels(tables):
    panels = pd.read_csv(tables / "figures" / "summary.csv")
    assert set(panels["panel"]) == {"top1", "families", "arms", "truncation"}


@pytest.mark.parametrize("pretrained", [True, False])
def test_correlations_are_scipys_on_the_reports_own_numbers(tables, pretrained):
    auroc, points = means(tables), reference.figure1().set_index("arch")
    y = [auroc[arch, pretrained, 0] for arch in points.index]
    rows = read(tables, "correlations")
    rows = rows[(rows["subset"] == ("pretrained" if pretrained else "scratch")) & (rows["method"] == "spearman")]
    for x_name, x in (
        ("parameters", points["parameters"]),
        ("imagenet_top1", [reference.top1(reference.paper_era(arch)) for arch in points.index]),
    ):
        found = rows[rows["x"] == x_name]
        assert found["estimate"].to_numpy() == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
        assert set(found["n"]) == {16}
        assert set(found["interval"]) == {FAMILIES, POINTS}


def test_truncation_is_the_difference_to_the_own_full_network(tables):
    auroc, table = means(tables), read(tables, "truncation")
    table = table[table["task"] == "mean"]
    assert len(table) == 4 * (DEPTHS - 1)
    for row in table.to_dict("records"):
        expected = auroc[row["arch"], True, row["truncate"]] - auroc[row["arch"], True, 0]
        assert row["difference"] == pytest.approx(expected, abs=1e-12)
        assert row["factor"] == pytest.approx(4.0 ** row["truncate"])
        assert row["noninferior"] == (row["low"] > -0.01)


def test_holm_is_over_the_sixteen_architectures(tables):
    boost = read(tables, "boost")
    mean = boost[boost["task"] == "mean"]
    assert set(mean["n_tests"]) == {16}
    assert (mean["p_holm"] >= mean["p_value"]).all()
    assert mean["p_holm"].min() == pytest.approx(min(1.0, 16 * mean["p_value"].min()))
    assert ((boost["p_value"] < 0.05) == ((boost["low"] > 0) | (boost["high"] < 0))).all()


def test_verdicts_come_from_the_tables(tables):
    verdicts = {row["claim"]: row for row in json.loads((tables / "verdicts.json").read_text())["verdicts"]}
    pooled = read(tables, "boost_pooled")
    pooled = pooled[(pooled["statistic"] == "mean boost") & (pooled["task"] == "mean")]
    resampled = pooled[pooled["architectures"] == RANDOM].iloc[0]
    helps = verdicts["pretraining_helps"]
    assert (helps["estimate"], helps["low"], helps["high"]) == pytest.approx(
        (resampled["estimate"], resampled["low"], resampled["high"])
    )
    assert helps["verdict"] == "reproduced"
    correlations = read(tables, "correlations").set_index(["x", "y", "subset", "method", "interval"])
    size = correlations.loc[("parameters", "auroc", "scratch", "spearman", FAMILIES)]
    assert verdicts["size_predicts_scratch"]["low"] == pytest.approx(size["low"])


@pytest.mark.parametrize("interval", ["percentile", "bca"])
def test_other_intervals_move_the_bounds_and_not_the_estimates(sweep, tables, interval):
    made = computed(sweep, "resamples=200", "permutations=500", f"interval={interval}")
    for name in ("auroc", "boost"):
        plain, other = read(tables, name), made[name]
        np.testing.assert_allclose(other["estimate"], plain["estimate"], rtol=0, atol=1e-15)
        assert (other["low"] != plain["low"]).mean() > 0.9
        assert set(other["method"]) == {f"{'BCa' if interval == 'bca' else interval} bootstrap"}
    boost = made["boost"]
    outside = (boost["low"] > 0) | (boost["high"] < 0)
    assert 0 < outside.sum() < len(boost)
    assert ((boost["p_value"] < 0.05) == outside).all()


def test_stratified_resamples_never_lose_a_class(sweep):
    table = computed(sweep, "resamples=100", "permutations=100", "stratified=true")["auroc"]
    assert set(table["method"]) == {"DeLong score", "DeLong score, MOVER"}  # strata have no part in these
    made = dict(computed(sweep, "resamples=100", "permutations=100", "stratified=true", "interval=percentile"))
    made["boost_pooled"] = made["boost_pooled"].query("architectures == 'these'")
    for name in ("auroc", "boost", "boost_pooled", "truncation", "pareto", "calibration"):
        assert set(made[name]["method"]) == {"stratified percentile bootstrap"}, name


def test_several_seeds_become_one_network(store, tmp_path, predictions):
    for seed in (0, 1, 2):
        for pretrained in (True, False):
            store.add("resnet18", pretrained, seed=seed, frame=predictions(7 * seed + pretrained))
    assert main([*store.words, f"out={tmp_path / 'r'}", "resamples=100", "permutations=100"]) == 0
    boost = read(tmp_path / "r", "boost")
    mean = boost[boost["task"] == "mean"]
    assert len(mean) == 1
    auroc = read(tmp_path / "r", "auroc")
    by_arm = auroc[auroc["task"] == "mean"].groupby("pretrained")["estimate"].mean()
    assert mean["estimate"].iloc[0] == pytest.approx(by_arm[True] - by_arm[False])
    spread = read(tmp_path / "r", "seeds")
    row = spread[(spread["task"] == "mean") & spread["pretrained"]].iloc[0]
    values = auroc[(auroc["task"] == "mean") & auroc["pretrained"]]["estimate"]
    assert row["sd"] == pytest.approx(values.std(ddof=1))
    assert mean["method"].tolist() == ["paired DeLong t, with seeds"]
    assert boost["method"].str.startswith("paired DeLong t, with seeds").all()
    for name in ("boost_pooled", "pareto"):
        assert set(read(tmp_path / "r", name)["method"]) <= {"percentile bootstrap, seeds resampled"}, name
    assert "Means over 3 seeds" in (tmp_path / "r" / "index.html").read_text()


def test_other_intervals_of_several_seeds_are_refused_with_the_way_out(store, tmp_path, predictions, capsys):
    for seed in (0, 1):
        for pretrained in (True, False):
            store.add("resnet18", pretrained, seed=seed, frame=predictions(7 * seed + pretrained))
    assert main([*store.words, f"out={tmp_path / 'r'}", "resamples=50", "interval=bca"]) == 1
    error = capsys.readouterr().err
    assert "interval=bca takes networks of one training seed, and some here have several" in error
    assert told.keys(error)[-2:] == ["interval=delong", "interval=percentile"]
    for remedy in told.keys(error)[-2:]:
        assert main([*store.words, f"out={tmp_path / 'r'}", "resamples=50", remedy]) == 0
