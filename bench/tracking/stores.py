"""Opens the tracking stores that configurations name."""

from collections.abc import Sequence

from bench.paths import in_project
from bench.schema import Config
from bench.tracking.store import Store


def store_of(config: Config, *, create: bool = True) -> Store:
    """Open the tracking store that the configuration names.

    Args:
        create: whether store and experiment are made where they are not there; else `absent` says so.
    """
    tracking = config.tracking
    outputs = in_project(config.outputs)
    return Store(tracking.uri, tracking.experiment, outputs, offline=tracking.offline, create=create)


def distinct(configs: Sequence[Config]) -> dict[tuple[str, str, str, bool], Config]:
    """Return one configuration for each store that some name."""
    return {place(config): config for config in configs}


def place(config: Config) -> tuple[str, str, str, bool]:
    """Return what tells one store from another: URI, experiment, outputs, and whether it is offline."""
    tracking = config.tracking
    return tracking.uri, tracking.experiment, config.outputs, tracking.offline
