"""Settings of the report: conf/report.yaml, and what is typed after the command."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from analysis.errors import SettingsError
from analysis.places import CONF
from analysis.places import PROJECT as PROJECT

DEFAULTS = CONF / "report.yaml"
UNIT_WORDS = ("auto", "study", "patient", "image")
INTERVAL_WORDS = ("delong", "percentile", "bca")
WIDTH_WORDS = ("one", "two")
FONT_WORDS = ("sans", "serif")
IDS_WORDS = ("hashed", "kept")
RULES = {
    "resamples": "a whole number of at least 1",
    "level": "a number between 0 and 1, both excluded",
    "unit": f"one of {', '.join(UNIT_WORDS)}",
    "seed": "a whole number of at least 0",
    "interval": f"one of {', '.join(INTERVAL_WORDS)}",
    "stratified": "true or false",
    "permutations": "a whole number of at least 1",
    "margin": "a number above 0 and below 1",
    "allow_missing": "true or false",
    "images": "true or false",
    "watch": "true or false, and false with results=, which nobody writes to",
    "watch_seconds": "a whole number of at least 1",
    "evaluation.level": "study or image",
    "evaluation.views": "max or mean",
    "figures.width": f"one of {', '.join(WIDTH_WORDS)}",
    "figures.font": f"one of {', '.join(FONT_WORDS)}",
    "ids": f"one of {', '.join(IDS_WORDS)}",
    "results": "folders, separated by commas",
}
"""What a value must be, where not every text will do."""


@dataclass
class TrackingSettings:
    """Where the runs are."""

    uri: str = "sqlite:///mlflow.db"


@dataclass
class EvaluationFilter:
    """Which evaluation to report, where an experiment holds several."""

    tasks: str | None = None
    level: str | None = None
    views: str | None = None


@dataclass
class FigureSettings:
    """How figures are printed."""

    width: str = "two"
    font: str = "sans"


@dataclass
class Settings:
    """Every knob of the report; units and sources are in conf/report.yaml."""

    experiment: str = "chextransfer"
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    out: str = "report"
    resamples: int = 10_000
    level: float = 0.95
    unit: str = "auto"
    seed: int = 0
    data: str | None = None
    data_fingerprint: str | None = None
    data_uncertain: str | None = None
    protocol: str | None = None
    protocol_settings: str | None = None
    sweep: str | None = None
    tasks: str | None = None
    evaluation: EvaluationFilter = field(default_factory=EvaluationFilter)
    interval: str = "delong"
    stratified: bool = False
    permutations: int = 10_000
    margin: float = 0.01
    allow_missing: bool = False
    images: bool = True
    watch: bool = False
    watch_seconds: int = 60
    figures: FigureSettings = field(default_factory=FigureSettings)
    results: str | None = None

    def filters(self) -> dict[str, str]:
        """The filters that are set, by the column of the runs that they select on."""
        names = ("data", "data_fingerprint", "data_uncertain", "protocol", "protocol_settings", "sweep")
        chosen = {name: getattr(self, name) for name in names}
        chosen |= {f"evaluation.{name}": value for name, value in vars(self.evaluation).items()}
        return {name: value for name, value in chosen.items() if value is not None}


@dataclass
class ExportSettings(Settings):
    """The same of `analysis.export`, and what it says of the files; units and sources are in conf/results.yaml."""

    ids: str = "hashed"
    salt: str | None = None
    licence: str = "not stated"


def read_settings(words: Sequence[str], *defaults: Path, schema: type[Settings] = Settings) -> Settings:
    """The settings of the files, with `key=value` words over them.

    Args:
        words: what was typed; a value is taken as it stands (a fingerprint of digits stays text), `null` unsets.
        defaults: YAML files of the schema's keys; without any, the report's.
        schema: the keys and their types.

    Raises:
        SettingsError: an unknown key or a bad value; the message names the valid ones.
    """
    forget_empty()
    config = OmegaConf.structured(schema)
    for file in defaults or (DEFAULTS,):
        try:
            config = OmegaConf.merge(config, OmegaConf.load(file))
        except (OmegaConfBaseException, OSError) as error:
            raise SettingsError(f"{file} cannot be read: {_first_line(error)}") from None
    assert isinstance(config, DictConfig)  # for the type checker
    valid = _leaves(config)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in valid:
            what = f"unknown key {key}" if equals else f"{word} is not of the form key=value"
            raise SettingsError(f"{what}; the keys are {', '.join(valid)}")
        try:
            OmegaConf.update(config, key, None if value == "null" else value)
        except OmegaConfBaseException:
            raise SettingsError(f"{word}: {key} must be {RULES.get(key, 'text')}") from None
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, Settings)  # for the type checker
    _check_values(settings)
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
    """Which values the environment gave, a line each: those of VARIABLES that nobody typed.

    Args:
        values: by dotted key.
        words: what was typed after the command.
    """
    typed = {word.partition("=")[0] for word in words}
    return [
        f"{key}={value}: from {variable}"
        for key, value in values.items()
        if (variable := VARIABLES[key.rpartition(".")[2]]) and os.environ.get(variable) == value and key not in typed
    ]


def _leaves(config: DictConfig, prefix: str = "") -> list[str]:
    """Dotted names of every key that takes a value."""
    names: list[str] = []
    for key in map(str, config):
        child: Any = OmegaConf.select(config, key)
        names += _leaves(child, f"{prefix}{key}.") if isinstance(child, DictConfig) else [f"{prefix}{key}"]
    return names


def _check_values(settings: Settings) -> None:
    evaluation = settings.evaluation
    holds = {
        "resamples": settings.resamples >= 1,
        "level": 0 < settings.level < 1,
        "unit": settings.unit in UNIT_WORDS,
        "seed": settings.seed >= 0,
        "interval": settings.interval in INTERVAL_WORDS,
        "permutations": settings.permutations >= 1,
        "margin": 0 < settings.margin < 1,
        "watch_seconds": settings.watch_seconds >= 1,
        "evaluation.level": evaluation.level in (None, "study", "image"),
        "evaluation.views": evaluation.views in (None, "max", "mean"),
        "figures.width": settings.figures.width in WIDTH_WORDS,
        "figures.font": settings.figures.font in FONT_WORDS,
        "experiment": bool(settings.experiment.strip()),
        "tracking.uri": bool(settings.tracking.uri.strip()),
        "out": bool(settings.out.strip()),
        "results": settings.results is None or all(place.strip() for place in settings.results.split(",")),
        "watch": settings.results is None or not settings.watch,
    }
    if isinstance(settings, ExportSettings):
        holds |= {"ids": settings.ids in IDS_WORDS, "licence": bool(settings.licence.strip())}
    for key, valid in holds.items():
        if not valid:
            value: Any = settings
            for name in key.split("."):
                value = getattr(value, name)
            raise SettingsError(f"{key}={value}: {key} must be {RULES.get(key, 'a text that is not empty')}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
