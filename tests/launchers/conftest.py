from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data.sets import open_dataset
from bench.sweeps.plan import plan
from bench.tracking.server import Server
from tests.bench.recording import copy_database

SMALL = (
    "arch=resnet18", "truncate=3", "pretrained=false", "protocol.epochs=1", "protocol.image.resize=32",
    "protocol.image.crop=32", "data.phantom.train_patients=24", "data.phantom.test_patients=20",
    "data.valid_fraction=0.3", "trainer.workers=0", "trainer.accelerator=cpu", "trainer.precision=fp32",
    "tracking.checkpoints=none",
)  # fmt: skip
"""Cells that train in a second: two dozen patients of the phantom at 32 pixels, and the network's first stage."""

Words = Callable[..., list[str]]


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what every sweep here starts from: the phantom, its decoded cache, and an empty MLflow store."""
    folder = tmp_path_factory.mktemp("ground")
    open_dataset(plan([*SMALL, *_places(folder)]).configs[0].data)
    Server(f"sqlite:///{folder}/mlflow.db", "unused")
    return folder


def _places(ground: Path) -> list[str]:
    return [f"data.root={ground}/phantom", f"data.cache={ground}/cache"]


@pytest.fixture
def words(ground: Path, tmp_path: Path) -> Words:
    """Composes a command line about cells that train in a second and leave everything in the test's own folder."""

    def make(*more: str, uri: str = "", outputs: str = "outputs") -> list[str]:
        if not uri and not (tmp_path / "mlflow.db").exists():
            copy_database(ground / "mlflow.db", tmp_path / "mlflow.db")
        own = [f"tracking.uri={uri or f'sqlite:///{tmp_path}/mlflow.db'}", f"outputs={tmp_path}/{outputs}"]
        return ["-m", *SMALL, *_places(ground), *own, *more]

    return make
