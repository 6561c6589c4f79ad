"""Class activation maps that runs recorded."""

import shlex

from analysis.results import Results
from analysis.sections.parts import WITHOUT, Section
from analysis.store.maps import FOLDER, MOST, load_maps
from analysis.store.uris import mask
from analysis.tables import count

PLACE = 120
TITLE = "Class activation maps"
READING = (
    "Red speaks for the finding and blue against it, on a scale of each panel's own. A map shows what moved the "
    f"network's score, and not where the disease is. At most {MOST} figures are shown; all lie with their runs, in the "
    f"artifacts {FOLDER}/."
)


def section(results: Results) -> Section:
    """The recorded maps, or how to record one."""
    if not results.images:
        return Section(TITLE, [], absent=WITHOUT)
    maps = load_maps(results.settings.tracking.uri, results.cells)
    if maps.shown:
        left = [f"{count(maps.n_left_out, 'figure')} left out here."] if maps.n_left_out else []
        return Section(TITLE, [], lead=[" ".join([READING, *left]), *maps.problems], maps=maps.shown)
    large = f"{count(maps.n_left_out, 'figure')} too large for this page. " if maps.n_left_out else ""
    words = [f"run={results.cells['run_id'].iloc[0]}", f"tracking.uri={mask(results.settings.tracking.uri)}"]
    command = f"python -m bench.cam {shlex.join(words)} compare=<run id of its truncated sister>"
    return Section(TITLE, [], absent=f"There is none to show. {large}To record one: {command}", lead=maps.problems)
