"""Subgroups of patients: the arithmetic, and the whole report."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from analysis.evaluation import MEAN, Evaluation, resample
from analysis.questions.along import ALL
from analysis.questions.subgroups import GAP, groups_of, logistic_scores, subgroups_table
from analysis.report import main
from analysis.views import aggregate_views, describe
from tests.analysis.conftest import TASKS, FakeStore, make_predictions


def with_facts(frame):
    """Sex and age of each patient; one has neither."""
    rng = np.random.default_rng(5)
    patients = sorted(set(frame["patient"]))
    sex = dict(zip(patients, rng.choice(["Female", "Male"], len(patients), p=[0.4, 0.6]), strict=True)) | {
        patients[0]: "Unknown"
    }
    age = dict(zip(patients, rng.uniform(20, 95, len(patients)).round(), strict=True)) | {patients[0]: np.nan}
    return frame.assign(sex=frame["patient"].map(sex), age=frame["patient"].map(age))


@pytest.fixture(scope="module")
def made(empty_database, tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    shutil.copy(empty_database, folder / "mlflow.db")
    store, frames = FakeStore(folder), {}
    for i, arch in enumerate(("resnet18", "densenet121")):
        for pretrained, depth in ((True, 0), (True, 1), (False, 0)):
            number = 4 * i + 2 * pretrained + depth
            frame = with_facts(make_predictions(number, skill=1.5, n_patients=300))
            run = store.add(arch, pretrained, truncate=depth, frame=frame)
            valid = with_facts(make_predictions(50 + number, n_patients=200))
            valid.to_parquet(store.artifact(run, "predictions/valid.parquet"), index=False)
            frames[f"cell-{arch}-{'pretrained' if pretrained else 'scratch'}-t{depth}-s0"] = frame
    own = frame[["study"]].drop_duplicates().assign(ward=lambda table: np.where(np.arange(len(table)) % 3, "a", "b"))
    own.to_csv(folder / "own.csv", index=False)
    words = ["resamples=200", "permutations=50", "subgroups=[sex,age,view,ward]", f"subgroups_file={folder}/own.csv"]
    assert main([*store.words, *words, f"out={folder / 'r'}"]) == 0
    return store, folder / "r", frames


def table(out):
    return pd.read_csv(out / "tables" / "subgroups.csv", keep_default_na=False, na_values=["nan", "", "NA"])


def test_every_group_is_evaluated_on_its_own_studies(made):
    _, out, frames = made
    rows = table(out)
    rows = rows[rows["statistic"] == "auroc"].set_index(["cell", "by", "group", "task"])
    for cell, frame in frames.items():
        studies, facts = aggregate_views(frame, "study", "max"), describe(frame, "study")
        for by, group, chosen in (
            ("sex", "Female", facts["sex"] == "Female"),
            ("age", "40 to 59", facts["age"].between(40, 59)),
            ("view", "frontal+lateral", facts["view"] == "frontal+lateral"),
        ):
            for task in TASKS:
                some = studies[chosen & studies[f"label/{task}"].notna()]
                row = rows.loc[(cell, by, group, task)]
                assert row["estimate"] == pytest.approx(roc_auc_score(some[f"label/{task}"], some[f"score/{task}"]))
                assert (row["n"], row["n_positive"]) == (len(some), some[f"label/{task}"].sum())


def test_gaps_and_their_changes_are_differences(made):
    _, out, _ = made
    rows = table(out)
    aurocs = rows[rows["statistic"] == "auroc"].set_index(["cell", "by", "group", "task"])["estimate"]

    def gap(row, cell):
        return aurocs[cell, row["by"], row["group"], row["task"]] - aurocs[cell, row["by"], row["against"], row["task"]]

    seen = set()
    for row in rows[(rows["statistic"] != "auroc") & rows["against"].notna() & (rows["arch"] != ALL)].to_dict(
        "records"
    ):
        expected, cell = gap(row, row["cell"]), row["cell"]
        if "pretraining" in row["statistic"]:
            expected -= gap(row, cell.replace("pretrained", "scratch"))
        elif "truncation" in row["statistic"]:
            expected -= gap(row, cell.replace("-t1-", "-t0-"))
        assert row["estimate"] == pytest.approx(expected, abs=1e-12)
        seen.add((row["statistic"], row["by"]))
    assert len(seen) == 3 * 4
    means = rows[(rows["arch"] == ALL) & (rows["statistic"] == GAP) & (rows["by"] == "sex") & (rows["truncate"] == 0)]
    assert len(means) == 2
    assert (means["p_holm"] >= means["p_value"]).all()
    tests = rows[(rows["statistic"] == GAP) & (rows["task"] == MEAN) & (rows["arch"] == "resnet18")]
    assert set(tests["n_tests"]) == {tests.groupby("cell")["p_normal"].count().max()}
    assert (out / "figures" / "subgroups.png").is_file()


def test_floors_need_no_image(made):
    _, out, _ = made
    floors = table(out).query("statistic == 'floor'")
    assert set(floors["group"]) == {"sex, age and view alone", "shuffled labels"}
    means = floors[floors["task"] == MEAN]
    assert ((means["low"] < 0.5) & (means["high"] > 0.5)).all(), "nothing is known of these labels from sex or age"


def test_too_small_groups_say_so_and_unknown_columns_what_there_is(made, store, tmp_path, capsys):
    few = with_facts(make_predictions(0, n_patients=40))
    store.add(frame=few)
    words = [*store.words, "resamples=50", "permutations=20"]
    assert main([*words, f"out={tmp_path / 'r'}", "subgroups=[age]"]) == 0
    rows = table(tmp_path / "r")
    rows = rows[rows["statistic"] == "auroc"]
    assert rows["method"].str.startswith("too few positives").any()
    assert rows.loc[rows["method"].str.startswith("too few"), "low"].isna().all()
    assert main([*words, f"out={tmp_path / 's'}", "subgroups=[race]"]) == 1
    assert "subgroups=race: the predictions hold sex, age, view" in capsys.readouterr().err


def test_age_bands_and_what_is_unknown():
    facts = pd.DataFrame(
        {"age": [39.0, 40.0, 59.0, 80.0, np.nan, 41.0], "sex": ["Male", "Unknown", "Male", "Female", "Male", "Male"]}
    )
    found = {name: mask.tolist() for name, mask in groups_of(facts, "age").items()}
    assert next(iter(found)) == "40 to 59"
    assert found["80 on"] == [False, False, False, True, False, False]
    assert sum(map(sum, found.values())) == 5
    assert sorted(groups_of(facts, "sex")) == ["Female", "Male"]


def test_the_logistic_model_is_scikit_learns(rng):
    x, asked = rng.normal(size=(200, 3)), rng.normal(size=(50, 3))
    labels = (rng.random(200) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    labels[::9] = np.nan
    known = ~np.isnan(labels)
    fitted = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(x[known], labels[known])
    np.testing.assert_allclose(logistic_scores(x, labels, asked), fitted.decision_function(asked), atol=1e-6)


def test_a_gap_that_there_is_not_is_covered(rng):
    """Two groups in which every network is equally good: 95 % of the intervals of the gap hold 0."""
    worlds, n, labels = 400, 400, np.repeat([1.0, 0.0], [120, 280])
    keys = pd.DataFrame({"patient": np.arange(n), "study": np.arange(n)})
    scores = rng.normal(size=(worlds, 1, n)) + np.sqrt(2) * ndtri(0.8) * labels
    replicates = resample(Evaluation(keys, ("x",), labels[None], scores), unit="study", n_resamples=400, rng=rng)
    columns = {
        "arch": [f"a{i}" for i in range(worlds)],
        "family": "F",
        "pretrained": True,
        "weights": "w",
        "truncate": 0,
    }
    cells = pd.DataFrame({"cell": [f"c{i}" for i in range(worlds)], **columns, "seed": 0})
    half = np.arange(n) % 2 == 0
    found = subgroups_table(
        cells, replicates, {"half": {"one": half, "other": ~half}}, level=0.95, seed=lambda: np.random.default_rng(0)
    )
    gaps = found[(found["statistic"] == GAP) & (found["task"] == "x") & (found["arch"] != ALL)]
    held = ((gaps["low"] <= 0) & (gaps["high"] >= 0)).mean()
    assert len(gaps) == worlds
    assert 0.91 <= held <= 0.985
