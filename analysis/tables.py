"""Tables for readers: the only place where a number is rounded."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from analysis.evaluation import MEAN

UNDEFINED = "n/a"
_LATEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{MINUS SIGN}": "$-$",
}


class Cell(NamedTuple):
    """A cell for readers."""

    text: str
    strong: bool


def cells(display: pd.DataFrame, strong: pd.DataFrame | None = None) -> list[list[Cell]]:
    """Row by row, each cell with whether it is bold.

    Args:
        strong: frame of bool with the same shape; None where nothing is.

    Raises:
        ValueError: two shapes.
    """
    if strong is not None and strong.shape != display.shape:
        raise ValueError(f"strong has shape {strong.shape}, and the table {display.shape}")
    marks = [[False] * display.shape[1]] * len(display) if strong is None else strong.to_numpy(dtype=bool).tolist()
    texts = display.to_numpy().tolist()
    return [[Cell(*pair) for pair in zip(*row, strict=True)] for row in zip(texts, marks, strict=True)]


def number(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """A number with a fixed number of decimals and a true minus sign; `n/a` where it is undefined.

    Args:
        value: NaN is undefined.
        signed: whether a plus sign is written, too; neither sign is before a number that is rounded to 0.
    """
    if math.isnan(value):
        return UNDEFINED
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    if float(text) == 0:  # neither -0.000 nor +0.000
        text = f"{0:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def p_value(value: float) -> str:
    """Three decimals, `< 0.001` below them, `n/a` where undefined."""
    return "< 0.001" if value < 0.001 else number(value)


def count(n: int, word: str) -> str:
    """`1 cell`, `4 cells`, `200 studies`."""
    if n == 1:
        return f"1 {word}"
    return f"{n} {word[:-1]}ies" if word.endswith("y") else f"{n} {word}s"


def heading(task: str) -> str:
    """`Pleural effusion` for `pleural_effusion`."""
    return task.replace("_", " ").capitalize()


def signed(value: float) -> str:
    """Three decimals with either sign."""
    return number(value, signed=True)


def ratio(value: float) -> str:
    """Two decimals."""
    return number(value, 2)


def millions(value: float) -> str:
    """`6.97 M` for 6,968,000."""
    return f"{number(value / 1e6, 2)} M"


def significant(value: float) -> str:
    """Four significant digits, thousands apart."""
    return f"{value:,.4g}"


def whole(value: int) -> str:
    """`12,345`."""
    return f"{value:,}"


def yes(value: Any) -> str:
    """`yes` or `no`."""
    return "yes" if value else "no"


Columns = Mapping[str, str | tuple[str, Callable[[Any], str]]]
"""Of a table for readers: the title of each column, and the raw column that it shows, with a format or as it stands."""
NETWORK: Columns = {"Architecture": "arch", "Pretrained": ("pretrained", yes)}
PLAIN: Columns = {"Estimate": ("estimate", number), "Low": ("low", number), "High": ("high", number)}
INTERVAL: Columns = {"Estimate": ("estimate", signed), "Low": ("low", signed), "High": ("high", signed)}


def shown(raw: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """A raw table as readers see it: text only, rounded by the format of each column.

    >>> shown(pd.DataFrame({"arch": ["resnet18"], "low": [0.01234]}), {"Architecture": "arch", "Low": ("low", signed)})
      Architecture     Low
    0     resnet18  +0.012
    """
    parts = [(title, (column, str) if isinstance(column, str) else column) for title, column in columns.items()]
    return pd.DataFrame([{title: form(row[name]) for title, (name, form) in parts} for row in raw.to_dict("records")])


def by_task(rows: pd.DataFrame, form: Callable[[float], str] = number) -> dict[str, str]:
    """The mean over tasks with its interval and then the estimate of each task, by title.

    Args:
        rows: task, estimate, low, high, of one cell or pair.
        form: of the numbers.
    """
    mean = rows[rows["task"] == MEAN].iloc[0]
    columns = {"Mean": mean["estimate"], "Low": mean["low"], "High": mean["high"]}
    for row in rows[rows["task"] != MEAN].to_dict("records"):
        name = heading(row["task"])
        columns[name] = row["estimate"]
        if str(row["task"]).startswith(f"{MEAN}_"):  # offered where the mean over all tasks has no interval
            columns |= {f"{name}, low": row["low"], f"{name}, high": row["high"]}
    return {name: form(value) for name, value in columns.items()}


def write_table(
    raw: pd.DataFrame,
    display: pd.DataFrame,
    folder: Path,
    name: str,
    notes: Sequence[str],
    strong: pd.DataFrame | None = None,
) -> None:
    """Writes `name`.csv (raw numbers, full precision), .md and .tex (rounded, with the notes below).

    Args:
        folder: exists.
        strong: which cells of `display` are bold.
    """
    raw.to_csv(folder / f"{name}.csv", index=False)
    (folder / f"{name}.md").write_text(markdown(display, notes, strong), encoding="utf-8")
    (folder / f"{name}.tex").write_text(latex(display, notes, strong), encoding="utf-8")


def markdown(display: pd.DataFrame, notes: Sequence[str], strong: pd.DataFrame | None = None) -> str:
    """A Markdown table, numbers flush right, and the notes below it.

    Args:
        strong: which cells are bold, a frame of bool with the same shape; None where nothing is.
    """
    right = [_is_numeric(display[name]) for name in display.columns]
    lines = [
        _pipe([escape_markdown(str(name)) for name in display.columns]),
        _pipe(["---:" if flush else "---" for flush in right]),
        *(_pipe([_bold_markdown(cell) for cell in row]) for row in cells(display, strong)),
        *(f"\n{escape_markdown(note)}" for note in notes),
    ]
    return "\n".join(lines) + "\n"


def latex(display: pd.DataFrame, notes: Sequence[str], strong: pd.DataFrame | None = None) -> str:
    """A LaTeX `tabular` with the rules of booktabs, and the notes below it.

    Args:
        strong: which cells are bold, a frame of bool with the same shape; None where nothing is.
    """
    columns = "".join("r" if _is_numeric(display[name]) else "l" for name in display.columns)
    end = r" \\"
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(escape_latex(str(name)) for name in display.columns) + end,
        r"\midrule",
        *(" & ".join(_bold_latex(cell) for cell in row) + end for row in cells(display, strong)),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par {escape_latex(note)}" for note in notes),
    ]
    return "\n".join(lines) + "\n"


def plain(display: pd.DataFrame) -> str:
    """The table in columns of fixed width, for a terminal."""
    rows = [[str(name) for name in display.columns], *display.to_numpy().tolist()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [_is_numeric(display[name]) for name in display.columns]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    )


def escape_latex(text: str) -> str:
    """The text with everything that LaTeX reads as a command made literal."""
    return "".join(_LATEX.get(char, char) for char in _one_line(text))


def escape_markdown(text: str) -> str:
    """The text with everything that Markdown and HTML read as markup made literal."""
    text = re.sub(r"([\\`*\[\]|~])", r"\\\1", _one_line(text))
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)  # an underscore within a word is literal already
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _is_numeric(column: pd.Series) -> bool:
    return all(re.fullmatch(rf"[<+\N{{MINUS SIGN}}\s\d.,]+|{UNDEFINED}", cell) for cell in column)


def _bold_markdown(cell: Cell) -> str:
    text = escape_markdown(cell.text)
    return f"**{text}**" if cell.strong and text else text


def _bold_latex(cell: Cell) -> str:
    text = escape_latex(cell.text)
    return rf"\textbf{{{text}}}" if cell.strong and text else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _pipe(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
