"""The paper's claims, and what these runs say of each."""

import pandas as pd

from analysis.questions.claims import read_claims
from analysis.questions.evidence import gather, over_networks
from analysis.questions.power import with_needed
from analysis.questions.verdicts import verdicts_table
from analysis.results import Results
from analysis.sections.parts import Section, Table
from analysis.statistics.streams import stream
from analysis.tables import Columns, number, ratio, shown

PLACE = 10
COLUMNS: Columns = {
    "Claim": "sentence",
    "Paper": ("paper", ratio),
    "Ours": ("estimate", number),
    "Low": ("low", number),
    "High": ("high", number),
    "Verdict": "verdict",
    "n": ("n", lambda n: "0" if pd.isna(n) else str(n)),
    "Reason": "reason",
    "Would be decided by": "needed",
}
RULES = "The rules were fixed beforehand, in conf/claims.yaml. n: architectures. Paper: as it prints the figure."


def tables(results: Results) -> dict[str, pd.DataFrame]:
    """The verdicts, and the tables that they rest on, which other sections show."""
    settings = results.settings
    found = over_networks(
        results.groups,
        results.grouped,
        level=settings.level,
        margin=settings.margin,
        n_permutations=settings.permutations,
        seed=settings.seed,
    )
    verdicts = verdicts_table(read_claims(), gather(found), barriers=results.barriers, dependent=results.dependent)
    return found | {"verdicts": with_needed(verdicts, rng=stream(settings.seed, "verdicts"))}


def section(results: Results) -> Section:
    """Each claim with its verdict."""
    raw = results.tables["verdicts"]
    why = [f"No verdict may be given here: {'; '.join(results.barriers)}."] if results.barriers else []
    return Section("The paper's claims", [Table("verdicts", raw, shown(raw, COLUMNS), [*why, RULES])])
