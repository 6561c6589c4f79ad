"""An earlier run as it was recorded: its configuration, its networks, its scores. Nothing of it is trained again."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from yaml import YAMLError

from analysis.errors import AnalysisError
from analysis.store.uris import check_reachable, mask, resolve_uri
from bench.config import to_config
from bench.data import labels
from bench.data.decode import centre, decode
from bench.data.sets import open_dataset
from bench.data.tables import SHOWN
from bench.errors import ConfigError, DataError, TrackingError, WeightsError
from bench.networks.heads import outputs
from bench.networks.models import Normalisation, build_model
from bench.networks.registry import Architecture, architecture
from bench.schema import Config, StoreConfig
from bench.tracking.store import Store

AUROC = "valid/auroc"
"""The key of a checkpoint's header that holds the mean validation AUROC it was kept for."""
SCORES = "predictions/test.parquet"


class Artifacts(Protocol):
    """The methods of a tracking store that are used here."""

    def artifacts(self, run_id: str, folder: str) -> list[str]:
        """Return the paths of the files in a folder of a run's artifacts."""

    def download(self, run_id: str, path: str) -> Path:
        """Return a local copy of one artifact."""

    def params(self, run_id: str) -> Mapping[str, str]:
        """Return the params of a run."""


@dataclass(frozen=True)
class Checkpoint:
    """One kept state of a run.

    Attributes:
        name: of its file, `step=120.safetensors`.
        auroc: mean validation AUROC that it was kept for.
        network: in eval mode, on the CPU.
    """

    name: str
    auroc: float
    network: nn.Module


@dataclass(frozen=True)
class SavedRun:
    """A finished run.

    Attributes:
        checkpoints: the states that were stored with it, best first.
        normalisation: of its networks' inputs.
        tasks: names of its predictions, in the order of its networks' outputs.
        widths: outputs of each task (`bench.networks.heads`).
        test: its predictions on the test set: one row per image, as the run recorded them.
    """

    run_id: str
    config: Config
    row: Architecture
    checkpoints: tuple[Checkpoint, ...]
    normalisation: Normalisation
    tasks: tuple[str, ...]
    widths: tuple[int, ...]
    test: pd.DataFrame

    @property
    def depth(self) -> int:
        """Return how many final stages its networks lack."""
        return self.config.truncate

    @property
    def label(self) -> str:
        """`DenseNet-121 -2`, or `DenseNet-121` where nothing was cut off."""
        return f"{self.row.label} -{self.depth}" if self.depth else self.row.label


def open_store(config: StoreConfig) -> Store:
    """Open the tracking store of a run; neither a store nor an experiment is created.

    Raises:
        TrackingError: nothing answers there.
    """
    uri = resolve_uri(config.uri)
    try:
        check_reachable(uri)
    except AnalysisError as error:
        raise TrackingError(mask(f"tracking.uri={uri} cannot be used: {error}")) from None
    looked = Store(config.uri, config.experiment, create=False)
    return looked if looked.absent else Store(config.uri, config.experiment)


def open_run(store: Artifacts, run_id: str) -> SavedRun:
    """A finished run, from its artifacts and params alone.

    Raises:
        TrackingError: there is no such run, or it did not finish.
        ConfigError: its configuration is not one of this version.
        WeightsError: no checkpoint was stored with it, or one does not fit its network.
    """
    if SCORES not in store.artifacts(run_id, "predictions"):
        raise TrackingError(f"run {run_id} has no {SCORES}: only a finished run of this harness can be opened")
    test = pd.read_parquet(store.download(run_id, SCORES))
    tasks = tuple(name.removeprefix("score/") for name in test.columns if name.startswith("score/"))
    config = _config(store.download(run_id, "config.yaml"), run_id)
    files = [path for path in store.artifacts(run_id, "checkpoints") if path.endswith(".safetensors")]
    if not files:
        raise WeightsError(
            f"run {run_id} has no stored checkpoints (tracking.checkpoints={config.tracking.checkpoints}): train its "
            "cell with tracking.checkpoints=kept, under another tracking.experiment, and open that run"
        )
    row = architecture(config.arch)
    widths = labels.widths(labels.policies(config.data.uncertain, tasks))
    checkpoints = [_checkpoint(store.download(run_id, path), config, row, outputs(widths)) for path in sorted(files)]
    best_first = tuple(sorted(checkpoints, key=lambda checkpoint: checkpoint.auroc, reverse=True))
    return SavedRun(run_id, config, row, best_first, _normalisation(store.params(run_id), run_id), tasks, widths, test)


def _config(path: Path, run_id: str) -> Config:
    written = path.read_text(encoding="utf-8")
    if "${" in written:  # a run writes values; what is to be filled in could ask for this machine's secrets
        raise ConfigError(
            f"run {run_id}: its config.yaml has places to fill in (${{...}}), which no run of ours writes"
        )
    try:
        config: Config = to_config(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(written)))  # type: ignore[arg-type]  # a mapping, as both are
    except (OmegaConfBaseException, ConfigError, YAMLError) as error:
        raise ConfigError(
            f"run {run_id}: its config.yaml is not one of this version of the harness ({error})"
        ) from None
    return config


def _checkpoint(path: Path, config: Config, row: Architecture, logits: int) -> Checkpoint:
    network = build_model(
        row, outputs=logits, weights=None, seed=0, depth=config.truncate, in_chans=config.arch.in_chans
    )
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
    try:
        network.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit {row.name} at truncate={config.truncate}: {error}") from None
    return Checkpoint(path.name, float(header[AUROC]), network.eval())


def _normalisation(params: Mapping[str, str], run_id: str) -> Normalisation:
    missing = [name for name in ("input.mean", "input.std") if name not in params]
    if missing:
        raise TrackingError(f"run {run_id} has no params {', '.join(missing)}, so its inputs cannot be made again")
    mean, std = (tuple(float(part) for part in params[name].split(",")) for name in ("input.mean", "input.std"))
    return Normalisation(mean, std)


def read_test_images(run: SavedRun, paths: Sequence[str], root: str | None) -> npt.NDArray[np.uint8]:
    """Images of the run's test set as its networks saw them: [images, 1, crop, crop] uint8.

    Args:
        root: of the data set; None is where the run read it.

    Raises:
        DataError: the data set or an image is not there, or the run speaks of another set's images.
    """
    size = run.config.protocol.image
    files = image_files(run, paths, root)
    return np.stack([centre(decode(file, size.resize), size.crop) for file in files])[:, None]


def image_files(run: SavedRun, paths: Sequence[str], root: str | None) -> list[Path]:
    """Return where the images of `read_test_images` lie.

    Args:
        root: of the data set; None is where the run read it.

    Raises:
        DataError: the data set is not there, or the run speaks of another set's images.
    """
    data = dataclasses.replace(run.config.data, root=root or run.config.data.root, external=[])
    test = open_dataset(data).test
    unknown = sorted(set(paths) - set(test.frame["path"]))
    if unknown:  # else what a run says of paths could lead anywhere on this machine
        raise DataError(f"{test.root}: no test image {', '.join(unknown[:SHOWN])}; was another set tested?")
    return [test.root / path for path in paths]
