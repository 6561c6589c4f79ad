"""Opens the tracking store that a configuration names, once a process."""

from functools import cache
from pathlib import Path

from bench.paths import in_project
from bench.schema import Config
from bench.tracking.store import Store


def store_of(config: Config, *, create: bool = True) -> Store:
    """The tracking store that the configuration names.

    Args:
        config: of a cell.
        create: whether store and experiment are made where they are not there; else `absent` says so.

    Raises:
        TrackingError: it cannot be reached or made.
    """
    tracking = config.tracking
    held = _store(tracking.uri, tracking.experiment, in_project(config.outputs), tracking.offline)
    if not held:
        outputs = in_project(config.outputs)
        held.append(Store(tracking.uri, tracking.experiment, outputs, offline=tracking.offline, create=create))
    elif create and held[0].absent:
        held[0].open(create=True)
    return held[0]


@cache
def _store(uri: str, experiment: str, outputs: Path, offline: bool) -> list[Store]:  # noqa: ARG001  # its key
    """The one store of these, once it was opened: whoever looks and whoever records share it."""
    return []
