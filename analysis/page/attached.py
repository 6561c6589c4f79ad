"""Sections of what runs left beside their predictions: activation maps, largest errors, the card of their data."""

import shlex

import pandas as pd

from analysis.page.displays import filtered_display, labels_display, splits_display
from analysis.page.parts import Section, Table
from analysis.store.cards import Cards
from analysis.store.maps import FOLDER, MOST, Maps
from analysis.store.mistakes import Mistakes
from analysis.store.uris import mask
from analysis.tables import count

READING = (
    "Red speaks for the finding and blue against it, on a scale of each panel's own. A map shows what moved the "
    f"network's score, and not where the disease is. At most {MOST} figures are shown; all lie with their runs, in the "
    f"artifacts {FOLDER}/."
)

LOOK = (
    "A person should look at each of these: the label may be wrong, or the network may have looked at something else. "
    "Of each task, the negatives that the network scores highest and the positives that it scores lowest; label as "
    "given, score as evaluated. Where a study has several images, its highest scored one."
)
PRIVACY = (
    "These images and the maps are of patients: pass this page on only to whom you may show them. images=false "
    "makes the report without them, and with tracking.errors=0 runs store no errors."
)
WITHOUT = "Left out by images=false."


def maps_section(maps: Maps | None, cells: pd.DataFrame, uri: str) -> Section:
    """The recorded class activation maps.

    Args:
        maps: of the cells; None where X-rays are not wanted.
        cells: run_id.
        uri: of the tracking store, for the command that records a map.
    """
    title = "Class activation maps"
    if maps is None:
        return Section(title, [], absent=WITHOUT)
    if maps.shown:
        left = [f"{count(maps.n_left_out, 'figure')} left out here."] if maps.n_left_out else []
        return Section(title, [], lead=[" ".join([READING, *left]), *maps.problems], maps=maps.shown)
    large = f"{count(maps.n_left_out, 'figure')} too large for this page. " if maps.n_left_out else ""
    words = [f"run={cells['run_id'].iloc[0]}", f"tracking.uri={mask(uri)}"]
    command = f"python -m bench.cam {shlex.join(words)} compare=<run id of its truncated sister>"
    return Section(title, [], absent=f"There is none to show. {large}To record one: {command}", lead=maps.problems)


def mistakes_section(mistakes: Mistakes | None, *, generated: bool) -> Section:
    """The largest errors of the best cells.

    Args:
        mistakes: None where X-rays are not wanted.
        generated: whether the images are phantoms and of no patient.
    """
    title = "Largest errors"
    if mistakes is None:
        return Section(title, [], absent=WITHOUT)
    if not any(cell.shown for cell in mistakes.cells):
        return Section(title, [], absent="There is none to show.", lead=mistakes.problems)
    lead = [LOOK, *([] if generated else [PRIVACY]), *mistakes.problems]
    return Section(title, [], lead=lead, mistakes=mistakes.cells)


def data_section(cards: Cards) -> Section:
    """The card of the data behind the cells."""
    about = [*cards.sentences, *cards.problems]
    labels, filtered = cards.labels, cards.filtered
    shown = labels_display(labels)
    tables = [
        Table("data_card_splits", cards.splits, splits_display(cards.splits), about),
        Table(
            *("data_card", labels, shown, about),
            folded=f"Labels as given, by label and split ({count(len(shown), 'row')})",
        ),
        Table("data_card_filtered", filtered, filtered_display(filtered), about),
    ]
    absent = "" if len(cards.splits) else "No data card can be shown."
    return Section("Data", tables, absent=absent, lead=about)
