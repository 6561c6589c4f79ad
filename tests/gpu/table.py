"""The table of docs/gpu.md, from the JSON of a run of `make gpu`.

python -m tests.gpu.table [FILE]    a run's gpu.json becomes docs/gpu.json, and docs/gpu.md says what it holds
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.perf.said import say

PROJECT = Path(__file__).resolve().parents[2]
KEPT = PROJECT / "docs" / "gpu.json"
PAGE = PROJECT / "docs" / "gpu.md"
BEGIN, END = "<!-- made by python -m tests.gpu.table: -->", "<!-- end -->"
NONE = "No run yet: no line of this has been on a GPU."


def cell(value: Any) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float) and value < 1000
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def grid(rows: list[dict[str, Any]], first: str) -> Iterable[str]:
    """Lines of a Markdown table; a column that a row does not have is empty there."""
    columns = list(dict.fromkeys(name for row in rows for name in row["columns"]))
    yield f"| {' | '.join([first, *columns])} |"
    yield "|" + "---|" * (len(columns) + 1)
    for row in rows:
        yield f"| {' | '.join([row['row'], *(cell(row['columns'].get(name, '')) for name in columns)])} |"


def lines(found: dict[str, Any] | None) -> list[str]:
    """What a run found, in Markdown."""
    if found is None:
        return [NONE]
    about = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    made = [f"{found['date']}, {found['seconds']:.0f} s{', a rehearsal' * found['rehearsal']}: {about}.", ""]
    parts = [
        {"row": part["part"], "columns": {"": part["state"], "s": part.get("took", ""), "why": part.get("why", "")}}
        for part in found["parts"]
    ]
    made += grid(parts, "part")
    for figure in dict.fromkeys(row["figure"] for row in found["figures"]):
        made += ["", f"**{figure}**", "", *grid([row for row in found["figures"] if row["figure"] == figure], "")]
    return made


def page(text: str, found: dict[str, Any] | None) -> str:
    """The page with what a run found between its two marks."""
    before, rest = text.split(BEGIN)
    return "\n".join([before + BEGIN, "", *lines(found), "", END + rest.split(END)[1]])


def kept() -> dict[str, Any] | None:
    """The run that the page tells of."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else None


def main() -> int:
    """Exit status: 1 where the file is a rehearsal's."""
    if len(sys.argv) > 1:
        text = Path(sys.argv[1]).read_text(encoding="utf-8")
        if json.loads(text)["rehearsal"]:
            say(f"{sys.argv[1]}: a rehearsal, which says nothing about a GPU; {PAGE.name} is left as it is")
            return 1
        KEPT.write_text(text, encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), kept()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
