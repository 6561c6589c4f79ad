"""Where things lie: one rule for every path of the configuration."""

from pathlib import Path

from analysis.places import CHECKOUT as CHECKOUT
from analysis.places import CONF as CONF
from analysis.places import PROJECT as PROJECT
from analysis.places import SWEEPS as SWEEPS


def in_project(path: str) -> Path:
    """A path of the configuration; a relative one is relative to the project folder, from wherever it is typed."""
    return PROJECT / Path(path).expanduser()
