"""The typed schema of conf/: every key, its type and the values it may take. Imports neither torch nor Hydra.

What each key means, its unit and its source stand in conf/, beside its value.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


def _one_of(*choices: str, default: Any = MISSING) -> Any:
    """A text field that takes one of a few words (an Enum would leak its class name into folder names)."""
    return field(default=default, metadata={"choices": choices})


def _at_least(low: float, default: Any = MISSING, *, below: float | None = None) -> Any:
    """A number field with a range: low <= value, and value < below where given."""
    return field(default=default, metadata={"low": low, "below": below})


@dataclass
class ArchConfig:
    """Which network."""

    name: str = MISSING


@dataclass
class WeightsConfig:
    """Where pretrained weights come from; read only where pretrained=true."""

    tag: str | None = None
    dir: str | None = None


@dataclass
class PhantomConfig:
    """What the phantom generator draws."""

    seed: int = _at_least(0)
    train_patients: int = _at_least(2)
    test_patients: int = _at_least(2)


@dataclass
class DataConfig:
    """Which images, which labels, which split."""

    name: str = MISSING
    root: str | None = None
    tasks: str = _one_of("all", "competition")
    uncertain: str = _one_of("u-ignore", "u-zeros", "u-ones")
    views: str = _one_of("all", "frontal", "lateral")
    valid_fraction: float | None = _at_least(0.0, below=1.0)
    phantom: PhantomConfig | None = None


@dataclass
class ImageConfig:
    """The size of what the network sees."""

    resize: int = _at_least(32)
    crop: int = _at_least(32)


@dataclass
class CheckpointsConfig:
    """Which states of the network count, and how they make one prediction."""

    every_examples: int | None = _at_least(1)
    keep: int = _at_least(1)


@dataclass
class ProtocolConfig:
    """How a network is trained."""

    name: str = MISSING
    epochs: int = _at_least(1)
    batch_size: int = _at_least(2)
    lr: float = _at_least(0.0)
    betas: tuple[float, float] = MISSING
    weight_decay: float = _at_least(0.0)
    image: ImageConfig = field(default_factory=ImageConfig)
    checkpoints: CheckpointsConfig = field(default_factory=CheckpointsConfig)


@dataclass
class EvaluationConfig:
    """What is scored, and at which level."""

    tasks: str = _one_of("competition")
    level: str = _one_of("study", "image")
    views: str = _one_of("max", "mean")


@dataclass
class TrainerConfig:
    """The machine; nothing here changes what a cell is."""

    name: str = MISSING
    accelerator: str = _one_of("auto", "cpu", "gpu")
    workers: int | None = _at_least(0)
    deterministic: bool = MISSING


@dataclass
class TrackingConfig:
    """Where runs are recorded."""

    uri: str = MISSING
    experiment: str = MISSING


@dataclass
class SweepConfig:
    """Which sweep the cell is part of; `bench.run` fills it in."""

    name: str | None = None
    size: int = _at_least(1)


@dataclass
class Config:
    """Everything that `python -m bench.run` reads."""

    arch: ArchConfig = field(default_factory=ArchConfig)
    pretrained: bool = MISSING
    truncate: int = _at_least(0)
    seed: int = _at_least(0)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    data: DataConfig = field(default_factory=DataConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    outputs: str = MISSING


@dataclass
class SourceConfig:
    """An image folder to pretrain on: `train/<class>/*.jpg`, `valid/<class>/*.jpg`."""

    name: str = MISSING
    root: str | None = None


@dataclass
class PretrainConfig:
    """Everything that `python -m bench.pretrain` reads."""

    arch: ArchConfig = field(default_factory=ArchConfig)
    source: SourceConfig = field(default_factory=SourceConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    seed: int = _at_least(0)
    epochs: int = _at_least(1)
    batch_size: int = _at_least(2)
    lr: float = _at_least(0.0)
    image: int = _at_least(32)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass
class ArchitecturesConfig:
    """Everything that `python -m bench.architectures` reads."""

    outputs: int = _at_least(1)
    csv: bool = MISSING


SCHEMAS: dict[str, type] = {"config": Config, "pretrain": PretrainConfig, "architectures": ArchitecturesConfig}
"""By the name of the primary configuration in conf/."""


def leaves(schema: type, prefix: str = "") -> Iterator[tuple[str, "dataclasses.Field[Any]"]]:
    """Every (dotted key, field) of a schema, nested ones included: `("protocol.lr", ...)`."""
    for item in dataclasses.fields(schema):
        nested = next((part for part in (item.type, *getattr(item.type, "__args__", ())) if _is_schema(part)), None)
        if nested is None:
            yield prefix + item.name, item
        else:
            yield from leaves(nested, f"{prefix}{item.name}.")


def _is_schema(part: object) -> bool:
    return isinstance(part, type) and dataclasses.is_dataclass(part)


def problem(key: str, value: Any, metadata: Any) -> str | None:
    """What is wrong with a key's value, in one sentence; None where nothing is."""
    if value is None:
        return None
    choices = metadata.get("choices")
    if choices and value not in choices:
        return f"{key}={value}: not one of {', '.join(choices)}"
    low, below = metadata.get("low"), metadata.get("below")
    if low is not None and value < low:
        return f"{key}={value}: must be at least {low}"
    if below is not None and value >= below:
        return f"{key}={value}: must be below {below}"
    return None
