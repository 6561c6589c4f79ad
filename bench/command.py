"""What the small commands share: a command line, checked, and then their work on each configuration of it."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import hydra
from omegaconf import DictConfig

from analysis.settings import VARIABLES, environment_notes
from analysis.store.uris import mask
from bench import config
from bench.errors import BenchError, ConfigError
from bench.paths import CONF
from bench.sweeps.plan import in_order, plan


def command(name: str, work: Callable[[Sequence[Any]], int], arguments: Sequence[str] | None = None) -> int:
    """The exit status of `python -m bench.<name>`: that of the work, 1 where it is refused, 2 for a wrong command line.

    Args:
        work: is given the checked configurations, one a job.
        arguments: as typed; None is those of this process.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        planned = plan(arguments, name)
    except ConfigError as error:
        return _refused(name, error, 2)
    if planned is None:
        config.register()
        sys.argv[1:] = in_order(arguments)
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(_nothing)()
        return 0
    say_environment(planned.configs, arguments)
    try:
        return work(planned.configs)
    except BenchError as error:
        return _refused(name, error, 1)


def helped(arguments: Sequence[str], about: str) -> bool:
    """Whether help was asked for, which is then printed: of a command that takes the words of `bench.run`."""
    if not {"--help", "-h"} & set(arguments):
        return False
    print(f"{about.strip()}\n\nKeys and groups: python -m bench.run --help")  # noqa: T201  # plain, for logs and pipes
    return True


def say_environment(configs: Sequence[Any], arguments: Sequence[str]) -> None:
    """Says which of the tracking keys the environment gave, in a line each at the start; `arguments` as typed."""
    places: dict[str, str] = {}
    for tracking in (one.tracking for one in configs if hasattr(one, "tracking")):
        places |= {f"tracking.{key}": getattr(tracking, key) for key in VARIABLES if hasattr(tracking, key)}
    for note in environment_notes(places, arguments):
        print(mask(note), file=sys.stderr)  # noqa: T201  # plain, for logs and pipes


def _refused(name: str, error: BenchError, status: int) -> int:
    print(f"bench.{name}: {error}", file=sys.stderr)  # noqa: T201  # plain, for logs and pipes
    return status


def _nothing(_: DictConfig) -> None:
    """Never reached: Hydra was asked for help or information, which it gives."""
