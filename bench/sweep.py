"""From what a user types to the list of cells that it stands for; imports neither torch nor MLflow."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from hydra._internal.utils import get_args_parser  # the one place that knows Hydra's flags
from hydra.types import RunMode

from bench import config
from bench.errors import ConfigError

Job = tuple[str, ...]
"""The overrides of one cell: `("arch=resnet18", "pretrained=true")`."""


@dataclass(frozen=True)
class Sweep:
    """The jobs behind one command line, in the order in which they start."""

    jobs: tuple[Job, ...]
    multirun: bool


def expand(settings: Sequence[str]) -> tuple[Job, ...]:
    """Every combination of the values in `settings`; a later setting of a key replaces an earlier one.

    Args:
        settings: overrides in Hydra's grammar, with sweeps: `["arch=resnet18,resnet34", "seed=range(3)"]`.

    Returns:
        One tuple of plain overrides a job, the last key varying fastest.

    Raises:
        ConfigError: an override that Hydra's grammar does not know.
    """
    choices = {override.get_key_element(): override for override in config.parse(settings)}
    texts = [[f"{key}={value}" for value in config.values(override)] for key, override in choices.items()]
    return tuple(itertools.product(*texts))


def plan(arguments: Sequence[str], primary: str = "config") -> Sweep | None:
    """The checked jobs of a command line; None where it only asks Hydra for help or information.

    Args:
        arguments: as typed.
        primary: the name of the primary configuration in conf/ that they override.

    Raises:
        ConfigError: any job of it has an unknown key or a wrong value.
    """
    flags = get_args_parser().parse_args(list(arguments))
    if flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
        return None
    config.check_keys(flags.overrides, primary)
    plain = [text for text in flags.overrides if len(config.values(config.parse([text])[0])) == 1]
    hydra = config.hydra_settings(plain, primary)
    multirun = bool(flags.multirun) or hydra.mode == RunMode.MULTIRUN
    swept = [f"{key}={value}" for key, value in (hydra.sweeper.params or {}).items()] if multirun else []
    jobs = expand([*swept, *flags.overrides])
    if len(jobs) > 1 and not multirun:
        raise ConfigError("several values for one key: add -m to run every combination")
    for job in jobs:
        config.compose_config(job, primary)
    return Sweep(jobs, multirun)
