"""Writes a run's prediction as ONNX and torch.export, and leaves the files only where they give the run's scores."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.errors import ExportError, StorageError
from bench.extras import extra
from bench.finished.prediction import BATCH, Prediction, predict, prediction_of
from bench.finished.saved import SavedRun, read_test_images

Scores = npt.NDArray[np.floating[Any]]
"""[images, tasks] probabilities."""

TOLERANCE = 1e-4
"""Largest difference of a probability that passes for rounding: from the checkpoints as computed here, and from the
run's scores, which are computed in fp32 whatever the precision of the training."""
ONE_FILE = 1_500_000_000
"""Bytes of weights beyond which they go into a file of their own beside the ONNX file: protobuf's limit is 2 GiB."""
ONNX, EXPORTED, ABOUT = "prediction.onnx", "prediction.pt2", "preprocessing.json"


@dataclass(frozen=True)
class Agreement:
    """How far the files are from the run, on some images of its test set.

    Attributes:
        images: that were compared.
        from_scores: largest difference of a probability from the run's saved scores, over both files.
        from_checkpoints: largest difference from the run's checkpoints, computed here in fp32.
    """

    images: int
    from_scores: float
    from_checkpoints: float


def write(run: SavedRun, folder: Path, *, images: int, root: str | None = None) -> Agreement:
    """Writes prediction.onnx, prediction.pt2 and preprocessing.json, once they are known to give the run's scores.

    Args:
        run: a finished one.
        folder: made where it is not there; files of these names are replaced.
        root: of the data set; None is where the run read it.

    Raises:
        ExportError: the run's scores are no mean of its stored checkpoints, or the files do not give them; then
            nothing is written.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        StorageError: the folder cannot be written to.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):  # before a minute of tracing
        extra(package, "export")
    prediction = prediction_of(run)
    rows = np.unique(np.linspace(0, len(run.test) - 1, min(images, len(run.test))).round().astype(int))
    chosen = run.test.iloc[rows]
    pixels = read_test_images(run, list(chosen["path"]), root)
    saved = chosen[[f"score/{task}" for task in run.tasks]].to_numpy(np.float64)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unchecked-") as unchecked:
            made = Path(unchecked)
            save(prediction, made, crop=pixels.shape[-1])
            agreement = check(run, [file(made) for file in READERS], predict(prediction, pixels), saved, pixels)
            about = json.dumps(preprocessing(run, agreement), indent=2)
            (made / ABOUT).write_text(about + "\n", encoding="utf-8")
            for path in sorted(made.iterdir()):
                path.replace(folder / path.name)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written ({error.strerror}); give another folder as out=DIR") from None
    return agreement


def save(prediction: Prediction, folder: Path, *, crop: int) -> None:
    """Writes the two files; both take any number of images of `crop` pixels."""
    example = torch.zeros(2, 1, crop, crop, dtype=torch.uint8)  # one image would make the batch a constant
    with torch.no_grad():
        program = torch.export.export(prediction, (example,), dynamic_shapes=({0: torch.export.Dim("images")},))
    torch.export.save(program, folder / EXPORTED)
    size = sum(value.numel() * value.element_size() for value in prediction.state_dict().values())
    torch.onnx.export(
        program, (), folder / ONNX, input_names=["image"], output_names=["probability"],
        external_data=size > ONE_FILE, verbose=False,
    )  # fmt: skip


def read_onnx(folder: Path) -> Callable[[npt.NDArray[np.uint8]], Scores]:
    """The ONNX file as a function from images to probabilities, under onnxruntime on the CPU."""
    runtime = extra("onnxruntime", "export")
    session = runtime.InferenceSession(str(folder / ONNX), providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(["probability"], {"image": images})[0])


def read_exported(folder: Path) -> Callable[[npt.NDArray[np.uint8]], Scores]:
    """The torch.export file as a function from images to probabilities."""
    module = torch.export.load(folder / EXPORTED).module()

    def scores(images: npt.NDArray[np.uint8]) -> Scores:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(images)).numpy())

    return scores


READERS = (read_onnx, read_exported)


def check(
    run: SavedRun,
    files: list[Callable[[npt.NDArray[np.uint8]], Scores]],
    here: Scores,
    saved: Scores,
    images: npt.NDArray[np.uint8],
) -> Agreement:
    """Compare the files with the run's scores.

    Args:
        here: what the run's checkpoints give for the images, computed in fp32.
        images: [images, 1, crop, crop]; given to the files one alone first, then in batches.

    Raises:
        ExportError: further than allowed.
    """
    pieces = np.split(images, range(1, len(images), BATCH))
    computed = np.stack([np.concatenate([file(piece) for piece in pieces if len(piece)]) for file in files])
    from_scores, from_checkpoints = (float(np.abs(computed - wanted).max()) for wanted in (saved, here))
    agreement = Agreement(len(images), from_scores, from_checkpoints)
    if not from_checkpoints <= TOLERANCE:  # NaN fails, too
        raise ExportError(_refused(run, "the checkpoints themselves", from_checkpoints, len(images)))
    if not from_scores <= TOLERANCE:
        raise ExportError(
            _refused(run, "its saved scores", from_scores, len(images))
            + "; the images are not those that it was tested on"
        )
    return agreement


def _refused(run: SavedRun, what: str, difference: float, images: int) -> str:
    return (
        f"run {run.run_id}: on {images} of its test images the exported prediction differs by {difference:.2g} from "
        f"{what}, more than {TOLERANCE:g}, and nothing was written"
    )


def preprocessing(run: SavedRun, agreement: Agreement) -> dict[str, Any]:
    """Return what users of the files must know: how an image becomes their input, and what their output means."""
    size = run.config.protocol.image
    return {
        "run": run.run_id,
        "network": {"arch": run.row.name, "truncate": run.depth, "pretrained": run.config.pretrained},
        "files": {"onnx": ONNX, "torch_export": EXPORTED},
        "input": {
            "name": "image", "dtype": "uint8", "shape": ["images", 1, size.crop, size.crop],
            "values": "grey, 0 black to 255 white", "resize": size.resize, "crop": size.crop,
            "steps": [
                "decode to 8-bit grey",
                f"resize the shorter side to {size.resize} px, bilinear and antialiased, aspect kept",
                f"cut {size.crop} x {size.crop} px at the centre",
            ],
        },
        "inside": {"divide_by": 255, "mean": run.normalisation.mean, "std": run.normalisation.std},
        "output": {"name": "probability", "dtype": "float32", "shape": ["images", len(run.tasks)], "tasks": run.tasks},
        "checkpoints": {checkpoint.name: checkpoint.auroc for checkpoint in run.checkpoints},
        "agreement": asdict(agreement),
        "views": f"a study's probability is the {run.config.evaluation.views} over its images",
    }  # fmt: skip
