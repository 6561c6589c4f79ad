import json

import cv2
import numpy as np
import pandas as pd
import pytest

from bench.cells.mistakes import SIDE, mistakes, picture, record_mistakes
from bench.cells.runner import run_cell
from bench.schema import EvaluationConfig
from bench.tracking.stores import store_of

TASKS = ["edema", "fracture"]


def frame(rows, **more):
    """(patient, study, view, label, score) of edema an image."""
    made = pd.DataFrame(rows, columns=["patient", "study", "view", "label/edema", "score/edema"])
    made.insert(0, "path", [f"{row[0]}/{row[1]}/{row[2]}.jpg" for row in rows])
    return made.assign(**{"label/fracture": np.nan, "score/fracture": 0.5}, **more)


def evaluation(level="study", views="max", tasks=("edema",)):
    return EvaluationConfig(tasks=list(tasks), level=level, views=views)


def told(found):
    return [(item["kind"], item["path"], item["score"]) for item in found]


SEVEN = frame(
    [
        ("p1", "s1", "frontal", 0.0, 0.1),
        ("p1", "s1", "lateral", 0.0, 0.9),
        ("p2", "s1", "frontal", 0.0, 0.3),
        ("p3", "s1", "frontal", 1.0, 0.2),
        ("p3", "s1", "lateral", 1.0, 0.05),
        ("p4", "s1", "frontal", 1.0, 0.95),
        ("p5", "s1", "frontal", np.nan, 0.99),
    ]
)


def test_the_worst_come_first_and_what_is_in_order_is_no_mistake():
    found = mistakes(SEVEN, evaluation(), keep=3)
    assert told(found) == [
        ("false positive", "p1/s1/lateral.jpg", 0.9),
        ("false positive", "p2/s1/frontal.jpg", 0.3),
        ("false negative", "p3/s1/frontal.jpg", 0.2),
    ]
    first = {"task": "edema", "patient": "p1", "study": "s1", "view": "lateral", "label": 0, "images": 2}
    assert first.items() <= found[0].items()
    assert [SEVEN["path"].iloc[item["row"]] for item in found] == [item["path"] for item in found]


def test_at_most_so_many_of_a_direction():
    assert told(mistakes(SEVEN, evaluation(), keep=1)) == [
        ("false positive", "p1/s1/lateral.jpg", 0.9),
        ("false negative", "p3/s1/frontal.jpg", 0.2),
    ]


def test_scores_are_those_of_the_evaluation():
    by_mean = mistakes(SEVEN, evaluation(views="mean"), keep=3)
    assert [item["score"] for item in by_mean] == pytest.approx([0.5, 0.3, 0.125])
    by_image = mistakes(SEVEN, evaluation(level="image"), keep=2)
    assert told(by_image) == [
        ("false positive", "p1/s1/lateral.jpg", 0.9),
        ("false positive", "p2/s1/frontal.jpg", 0.3),
        ("false negative", "p3/s1/lateral.jpg", 0.05),
        ("false negative", "p3/s1/frontal.jpg", 0.2),
    ]
    assert {item["images"] for item in by_image} == {1}


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_alone_cannot_be_out_of_order(label):
    assert mistakes(SEVEN.assign(**{"label/edema": label}), evaluation(), keep=3) == []


def test_a_network_without_mistakes_has_none():
    perfect = SEVEN.assign(**{"score/edema": SEVEN["label/edema"].fillna(0)})
    assert mistakes(perfect, evaluation(), keep=3) == []


def test_a_picture_keeps_its_shape_and_is_never_enlarged():
    rng = np.random.default_rng(0)
    for shape, expected in (((320, 390), (131, SIDE)), ((40, 20), (40, 20)), ((400, 1), (SIDE, 1))):
        content = picture(rng.integers(0, 256, shape, dtype=np.uint8))
        assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED).shape == expected


def test_a_picture_shows_its_image():
    dark_left = np.repeat(np.array([[20, 220]], np.uint8), 100, axis=0).repeat(150, axis=1)
    shown = cv2.imdecode(np.frombuffer(picture(dark_left), np.uint8), cv2.IMREAD_UNCHANGED)
    assert abs(int(shown[:, :70].mean()) - 20) < 5
    assert abs(int(shown[:, -70:].mean()) - 220) < 5


@pytest.fixture(scope="module")
def recorded(phantom_root, tmp_path_factory):
    """A cell's artifacts, in a folder."""
    from bench.config import compose_config
    from tests.conftest import TINY

    place = tmp_path_factory.mktemp("cell")
    config = compose_config(
        [
            "arch=resnet18", "pretrained=false", "data=chexpert", f"data.root={phantom_root}", *TINY,
            f"tracking.uri=sqlite:///{place}/mlflow.db", f"outputs={place}/outputs", "tracking.errors=2",
            f"data.cache={phantom_root.parent}/cache",
        ]
    )  # fmt: skip
    state = run_cell(config, store_of(config))
    return store_of(config).download(state.run_id, "")


def test_a_cell_leaves_its_mistakes_with_labels_and_scores_of_the_saved_predictions(recorded):
    about = json.loads((recorded / "errors" / "test.json").read_text())
    assert (about["level"], about["views"], about["kept"]) == ("study", "max", 2)
    saved = pd.read_parquet(recorded / "predictions" / "test.parquet")
    studies = saved.groupby(["patient", "study"]).max(numeric_only=True)
    assert len(about["errors"]) > 10
    for item in about["errors"]:
        task, study = item["task"], studies.loc[(item["patient"], item["study"])]
        assert study[f"score/{task}"] == item["score"]
        assert study[f"label/{task}"] == item["label"] == (item["kind"] == "false negative")
        image = saved.set_index("path").loc[item["path"]]
        assert (image["study"], image[f"score/{task}"]) == (item["study"], item["score"])
    of_edema = [item["score"] for item in about["errors"] if (item["task"], item["label"]) == ("edema", 0)]
    negatives = studies.loc[studies["label/edema"] == 0, "score/edema"]
    assert of_edema == negatives.sort_values(ascending=False)[:2].tolist()


def test_the_pictures_are_of_those_images_and_no_others(recorded, phantom_root):
    about = json.loads((recorded / "errors" / "test.json").read_text())
    named = {item["picture"]: item["path"] for item in about["errors"]}
    assert {f"errors/{path.name}" for path in (recorded / "errors").glob("*.jpg")} == set(named)
    assert len(set(named.values())) == len(named)
    for name, path in named.items():
        small = cv2.imread(str(recorded / name), cv2.IMREAD_UNCHANGED)
        original = cv2.imread(str(phantom_root / path), cv2.IMREAD_GRAYSCALE)
        assert small.ndim == 2
        again = cv2.resize(original, small.shape[::-1], interpolation=cv2.INTER_AREA)
        assert np.corrcoef(again.ravel(), small.ravel())[0, 1] > 0.95


def test_none_are_stored_where_none_are_wanted():
    record_mistakes(None, None, None, None, keep=0)  # anything asked of None would be an error
