import base64
import json

import pytest

from analysis.store import maps
from analysis.store.cells import order_cells
from analysis.store.io import load_runs
from analysis.store.maps import load_maps
from tests.analysis.recorded import PNG, network, record


def loaded(store):
    return load_maps(store.uri, order_cells(load_runs(store.uri, "chextransfer")))


def images(found):
    """What each shown figure holds behind PNG's signature."""
    raw = [base64.b64decode(one.uri.removeprefix("data:image/png;base64,")) for one in found.shown]
    assert all(content.startswith(PNG) for content in raw)
    return [content.removeprefix(PNG).decode() for content in raw]


def test_a_comparison_says_which_task_and_which_networks(store):
    run_id = store.add("resnet18", False)
    cut = network("f" * 32, 2, pretrained=True, height=8)
    record(store, run_id, "pleural_effusion-vs-ffffffff", network(run_id), cut, image=b"both")
    found = loaded(store)
    assert images(found) == ["both"]
    assert found.shown[0].caption == (
        f"Pleural effusion: ResNet-18 from scratch, whole, seed 3 (2 x 4 cells, run {run_id[:8]}), beside ResNet-18 "
        "pretrained, without its last 2 stages, seed 3 (8 x 4 cells, run ffffffff); 2 studies of the test set."
    )
    assert found.shown[0].alt == "Class activation maps of Pleural effusion, 2 networks"
    assert (found.n_left_out, found.problems) == (0, [])


def test_one_stage_and_one_study_are_said_as_such(store):
    run_id = store.add()
    record(store, run_id, "edema", network(run_id, 1), studies=["a"])
    assert "without its last stage," in loaded(store).shown[0].caption
    assert loaded(store).shown[0].caption.endswith("; 1 study of the test set.")


def test_comparisons_come_first_and_a_network_stands_beside_its_truncated_sister(store):
    full, cut = store.add("resnet18", truncate=0), store.add("resnet18", truncate=1)
    record(store, cut, "edema", image=b"cut edema")
    record(store, full, "edema", image=b"full edema")
    record(store, full, "atelectasis", image=b"full atelectasis")
    record(store, full, "edema-vs-12345678", image=b"both")
    assert images(loaded(store)) == ["both", "full atelectasis", "full edema", "cut edema"]


def test_every_run_shows_one_figure_before_any_shows_two(store, monkeypatch):
    monkeypatch.setattr(maps, "MOST", 3)
    first, second = store.add("resnet18"), store.add("resnet34")
    for task in ("atelectasis", "edema", "consolidation"):
        record(store, first, task, image=b"first " + task.encode())
    record(store, second, "edema", image=b"second edema")
    found = loaded(store)
    assert images(found) == ["first atelectasis", "first consolidation", "second edema"]
    assert found.n_left_out == 1


def test_a_figure_for_which_the_page_has_no_room_is_counted_and_smaller_ones_follow(store, monkeypatch):
    monkeypatch.setattr(maps, "MOST_BYTES", 100)
    run_id = store.add()
    record(store, run_id, "a", image=b"x" * 60)
    record(store, run_id, "b", image=b"y" * 60)
    record(store, run_id, "c", image=b"z" * (100 - 60 - 2 * len(PNG)))
    found = loaded(store)
    assert [content[0] for content in images(found)] == ["x", "z"]
    assert found.n_left_out == 1


def test_what_is_kept_on_a_page_stays_below_ten_megabytes():
    assert maps.MOST_BYTES * 4 / 3 < 8e6


def test_runs_without_maps_have_none(store):
    store.add()
    found = loaded(store)
    assert (found.shown, found.n_left_out, found.problems) == ([], 0, [])


def break_json(store, run_id):
    store.leave(run_id, "cams/edema.json", b"{")


def break_png(store, run_id):
    store.leave(run_id, "cams/edema.png", b"<svg onload='alert(1)'>")


def lose_png(store, run_id):
    store.artifact(run_id, "cams/edema.png").unlink()


def lose_key(store, run_id):
    store.leave(run_id, "cams/edema.json", json.dumps({"task": "edema", "studies": []}).encode())


def name_no_run(store, run_id):
    store.leave(run_id, "cams/edema.json", json.dumps({"task": "edema", "studies": [], "runs": []}).encode())


def say_no_number(store, run_id):
    about = {"task": "edema", "studies": [], "runs": [network(height="tall")]}
    store.leave(run_id, "cams/edema.json", json.dumps(about).encode())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_json, "JSONDecodeError"),
        (break_png, "its figure is not a PNG image"),
        (lose_png, "there is no file"),
        (lose_key, "KeyError: 'runs'"),
        (name_no_run, "it names no run"),
        (say_no_number, "invalid literal"),
    ],
)
def test_a_figure_that_cannot_be_shown_is_named_and_the_others_are_shown(store, damage, message):
    run_id = store.add()
    record(store, run_id, "atelectasis", image=b"good")
    record(store, run_id, "edema", image=b"bad")
    damage(store, run_id)
    found = loaded(store)
    assert images(found) == ["good"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith(
        f"cams/edema.json of run densenet121-pretrained-t0-s0 ({run_id}) cannot be shown"
    )
    assert message in found.problems[0]
