"""The test images on which a network is most confidently wrong: which they are, and small pictures for a person."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from analysis.views import aggregate_views
from bench.data.images import Batches, Images
from bench.data.store import Pixels
from bench.data.tasks import choose
from bench.schema import EvaluationConfig
from bench.tracking.record import Record

FOLDER = "errors"
"""Of a run's artifacts: `test.json`, and the pictures that it names."""
SIDE = 160
"""px, the longer side of a picture: enough to see what is shown, not to read an X-ray."""
QUALITY = 80
"""Of JPEG, of 100."""
FALSE_POSITIVE, FALSE_NEGATIVE = "false positive", "false negative"


def record_mistakes(
    record: Record, frame: pd.DataFrame, batches: Batches, evaluation: EvaluationConfig, keep: int
) -> None:
    """Stores `errors/test.json` and a picture of each image in it; nothing where `keep` is 0.

    Args:
        frame: of the test split, as `prediction_frame` gives it.
        evaluation: what is scored, and at which level.
        keep: images of each scored task and direction, at most.
    """
    if keep == 0:
        return
    images, found = batches.dataset, mistakes(frame, evaluation, keep)
    assert isinstance(images, Images)  # for the type checker
    rows = dict.fromkeys(item.pop("row") for item in found)  # an image may be wrong in several tasks
    names = {str(frame["path"].iloc[row]): f"{FOLDER}/{number:03d}.jpg" for number, row in enumerate(rows)}
    for name, row in zip(names.values(), rows, strict=True):
        content = picture(images.cache.pixels(int(images.positions[row])))
        record.artifact(name, partial(_write, content=content))
    about = {
        "level": evaluation.level,
        "views": evaluation.views,
        "kept": keep,
        "errors": [item | {"picture": names[item["path"]]} for item in found],
    }
    record.artifact(f"{FOLDER}/test.json", partial(_write, content=json.dumps(about, indent=2).encode()))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def mistakes(frame: pd.DataFrame, evaluation: EvaluationConfig, keep: int) -> list[dict[str, Any]]:
    """The negatives with the highest scores and the positives with the lowest, of each scored task.

    Wrong is what stands on the wrong side of another: a negative that scores at least as high as some positive, a
    positive that scores no higher than some negative. No threshold is needed, and an AUROC of 1 has none of them.

    Args:
        frame: one row an image, as `prediction_frame` gives it; labels as given.
        evaluation: the level at which label and score are taken, as for the AUROC.
        keep: of each task and direction, at most.

    Returns:
        task, kind, path, patient, study, view, label (0 or 1), score (of the study, or of the image at image level),
        images (of the study) and row (of the frame), the worst first. The image of a study is its highest scored one.
    """
    units = aggregate_views(frame, level=evaluation.level, how=evaluation.views)
    trained = [name.removeprefix("label/") for name in frame.columns if name.startswith("label/")]
    keys = ["patient", "study"] if evaluation.level == "study" else ["patient", "study", "path"]
    members = frame.groupby(keys, sort=False).indices
    found: list[dict[str, Any]] = []
    for task in choose("evaluation.tasks", evaluation.tasks, trained):
        label, score = f"label/{task}", f"score/{task}"
        scores = frame[score].to_numpy()
        negatives, positives = units[units[label] == 0], units[units[label] == 1]
        high = negatives[negatives[score] >= positives[score].min()].nlargest(keep, score)
        low = positives[positives[score] <= negatives[score].max()].nsmallest(keep, score)
        for kind, chosen in ((FALSE_POSITIVE, high), (FALSE_NEGATIVE, low)):
            for unit in chosen.to_dict("records"):
                rows = np.asarray(members[tuple(unit[key] for key in keys)])
                row = int(rows[scores[rows].argmax()])
                image = frame.iloc[row].to_dict()
                about = {key: str(image[key]) for key in ("path", "patient", "study", "view")}
                numbers = {"label": int(unit[label]), "score": float(unit[score]), "images": len(rows)}
                found.append({"task": task, "kind": kind} | about | numbers | {"row": row})
    return found


def picture(pixels: Pixels) -> bytes:
    """A grey image [height, width] as a JPEG of SIDE px at most, its shape kept."""
    shrink = min(1.0, SIDE / max(pixels.shape))
    shape = tuple(max(1, round(side * shrink)) for side in pixels.shape)
    small = cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return content.tobytes()
