"""The report's page: one file that needs no network, holds its script and style, and lets nothing else run or load."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from analysis.figures import style
from analysis.page.tips import marks, size
from analysis.questions.compare import pair_cells
from analysis.results import Results
from analysis.sections.notes import notes
from analysis.sections.parts import Section
from analysis.tables import UNDEFINED

FOLDER = Path(__file__).parent
LONG = 30
"""Characters from which a cell is a sentence, whose lines are broken."""

MANY = 24
"""Rows from which a table scrolls within the page."""


def render(results: Results, made: Sequence[Section], origin: dict[str, Any], *, reload: int = 0) -> str:
    """The whole page.

    Args:
        results: of the report.
        origin: what `provenance` gives.
        reload: seconds after which a browser reads the page again; 0 never.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    common = notes(results)  # said once, where every table is on one page
    script, sheet = ((FOLDER / name).read_text(encoding="utf-8") for name in ("report.js", "report.css"))
    return environment.get_template("report.html").render(
        settings=results.settings,
        rule=results.cells.iloc[0].to_dict(),
        n_cells=len(results.every.cells),
        states=results.left_out["status"].value_counts().to_dict(),
        left_out=results.left_out.to_dict("records"),
        missing=pair_cells(results.cells).missing.to_dict("records"),
        sections=made,
        common=[note for note in common if note not in (results.warning, *results.cautions)],
        shared=set(common),
        warning=results.warning,
        incomplete=results.incomplete,
        cautions=results.cautions,
        provenance=origin,
        trained=sorted({str(git) for git in results.every.cells["git"] if git}),
        reload=reload,
        policy=policy(script, sheet),
        script=script,
        style=sheet,
        data_uri=style.data_uri,
        kinds_of=kinds_of,
        many=MANY,
        marks=marks,
        size=size,
    )


def kinds_of(display: pd.DataFrame) -> list[str]:
    """How each column is set: `` for numbers, `word` for words, `long` for sentences."""
    longest = [max(map(len, display[name]), default=0) for name in display]
    worded = [any(cell[:1].isalpha() and cell != UNDEFINED for cell in display[name]) for name in display]
    return ["long" if n > LONG else "word" if word else "" for n, word in zip(longest, worded, strict=True)]


def policy(script: str, sheet: str) -> str:
    """A Content-Security-Policy: this script, this style, images that the page itself holds, and nothing else."""
    allowed = [f"{kind}-src 'sha256-{_digest(text)}'" for kind, text in (("script", script), ("style", sheet))]
    return "; ".join(["default-src 'none'", *allowed, "img-src data:", "base-uri 'none'", "form-action 'none'"])


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
