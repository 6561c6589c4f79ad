"""A published model as MLflow loads it: the bytes of an X-ray's file in, probabilities out.

MLflow keeps this file in the model, with those of `bench.finished.packaged.CODE`; it runs without torch and without
the rest of the harness.
"""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnxruntime
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from bench.data.decode import BadImage, centre, decode_content


class Xrays(PythonModel):
    """Decodes, resizes and cuts as the harness did for the run, then computes the run's prediction."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the network and its preprocessing from the model's files."""
        about = json.loads(Path(context.artifacts["preprocessing"]).read_text(encoding="utf-8"))
        self._tasks, self._input = about["output"]["tasks"], about["input"]
        network = Path(context.artifacts["network"]) / about["files"]["onnx"]
        self._session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:  # type: ignore[override]  # mlflow allows it
        """Return one row per image, one column per task.

        Args:
            model_input: column `image`, bytes of JPEG, PNG or DICOM files.

        Raises:
            MlflowException: an image cannot be used; served, it is the answer 400.
        """
        rows = [self._scores(content, f"image {row}") for row, content in enumerate(model_input["image"])]
        return pd.DataFrame(np.array(rows, np.float64).reshape(-1, len(self._tasks)), columns=self._tasks)

    def _scores(self, content: bytes, name: str) -> Any:
        try:
            grey = decode_content(content, Path(name), self._input["resize"])
        except BadImage as error:
            raise mlflow.exceptions.MlflowException.invalid_parameter_value(str(error)) from None
        (scores,) = self._session.run(None, {self._input["name"]: centre(grey, self._input["crop"])[None, None]})
        return scores[0]


mlflow.models.set_model(Xrays())
