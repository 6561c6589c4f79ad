"""From what a user types to the list of cells that it stands for; imports neither torch nor MLflow."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from hydra._internal.utils import get_args_parser  # the one place that knows Hydra's flags
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bench import config, overrides
from bench.errors import ConfigError
from bench.networks.registry import architecture
from bench.paths import in_project
from bench.schema import SearchConfig, leaves, problem
from bench.sweeps.plugins import check_plugins

CLUSTERS = {"hydra/launcher=submitit_slurm", "hydra/launcher=ray"}
"""Launchers whose jobs run on other machines."""

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
        search: how Optuna chooses the jobs as it goes (`SearchConfig`); empty for a list of cells.
        swept: of a search, the overrides with several values.
    """

    jobs: tuple[Job, ...]
    configs: tuple[Any, ...]
    multirun: bool
    left_out: tuple[Job, ...] = ()
    plain: Job = ()
    search: Mapping[str, Any] = field(default_factory=dict)
    swept: Job = ()

    @property
    def searched(self) -> bool:
        """Whether the jobs are chosen as it goes; `configs` are then some that it may choose."""
        return bool(self.search)

    @property
    def cell(self) -> Job:
        """Of `plain`, what is about a cell and not about Hydra."""
        return tuple(text for text in self.plain if not _of_hydra(text))


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
        values = [[f"{key}={value}" for value in overrides.values(override)] for key, override in choices.items()]
        for job in itertools.product(*values):
            jobs.setdefault(frozenset(job), job)
    return tuple(jobs.values())


def in_order(arguments: Sequence[str]) -> list[str]:
    """The options and then the overrides, as Hydra itself wants them; typed, they may be mixed."""
    typed = list(arguments)
    listed = get_args_parser().parse_intermixed_args(typed).overrides
    for override in listed:
        typed.remove(override)
    return [*typed, *listed]


def plan(arguments: Sequence[str], primary: str = "config") -> Sweep | None:
    """The checked jobs of a command line; None where it only asks Hydra for help or information.

    Raises:
        ConfigError: any job of it has an unknown key or a wrong value.
    """
    flags = get_args_parser().parse_intermixed_args(list(arguments))
    if flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
        return None
    for flag, value in (("name", flags.config_name), ("path", flags.config_path)):
        if value is not None:
            raise ConfigError(
                f"--config-{flag} {value}: not read here, where the configuration is conf/{primary}.yaml; put files of "
                "your own beside the others in conf/ or sweeps/, or in a folder of --config-dir, or give keys"
            )
    config.look_in(flags.config_dir)
    check_plugins(flags.overrides)
    config.check_keys(flags.overrides, primary)
    parsed = dict(zip(flags.overrides, config.parse(flags.overrides), strict=True))
    plain = [text for text, override in parsed.items() if not override.is_sweep_override()]
    composed = config.with_hydra(plain, primary)
    multirun = bool(flags.multirun) or composed.hydra.mode == RunMode.MULTIRUN
    if multirun and not composed.hydra.sweeper._target_.endswith("BasicSweeper"):
        if primary != "config":
            raise ConfigError("hydra/sweeper=optuna: of python -m bench.run alone")
        if composed.sweep.grids:
            raise ConfigError("hydra/sweeper=optuna: a search chooses its cells; leave +sweeps=NAME out")
        return _search(composed.hydra.sweeper, parsed, primary)
    for text, override in parsed.items():
        if override.is_interval_sweep():
            raise ConfigError(f"{text}: an interval has no list of values; add -m hydra/sweeper=optuna to search it")
    grids = _grids(composed) if multirun else []
    config.check_keys([f"{key}={value}" for grid in grids for key, value in grid.items()], primary)
    jobs = expand([text for text in flags.overrides if not _of_hydra(text)], grids)
    if len(jobs) > 1 and not multirun:
        raise ConfigError("several values for one key: add -m to run every combination")
    return replace(_checked(jobs, primary, multirun=multirun), plain=tuple(plain))


def _search(settings: DictConfig, parsed: Mapping[str, Override], primary: str) -> Sweep:
    """A search, each value of each key checked beside the others' first ones; values may not fit each other."""
    wrong = [
        found for key, item in leaves(SearchConfig, "hydra.sweeper.")
        if (found := problem(key, settings[item.name], item.metadata))
    ]  # fmt: skip
    if wrong:
        raise ConfigError("; ".join(wrong))
    ends = {text: _ends(override) for text, override in parsed.items() if override.is_sweep_override()}
    if not ends:
        raise ConfigError(
            "hydra/sweeper=optuna: nothing to search; give a key several values, as 'protocol.lr=interval(1e-5,1e-2)'"
        )
    first = [values[0] for values in ends.values()]
    plain = tuple(text for text in parsed if text not in ends)
    cell = [text for text in plain if not _of_hydra(text)]
    configs = [
        config.compose_config([*cell, *first[:place], value, *first[place + 1 :]], primary, whole=False)
        for place, values in enumerate(ends.values())
        for value in values
    ]
    search = {item.name: settings[item.name] for item in fields(SearchConfig)}
    return Sweep((), tuple(configs), True, plain=plain, search=search, swept=tuple(ends))


def _ends(override: Override) -> list[str]:
    """Overrides with each value of a choice, or with the two ends of an interval."""
    key, value = override.get_key_element(), override.value()
    texts = [value.start, value.end] if isinstance(value, IntervalSweep) else overrides.values(override)
    return [f"{key}={text}" for text in texts]


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


def check_roots(sweep: Sweep) -> None:
    """Refuses a data set whose folder is not named, or is not there where this machine trains.

    Raises:
        ConfigError: naming the key.
    """
    elsewhere = CLUSTERS & set(sweep.plain)
    for data in {repr(one.data): one.data for one in sweep.configs if one.data.phantom is None}.values():
        if data.root is None:
            raise ConfigError(f"data={data.name} needs data.root=DIR, the set's folder: see conf/data/{data.name}.yaml")
        if not elsewhere and not in_project(data.root).is_dir():
            raise ConfigError(f"{overrides.typed('data.root', data.root)}: no such folder")
