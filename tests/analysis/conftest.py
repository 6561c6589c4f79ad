"""A synthetic tracking store: what finished runs leave, without any training."""

import logging
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

TASKS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
FAMILIES = {"densenet": "DenseNet", "resnet": "ResNet", "efficientnet": "EfficientNet"}


def make_predictions(model_seed: int = 0, *, skill: float = 1.0, n_patients: int = 60) -> pd.DataFrame:
    """One row an image: the same patients and labels for every model, scores of its own."""
    data = np.random.default_rng(7)
    rows = [
        {"patient": f"patient{p:05d}", "study": f"patient{p:05d}/study{s}", "view": v}
        for p in range(n_patients)
        for s in range(1, 2 + data.integers(2))
        for v in range(1, 2 + data.integers(2))
    ]
    frame = pd.DataFrame(rows)
    frame.insert(0, "path", frame["study"] + "/view" + frame["view"].astype(str) + ".jpg")
    frame["view"] = np.where(frame["view"] == 1, "frontal", "lateral")
    study = frame.groupby("study", sort=False).ngroup().to_numpy()
    rng = np.random.default_rng([11, model_seed])
    for t, task in enumerate(TASKS):
        by_study = (data.random(study.max() + 1) < 0.2 + 0.05 * t).astype(float)
        by_study[data.random(by_study.size) < 0.03] = np.nan
        frame[f"label/{task}"] = by_study[study]
        logit = skill * np.nan_to_num(frame[f"label/{task}"]) + rng.normal(size=len(frame))
        frame[f"score/{task}"] = 1 / (1 + np.exp(-logit))
    return frame


@dataclass
class FakeStore:
    """A tracking store in a folder, with one experiment to add runs to."""

    folder: Path
    experiment: str = "chextransfer"
    client: Any = field(init=False)
    experiment_id: str = field(init=False)

    def __post_init__(self) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=self.uri)
        location = (self.folder / "artifacts").as_uri()
        self.experiment_id = self.client.create_experiment(self.experiment, artifact_location=location)

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def words(self) -> list[str]:
        """What to type for this store."""
        return [f"tracking.uri={self.uri}", f"experiment={self.experiment}"]

    def add(
        self,
        arch: str = "densenet121",
        pretrained: bool = True,
        *,
        truncate: int = 0,
        seed: int = 0,
        status: str = "FINISHED",
        frame: pd.DataFrame | None = None,
        tags: dict[str, str | None] | None = None,
        params: dict[str, str] | None = None,
        metrics: dict[str, float] | None = None,
    ) -> str:
        """One run; a tag of None is left out. Returns its id."""
        from mlflow.entities import Param

        name = f"{arch}-{'pretrained' if pretrained else 'scratch'}-t{truncate}-s{seed}"
        all_tags = {
            "cell": f"cell-{name}",
            "arch": arch,
            "family": next((family for key, family in FAMILIES.items() if arch.startswith(key)), "Other"),
            "pretrained": str(pretrained).lower(),
            "truncate": str(truncate),
            "seed": str(seed),
            "weights": f"{arch}.tv_in1k" if pretrained else "none",
            "weights_standin": "false",
            "sweep": "demo",
            "data": "phantom",
            "data_fingerprint": "0123456789",
            "data_generated": "false",
            "data_uncertain": "u-ignore",
            "protocol": "quick",
            "git": "f" * 40,
        } | (tags or {})
        all_params = {
            "evaluation.tasks": ",".join(TASKS),
            "evaluation.level": "study",
            "evaluation.views": "max",
            "data.name": "phantom",
            "data.uncertain": "u-ignore",
            "protocol.name": "quick",
            "protocol.epochs": "4",
        } | (params or {})
        kept = {key: value for key, value in all_tags.items() if value is not None}
        run_id = str(self.client.create_run(self.experiment_id, run_name=name, tags=kept).info.run_id)
        self.client.log_batch(run_id, params=[Param(key, value) for key, value in all_params.items()])
        for key, value in (metrics or {}).items():
            self.client.log_metric(run_id, key, value)
        if status == "FINISHED":
            path = self.parquet(run_id)
            path.parent.mkdir(parents=True)
            (make_predictions() if frame is None else frame).to_parquet(path, index=False)
        if status != "RUNNING":
            self.client.set_terminated(run_id, status)
        return run_id

    def parquet(self, run_id: str) -> Path:
        return self.artifact(run_id, "predictions/test.parquet")

    def artifact(self, run_id: str, path: str) -> Path:
        return self.folder / "artifacts" / run_id / "artifacts" / path

    def leave(self, run_id: str, path: str, content: bytes) -> Path:
        """Adds an artifact to a run."""
        file = self.artifact(run_id, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated store with nothing in it: it takes seconds to make and milliseconds to copy."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # mlflow 3.17 still maps with `noload`, which SQLAlchemy 2.1 deprecates
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated", DeprecationWarning)
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty_database: Path, tmp_path: Path) -> FakeStore:
    """An experiment without runs."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return FakeStore(tmp_path)


@pytest.fixture(scope="session")
def four_cells(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> FakeStore:
    """Two architectures, pretrained and scratch, and three runs that are not finished; to be read only."""
    folder = tmp_path_factory.mktemp("four")
    shutil.copy(empty_database, folder / "mlflow.db")
    made = FakeStore(folder)
    for i, arch in enumerate(("resnet18", "densenet121")):
        for pretrained in (False, True):
            frame = make_predictions(2 * i + pretrained, skill=1.5 if pretrained else 0.7)
            made.add(arch, pretrained, frame=frame, tags={"weights_standin": str(pretrained).lower()})
    made.add("resnet34", status="FAILED", tags={"failure": "WeightsError: no weights"})
    made.add("resnet50", status="RUNNING")
    made.add("resnet101", status="KILLED")
    return made


@pytest.fixture
def predictions() -> Callable[..., pd.DataFrame]:
    return make_predictions


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20210404)
