"""How a list of overrides becomes a checked configuration.

Imports neither torch nor MLflow: a typo is refused before anything is loaded.
"""

import difflib
from collections.abc import Sequence
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench.errors import ConfigError
from bench.paths import CONF
from bench.registry import architecture, check_depth
from bench.schema import SCHEMAS, Config, leaves, problem


def register() -> None:
    """Makes the schemas known to Hydra; may be called more than once."""
    for name, node in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{name}_schema", node=node)


@cache
def groups(primary: str) -> dict[str, tuple[str, ...]]:
    """The config groups that a primary configuration chooses from, each with its options: `{"arch": (...)}`."""
    defaults = OmegaConf.to_container(OmegaConf.load(CONF / f"{primary}.yaml")).get("defaults", [])  # type: ignore[union-attr]  # a mapping, not a list: our own file
    names = [key for entry in defaults if isinstance(entry, dict) for key in entry if not key.startswith("override ")]
    found = {name: tuple(sorted(path.stem for path in (CONF / name).glob("*.yaml"))) for name in names}
    return found | {"sweeps": tuple(sorted(path.stem for path in (CONF / "sweeps").glob("*.yaml")))}


def parse(overrides: Sequence[str]) -> list[Override]:
    """The overrides in Hydra's own grammar: sweeps, ranges and globs over a group included.

    Raises:
        ConfigError: a text that is not `key=value`.
    """
    register()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            return OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(str(error).strip().splitlines()[0]) from None


def check_keys(overrides: Sequence[str], primary: str) -> None:
    """Refuses an override whose key the configuration does not have, or whose group has no such option.

    Raises:
        ConfigError: naming the nearest valid key and all of them.
    """
    keys, options = dict(leaves(SCHEMAS[primary])), groups(primary)
    for override in parse(overrides):
        key = override.key_or_group
        if key.split(".")[0].split("/")[0] == "hydra":
            continue
        if key in options:
            _check_options(key, values(override), options[key])
        elif key not in keys:
            known = [*options, *(leaf for leaf in keys if leaf.split(".")[0] != "sweep")]
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise ConfigError(f"unknown key '{key}'; {hint}Valid keys: {', '.join(known)}")


def values(override: Override) -> list[str]:
    """The values that an override stands for, as text: two for `seed=0,1`, one for `seed=0`."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [str(override.get_value_element_as_str())]


def _check_options(key: str, chosen: Sequence[str], options: Sequence[str]) -> None:
    for value in (text.strip("'\"") for text in chosen):
        if value not in options:
            near = difflib.get_close_matches(value, options, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise ConfigError(f"{key}={value}: no such {key}; {hint}Valid: {', '.join(options)}")


def compose_config(overrides: Sequence[str], primary: str = "config") -> Any:
    """The checked configuration (`Config`, or the schema of another primary) of one job's overrides.

    Raises:
        ConfigError: an unknown key or a value of the wrong type or range, with the valid ones named.
    """
    check_keys(overrides, primary)
    return to_config(_compose(overrides, primary), primary)


def _compose(overrides: Sequence[str], primary: str, *, with_hydra: bool = False) -> DictConfig:
    register()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose(primary, list(overrides), return_hydra_config=with_hydra)
    except (ConfigCompositionException, HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, primary)) from None


def hydra_settings(overrides: Sequence[str], primary: str = "config") -> DictConfig:
    """Hydra's own node (mode, sweeper, launcher) after the overrides that are not sweeps themselves."""
    return _compose(overrides, primary, with_hydra=True).hydra  # type: ignore[no-any-return]  # untyped attribute


def _explain(error: BaseException, primary: str) -> str:
    """One sentence for a Hydra or OmegaConf error, with the valid values where the schema knows them."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    key = getattr(cause, "full_key", None)
    first = str(cause).strip().splitlines()[0]
    kind = dict(leaves(SCHEMAS[primary])).get(key or "")
    if kind is not None and kind.type is bool:
        return f"{key}: {first}. Valid: true, false"
    return f"{key}: {first}" if key else first


def to_config(composed: DictConfig, primary: str = "config") -> Any:
    """The schema's object for a composed configuration, its values checked against their ranges.

    Raises:
        ConfigError: every value out of range, in one message; a depth that the architecture does not have.
    """
    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        raise ConfigError(f"no value for {', '.join(missing)}: give it as {missing[0]}=...")
    problems = [
        wrong
        for key, item in leaves(SCHEMAS[primary])
        if (wrong := problem(key, OmegaConf.select(composed, key), item.metadata))
    ]
    if problems:
        raise ConfigError("; ".join(problems))
    checked = OmegaConf.to_object(composed)
    if isinstance(checked, Config):
        check_depth(architecture(checked.arch.name), checked.truncate)
    return checked
