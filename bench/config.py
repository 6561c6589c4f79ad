"""How a list of overrides becomes a checked configuration.

Imports neither torch nor MLflow: a typo is refused before anything is loaded.
"""

import copy
import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench.errors import ConfigError
from bench.groups import groups as groups
from bench.groups import look_in as look_in
from bench.groups import register as register
from bench.groups import searched as searched
from bench.networks.modes import check_adapt
from bench.networks.registry import architecture, check_depth, check_size
from bench.networks.weights import check_source
from bench.overrides import ENTRIES, spell, typed, values
from bench.paths import CONF
from bench.schema import SCHEMAS, Config, leaves, problem


def parse(overrides: Sequence[str]) -> list[Override]:
    """The overrides in Hydra's own grammar: sweeps, ranges and globs over a group included.

    Raises:
        ConfigError: a text that is not `key=value`.
    """
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        return [_parse(parser, text) for text in overrides]


def _parse(parser: OverridesParser, text: str) -> Override:
    try:
        return parser.parse_overrides([spell(text)])[0]
    except HydraException as error:
        key, found, value = text.partition("=")
        said = str(error).strip().splitlines()[0]
        if not found:
            raise ConfigError(f"{text}: not of the form key=value ({said})") from None
        raise ConfigError(f"{text}: the value must be quoted, as in {typed(key, value)} ({said})") from None


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
        if override.is_delete():
            raise ConfigError(f"{override.input_line}: a key cannot be taken away; give it a value, {key}=...")
        if isinstance(override.value(), Glob) and (key not in options or not values(override)):
            there = ", ".join(options[key]) if key in options else f"none, as only {', '.join(options)} are files"
            raise ConfigError(f"{override.input_line}: glob(...) chooses among files of conf/{key}/; there are {there}")
        if key in options:
            _check_options(key, values(override), options[key])
        elif key not in keys and not key.startswith(ENTRIES):
            known = [*options, *(leaf for leaf in keys if leaf.split(".")[0] != "sweep")]
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise ConfigError(f"unknown key '{key}'; {hint}Valid keys: {', '.join(known)}")


def _check_options(key: str, chosen: Sequence[str], options: Sequence[str]) -> None:
    for value in (text.strip("'\"") for text in chosen):
        if value not in options:
            near = difflib.get_close_matches(value, options, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise ConfigError(f"{key}={value}: no such {key}; {hint}Valid: {', '.join(options)}")


def compose_config(overrides: Sequence[str], primary: str = "config", *, whole: bool = True) -> Any:
    """The checked configuration (`Config`, or the schema of another primary) of one job's overrides.

    Args:
        whole: whether what depends on several keys is checked too.

    Raises:
        ConfigError: an unknown key or a value of the wrong type or range, with the valid ones named.
    """
    check_keys(overrides, primary)
    return to_config(_compose(overrides, primary), primary, whole=whole)


def _compose(overrides: Sequence[str], primary: str, *, with_hydra: bool = False) -> DictConfig:
    register()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            typed = [*searched(), *(spell(text) for text in overrides)]
            return compose(primary, typed, return_hydra_config=with_hydra)
    except (ConfigCompositionException, HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, primary)) from None


def with_hydra(overrides: Sequence[str], primary: str = "config") -> DictConfig:
    """The composed configuration with Hydra's own node (mode, sweeper, launcher), from overrides that are no sweeps."""
    return _compose(overrides, primary, with_hydra=True)


class Composer:
    """Checked configurations of many jobs that differ in a few keys, which `check_keys` knows to be valid ones.

    Hydra takes tens of milliseconds for one configuration, and a sweep has a thousand. So it composes once for each
    combination of group options, and plain keys are set on that, through the same schema.
    """

    def __init__(self, primary: str = "config") -> None:
        self._primary = primary
        self._options = groups(primary)
        self._kinds = dict(leaves(SCHEMAS[primary]))
        self._parser = OverridesParser.create()
        self._parsed: dict[str, Override] = {}
        self._values: dict[tuple[tuple[str, ...], str], Any] = {}
        self._bases: dict[tuple[str, ...], tuple[DictConfig, Any]] = {}

    def compose(self, overrides: Sequence[str]) -> Any:
        """The same as `compose_config`, each override a plain `key=value`.

        Raises:
            ConfigError: as `compose_config`.
        """
        parsed = {text: self._parse(text) for text in overrides}
        chosen = tuple(text for text, override in parsed.items() if override.key_or_group in self._options)
        composed, base = self._base(chosen)
        plain = {text: override for text, override in parsed.items() if text not in chosen}
        if base is None:
            return compose_config(overrides, self._primary)
        made = copy.deepcopy(base)
        for text, override in plain.items():
            key = override.key_or_group
            if (chosen, text) not in self._values:
                self._values[chosen, text] = self._typed(composed, key, override.value())
            _set(made, key, copy.deepcopy(self._values[chosen, text]))
        check(made)
        return made

    def _parse(self, text: str) -> Override:
        if text not in self._parsed:
            self._parsed[text] = self._parser.parse_override(spell(text))
        return self._parsed[text]

    def _base(self, chosen: tuple[str, ...]) -> tuple[DictConfig, Any]:
        """The configuration of group options alone; no object where it is not whole without a plain key's value."""
        if chosen not in self._bases:
            composed = _compose(chosen, self._primary)
            whole = not OmegaConf.missing_keys(composed)
            self._bases[chosen] = composed, to_config(composed, self._primary, whole=False) if whole else None
        return self._bases[chosen]

    def _typed(self, composed: DictConfig, key: str, value: Any) -> Any:
        """The value as the schema has it: `1` is a float where the schema says so."""
        try:
            OmegaConf.update(composed, key, value, force_add=key.startswith(ENTRIES))
        except OmegaConfBaseException as error:
            raise ConfigError(_explain(error, self._primary)) from None
        given = OmegaConf.select(composed, key)
        wrong = problem(key, given, self._kinds.get(key, _ANY).metadata)
        if wrong:
            raise ConfigError(wrong)
        return OmegaConf.to_object(given) if OmegaConf.is_config(given) else given


_ANY = dataclasses.field()


def _set(made: Any, key: str, value: Any) -> None:
    """Sets a dotted key of a configuration object, through whose mappings it leads too."""
    *path, name = key.split(".")
    for part in path:
        made = made[part] if isinstance(made, dict) else getattr(made, part)
    if isinstance(made, dict):
        made[name] = value
    else:
        setattr(made, name, value)


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


def to_config(composed: DictConfig, primary: str = "config", *, whole: bool = True) -> Any:
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
    if whole:
        check(checked)
    return checked


def check(checked: Any) -> None:
    """What depends on several keys.

    Raises:
        ConfigError: a depth that the architecture does not have; sizes or counts that do not fit one another.
    """
    if not isinstance(checked, Config):
        return
    row = architecture(checked.arch)
    check_depth(row, checked.truncate)
    check_size(row, checked.truncate, checked.protocol.image.crop)
    check_source(checked.weights)
    check_adapt(row, checked.truncate, checked.adapt)
    protocol, devices = checked.protocol, checked.trainer.devices
    if protocol.image.crop > protocol.image.resize:
        raise ConfigError(
            f"protocol.image.crop={protocol.image.crop}: larger than protocol.image.resize={protocol.image.resize}"
        )
    micro = protocol.micro_batch or protocol.batch_size
    if protocol.batch_size % micro or micro % devices:
        raise ConfigError(
            f"protocol.batch_size={protocol.batch_size} must be a multiple of protocol.micro_batch={micro}, and that "
            f"of trainer.devices={devices}: each device takes an equal part of every batch"
        )
    if checked.adapt == "lpft" and devices > 1:
        raise ConfigError("adapt=lpft: on one device only, as what is trained changes on the way; trainer.devices=1")
    if protocol.lr == "auto" and not protocol.lr_grid:
        raise ConfigError("protocol.lr=auto: needs protocol.lr_grid=[...]")
