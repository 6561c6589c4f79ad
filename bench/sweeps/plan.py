"""From what a user types to the list of cells that it stands for; imports neither torch nor MLflow."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra._internal.utils import get_args_parser  # the one place that knows Hydra's flags
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bench import config
from bench.errors import ConfigError
from bench.networks.registry import architecture
from bench.sweeps.plugins import check_plugins

Job = tuple[str, ...]
"""The overrides of one cell: `("arch=resnet18", "pretrained=true")`."""


@dataclass(frozen=True)
class Sweep:
    """The jobs behind one command line, in the order in which they start.

    Attributes:
        jobs: a cell each.
        configs: theirs, checked.
        multirun: whether Hydra's launcher runs them.
        left_out: jobs that are no cells, as their architecture has no such depth.
        plain: those of the command line's overrides that are no sweeps, Hydra's own among them.
        searched: whether another sweeper than a list of cells chooses the jobs as it goes (Optuna's).
    """

    jobs: tuple[Job, ...]
    configs: tuple[Any, ...]
    multirun: bool
    left_out: tuple[Job, ...] = ()
    plain: Job = ()
    searched: bool = False


def expand(settings: Sequence[str], grids: Sequence[Mapping[str, Any]] = ()) -> tuple[Job, ...]:
    """Every combination of the values in `settings`, once for each grid.

    Args:
        settings: overrides in Hydra's grammar, with sweeps: `["arch=resnet18,resnet34", "seed=range(3)"]`; a later one
            of a key replaces an earlier one.
        grids: of a sweep file, each a mapping from keys to such values; `settings` replace theirs.

    Returns:
        One tuple of plain overrides a job, the last key varying fastest; no job twice.

    Raises:
        ConfigError: an override that Hydra's grammar does not know.
    """
    jobs: dict[frozenset[str], Job] = {}  # two grids may have the same keys in another order
    for grid in grids or [{}]:
        texts = [*(f"{key}={value}" for key, value in grid.items()), *settings]
        choices = {override.get_key_element(): override for override in config.parse(texts)}
        values = [[f"{key}={value}" for value in config.values(override)] for key, override in choices.items()]
        for job in itertools.product(*values):
            jobs.setdefault(frozenset(job), job)
    return tuple(jobs.values())


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
    config.look_in(flags.config_dir)
    check_plugins(flags.overrides)
    config.check_keys(flags.overrides, primary)
    parsed = dict(zip(flags.overrides, config.parse(flags.overrides), strict=True))
    plain = [text for text, override in parsed.items() if not override.is_sweep_override()]
    composed = config.with_hydra(plain, primary)
    multirun = bool(flags.multirun) or composed.hydra.mode == RunMode.MULTIRUN
    if multirun and not composed.hydra.sweeper._target_.endswith("BasicSweeper"):
        return Sweep((), (), multirun, searched=True)
    for text, override in parsed.items():
        if override.is_interval_sweep():
            raise ConfigError(f"{text}: an interval has no list of values; add -m hydra/sweeper=optuna to search it")
    grids = _grids(composed) if multirun else []
    config.check_keys([f"{key}={value}" for grid in grids for key, value in grid.items()], primary)
    jobs = expand([text for text in flags.overrides if not _of_hydra(text)], grids)
    if len(jobs) > 1 and not multirun:
        raise ConfigError("several values for one key: add -m to run every combination")
    return replace(_checked(jobs, primary, multirun=multirun), plain=tuple(plain))


def _of_hydra(override: str) -> bool:
    """Whether an override speaks of Hydra itself: of the sweep, not of a cell."""
    return override.lstrip("+~").startswith(("hydra.", "hydra/"))


def _grids(composed: DictConfig) -> list[dict[str, Any]]:
    """Those of the sweep file, or what stands in Hydra's own place for them."""
    ours = OmegaConf.select(composed, "sweep.grids") or []
    grids: Any = OmegaConf.to_container(ours, resolve=True) if ours else [dict(composed.hydra.sweeper.params or {})]
    return list(grids)


def _checked(jobs: Sequence[Job], primary: str, *, multirun: bool) -> Sweep:
    """Leaves out what is no cell: in a product over architectures, depths that single ones do not have."""
    composer = config.Composer(primary)
    kept: dict[Job, Any] = {}
    left_out = []
    for job in jobs:
        if len(jobs) > 1 and _too_deep(job):
            left_out.append(job)
        else:
            kept[job] = composer.compose(job)
    if not kept:
        raise ConfigError(f"none of the {len(jobs)} jobs is a cell: no architecture among them has such a depth")
    return Sweep(tuple(kept), tuple(kept.values()), multirun, tuple(left_out))


def _too_deep(job: Job) -> bool:
    """Whether the job's architecture has fewer stages than the job removes."""
    settings = dict(text.split("=", 1) for text in job)
    if not {"arch", "truncate"} <= settings.keys() or not settings["truncate"].isdigit():
        return False
    name = settings["arch"]
    if name == "timm":
        name = settings.get("arch.name", "")
    return bool(name) and int(settings["truncate"]) > len(architecture(name).cuts)
