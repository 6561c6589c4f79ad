import numpy as np
import pandas as pd
import pytest

from analysis.sections.auroc import auroc_display, auroc_strong
from analysis.tables import (
    cells,
    count,
    escape_latex,
    escape_markdown,
    latex,
    markdown,
    number,
    p_value,
    write_table,
)


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.86149, False, "0.861"),
        (0.8615001, False, "0.862"),
        (-0.0312, True, "\N{MINUS SIGN}0.031"),
        (0.0312, True, "+0.031"),
        (-0.0001, True, "0.000"),
        (np.nan, False, "n/a"),
    ],
)
def test_numbers_are_rounded_here(value, signed, text):
    assert number(value, signed=signed) == text


def test_a_p_value_is_never_shown_as_zero():
    assert [p_value(p) for p in (1.0, 0.0019980, 0.0009, np.nan)] == ["1.000", "0.002", "< 0.001", "n/a"]


def test_counts():
    assert [count(1, "study"), count(2, "study"), count(3, "patient")] == ["1 study", "2 studies", "3 patients"]


def test_raw_numbers_survive_the_csv(tmp_path, rng):
    raw = pd.DataFrame({"estimate": rng.random(50), "low": np.nan})
    write_table(raw, pd.DataFrame({"Mean": ["0.5"]}), tmp_path, "t", [])
    back = pd.read_csv(tmp_path / "t.csv", dtype={"estimate": str})
    np.testing.assert_array_equal(back["estimate"].map(float), raw["estimate"])  # pandas below 3 reads them roughly
    assert back["low"].isna().all()


def test_markup_is_made_literal():
    assert escape_latex(r"a_b & 5% of $x^2$ \cmd{~}") == (
        r"a\_b \& 5\% of \$x\textasciicircum{}2\$ \textbackslash{}cmd\{\textasciitilde{}\}"
    )
    assert escape_markdown("a|b\n<script>*_x_ inception_v3") == r"a\|b &lt;script&gt;\*\_x\_ inception_v3"


def test_tables_in_both_languages():
    display = pd.DataFrame({"Architecture": ["inception_v3"], "Mean": ["0.861"]})
    assert markdown(display, ["A note."]) == (
        "| Architecture | Mean |\n| --- | ---: |\n| inception_v3 | 0.861 |\n\nA note.\n"
    )
    lines = latex(display, ["A 5 % note."]).splitlines()
    assert r"\begin{tabular}{lr}" in lines
    assert r"inception\_v3 & 0.861 \\" in lines
    assert [line for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert lines[-1] == r"\par A 5 \% note."


def test_bold_goes_into_every_language_and_leaves_the_columns_as_they_are():
    display = pd.DataFrame({"Architecture": ["a_b", "c"], "Mean": ["0.861", "0.860"]})
    strong = pd.DataFrame({"Architecture": [False, False], "Mean": [True, False]})
    assert markdown(display, [], strong).splitlines()[1:] == ["| --- | ---: |", "| a_b | **0.861** |", "| c | 0.860 |"]
    lines = latex(display, [], strong).splitlines()
    assert r"\begin{tabular}{lr}" in lines
    assert r"a\_b & \textbf{0.861} \\" in lines
    assert r"c & 0.860 \\" in lines
    assert [[cell.strong for cell in row] for row in cells(display, strong)] == [[False, True], [False, False]]


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="strong has shape"):
        cells(pd.DataFrame({"a": ["1"]}), pd.DataFrame({"a": [True], "b": [True]}))


def test_bold_are_the_ties_and_not_equal_digits():
    rows = [
        {
            "cell": cell,
            "arch": cell,
            "pretrained": True,
            "truncate": 0,
            "seed": 0,
            "task": task,
            "low": 0.1,
            "high": 0.9,
        }
        | {"estimate": estimate, "tied_with_best": tied}
        for cell, estimate, tied in (("z", 0.86149, False), ("b", 0.86151, True), ("a", 0.7, True))
        for task in ("pleural_effusion", "mean")
    ]
    table = pd.DataFrame(rows)
    table.loc[0, "tied_with_best"] = True
    strong = auroc_strong(table, auroc_display(table))
    assert strong.columns.tolist() == auroc_display(table).columns.tolist()
    assert strong["Mean"].tolist() == [False, True, True]  # in the order of the rows
    assert strong["Pleural effusion"].tolist() == [True, True, True]
    assert not strong[["Architecture", "Seed", "Low", "High"]].to_numpy().any()
