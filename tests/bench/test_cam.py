import json
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest

from bench import cam
from bench.cam import check_same_test, choose, describe, main
from bench.cells.runner import run_cell
from bench.errors import ConfigError, DataError, TrackingError
from bench.finished.cam_figure import Column, figure, overlay, strongest
from bench.tracking.stores import store_of

RUN = "0123456789abcdef0123456789abcdef"
TEST = pd.DataFrame(
    [
        ("a/1.jpg", "a", 1.0, 0.3), ("a/2.jpg", "a", 1.0, 0.8), ("b/1.jpg", "b", 0.0, 0.9), ("c/1.jpg", "c", 1.0, 0.8),
        ("d/1.jpg", "d", np.nan, 0.95), ("e/1.jpg", "e", 1.0, 0.81),
    ],
    columns=["path", "study", "label/edema", "score/edema"],
)  # fmt: skip


def test_the_positive_studies_with_the_highest_scores_are_shown_by_their_highest_image():
    assert choose(TEST, "edema", 2, [])["path"].tolist() == ["e/1.jpg", "a/2.jpg"], "a tie goes by the path"
    assert choose(TEST, "edema", 9, [])["path"].tolist() == ["e/1.jpg", "a/2.jpg", "c/1.jpg"]


def test_named_studies_are_shown_whatever_their_label():
    assert choose(TEST, "edema", 1, ["d", "b", "a"])["path"].tolist() == ["d/1.jpg", "b/1.jpg", "a/2.jpg"]


def test_what_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="task=oedema: the run has no such task; did you mean 'edema'. Valid: edema"):
        choose(TEST, "oedema", 1, [])
    with pytest.raises(DataError, match="only=patient1: the run's test set has no such study"):
        choose(TEST, "edema", 1, ["a", "patient1"])
    with pytest.raises(DataError, match="task=edema: no study of the run's test set is positive"):
        choose(TEST[TEST["label/edema"] != 1], "edema", 1, [])


def saved(test, run_id="b2", tasks=("edema",)):
    return types.SimpleNamespace(run_id=run_id, test=test, tasks=tasks)


def test_runs_on_the_same_images_and_labels_may_be_compared():
    other = TEST.iloc[::-1].assign(**{"score/edema": 0.1})
    check_same_test(saved(TEST), saved(other), "edema")


@pytest.mark.parametrize(
    "other", [TEST[1:], TEST.assign(**{"label/edema": 0.0}), TEST.assign(path=TEST["path"].str.upper())]
)
def test_runs_of_other_test_sets_are_not_compared(other):
    with pytest.raises(DataError, match=r"compare=c3: its test set \(\d images\) is not that of run=b2 \(6 images\)"):
        check_same_test(saved(TEST), saved(other, "c3"), "edema")


def test_a_compared_run_must_know_the_task():
    with pytest.raises(DataError, match="compare=c3: that run has no task edema"):
        check_same_test(saved(TEST), saved(TEST, "c3", ("fracture",)), "edema")


def network(run_id, label, depth, pretrained):
    row, config = types.SimpleNamespace(label=label), types.SimpleNamespace(pretrained=pretrained, seed=7)
    return types.SimpleNamespace(run_id=run_id, row=row, depth=depth, config=config)


def test_a_recorded_figure_says_what_it_shows():
    runs = [network("a1", "ResNet-18", 0, True), network("b2", "ResNet-18", 2, False)]
    about = describe("edema", runs, [column("", (1, 2)), column("", (2, 4))], ["p1/s1", "p2/s1"])
    common = {"network": "ResNet-18", "seed": 7}
    assert about == {
        "task": "edema",
        "studies": ["p1/s1", "p2/s1"],
        "runs": [
            common | {"run_id": "a1", "pretrained": True, "truncate": 0, "height": 1, "width": 2},
            common | {"run_id": "b2", "pretrained": False, "truncate": 2, "height": 2, "width": 4},
        ],
    }


class Attached:
    """A store that takes artifacts of finished runs, or refuses them."""

    def __init__(self, folder, refuse=""):
        self.folder, self.refuse, self.paths = folder, refuse, []

    def attach(self, run_id, path, write):
        if path.endswith(self.refuse or "none"):
            raise TrackingError("permission denied")
        write(self.folder / path.replace("/", "_"))
        self.paths.append((run_id, path))


@pytest.mark.parametrize(("others", "name"), [([], "edema"), (["b" * 32], "edema-vs-bbbbbbbb")])
def test_figure_and_then_its_description_go_to_the_first_run(tmp_path, others, name):
    store, runs = Attached(tmp_path), [network(run_id, "", 0, True) for run_id in ("a" * 32, *others)]
    cam._record(store, runs, "edema", drawn([column("Full", (1, 2))]), {"task": "edema"})
    assert store.paths == [("a" * 32, f"cams/{name}.png"), ("a" * 32, f"cams/{name}.json")]
    assert (tmp_path / f"cams_{name}.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / f"cams_{name}.json").read_text()) == {"task": "edema"}


def test_no_description_is_left_of_a_figure_that_was_not_taken(tmp_path):
    store = Attached(tmp_path, refuse=".png")
    with pytest.raises(TrackingError, match="permission denied"):
        cam._record(store, [network("a" * 32, "", 0, True)], "edema", drawn([column("Full", (1, 2))]), {})
    assert store.paths == []


def drawn(columns):
    return figure(columns, ["patient_1$/study1", "patient2/study1"], "Edema")


def column(title, cells):
    images = np.zeros((2, 8, 8), np.uint8)
    return Column(title, images, np.full((2, *cells), -0.25, np.float32), np.array([0.123, 0.987]))


def test_full_and_truncated_stand_side_by_side_on_the_same_studies():
    made = drawn([column("Full", (1, 2)), column("Cut", (2, 4))])
    assert len(made.axes) == 6
    titles = [ax.get_title() for ax in made.axes]
    assert titles[0] == "patient_1$/study1"
    assert titles[1:3] == ["Full\nscore 0.12, strongest -0.25", "Cut\nscore 0.12, strongest -0.25"]
    assert titles[4] == "score 0.99, strongest -0.25"


def test_a_map_is_drawn_as_it_is_over_the_whole_crop():
    ax = drawn([column("Full", (1, 2))]).axes[1]
    ax.clear()
    cells = np.array([[1.0, -3.0]], np.float32)
    overlay(ax, np.zeros((6, 8), np.uint8), cells)
    image, over = ax.get_images()
    np.testing.assert_array_equal(over.get_array(), cells)
    assert list(over.get_extent()) == list(image.get_extent())
    assert over.get_clim() == (-3, 3), "no evidence is white"
    assert strongest(cells) == -3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no value for run"),
        (["run=12"], "run=12: not an MLflow run id"),
        ([f"run={RUN}", "studies=0"], "studies=0: must be at least 1"),
        ([f"run={RUN}", "study=3"], "did you mean 'studies'"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_is_not_there_is_said(tmp_path, capsys):
    assert main([f"run={RUN}", f"tracking.uri=sqlite:///{tmp_path}/none.db"]) == 1
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.parametrize(("module", "says"), [("cam", "class activation maps"), ("export", "ONNX")])
def test_help_and_refusals_load_no_torch(module, says):
    code = (
        f"import sys; from bench import {module}; assert {module}.main(['run=12']) == 2; "
        "assert not {'torch', 'mlflow', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    helped = subprocess.run(
        [sys.executable, "-m", f"bench.{module}", "--help"], capture_output=True, text=True, check=False
    )
    assert helped.returncode == 0
    assert helped.stdout.startswith(f"python -m bench.{module} run=ID")
    assert says in helped.stdout


@pytest.mark.slow
def test_the_maps_of_a_run_and_of_its_truncated_sister(configure, tmp_path, capsys):
    pytest.importorskip("pytorch_grad_cam", reason="the extra `cam` is not installed")
    size = ("protocol.image.resize=96", "protocol.image.crop=64", "protocol.checkpoints.every_examples=48")
    configs = [configure(*size, f"truncate={depth}", "protocol.checkpoints.keep=2") for depth in (0, 2)]
    full, cut = (run_cell(config, store_of(config)).run_id for config in configs)
    capsys.readouterr()
    arguments = [f"run={full}", f"compare={cut}", "studies=3", f"tracking.uri={configs[0].tracking.uri}"]
    assert main([*arguments, f"out={tmp_path}/cams"]) == 0
    stem = tmp_path / "cams" / f"edema-{full[:8]}-{cut[:8]}"
    assert f"{stem}.png" in capsys.readouterr().out
    assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert stem.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    with np.load(stem.with_suffix(".npz")) as arrays:
        assert arrays["runs"].tolist() == [full, cut]
        assert arrays["maps"].shape == (3, 2, 2)
        assert arrays["compare_maps"].shape == (3, 8, 8)
        assert arrays["images"].shape == (3, 64, 64)
        frame = pd.read_parquet(store_of(configs[1]).download(cut, "predictions/test.parquet")).set_index("path")
        np.testing.assert_array_equal(arrays["compare_scores"], frame.loc[arrays["paths"], "score/edema"])
        assert (frame.loc[arrays["paths"], "label/edema"] == 1).all()
        studies = arrays["studies"].tolist()
    store = store_of(configs[0])
    name = f"cams/edema-vs-{cut[:8]}"
    assert store.artifacts(full, "cams") == [f"{name}.json", f"{name}.png"]
    assert store.artifacts(cut, "cams") == []
    about = json.loads(store.download(full, f"{name}.json").read_text())
    assert (about["task"], about["studies"]) == ("edema", studies)
    assert [(run["run_id"], run["truncate"], run["height"]) for run in about["runs"]] == [(full, 0, 2), (cut, 2, 8)]
    assert store.download(full, f"{name}.png").stat().st_size < stem.with_suffix(".png").stat().st_size


@pytest.mark.slow
def test_a_store_that_takes_no_figure_is_said_with_where_the_figure_lies(configure, tmp_path, capsys, monkeypatch):
    pytest.importorskip("pytorch_grad_cam", reason="the extra `cam` is not installed")
    config = configure("protocol.image.resize=64", "protocol.image.crop=64")
    run_id = run_cell(config, store_of(config)).run_id

    def refuse(*_):
        raise TrackingError("permission denied")

    monkeypatch.setattr("bench.tracking.store.Store.attach", refuse)
    assert main([f"run={run_id}", "studies=1", f"tracking.uri={config.tracking.uri}", f"out={tmp_path}/cams"]) == 1
    error = " ".join(capsys.readouterr().err.split())
    png = tmp_path / "cams" / f"edema-{run_id[:8]}.png"
    assert f"{png} was drawn, and could not be recorded in run {run_id}: permission denied" in error
    assert png.is_file()
