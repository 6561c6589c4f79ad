"""What this report cannot say, from the runs themselves."""

from collections.abc import Iterator

import numpy as np

from analysis import reference
from analysis.results import Results
from analysis.sections.notes import FEW_POSITIVES
from analysis.sections.parts import Section
from analysis.tables import count, heading

PLACE = 115
MINED = ("chexpert", "chexpert_plus", "mimic", "nih", "padchest")
"""Sets whose training labels software took from reports (docs/data.md)."""


def section(results: Results) -> Section:
    """A sentence for each limit that these runs have."""
    return Section("What this report cannot say", [], lead=list(limits(results)))


def limits(results: Results) -> Iterator[str]:
    """Each limit that the runs show, and what would lift it."""
    cells, groups, auroc = results.cells, results.groups, results.tables["auroc"]
    if (groups["n_seeds"] == 1).all():
        yield (
            "One training seed of each network: how much another seed would change is not known, and no interval holds "
            "it. +sweeps=seeds says it."
        )
    n = count(int(auroc["n_units"].iloc[0]), results.unit)
    if results.tables["external"].empty:
        yield (
            f"One test set, {n} of {cells['data'].iloc[0]}: nothing here says how the networks do at another hospital. "
            "data.external=[nih] adds a set."
        )
    if cells["data"].iloc[0] in MINED:
        yield (
            "Training labels were mined from reports by software: networks may have learnt its mistakes, and some more "
            "than others."
        )
    tasks = auroc[auroc["n_positive"].notna()].drop_duplicates("task")
    rare = tasks[tasks["n_positive"] < FEW_POSITIVES]
    if len(rare):
        named = ", ".join(f"{heading(row['task'])} {row['n_positive']}" for row in rare.to_dict("records"))
        yield f"Few positives ({named}): differences on these tasks are mostly too small to be seen."
    own = cells[cells["pretrained"].astype(bool) & ~cells["weights_standin"].astype(bool)]
    unknown = sorted({str(name) for name in own["weights"] if np.isnan(reference.top1(str(name)))})
    if unknown:
        yield (
            f"Weights that are not published ImageNet weights ({', '.join(unknown)}): whether they saw these test "
            "patients is not recorded."
        )
    families = groups["family"].value_counts()
    if len(families) > 1 and (families > 1).any():
        archs = count(groups["arch"].nunique(), "architecture")
        yield (
            f"{archs} of {len(families)} families are no random sample: those of a family are alike and count for "
            "fewer than they are, and nothing is said about other families."
        )
