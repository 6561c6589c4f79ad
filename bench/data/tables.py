"""Reads a CSV file strictly; rows are numbered as a spreadsheet numbers them, and errors name them."""

import bz2
import csv
import gzip
import io
import lzma
import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow

from bench.data.known import hint
from bench.data.tasks import near
from bench.errors import DataError

SHOWN = 5
"""How many rows, files or problems of a kind an error message names."""

BLANKS = [*arrow.ConvertOptions().null_values, "None", "<NA>"]
"""What stands for a blank: what pandas writes and reads for it."""

PACKED = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}
"""By a file's first bytes, what unpacks it."""
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of Excel's .xlsx (a zip archive) and .xls."""
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""By a text's first bytes, its encoding; without a mark it is UTF-8, or what the caller says."""

SEPARATORS = ",;\t|"
LINE = re.compile(rb'(?:"[^"]*"|[^"\r\n])*(?:\r\n|\n|\r|$)')
"""A line of the file; a newline inside quotes does not end it."""
END = "\x1eend"
"""Put into every column of a row behind the last: a quote that is never closed would swallow it."""


@dataclass(frozen=True)
class Header:
    """The header row, and how the rows under it are read.

    Attributes:
        names: of the columns, trimmed.
        separator: between values.
        row: its number, as a spreadsheet counts.
        end: the byte after it.
    """

    names: tuple[str, ...]
    separator: str
    row: int
    end: int


def read_table(
    file: Path,
    texts: Sequence[str],
    *,
    numbers: Sequence[str] = (),
    ids: Sequence[str] = (),
    optional: Sequence[str] = (),
    encoding: str | None = None,
) -> pd.DataFrame:
    """The rows of a CSV file (plain or compressed), in its order, indexed by the row numbers of a spreadsheet.

    Blank lines are left out and counted. The separator is found by the header: comma, semicolon, tab or |.

    Args:
        texts: columns of text; trimmed, NaN where blank.
        numbers: columns that become float64; one that holds anything else stays text, for the checks to name it.
        ids: those of `texts` that name patients and the like: `1.0` is 1 where all such numbers are whole, and blanks
            and accents are written one way.
        encoding: of the file; None is UTF-8, or UTF-16 where the file begins with its mark.

    Raises:
        DataError: no such file, no table in it, no rows, a column that is missing (the nearest is named) or there
            twice, or rows with more or fewer values than the header.
    """
    content = _content(file, encoding)
    header = _header(file, content, {*texts, *numbers})
    wanted = [*texts, *numbers, *(name for name in optional if name in header.names)]
    _check_columns(file, header, wanted)
    table, numbered = _parse(file, content, header, [header.names.index(name) for name in wanted])
    blank = _empty(table)
    if blank.any():  # it may be so only in the columns that are read
        blank &= _empty(_parse(file, content, header, range(len(header.names)))[0])
        table, numbered = table.filter(~blank), numbered[~blank]
    if len(table) == 0:
        raise DataError(f"{file}: no rows")
    columns = {
        name: _number(column, header.separator) if name in numbers else _text(column, is_id=name in ids)
        for name, column in zip(wanted, table.columns, strict=True)
    }
    frame: pd.DataFrame = pa.table(columns).to_pandas()
    return frame.set_axis(pd.Index(numbered), axis=0)


def column_names(file: Path, encoding: str | None) -> tuple[str, ...]:
    """Return the header of a CSV file.

    Raises:
        DataError: there is none.
    """
    return _header(file, _content(file, encoding), set()).names


def _content(file: Path, encoding: str | None) -> bytes:
    """Return the file's text as UTF-8, unpacked."""
    if not file.is_file():
        raise DataError(f"{file}: no such file; {_there(file.parent)}")
    try:
        content = file.read_bytes()
        unpack = next((unpack for mark, unpack in PACKED.items() if content.startswith(mark)), None)
        content = content if unpack is None else unpack(content)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{file}: cannot be read as a table ({error})") from None
    if content.startswith(WORKBOOKS):
        raise DataError(f"{file}: an Excel workbook (or a zip archive), not CSV: save it as 'CSV UTF-8', and name that")
    known = next((name for mark, name in MARKS.items() if content.startswith(mark)), encoding or "utf-8")
    if known == "utf-8":
        return content
    try:
        return content.decode(known).encode()
    except (UnicodeError, LookupError) as error:
        raise DataError(f"{file}: cannot be read as a table in encoding {known} ({error})") from None


def _not_utf8(file: Path, content: bytes) -> str:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        said = f"byte 0x{content[error.start]:02X} in line {line} is not UTF-8"
    else:
        said = "it holds bytes 0, as UTF-16 without its mark does"
    return (
        f"{file}: cannot be read as a table: {said}; save it as UTF-8, or name the encoding of an own table: "
        "data.table.encoding=latin-1 (or cp1252, utf-16-le)"
    )


def _there(folder: Path) -> str:
    """Return what a folder holds, for an error that shows it to be the wrong one."""
    if not folder.is_dir():
        return f"{folder} is no folder"
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"in {folder} there is {', '.join(names[:SHOWN]) + more or 'nothing'}"


def _header(file: Path, content: bytes, wanted: set[str]) -> Header:
    """Return the first line that is not blank, read with the separator that finds most of the wanted columns."""
    row, end, separators = 0, 0, SEPARATORS
    while end < len(content):
        line = LINE.match(content, end)
        if line is None:
            raise DataError(f"{file}: cannot be read as a table: a quote in its header is never closed")
        row, end = row + 1, line.end()
        try:
            text = line.group().decode()
        except UnicodeDecodeError:
            raise DataError(_not_utf8(file, content)) from None
        if "\0" in text:
            raise DataError(_not_utf8(file, content))
        if re.fullmatch(r"sep=.\s*", text):  # Excel's own word for what separates the values
            separators = text[4]
        elif text.strip():
            options = [(_names(text, separator), separator) for separator in separators]
            names, separator = max(options, key=lambda option: (len(wanted.intersection(option[0])), len(option[0])))
            return Header(names, separator, row, end)
    raise DataError(f"{file}: the file is empty")


def _names(line: str, separator: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in next(csv.reader(io.StringIO(line, newline=""), delimiter=separator)))


def _check_columns(file: Path, header: Header, wanted: Sequence[str]) -> None:
    missing = [near(name, header.names) for name in wanted if name not in header.names]
    if missing:
        raise DataError(
            f"{file}: no column {', '.join(missing)}; there are: {', '.join(header.names)}{hint(header.names)}"
        )
    twice = [name for name in dict.fromkeys(wanted) if header.names.count(name) > 1]
    if twice:
        raise DataError(f"{file}: its header has {', '.join(twice)} more than once; rename or remove the others")


def _parse(file: Path, content: bytes, header: Header, places: Sequence[int]) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Return (the chosen columns' values as text; [n] the number of each row).

    Raises:
        DataError: a row has more or fewer values than the header, or a quote is never closed.
    """
    names = [str(place) for place in range(len(header.names))]
    whole = header.end == len(content) or content.endswith((b"\n", b"\r"))
    last = header.separator.join([END] * len(names)).encode()
    rows = b"".join([memoryview(content)[header.end :], b"" if whole else b"\n", last, b"\n"])
    ragged: list[tuple[int, int, bool]] = []
    spaces: list[int] = []

    def refuse(row: arrow.InvalidRow) -> str:
        if row.text.strip():
            ragged.append((header.row + row.number, row.actual_columns, END in row.text))
        else:  # a blank line that is not empty
            spaces.append(header.row + row.number)
        return "skip"

    try:
        table = arrow.read_csv(
            pa.BufferReader(rows),
            # one block and one thread: so the rows are counted, and no value is too long
            read_options=arrow.ReadOptions(use_threads=False, block_size=len(rows) + 1, column_names=names),
            parse_options=arrow.ParseOptions(
                delimiter=header.separator,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=refuse,
            ),
            convert_options=arrow.ConvertOptions(
                include_columns=[names[place] for place in places],
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=BLANKS,
            ),
        )
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise DataError(_not_utf8(file, content)) from None
        raise DataError(f"{file}: cannot be read as a table ({error})") from None
    if len(table) == 0 or any(column[-1].as_py() != END for column in table.columns):
        last_row = header.row + len(table) + len(ragged) + len(spaces)
        opened = next((row for row, _, swallowed in ragged if swallowed), last_row)
        raise DataError(f"{file}: cannot be read as a table: the quote that begins in row {opened} is never closed")
    if ragged:
        shown = ", ".join(f"row {row}: {values}" for row, values, _ in ragged[:SHOWN])
        raise DataError(
            f"{file}: cannot be read as a table: {len(ragged)} rows have more values than its header has columns, or "
            f"fewer ({shown}; the header: {len(names)})"
        )
    numbers = np.arange(header.row + 1, header.row + len(table) + len(spaces), dtype=np.int64)
    return table.slice(0, len(table) - 1), np.setdiff1d(numbers, spaces, assume_unique=True)


def _empty(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which rows hold nothing in any column, [n]."""
    empty = np.ones(len(table), np.bool_)
    for column in table.columns:
        if empty.any():
            empty &= pc.equal(pc.fill_null(pc.utf8_trim_whitespace(column), ""), "").to_numpy()
    return empty


def _text(column: pa.ChunkedArray, *, is_id: bool) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    if not is_id:
        return text
    if not pc.all(pc.string_is_ascii(text)).as_py():
        text = pa.chunked_array([[one and unicodedata.normalize("NFC", one) for one in text.to_pylist()]], pa.string())
    text = pc.replace_substring_regex(text, pattern=r"\s+", replacement=" ")
    parts, whole = (pc.sum(pc.match_substring_regex(text, form)).as_py() for form in (r"^\d+\.\d+$", r"^\d+\.0+$"))
    return pc.replace_substring_regex(text, pattern=r"^(\d+)\.0+$", replacement=r"\1") if parts == whole else text


def _number(column: pa.ChunkedArray, separator: str) -> pa.ChunkedArray:
    """Return the column as float64 if every value is a number; a decimal comma counts where it separates no values."""
    try:
        return pc.cast(column, pa.float64())
    except pa.ArrowInvalid:
        text = _text(column, is_id=False)
    numbers = text if separator == "," else pc.replace_substring(text, pattern=",", replacement=".")
    try:
        return pc.cast(numbers, pa.float64())
    except pa.ArrowInvalid:
        return text
