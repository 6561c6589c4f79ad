import html
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from analysis import report
from analysis.report import main
from analysis.settings import PROJECT
from tests import told

TABLES = (
    *("verdicts", "auroc", "seeds", "boost", "boost_pooled", "correlations", "family"),
    *("truncation", "truncation_smallest", "truncation_factors", "pareto", "calibration", "axes", "label_efficiency"),
    *("metrics", "metrics_boost", "subgroups", "external", "external_order"),
)
CARD_TABLES = ("data_card", "data_card_splits", "data_card_filtered")  # of data, whatever was trained on them
FILES = {
    "index.html",
    "provenance.json",
    "verdicts.json",
    *(f"tables/{name}.{kind}" for name in (*TABLES, *CARD_TABLES) for kind in ("csv", "md", "tex")),
    *(f"figures/{name}.{kind}" for name in ("summary", "auroc", "boost") for kind in ("pdf", "png", "csv")),
}


@pytest.fixture(scope="module")
def written(four_cells, tmp_path_factory):
    """The report of the four cells, written from another folder."""
    out = tmp_path_factory.mktemp("out") / "report"
    assert main([*four_cells.words, "allow_missing=true", f"out={out}", "resamples=200", "permutations=100"]) == 0
    return out


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def studies_of(frame):
    """Maximum over a study's views, by hand."""
    return {study: rows.max(numeric_only=True) for study, rows in frame.groupby("study")}


def test_every_file_is_there_and_nothing_else(written):
    assert files_in(written) == FILES
    assert (written / "figures" / "auroc.png").read_bytes().startswith(b"\x89PNG")
    assert (written / "figures" / "auroc.pdf").read_bytes().startswith(b"%PDF")


def test_numbers_agree_with_scikit_learn_on_the_saved_predictions(written, four_cells):
    table = pd.read_csv(written / "tables" / "auroc.csv")
    assert len(table) == 4 * 6
    runs = {run.info.run_name: run.info.run_id for run in four_cells.client.search_runs([four_cells.experiment_id])}
    for name in ("resnet18-scratch-t0-s0", "densenet121-pretrained-t0-s0"):
        studies = pd.DataFrame(studies_of(pd.read_parquet(four_cells.parquet(runs[name])))).T
        rows = table[table["cell"] == f"cell-{name}"].set_index("task")
        values = []
        for task in rows.index.drop("mean"):
            known = studies[studies[f"label/{task}"].notna()]
            values.append(roc_auc_score(known[f"label/{task}"], known[f"score/{task}"]))
            assert rows.loc[task, "estimate"] == pytest.approx(values[-1], abs=1e-12)
            assert rows.loc[task, "n"] == len(known)
            assert rows.loc[task, "n_positive"] == known[f"label/{task}"].sum()
        assert rows.loc["mean", "estimate"] == pytest.approx(np.mean(values), abs=1e-12)
        assert np.isnan(rows.loc["mean", "n_positive"])
    assert (table["low"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["high"]).all()
    assert set(table["unit"]) == {"patient"}  # of whom some have two studies
    assert set(table["n_resamples"]) == {0}
    assert set(pd.read_csv(written / "tables" / "pareto.csv")["n_resamples"]) <= {200}


def test_boost_is_pretrained_minus_scratch(written):
    auroc = pd.read_csv(written / "tables" / "auroc.csv").set_index(["arch", "pretrained", "task"])["estimate"]
    boost = pd.read_csv(written / "tables" / "boost.csv")
    assert boost["arch"].unique().tolist() == ["densenet121", "resnet18"]
    for row in boost.to_dict("records"):
        expected = auroc[row["arch"], True, row["task"]] - auroc[row["arch"], False, row["task"]]
        assert row["estimate"] == pytest.approx(expected, abs=1e-12)
        assert 0 < row["p_value"] <= 1


def test_what_ties_with_the_best_is_bold_everywhere(written):
    table = pd.read_csv(written / "tables" / "auroc.csv")
    mean = table[table["task"] == "mean"]
    assert 0 < mean["tied_with_best"].sum() < 4
    assert (mean["p_from_best_holm"].fillna(1) >= 0.05).tolist() == mean["tied_with_best"].tolist()
    markdown = (written / "tables" / "auroc.md").read_text(encoding="utf-8").splitlines()[2:6]
    tex = (written / "tables" / "auroc.tex").read_text(encoding="utf-8").splitlines()[5:9]
    for row, line, tex_line in zip(mean.to_dict("records"), markdown, tex, strict=True):
        value, bold = f"{row['estimate']:.3f}", row["tied_with_best"]
        assert line.split(" | ")[4] == (f"**{value}**" if bold else value)
        assert tex_line.split(" & ")[4] == (rf"\textbf{{{value}}}" if bold else value)
    page = (written / "index.html").read_text(encoding="utf-8")
    assert page.count("<strong>") == table["tied_with_best"].sum()
    assert "Holm's correction over the other cells of the column" in " ".join(html.unescape(page).split())


def test_what_cannot_be_drawn_says_why(written):
    page = (written / "index.html").read_text(encoding="utf-8")
    assert "No untruncated cell says its validation AUROC" in page
    assert "No run logged valid/auroc or train/loss more than once" in page
    assert len(pd.read_csv(written / "tables" / "calibration.csv")) == 4 * 5


def test_figures_go_into_one_column_on_request(four_cells, tmp_path):
    words = ["allow_missing=true", f"out={tmp_path}", "resamples=20", "figures.width=one", "figures.font=serif"]
    assert main([*four_cells.words, *words]) == 0
    (box,) = re.findall(rb"/MediaBox \[ ([^\]]*) \]", (tmp_path / "figures" / "auroc.pdf").read_bytes())
    assert float(box.split()[2]) / 72 * 25.4 == pytest.approx(85, abs=0.1)
    assert b"STIXGeneral" in (tmp_path / "figures" / "auroc.pdf").read_bytes()
    assert b"DejaVu" not in (tmp_path / "figures" / "auroc.pdf").read_bytes()


def test_the_points_are_the_rows_of_the_table(written):
    points = pd.read_csv(written / "figures" / "auroc.csv")
    table = pd.read_csv(written / "tables" / "auroc.csv")
    means = table[table["task"] == "mean"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        points[["cell", "estimate", "low", "high"]], means[["cell", "estimate", "low", "high"]]
    )


def test_the_page_stands_alone_and_names_what_is_left_out(written):
    page = (written / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", page)
    assert "@import" not in page
    assert page.count("<script") == 1  # its own, which nothing else may join
    assert "A demonstration, not a reproduction: the pretrained weights of 2 cells are stand-ins" in page
    for name in ("resnet34-pretrained-t0-s0", "resnet50-pretrained-t0-s0", "resnet101-pretrained-t0-s0"):
        assert name in page
    assert "WeightsError: no weights" in page


def test_the_warning_goes_with_every_table(written):
    for name in (f"{table}.{kind}" for table in TABLES if table != "verdicts" for kind in ("md", "tex")):
        text = (written / "tables" / name).read_text(encoding="utf-8")
        assert "A demonstration, not a reproduction" in text
        assert "Incomplete: 6 of the 10 cells" in text
    assert "are stand-ins" in (written / "tables" / "verdicts.md").read_text(encoding="utf-8")


def test_an_incomplete_sweep_is_refused_by_name(four_cells, tmp_path, capsys):
    assert main([*four_cells.words, f"out={tmp_path / 'r'}"]) == 1
    error = capsys.readouterr().err
    assert "6 of the 10 cells" in error
    assert "resnet50-pretrained-t0-s0 (RUNNING)" in error
    assert "resnet50-scratch-t0-s0 (never started)" in error
    assert not (tmp_path / "r").exists()
    assert main([*four_cells.words, f"out={tmp_path / 'r'}", "resamples=20", *told.keys(error)]) == 0


def test_no_verdict_is_given_on_a_demonstration(written):
    verdicts = json.loads((written / "verdicts.json").read_text(encoding="utf-8"))
    assert {row["verdict"] for row in verdicts["verdicts"]} == {"undecided"}
    assert any("stand-ins" in reason for reason in verdicts["barriers"])
    assert len(verdicts["verdicts"]) == 8


def test_provenance_says_where_the_numbers_come_from(written, four_cells):
    origin = json.loads((written / "provenance.json").read_text(encoding="utf-8"))
    assert {"tracking_uri", "experiment", "command", "git", "versions", "created"} <= set(origin)
    assert origin["tracking_uri"] == four_cells.uri
    assert len(origin["runs"]) == 4


def test_the_same_command_gives_the_same_numbers(written, four_cells, tmp_path, capsys):
    assert main([*four_cells.words, "allow_missing=true", f"out={tmp_path}", "resamples=200", "permutations=100"]) == 0
    for name in ("tables/auroc.csv", "tables/boost.csv", "figures/auroc.csv", "figures/auroc.pdf"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()
    printed = capsys.readouterr().out
    assert printed.endswith(f"{tmp_path / 'index.html'}\n")
    assert "densenet121" in printed
    assert "3 runs left out" in printed


def test_units_change_the_intervals_and_not_the_estimates(written, four_cells, tmp_path):
    assert (
        main(
            [
                *four_cells.words,
                "allow_missing=true",
                f"out={tmp_path}",
                "resamples=200",
                "permutations=20",
                "unit=study",
            ]
        )
        == 0
    )
    by_patient, by_study = (pd.read_csv(folder / "tables" / "auroc.csv") for folder in (written, tmp_path))
    assert (by_patient["estimate"] == by_study["estimate"]).all()
    assert (by_patient["low"] != by_study["low"]).all()
    assert set(by_patient["n_units"]) == {60}
    caution = "unit=study takes studies for independent, and"
    page, plain = ((folder / "index.html").read_text(encoding="utf-8") for folder in (tmp_path, written))
    assert f'<p class="banner" role="alert">{caution}' in page
    assert caution in (tmp_path / "tables" / "boost.md").read_text(encoding="utf-8")
    assert caution not in plain
    assert "The unit is patient: patients have several studies here." in plain
    origins = [json.loads((folder / "provenance.json").read_text()) for folder in (tmp_path, written)]
    assert [origin["settings"]["unit"] for origin in origins] == ["study", "patient"]
    assert [len(origin["cautions"]) for origin in origins] == [1, 0]


def test_real_runs_get_no_warning_and_a_missing_partner_is_named(store, tmp_path, capsys):
    store.add("resnet18", True)
    assert main([*store.words, f"out={tmp_path / 'r'}", "resamples=20", "permutations=20"]) == 0
    page = (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
    assert "demonstration" not in page
    assert "No boost can be computed" in page
    assert "resnet18, seed 0: no finished scratch cell" in page
    assert "demonstration" not in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "r" / "tables" / "boost.csv").empty


def test_generated_images_are_said_to_be(store, tmp_path):
    store.add(tags={"data_generated": "true"})
    assert main([*store.words, f"out={tmp_path / 'r'}", "resamples=20", "permutations=20"]) == 0
    page = (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
    assert "A demonstration, not a reproduction: the images of 1 cell are generated phantoms" in page


def test_names_are_escaped(store, tmp_path):
    evil = "<script>alert(1)</script>"
    store.add(evil, tags={"family": evil, "cell": "x"})
    store.add("resnet18", status="FAILED", tags={"failure": evil})
    assert main([*store.words, "allow_missing=true", f"out={tmp_path / 'r'}", "resamples=20", "permutations=20"]) == 0
    assert (tmp_path / "r" / "index.html").read_text(encoding="utf-8").count("<script") == 1
    assert "<script" not in (tmp_path / "r" / "tables" / "auroc.md").read_text(encoding="utf-8")


def test_a_task_without_positives_is_undefined_and_said_to_be(store, tmp_path, predictions):
    frame = predictions(0)
    frame["label/edema"] = 0.0
    store.add(frame=frame)
    assert main([*store.words, f"out={tmp_path / 'r'}", "resamples=20", "permutations=20"]) == 0
    table = pd.read_csv(tmp_path / "r" / "tables" / "auroc.csv").set_index("task")
    assert table.loc[["edema", "mean"], ["estimate", "low", "high"]].isna().all(axis=None)
    assert table.loc["edema", "method"] == "too few positives (0)"
    assert table.loc["mean", "method"] == "edema: too few positives (0)"
    others = table.drop(index=["edema", "mean", "mean_without_edema"])
    assert others["low"].notna().all()
    row = table.loc["mean_without_edema"]  # offered, and named as such
    assert row["estimate"] == pytest.approx(others["estimate"].mean())
    assert row["low"] < row["estimate"] < row["high"]
    page = (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
    assert "n/a" in page
    assert "Mean without edema, low" in page
    assert "none of the mean over tasks: Edema: too few positives (0)" in page


def test_a_task_can_be_left_out_of_the_report(store, tmp_path, predictions, capsys):
    frame = predictions(0)
    frame["label/edema"] = np.nan
    store.add(frame=frame)
    words = [*store.words, "resamples=20", "permutations=20"]
    kept = "atelectasis,cardiomegaly,consolidation,pleural_effusion"
    assert main([*words, f"out={tmp_path / 'r'}", f"tasks={kept}"]) == 0
    table = pd.read_csv(tmp_path / "r" / "tables" / "auroc.csv").set_index("task")
    assert table.index.tolist() == [*kept.split(","), "mean"]
    assert table.loc["mean", "estimate"] == pytest.approx(table["estimate"].iloc[:4].mean())
    assert table["low"].notna().all()
    assert "Only these tasks were asked for (tasks=)" in (tmp_path / "r" / "tables" / "auroc.md").read_text()
    assert main([*words, f"out={tmp_path / 's'}", "tasks=hernia"]) == 1
    assert "tasks=hernia: the runs were evaluated on atelectasis, cardiomegaly" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"tags": {"data_fingerprint": "other"}}, "differ in data_fingerprint must not be pooled"),
        ({"tags": {"protocol": "paper"}}, "differ in protocol must not be pooled"),
        ({"params": {"evaluation.level": "image"}}, "differ in evaluation.level must not be pooled"),
        ({"tags": {"cell": "cell-resnet18-pretrained-t0-s0"}}, "is finished twice"),
    ],
)
def test_runs_that_do_not_belong_together_end_with_1(store, tmp_path, capsys, second, message):
    store.add("resnet18")
    store.add("resnet34", **second)
    assert main([*store.words, f"out={tmp_path / 'r'}"]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_one_kind_can_be_chosen(store, tmp_path):
    store.add("resnet18")
    store.add("resnet34", tags={"data_fingerprint": "other"})
    assert (
        main([*store.words, f"out={tmp_path / 'r'}", "resamples=20", "permutations=20", "data_fingerprint=other"]) == 0
    )
    assert set(pd.read_csv(tmp_path / "r" / "tables" / "auroc.csv")["arch"]) == {"resnet34"}


def test_models_that_saw_different_images_end_with_1(store, tmp_path, predictions, capsys):
    frame = predictions(0)
    store.add("resnet18", frame=frame)
    changed = frame.copy()
    first = changed["study"] == changed["study"].iloc[0]
    changed.loc[first, "label/edema"] = 1 - changed.loc[first, "label/edema"].fillna(0)
    store.add("resnet34", frame=changed)
    assert main([*store.words, f"out={tmp_path / 'r'}"]) == 1
    error = capsys.readouterr().err
    assert "resnet18-pretrained-t0-s0" in error
    assert "resnet34-pretrained-t0-s0" in error
    assert "label/edema of patient patient00000, study patient00000/study1" in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.assign(**{"score/edema": np.nan}), "score/edema of image .* is not a finite number"),
        (lambda frame: frame.assign(**{"label/edema": -1.0}), "labels must be 0, 1 or NaN, not -1.0"),
        (lambda frame: frame.drop(columns="score/edema"), "have no column score/edema"),
    ],
)
def test_predictions_that_have_no_auroc_end_with_1(store, tmp_path, predictions, capsys, change, message):
    store.add(frame=change(predictions(0)))
    assert main([*store.words, f"out={tmp_path / 'r'}"]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_a_failed_report_leaves_the_old_one(written, four_cells, tmp_path, monkeypatch):
    out = tmp_path / "report"
    shutil.copytree(written, out)
    (out / "mine.txt").write_text("the user's own")
    before = {name: (out / name).read_bytes() for name in files_in(out)}

    def fail(*_, **__):
        raise OSError(28, "No space left on device", "index.html")

    monkeypatch.setattr(report, "render", fail)
    assert main([*four_cells.words, "allow_missing=true", f"out={out}", "resamples=20", "permutations=20"]) == 1
    assert {name: (out / name).read_bytes() for name in files_in(out)} == before
    monkeypatch.undo()
    assert main([*four_cells.words, "allow_missing=true", f"out={out}", "resamples=20", "permutations=20"]) == 0
    assert files_in(out) == FILES | {"mine.txt"}
    assert (out / "tables" / "auroc.csv").read_bytes() != before["tables/auroc.csv"]


@pytest.mark.parametrize("below", ["file", "file/report/deeper"])
def test_a_folder_that_cannot_be_written_is_one_sentence_before_anything_is_computed(
    four_cells, tmp_path, capsys, monkeypatch, below
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(report, "evaluate", lambda _: pytest.fail("it was computed first"))
    assert main([*four_cells.words, "allow_missing=true", f"out={tmp_path / below}"]) == 1
    assert capsys.readouterr().err.endswith(
        f"cannot be written: {tmp_path / 'file'} is no folder that can be written to\n"
    )


def test_help_shows_the_keys(capsys):
    assert main(["--help"]) == 0
    assert "resamples: 10000" in capsys.readouterr().out


def test_the_project_folder_is_the_checkout():
    assert (PROJECT / "analysis" / "report.py").is_file()
