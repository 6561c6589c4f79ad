import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import paper, reference
from analysis.paper import PaperSettings, evaluate, main, published_clouds
from analysis.questions.associations import digitisation_rows
from analysis.settings import read

QUICK = PaperSettings(resamples=400, permutations=200)


@pytest.fixture(scope="module")
def quick():
    return evaluate(QUICK)


@pytest.mark.parametrize(
    ("x", "y", "subset", "ours", "n", "printed"),
    [
        ("parameters", "auroc", "pretrained", 0.562, 16, 0.56),
        ("imagenet_top1", "auroc", "pretrained", 0.082, 16, 0.06),
        ("parameters", "boost", "paired", -0.727, 11, -0.72),
        ("parameters", "auroc", "scratch", 0.936, 11, 0.79),
        ("imagenet_top1", "auroc", "scratch", -0.500, 11, 0.08),
    ],
)
def test_ours_beside_the_papers(quick, x, y, subset, ours, n, printed):
    rows = quick.beside[(quick.beside["x"] == x) & (quick.beside["y"] == y) & (quick.beside["subset"] == subset)]
    row = rows.iloc[0]
    assert len(rows) == 1
    assert (round(row["estimate"], 3), row["n"], row["paper"], row["n_paper"]) == (ours, n, printed, 16)
    assert row["low"] < row["estimate"] < row["high"]
    assert row["read_low"] <= row["estimate"] + 1e-9
    assert row["status_paper"] == "quoted"


def test_the_figures_are_scipys_on_the_stored_points(quick):
    points = reference.figure1()
    record = quick.table[(quick.table["x"] == "parameters") & (quick.table["subset"] == "pretrained")]
    for method, function in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
        theirs = function(points["parameters"], points["auroc_pretrained"]).statistic
        assert record.loc[record["method"] == method, "estimate"].tolist() == pytest.approx([theirs] * 3, abs=1e-12)
    pearson = stats.pearsonr(np.log10(points["parameters"]), points["auroc_pretrained"]).statistic
    assert record.loc[record["method"] == "pearson", "estimate"].tolist() == pytest.approx([pearson] * 3, abs=1e-12)


def test_the_error_of_reading_is_small_and_seen(quick):
    read = quick.table[quick.table["interval"] == "digitisation"]
    assert len(read) == 15
    assert (read["high"] - read["low"]).max() < 0.1
    assert (read["high"] > read["low"]).any()


def test_a_thousandth_of_an_auroc_would_move_more():
    clouds = published_clouds(reference.figure1())
    rows = [
        digitisation_rows(clouds, error=e, level=0.95, n_resamples=300, rng=np.random.default_rng(0)) for e in (0, 1e-3)
    ]
    assert (rows[0]["high"] - rows[0]["low"]).max() < 1e-12
    assert ((rows[1]["high"] - rows[1]["low"]) > 0.02).all()


def test_a_boost_is_two_readings():
    boost = published_clouds(reference.figure1())[-1]
    settings = {"error": 3e-3, "level": 0.95, "n_resamples": 4000}
    widths = []
    for cloud in (boost, replace(boost, y_name="auroc")):
        row = digitisation_rows([cloud], rng=np.random.default_rng(0), **settings).iloc[0]
        widths.append(row["high"] - row["low"])
    assert widths[0] > 1.15 * widths[1]


def test_what_is_not_readable_is_left_out_and_said(quick):
    clouds = published_clouds(reference.figure1())
    assert [cloud.y.size for cloud in clouds] == [16, 11, 16, 11, 11]
    assert clouds[1].left_out[0] == "inception_v3 (scratch value not readable)"
    assert any("|rho| must reach 0.57 for" in note for note in quick.notes)
    assert any("Not readable there: AUROC from scratch of InceptionV3" in note for note in quick.notes)
    assert quick.table.loc[quick.table["subset"] == "scratch", "n_left_out"].unique().tolist() == [5]


def test_only_claims_that_a_figure_can_speak_to_are_shown(quick):
    assert len(quick.verdicts) == 5
    verdict = quick.verdicts.set_index("claim")["verdict"]
    assert verdict["top1_does_not_predict_pretrained"] == "undecided"
    assert verdict["size_predicts_scratch"] == "reproduced"


def test_the_same_seed_gives_the_same_numbers(quick):
    again, other = evaluate(QUICK), evaluate(PaperSettings(resamples=400, permutations=200, seed=1))
    pd.testing.assert_frame_equal(quick.table, again.table)
    assert not quick.table["low"].equals(other.table["low"])


def test_the_command_prints_and_writes(tmp_path, capsys):
    assert main(["resamples=200", "permutations=200", f"out={tmp_path / 'new' / 'folder'}"]) == 0
    shown = capsys.readouterr().out
    for text in (
        "+0.562",
        "+0.56 ",
        "+0.082",
        "+0.06 ",
        "\N{MINUS SIGN}0.727",
        "\N{MINUS SIGN}0.72 ",
        "digitised",
        "Not readable",
    ):
        assert text in shown
    made = tmp_path / "new" / "folder"
    table = pd.read_csv(made / "tables" / "paper_correlations.csv")
    assert table["estimate"].notna().all()
    assert math.isclose(table.loc[0, "estimate"], 0.0824, abs_tol=1e-4)
    for name in (
        "tables/paper.md",
        "tables/paper_verdicts.csv",
        "figures/paper_correlation.png",
        "figures/paper_summary.pdf",
    ):
        assert (made / name).stat().st_size > 200
    points = pd.read_csv(made / "figures" / "paper_correlation.csv")
    assert (points["kind"] == "point").sum() == 16 + 11 + 16 + 11 + 11
    panels = pd.read_csv(made / "figures" / "paper_summary.csv")
    both = panels[panels["panel"] == "arms"].set_index("arch")
    published = reference.figure1().set_index("arch").loc[both.index]
    assert len(both) == 11
    assert both["scratch"].tolist() == published["auroc_scratch"].tolist()
    assert both["estimate"].tolist() == published["auroc_pretrained"].tolist()
    assert set(panels["panel"]) == {"top1", "families", "arms"}


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["resamples=50", "permutations=50"]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("resample=10", "keys are out, level, resamples, permutations, seed"),
        ("out", "not of the form key=value"),
        ("level=95", "level=95.0: must be below 1"),
        ("level=nan", "must be above 0"),
        ("resamples=0", "at least 1"),
        ("resamples=many", "must be a whole number, at least 1"),
        ("seed=-1", "at least 0"),
        ("out=", "must not be empty"),
    ],
)
def test_a_wrong_word_is_refused(word, message, capsys):
    assert main([word]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_said(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["resamples=50", "permutations=50", f"out={tmp_path / 'file'}"]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_settings_and_help(capsys):
    assert read(["out=a", "level=0.9"], PaperSettings) == PaperSettings(out="a", level=0.9)
    assert main(["--help"]) == 0
    assert "resamples=10000" in capsys.readouterr().out
    assert PaperSettings().resamples == PaperSettings().permutations == 10000
    assert paper.__doc__ is not None


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "analysis.paper", "resamples=50", "permutations=50"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "+0.562" in done.stdout
    assert done.stderr == ""
