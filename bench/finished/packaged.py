"""Puts a run's exported prediction into MLflow's model format, with everything that turns a file into its input."""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

from bench.data.generated import phantom
from bench.errors import ExportError
from bench.finished.exported import ABOUT, EXPORTED, TOLERANCE
from bench.finished.saved import SavedRun, image_files
from bench.paths import PROJECT

CODE = (
    "bench/__init__.py",
    "bench/errors.py",
    "bench/data/__init__.py",
    "bench/data/decode.py",
    "bench/data/dicom.py",
    "bench/data/grey.py",
    "bench/data/pictures.py",
)
"""What `bench.finished.served` imports of the harness: the very code that decoded the run's images."""
SERVED = "bench/finished/served.py"
NEEDED = ("mlflow", "numpy", "pandas", "onnxruntime", "opencv-python-headless", "simplejpeg", "pillow")
DICOM = ("pydicom", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg")
"""Pinned where they are installed; a model without them reads JPEG and PNG."""
COLUMN = "image"
COMPARED = 8
"""Images on which the packed model is compared with the run's scores, from their files."""


def digest(run: SavedRun) -> str:
    """64 hex digits over all that a model of the run computes with: weights, preprocessing, tasks, and the code."""
    size = run.config.protocol.image
    found = hashlib.sha256(repr((size.resize, size.crop, run.normalisation, run.tasks, run.widths)).encode())
    for checkpoint in run.checkpoints:
        for name, value in sorted(checkpoint.network.state_dict().items()):
            found.update(name.encode() + np.ascontiguousarray(value.numpy()).tobytes())
    for file in (SERVED, *CODE):
        found.update((PROJECT / file).read_bytes())
    return found.hexdigest()


def pack(tasks: Sequence[str], exported: Path, folder: Path, model: Model) -> None:
    """Writes MLflow's folder of a model: the network, its preprocessing, code, pinned packages, signature, example.

    Args:
        exported: what `bench.finished.exported.write` left.
        folder: of the model; must not be there.
    """
    with tempfile.TemporaryDirectory() as temporary:
        code, network = Path(temporary) / "code", Path(temporary) / "network"
        for file in CODE:
            target = code / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / file, target)
        shutil.copytree(exported, network, ignore=shutil.ignore_patterns(EXPORTED, ABOUT))
        mlflow.pyfunc.save_model(
            path=folder,
            mlflow_model=model,
            python_model=str(PROJECT / SERVED),
            code_paths=[str(code / "bench")],
            artifacts={"network": str(network), "preprocessing": str(exported / ABOUT)},
            signature=ModelSignature(
                Schema([ColSpec("binary", COLUMN)]), Schema([ColSpec("double", task) for task in tasks])
            ),
            input_example=pd.DataFrame({COLUMN: [example()]}),
            pip_requirements=_pins(),
        )


def _pins() -> list[str]:
    return [f"{name}=={version(name)}" for name in (*NEEDED, *filter(_installed, DICOM))]


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def example() -> bytes:
    """The file of a generated X-ray: a model goes to people who may not see a patient's."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "phantom"
        phantom.generate(root, phantom.PhantomSpec(train_patients=1, test_patients=1))
        return next(iter(sorted(root.glob("valid/**/*_frontal.jpg")))).read_bytes()


def check(run: SavedRun, folder: Path, root: str | None) -> float:
    """The largest difference of a packed model's probabilities from the run's saved scores, from files on.

    Args:
        folder: of the model.
        root: of the data set; None is where the run read it.

    Raises:
        ExportError: more than rounding.
        DataError: the data set is not there.
    """
    rows = np.unique(np.linspace(0, len(run.test) - 1, min(COMPARED, len(run.test))).round().astype(int))
    chosen = run.test.iloc[rows]
    files = image_files(run, list(chosen["path"]), root)
    model = mlflow.pyfunc.load_model(str(folder))
    given = model.predict(pd.DataFrame({COLUMN: [file.read_bytes() for file in files]}))
    saved = chosen[[f"score/{task}" for task in run.tasks]].to_numpy(np.float64)
    difference = float(np.abs(given[list(run.tasks)].to_numpy() - saved).max())
    if not difference <= TOLERANCE:  # NaN fails, too
        raise ExportError(
            f"run {run.run_id}: its packed model differs by {difference:.2g} from its saved scores on {len(files)} of "
            f"its test images, more than {TOLERANCE:g}, and was not registered"
        )
    return difference
