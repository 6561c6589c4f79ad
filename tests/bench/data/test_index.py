from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.data.index import INDEX, check_index
from bench.errors import DataError

CSV = Path("set.csv")


def frame(**changes):
    rows = pd.DataFrame(
        {
            "path": ["a/1.jpg", "a/2.jpg", "b/1.jpg"],
            "patient": ["a", "a", "b"],
            "study": ["a/1", "a/1", "b/1"],
            "view": ["frontal", "lateral", "frontal"],
            "sex": ["Female", "Female", "Unknown"],
            "age": [60, 60, None],
            "ap_pa": ["AP", None, "PA"],
            "row": [2, 3, 4],
            "edema": [1.0, -1.0, None],
            "fracture": [0, 1, 0],
        }
    )
    return rows.assign(**changes)


def checked(**changes):
    return check_index(frame(**changes), observations=("edema", "fracture"), csv=CSV)


def test_what_holds_comes_out_typed_and_in_order():
    index = checked(extra=1)
    assert tuple(index.columns) == (*INDEX, "edema", "fracture")
    assert {name: str(index[name].dtype) for name in ("age", "row", "edema", "fracture")} == {
        "age": "float64",
        "row": "int64",
        "edema": "float64",
        "fracture": "float64",
    }
    np.testing.assert_array_equal(index["edema"], [1, -1, np.nan])
    assert list(index["ap_pa"].isna()) == [False, True, False]
    assert list(index["csv"]) == ["set.csv"] * 3


def test_labels_may_be_written_as_text():
    np.testing.assert_array_equal(checked(edema=["1.0", "-1", None])["edema"], [1, -1, np.nan])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edema": ["yes", 2, None]}, r"edema is none of 1, 0, -1 and blank in 2 row\(s\) \(row 2: 'yes', row 3: 2\)"),
        ({"edema": [0.5, 0, 0]}, r"edema is none of 1, 0, -1 and blank in 1 row\(s\) \(row 2: 0.5\)"),
        ({"view": ["frontal", "oblique", None]}, r"view is none of frontal, lateral in 2 row\(s\) \(row 3: 'oblique'"),
        ({"sex": ["F", "Male", "Male"]}, r"sex is none of Female, Male, Unknown in 1 row\(s\) \(row 2: 'F'\)"),
        ({"ap_pa": ["AP", "LL", "PA"]}, r"ap_pa is none of AP, PA, blank in 1 row\(s\) \(row 3: 'LL'\)"),
        ({"age": [60, "old", None]}, r"age is no number of years in 1 row\(s\) \(row 3: 'old'\)"),
        (
            {"patient": ["a", "a", "1.23457E+11"]},
            r"patient is a number that a spreadsheet has shortened .*row 4: '1.2",
        ),
        ({"path": ["a/1.jpg", "", None]}, r"path is blank in 2 row\(s\) \(row 3: '', row 4: "),
        ({"patient": ["a", "a", ""]}, r"patient is blank in 1 row\(s\) \(row 4: ''\)"),
        ({"study": ["a/1", None, "b/1"]}, r"study is blank in 1 row\(s\) \(row 3: "),
        ({"study": ["x", "x", "x"]}, r"study belongs to several patients in 3 row\(s\) \(row 2: 'x'"),
        ({"path": ["a/1.jpg", "a/2.jpg", "a/1.jpg"]}, r"path is there twice in 1 row\(s\) \(row 4: 'a/1.jpg'\)"),
    ],
)
def test_each_problem_is_said_with_file_row_and_value(changes, message):
    with pytest.raises(DataError, match=rf"^{CSV}: .*{message}"):
        checked(**changes)


def test_an_age_that_nobody_has_is_unknown_and_said_to_be():
    index = checked(age=[60, -1, 414])
    np.testing.assert_array_equal(index["age"], [60, np.nan, np.nan])
    assert list(index["impossible_age"]) == [False, True, True]


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x.jpg", "a/../../x.jpg", "a/..", "./a.jpg", "a//b.jpg", r"a\b.jpg", "C:/a.jpg", "a/"],
)
def test_a_path_that_may_leave_the_root_is_refused(path):
    with pytest.raises(DataError, match=r"path lies outside the root in 1 row\(s\) \(row 3: "):
        checked(path=["a/1.jpg", path, "b/1.jpg"])


@pytest.mark.parametrize("path", ["a..b/c.jpg", "a/.hidden.jpg", "CheXpert-v1.0 batch 1 (validate & csv)/x.jpg"])
def test_dots_and_spaces_in_names_are_no_harm(path):
    assert checked(path=["a/1.jpg", path, "b/1.jpg"])["path"][1] == path


def test_all_problems_of_a_file_come_together_and_few_rows_are_shown():
    many = pd.concat([frame()] * 4, ignore_index=True).assign(row=range(2, 14), edema=7)
    with pytest.raises(DataError) as caught:
        check_index(many, observations=("edema", "fracture"), csv=CSV)
    message = str(caught.value)
    assert (
        "edema is none of 1, 0, -1 and blank in 12 row(s) (row 2: 7, row 3: 7, row 4: 7, row 5: 7, row 6: 7)" in message
    )
    assert "path is there twice in 9 row(s)" in message
