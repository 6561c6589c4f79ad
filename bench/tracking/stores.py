"""Opens the tracking store that a configuration names, once a process."""

from functools import cache
from pathlib import Path

from bench.paths import in_project
from bench.schema import Config
from bench.tracking.store import Store


def store_of(config: Config) -> Store:
    """The tracking store that the configuration names.

    Raises:
        TrackingError: it cannot be reached or made.
    """
    tracking = config.tracking
    return _store(tracking.uri, tracking.experiment, in_project(config.outputs), tracking.offline)


@cache
def _store(uri: str, experiment: str, outputs: Path, offline: bool) -> Store:
    return Store(uri, experiment, outputs, offline=offline)
