"""The typed schema of conf/: every key, its type and the values it may take. Imports neither torch nor Hydra.

What each key means, its unit and its source stand in conf/, beside its value.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import MISSING, ListConfig

from analysis.ranges import at_least, one_of, shaped
from analysis.ranges import leaves as leaves
from analysis.ranges import problem as problem
from bench.data.tasks import TASK_SETS


def _tasks_problem(key: str, value: Any) -> str | None:
    """A set of tasks is a word or a list of names; which names there are, the data set says."""
    listed = isinstance(value, list | ListConfig) and value and all(isinstance(name, str) for name in value)
    if value in TASK_SETS or listed:
        return None
    return f"{key}={value}: not {', '.join(TASK_SETS)} or a list of tasks like [edema,atelectasis]"


POLICIES = ("u-ignore", "u-zeros", "u-ones", "u-multiclass", "u-zeros-lsr", "u-ones-lsr")


@dataclass
class ArchConfig:
    """Which network."""

    name: str = MISSING
    family: str | None = None
    label: str | None = None
    in_chans: int = field(default=3, metadata={"choices": (1, 3)})


@dataclass
class WeightsConfig:
    """Where pretrained weights come from; read only where pretrained=true."""

    tag: str | None = None
    dir: str | None = None
    source: str | None = shaped(
        r"run:[0-9a-f]{32}|.+\.safetensors", "run:<MLflow run id> or a .safetensors file", default=None
    )


@dataclass
class PhantomConfig:
    """What the phantom generator draws."""

    seed: int = at_least(0)
    train_patients: int = at_least(2)
    test_patients: int = at_least(2)


@dataclass
class TableConfig:
    """A laboratory's own table: which file, which columns. Read by data=csv."""

    train: str = MISSING
    test: str | None = None
    image: str = MISSING
    patient: str = MISSING
    study: str | None = None
    view: str | None = None
    sex: str | None = None
    age: str | None = None
    labels: list[str] = MISSING
    encoding: str | None = None


@dataclass
class RootsConfig:
    """The folders of the sets that `data.external` names."""

    chexpert: str | None = None
    chexpert_test: str | None = None
    nih: str | None = None
    mimic: str | None = None
    mimic_test: str | None = None
    vindr: str | None = None
    padchest: str | None = None
    csv: str | None = None


SETS = tuple(one.name for one in fields(RootsConfig))
"""Data sets that `data.external` may name; chexpert is its valid.csv, chexpert_test the released 500 studies,
mimic_test the studies that a radiologist labelled."""


@dataclass
class DataConfig:
    """Which images, which labels, which split."""

    name: str = MISSING
    root: str | None = None
    labels_file: str | None = None
    tasks: Any = field(default=MISSING, metadata={"check": _tasks_problem})
    uncertain: dict[str, str] = field(default_factory=dict, metadata={"entries": POLICIES})
    views: str = one_of("all", "frontal", "lateral", "ap", "pa")
    sex: str = one_of("all", "female", "male")
    age_min: float | None = at_least(0.0)
    age_max: float | None = at_least(0.0)
    fraction: float = at_least(0.0)
    patients: int | None = at_least(1)
    valid_fraction: float | None = at_least(0.0, below=1.0)
    split_file: str | None = None
    test: str = one_of("valid", "official")
    external: list[str] = field(default_factory=list, metadata={"choices": SETS})
    roots: RootsConfig = field(default_factory=RootsConfig)
    on_bad_image: str = one_of("raise", "skip")
    cache: str = MISSING
    resident: str = one_of("host", "device")
    phantom: PhantomConfig | None = None
    table: TableConfig = field(default_factory=TableConfig)


@dataclass
class ImageConfig:
    """What the network sees."""

    resize: int = at_least(32)
    crop: int = at_least(32)
    flip: bool = MISSING


@dataclass
class CheckpointsConfig:
    """Which states of the network count, and how they make one prediction."""

    every_examples: int | None = at_least(1)
    keep: int = at_least(1)
    average: str = one_of("probability", "task", "weights")


@dataclass
class ProtocolConfig:
    """How a network is trained."""

    name: str = MISSING
    epochs: int = at_least(1)
    probe_epochs: int = at_least(1)
    batch_size: int = at_least(2)
    micro_batch: int | None = at_least(1)
    lr: Any = field(default=MISSING, metadata={"low": 0.0, "words": ("auto",)})
    lr_grid: list[float] = MISSING
    lr_decay: float = at_least(0.0)
    betas: tuple[float, float] = MISSING
    weight_decay: float = at_least(0.0)
    image: ImageConfig = field(default_factory=ImageConfig)
    checkpoints: CheckpointsConfig = field(default_factory=CheckpointsConfig)


@dataclass
class EvaluationConfig:
    """What is scored, and at which level."""

    tasks: Any = field(default=MISSING, metadata={"check": _tasks_problem})
    level: str = one_of("study", "image")
    views: str = one_of("max", "mean")


@dataclass
class TrainerConfig:
    """The machine. Only the precision that is used touches the numbers, and so what a cell is."""

    name: str = MISSING
    accelerator: str = one_of("auto", "cpu", "gpu")
    devices: int = at_least(1)
    workers: int = at_least(0)
    deterministic: bool = MISSING
    precision: str = one_of("auto", "fp32", "tf32", "bf16")
    compile: bool = MISSING
    on_oom: str = one_of("raise", "accumulate")
    save_minutes: float = at_least(0.0)


@dataclass
class TrackingConfig:
    """Where runs are recorded."""

    uri: str = MISSING
    experiment: str = MISSING
    offline: bool = MISSING
    checkpoints: str = one_of("kept", "best", "none")
    errors: int = at_least(0)


@dataclass
class SweepConfig:
    """Which cells there are to be, and which sweep a cell is part of; `bench.run` fills in the size."""

    name: str | None = None
    size: int = at_least(1)
    grids: list[Any] = field(default_factory=list)
    sixteen: str | None = None


@dataclass
class Config:
    """Everything that `python -m bench.run` reads."""

    arch: ArchConfig = field(default_factory=ArchConfig)
    pretrained: bool = MISSING
    adapt: str = shaped(r"full|linear|lpft|last:[1-9]\d*", "full, linear, lpft or last:<stages>")
    truncate: int = at_least(0)
    seed: int = at_least(0)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    data: DataConfig = field(default_factory=DataConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    retry: str = one_of("none", "failed")
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
    seed: int = at_least(0)
    epochs: int = at_least(1)
    batch_size: int = at_least(2)
    lr: float = at_least(0.0)
    image: int = at_least(32)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass
class PublishedConfig:
    """What is known of weights that others published."""

    name: str = MISSING
    address: str | None = None
    licence: str | None = None
    archs: list[str] = field(default_factory=list)
    prefix: str | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    seen: list[str] = field(default_factory=list)


@dataclass
class ConvertConfig:
    """Everything that `python -m bench.convert` reads."""

    arch: ArchConfig = field(default_factory=ArchConfig)
    published: PublishedConfig = field(default_factory=PublishedConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    file: str = MISSING
    reference: str | None = None


@dataclass
class ArchitecturesConfig:
    """Everything that `python -m bench.architectures` reads."""

    outputs: int = at_least(1)
    csv: bool = MISSING


@dataclass
class StoreConfig:
    """Where a run that is there already is looked up."""

    uri: str = MISSING
    experiment: str = MISSING


@dataclass
class CamConfig:
    """Everything that `python -m bench.cam` reads."""

    run: str = shaped(r"[0-9a-f]{32}", "an MLflow run id, 32 hexadecimal digits")
    compare: str | None = shaped(r"[0-9a-f]{32}", "an MLflow run id, 32 hexadecimal digits", None)
    task: str = MISSING
    studies: int = at_least(1)
    only: list[str] = field(default_factory=list)
    root: str | None = None
    tracking: StoreConfig = field(default_factory=StoreConfig)
    out: str = MISSING


@dataclass
class ExportConfig:
    """Everything that `python -m bench.export` reads."""

    run: str = shaped(r"[0-9a-f]{32}", "an MLflow run id, 32 hexadecimal digits")
    images: int = at_least(2)
    root: str | None = None
    tracking: StoreConfig = field(default_factory=StoreConfig)
    out: str | None = None


@dataclass
class PublishConfig:
    """Everything that `python -m bench.publish` reads."""

    report: str = MISSING
    model: str | None = shaped(r"(?!training-)[^/:]+", "a name without / and :, and not training-...", None)
    images: int = at_least(2)
    root: str | None = None
    tracking: StoreConfig = field(default_factory=StoreConfig)


@dataclass
class ServerConfig:
    """Which tracking server."""

    uri: str = MISSING


@dataclass
class SyncConfig:
    """Everything that `python -m bench.sync` reads."""

    tracking: ServerConfig = field(default_factory=ServerConfig)
    outputs: str = MISSING


@dataclass
class SearchConfig:
    """`hydra/sweeper=optuna`: how a search chooses its cells (`bench.sweeps.search`)."""

    _target_: str = "bench.sweeps.search"
    n_trials: int = at_least(1, 20)
    n_jobs: int = at_least(1, 1)
    direction: str = one_of("maximize", "minimize", default="maximize")
    sampler: str = one_of("tpe", "random", default="tpe")
    seed: int = at_least(0, 0)


SCHEMAS: dict[str, type] = {
    "config": Config,
    "pretrain": PretrainConfig,
    "convert": ConvertConfig,
    "architectures": ArchitecturesConfig,
    "cam": CamConfig,
    "export": ExportConfig,
    "publish": PublishConfig,
    "sync": SyncConfig,
}
"""By the name of the primary configuration in conf/."""
