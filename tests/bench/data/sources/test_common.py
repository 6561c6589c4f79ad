import pandas as pd
import pytest

from bench.data.selection import Dropped
from bench.data.sources import common
from bench.errors import DataError


def table(**columns):
    return pd.DataFrame(columns)


def rows_of(**columns):
    """As `read_table` gives them: the first is row 2 of a spreadsheet."""
    frame = table(**columns)
    return frame.set_axis(frame.index + 2, axis=0)


def test_each_rule_counts_what_the_rules_before_it_left_and_patients_only_once_all_their_images_are_gone():
    rows = table(patient=list("aabbc"), split=["train"] * 4 + ["test"])
    rules = [
        ("first", "odd", pd.Series([True, False, True, True, False])),
        ("second", "even", pd.Series([False, False, True, False, False])),
    ]
    kept, dropped = common.cut(rows, rules, split=rows["split"], patient="patient")
    assert kept.to_dict("records") == [{"patient": "b", "split": "train"}]
    assert dropped == (
        Dropped("first", "odd", "train", 1, 0),
        Dropped("first", "odd", "test", 1, 1),
        Dropped("second", "even", "train", 2, 1),
    )


def test_rules_that_leave_everything_in_count_nothing():
    rows = table(patient=["a"], split=["train"])
    kept, dropped = common.cut(rows, [("x", "y", pd.Series([True]))], split=rows["split"], patient="patient")
    pd.testing.assert_frame_equal(kept, rows)
    assert dropped == ()


def test_problems_name_the_first_rows_as_a_spreadsheet_numbers_them_and_the_count_of_all(tmp_path):
    rows = rows_of(word=["a", *["wrong"] * 7], number=["1", "1.0", None, "yes", "2", "1", "1", "1"])
    columns = {"word": (common.among("word", ("a", "b")),), "number": (common.numbers("number", (1, 0)),)}
    with pytest.raises(DataError) as caught:
        common.declared(rows, columns, tmp_path / "x.csv")
    shown = ", ".join(f"row {row}: 'wrong'" for row in range(3, 8))
    assert str(caught.value) == (
        f"{tmp_path}/x.csv: word is none of a, b in 7 row(s) ({shown}); "
        "number is none of 1, 0 in 2 row(s) (row 5: 'yes', row 6: '2')"
    )


def test_a_blank_is_refused_where_it_must_not_be_and_nowhere_else(tmp_path):
    rows = rows_of(word=["a", None])
    common.declared(rows, {"word": (common.among("word", ("a",)), common.shaped("word", "a", "an a"))}, tmp_path)
    with pytest.raises(DataError, match=r"word is blank in 1 row\(s\) \(row 3: "):
        common.declared(rows, {"word": (common.filled("word"),)}, tmp_path)


def test_all_steps_run_and_all_their_problems_come_together():
    def fail(text):
        raise DataError(text)

    assert common.together(lambda: 1, lambda: 2) == [1, 2]
    with pytest.raises(DataError, match="^one\ntwo$"):
        common.together(lambda: fail("one"), lambda: 2, lambda: fail("two"))


def test_a_mistake_of_ours_is_no_problem_of_the_data():
    with pytest.raises(ZeroDivisionError):
        common.together(lambda: 1 // 0)


def test_only_images_are_located_and_each_folder_once(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.PNG", "a.txt", "b.c.jpg"):
        (tmp_path / "images" / name).touch()
    (tmp_path / "d.dicom").touch()
    (tmp_path / "images.csv").touch()
    found = common.locate(tmp_path, ["images*", "im*", ".", "none"])
    assert found == {"a": "images/a.PNG", "b.c": "images/b.c.jpg", "d": "d.dicom"}


def test_names_that_only_one_of_two_files_has_are_told_of_either_side():
    common.same_names(pd.Series(["a", "b"]), ["b", "a"], "x and y")
    with pytest.raises(
        DataError, match=r"^x and y do not .*: 1 only in the first \(a\); 2 only in the second \(c, d\)$"
    ):
        common.same_names(pd.Series(["a", "b"]), ["d", "c", "b"], "x and y")


def test_parts_of_a_text_are_what_pandas_extracts_row_by_row():
    texts = pd.Series(
        ["x/train/p1/a.jpg", "train/p22/b c.png", "nothing", None, "train/p3/train/p4/ü.jpg"], dtype="str"
    )
    pattern = r"train/(?P<who>p\d+)/(?P<file>[^/]+)$"
    mixed = texts.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(common.parts(mixed, pattern), mixed.str.extract(pattern))
