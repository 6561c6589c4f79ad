"""Tables for readers: the only place where a number is rounded."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from analysis.evaluation import MEAN

UNDEFINED = "n/a"
TIED = "tied_with_best"
"""Column of the raw table that makes a cell bold (`best.with_best`)."""
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
        display: frame of text.
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
        digits: decimals.
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


def auroc_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a cell: mean AUROC with its interval, then each task's AUROC; all text.

    Args:
        table: what `auroc_table` gives.
    """
    rows = []
    for _, cell in table.groupby("cell", sort=False):
        first = cell.iloc[0]
        row = {
            "Architecture": str(first["arch"]),
            "Pretrained": "yes" if first["pretrained"] else "no",
            "Truncated": str(first["truncate"]),
            "Seed": str(first["seed"]),
        }
        rows.append(row | _estimates(cell, signed=False))
    return pd.DataFrame(rows)


def auroc_strong(table: pd.DataFrame, display: pd.DataFrame) -> pd.DataFrame:
    """Which cells of `display` are bold: the AUROCs that are tied with the best of their column.

    Args:
        table: what `best.with_best` gives.
        display: what `auroc_display` makes of it.
    """
    titles = ["Mean" if task == MEAN else heading(task) for task in table["task"]]
    tied = [
        dict(zip(cell["title"], cell[TIED], strict=True))
        for _, cell in table.assign(title=titles).groupby("cell", sort=False)
    ]
    return pd.DataFrame(tied).reindex(columns=display.columns, fill_value=False).astype(bool)


def boost_display(table: pd.DataFrame) -> pd.DataFrame:
    """One row a pair of cells: mean boost with interval and p-value, then each task's boost; all text.

    Args:
        table: what `boost_table` gives.
    """
    rows = []
    for _, pair in table.groupby(["cell_pretrained", "cell_scratch"], sort=False):
        mean = pair[pair["task"] == MEAN].iloc[0]
        values = list(_estimates(pair, signed=True).items())
        row = {"Architecture": str(mean["arch"]), "Seed": str(mean["seed"])}
        tests = {"p": p_value(mean["p_value"])} | ({"p (Holm)": p_value(mean["p_holm"])} if "p_holm" in mean else {})
        rows.append(row | dict(values[:3]) | tests | dict(values[3:]))
    return pd.DataFrame(rows, columns=None if rows else ["Architecture", "Seed", "Mean", "Low", "High", "p"])


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
        raw: long frame.
        display: frame of text for readers.
        folder: exists.
        name: of the files.
        notes: sentences that explain the numbers.
        strong: which cells of `display` are bold.
    """
    raw.to_csv(folder / f"{name}.csv", index=False)
    (folder / f"{name}.md").write_text(markdown(display, notes, strong), encoding="utf-8")
    (folder / f"{name}.tex").write_text(latex(display, notes, strong), encoding="utf-8")


def markdown(display: pd.DataFrame, notes: Sequence[str], strong: pd.DataFrame | None = None) -> str:
    """A Markdown table, numbers flush right, and the notes below it.

    Args:
        display: frame of text.
        notes: sentences, a paragraph each.
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
        display: frame of text; what LaTeX would read as a command is escaped.
        notes: sentences, a paragraph each.
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


def _estimates(rows: pd.DataFrame, *, signed: bool) -> dict[str, str]:
    mean = rows[rows["task"] == MEAN].iloc[0]
    columns = {"Mean": mean["estimate"], "Low": mean["low"], "High": mean["high"]}
    for row in rows[rows["task"] != MEAN].to_dict("records"):
        name = heading(row["task"])
        columns[name] = row["estimate"]
        if str(row["task"]).startswith(f"{MEAN}_"):  # offered where the mean over all tasks has no interval
            columns |= {f"{name}, low": row["low"], f"{name}, high": row["high"]}
    return {name: number(value, signed=signed) for name, value in columns.items()}


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
