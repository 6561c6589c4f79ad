"""Where things lie: one rule for every path of the configuration."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CONF = PROJECT / "conf"


def in_project(path: str) -> Path:
    """A path of the configuration; a relative one is relative to the project folder, from wherever it is typed."""
    return PROJECT / Path(path).expanduser()
