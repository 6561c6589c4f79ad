"""What tests share: small generated data, and configurations that train in a second."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.config import compose_config
from bench.data.generated import phantom
from bench.schema import Config

if os.environ.get("TESTS_ON") != "gpu":  # the suite is the CPU's, on machines with a GPU too
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
    os.environ.pop(variable, None)  # the harness honours them; tests record in folders of their own

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
TINY = (
    "protocol.epochs=1",
    "protocol.image.resize=32",
    "protocol.image.crop=32",
    "trainer.workers=0",
    "data.valid_fraction=0.3",
)


def required(report: Any) -> Any:
    """With REQUIRE_ALL=1, as in .ci/run, a test has failed that was skipped for want of a program or a package."""
    if os.environ.get("REQUIRE_ALL") == "1" and report.skipped and re.search("install|Debian", report.longrepr[2]):
        report.outcome, report.longrepr = "failed", f"REQUIRE_ALL=1 and {report.longrepr[2]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    return required((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    return required((yield))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real X-rays and real weights that lies beside the project."""
    if not (SHARED / "data" / "nih-chexpert-small").is_dir():
        pytest.skip("no ../shared beside the project: the tests on real X-rays and real weights did not run")
    return SHARED


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom of 90 + 60 patients; tests read it and never write to it."""
    root = tmp_path_factory.mktemp("sets") / "CheXpert-phantom"
    phantom.generate(root, phantom.PhantomSpec(seed=3, train_patients=90, test_patients=60))
    return root


@pytest.fixture
def configure(phantom_root: Path, tmp_path: Path) -> Callable[..., Config]:
    """Composes a configuration that trains in seconds and leaves everything in the test's own folder."""

    def make(*overrides: str) -> Any:
        own = (
            "arch=resnet18",
            "pretrained=false",
            "data=chexpert",
            f"data.root={phantom_root}",
            f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
            f"outputs={tmp_path}/outputs",
            f"data.cache={phantom_root.parent}/cache",
        )
        return compose_config([*own, *TINY, *overrides])

    return make
