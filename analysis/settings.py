"""Settings of the report: conf/report.yaml, and what is typed after the command."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from analysis.axes import AXES
from analysis.errors import SettingsError
from analysis.places import CONF
from analysis.places import PROJECT as PROJECT
from analysis.ranges import at_least, between, described, filled, leaves, one_of, problem, shaped

DEFAULTS = CONF / "report.yaml"
Schema = TypeVar("Schema")
_METRIC = "(auroc|average_precision|sensitivity)"
METRICS = rf"\[?\s*{_METRIC}(\s*,\s*{_METRIC})*\s*\]?"


@dataclass
class TrackingSettings:
    """Where the runs are."""

    uri: str = filled("sqlite:///mlflow.db")


@dataclass
class EvaluationFilter:
    """Which evaluation to report, where an experiment holds several."""

    tasks: str | None = None
    level: str | None = one_of("study", "image", default=None)
    views: str | None = one_of("max", "mean", default=None)


@dataclass
class FigureSettings:
    """How figures are printed."""

    width: str = one_of("one", "two", default="two")
    font: str = one_of("sans", "serif", default="sans")


@dataclass
class Settings:
    """Every knob of the report; units and sources are in conf/report.yaml."""

    experiment: str = filled("chextransfer")
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    out: str = filled("report")
    resamples: int = at_least(1, 10_000)
    level: float = between(0, 1, 0.95)
    unit: str = one_of("auto", "study", "patient", "image", default="auto")
    seed: int = at_least(0, 0)
    data: str | None = None
    data_fingerprint: str | None = None
    protocol: str | None = None
    protocol_settings: str | None = None
    sweep: str | None = None
    adapt: str | None = None
    data_fraction: str | None = None
    data_patients: str | None = None
    in_chans: str | None = None
    data_uncertain: str | None = None
    image_size: str | None = None
    where: str = ""
    metrics: str = shaped(METRICS, "some of auroc, average_precision, sensitivity", "auroc")
    specificity: float = between(0, 1, 0.9)
    subgroups: str = ""
    subgroups_file: str = ""
    tasks: str | None = None
    evaluation: EvaluationFilter = field(default_factory=EvaluationFilter)
    interval: str = one_of("delong", "percentile", "bca", default="delong")
    stratified: bool = False
    permutations: int = at_least(1, 10_000)
    margin: float = between(0, 1, 0.01)
    allow_missing: bool = False
    images: bool = True
    watch: bool = False
    watch_seconds: int = at_least(1, 60)
    figures: FigureSettings = field(default_factory=FigureSettings)
    results: str | None = shaped(r"\s*[^,\s][^,]*(,\s*[^,\s][^,]*)*", "folders, separated by commas", None)

    def more(self) -> list[str]:
        """The metrics beside AUROC."""
        words = [word.strip() for word in self.metrics.strip("[] ").split(",")]
        return [word for word in dict.fromkeys(words) if word not in ("auroc", "")]

    def filters(self) -> dict[str, str]:
        """The filters that are set, by the column of the runs that they select on."""
        names = ("data", "data_fingerprint", "protocol", "protocol_settings", "sweep")
        chosen = {name: getattr(self, name) for name in names}
        chosen |= {axis.column: getattr(self, axis.name) for axis in AXES}
        chosen |= {f"evaluation.{name}": value for name, value in vars(self.evaluation).items()}
        return {name: value for name, value in chosen.items() if value is not None}


@dataclass
class ExportSettings(Settings):
    """The same of `analysis.export`, and what it says of the files; units and sources are in conf/results.yaml."""

    ids: str = one_of("hashed", "kept", default="hashed")
    salt: str | None = None
    licence: str = filled("not stated")


def read_settings(words: Sequence[str], *defaults: Path) -> Settings:
    """The settings of the report: of its files, with `key=value` words over them.

    Args:
        words: as of `read`.
        defaults: YAML files; without any, the report's.

    Raises:
        SettingsError: an unknown key or a bad value; the message names the valid ones.
    """
    return read(words, Settings, *(defaults or (DEFAULTS,)))


def read(words: Sequence[str], schema: type[Schema], *defaults: Path) -> Schema:
    """The schema's object from the words that were typed, and from files where a key was not.

    Args:
        words: what was typed; a value is taken as it stands (a fingerprint of digits stays text), `null` unsets.
        schema: a dataclass: keys, types, ranges and defaults.
        defaults: YAML files of the schema's keys; a later one goes over an earlier one.

    Raises:
        SettingsError: an unknown key or a bad value; the message names the valid ones.
    """
    forget_empty()
    config: Any = OmegaConf.structured(schema)
    for file in defaults:
        try:
            config = OmegaConf.merge(config, OmegaConf.load(file))
        except (OmegaConfBaseException, OSError) as error:
            raise SettingsError(f"{file} cannot be read: {_first_line(error)}") from None
    keys = dict(leaves(schema))
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in keys:
            what = f"unknown key {key}" if equals else f"{word} is not of the form key=value"
            raise SettingsError(f"{what}; the keys are {', '.join(keys)}")
        try:
            OmegaConf.update(config, key, None if value == "null" else value)
        except OmegaConfBaseException:
            raise SettingsError(f"{word}: must be {described(keys[key])}") from None
    for key, item in keys.items():
        if said := problem(key, OmegaConf.select(config, key), item.metadata):
            raise SettingsError(said)
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, schema)  # for the type checker
    if isinstance(settings, Settings) and settings.watch and settings.results is not None:
        raise SettingsError("watch=true: nobody writes to the folders of results=, so there is nothing to watch")
    return settings


def flat(nested: Any, prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings by dotted key.

    >>> flat({"image": {"crop": 320}, "epochs": 3})
    {'image.crop': 320, 'epochs': 3}
    """
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


VARIABLES = {"uri": "MLFLOW_TRACKING_URI", "experiment": "MLFLOW_EXPERIMENT_NAME"}
"""By the last part of a key: the variable of MLflow's that gives its value where none is typed."""


def forget_empty() -> None:
    """Unset the variables of MLflow that are empty, for this process: a shell script or a cluster leaves them so."""
    for name in [name for name, value in os.environ.items() if name.startswith("MLFLOW_") and not value.strip()]:
        del os.environ[name]


def environment_notes(values: Mapping[str, str], words: Sequence[str]) -> list[str]:
    """Which values the environment gave, a line each: those of VARIABLES that nobody typed."""
    typed = {word.partition("=")[0] for word in words}
    return [
        f"{key}={value}: from {variable}"
        for key, value in values.items()
        if (variable := VARIABLES[key.rpartition(".")[2]]) and os.environ.get(variable) == value and key not in typed
    ]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
