import gzip

import numpy as np
import pytest

from bench.data.tables import read_table
from bench.errors import DataError


@pytest.fixture
def read(tmp_path):
    """Reads some bytes (a text is UTF-8) as a table with the columns a (text) and b (numbers)."""

    def reading(content, texts=("a",), **options):
        file = tmp_path / "set.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(file, texts, **({"numbers": ["b"]} | options))

    return reading


def rows(table):
    """By row number, the values."""
    return {int(row): tuple(values) for row, values in zip(table.index, table.to_numpy(), strict=True)}


PLAIN = {2: ("1", 2.0), 3: ("3", 4.0)}


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,2\n3,4\n",
        "a,b\n1,2\n3,4",
        "a,b\r\n1,2\r\n3,4\r\n",
        "a,b\r1,2\r3,4\r",
        "a;b\n1;2\n3;4\n",
        "a\tb\n1\t2\n3\t4\n",
        "a|b\n1|2\n3|4\n",
        " a , b \n 1 , 2 \n3,4.0\n",
        '"a","b"\n"1","2"\n3,4\n',
        "b,c,a\n2,x,1\n4,,3\n",
        "c,b,a,c\n,2,1,\nNA,4,3,\n",
        "a;c;b\n1;x, y, z;2,0\n3;;4\n",
        "\ufeffa,b\n1,2\n3,4\n",
        "a,b\n1,2\n3,4\n".encode("utf-16"),
        gzip.compress(b"a,b\n1,2\n3,4\n"),
    ],
)
def test_one_table_in_many_writings(read, content):
    assert rows(read(content)) == PLAIN


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n\n3,4\n", {2: ("1", 2.0), 4: ("3", 4.0)}),
        ("\n\na,b\n1,2\n \n3,4\n\n", {4: ("1", 2.0), 6: ("3", 4.0)}),
        ("a,b\r\n1,2\r\n,\r\n , \r\n3,4\r\n,\r\n", {2: ("1", 2.0), 5: ("3", 4.0)}),
        ('a,b\n"1\n\n1",2\n3,4\n', {2: ("1\n\n1", 2.0), 3: ("3", 4.0)}),
        ("sep=;\r\na;b\r\n1;2\r\n", {3: ("1", 2.0)}),
    ],
)
def test_rows_have_the_numbers_of_a_spreadsheet(read, content, expected):
    assert rows(read(content)) == expected


def test_a_row_that_is_blank_only_where_it_is_read_is_a_row(read):
    table = read("a,b,c\n1,2,x\n,,y\n")
    assert list(table.index) == [2, 3]
    assert table.loc[3].isna().all()


@pytest.mark.parametrize("blank", ["", " ", "NA", "nan", "None", "n/a", '""'])
def test_what_stands_for_a_blank(read, blank):
    table = read(f"a,b,c\n{blank},{blank},x\n1,2,\n")
    assert table.loc[2].isna().all()
    assert table["b"].dtype == np.float64


def test_one_value_that_is_no_number_leaves_the_column_to_the_checks(read):
    assert list(read("a,b\n1,2\n3, yes \n")["b"]) == ["2", "yes"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (("p1", "p1 "), ("p1", "p1")),
        (("1.0", "1"), ("1", "1")),
        (("1.0", "2.00"), ("1", "2")),
        (("1.0", "1.1"), ("1.0", "1.1")),
        (("Jos\u00e9  A", "Jose\u0301 A"), ("Jos\u00e9 A", "Jos\u00e9 A")),
        (("007", "7"), ("007", "7")),
    ],
)
def test_ids_are_what_people_mean(read, written, meant):
    content = "a,b\n" + "".join(f"{text},1\n" for text in written)
    assert tuple(read(content, ids=["a"])["a"]) == meant
    assert tuple(read(content)["a"]) == tuple(text.strip() for text in written), "no other text is changed"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("a,b\n", "no rows"),
        ("a,b", "no rows"),
        ("a,b\n\n,\n", "no rows"),
        ("a,b,a\n1,2,3\n", "its header has a more than once; rename or remove the others"),
        ("a,b, a\n1,2,3\n", "its header has a more than once"),
        (
            "a,b\n1,2,3\n4,5,6\n",
            r"2 rows have more values than its header has columns, or fewer \(row 2: 3, row 3: 3",
        ),
        ("a,b\n1,2\n3,4,5\n", r"cannot be read as a table: 1 rows .* \(row 3: 3; the header: 2\)"),
        ("a,b\n1,2\n\n3\n4,5\n", r"1 rows have .* \(row 4: 1; the header: 2\)"),
        ('a,b\n"1,2\n', "cannot be read as a table: the quote that begins in row 2 is never closed"),
        ('a,b\n1,2\n3,"4\n5,6\n', "the quote that begins in row 3 is never closed"),
        ('a,b\n1,2\n3,"4', "the quote that begins in row 3 is never closed"),
        ('"a,b\n1,2\n', "a quote in its header is never closed"),
        (b"\xff\xd8\xff\xe0" * 100, "cannot be read as a table"),
        (b"PK\x03\x04", "an Excel workbook .* save it as 'CSV UTF-8'"),
        ("a,b\n1,2\n\u00e9,3\n".encode("latin-1"), "byte 0xE9 in line 3 is not UTF-8; .* data.table.encoding=latin-1"),
        ("a,b\n1,2\n".encode("utf-16-le"), "holds bytes 0, as UTF-16 .* data.table.encoding="),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:30], "cannot be read as a table"),
    ],
)
def test_what_is_no_table_is_refused(read, content, message):
    with pytest.raises(DataError, match=message):
        read(content)


def test_an_encoding_that_is_named_is_used_and_a_wrong_one_refused(read):
    content = "a,b\nM\u00fcller,1\n".encode("latin-1")
    assert read(content, encoding="latin-1")["a"][2] == "M\u00fcller"
    with pytest.raises(DataError, match="in encoding klingon"):
        read(content, encoding="klingon")


def test_a_column_that_is_not_there_is_named_with_the_nearest(read):
    with pytest.raises(DataError, match=r"no column Edema \(did you mean Oedema\?\), Zzz; there are: Oedema, b"):
        read("Oedema,b\n1,2\n", texts=["Edema", "Zzz"])
    assert list(read("a,b\n1,2\n", optional=["c"]).columns) == ["a", "b"]


def test_a_missing_file_says_where_it_was_looked_for_and_what_is_there(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError, match=rf"{tmp_path}/set.csv: no such file; in {tmp_path} there is holiday.jpg"):
        read_table(tmp_path / "set.csv", ["a"])
    with pytest.raises(DataError, match=rf"{tmp_path}/no is no folder"):
        read_table(tmp_path / "no" / "set.csv", ["a"])


def test_a_large_table_is_read_value_by_value(read):
    values = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 50_000)
    lines = [f"n{number},{value:g}" for number, value in enumerate(values)]
    for blank in (11, 40_000):
        lines.insert(blank, "")
    table = read("a,b\n" + "\n".join(lines))
    np.testing.assert_array_equal(table["b"], values)
    assert [list(table["a"]).index(f"n{number}") + 2 for number in (0, 10, 11)] == [2, 12, 13]
    assert [int(table.index[list(table["a"]).index(f"n{number}")]) for number in (10, 11, 39_999)] == [12, 14, 40_003]
