import base64
import json

import pytest

from analysis.report import main
from analysis.store import mistakes
from analysis.store.cells import order_cells
from analysis.store.io import load_runs
from analysis.store.mistakes import load_mistakes
from tests.analysis.recorded import JPEG, leave_mistakes, mistake


def loaded(store):
    return load_mistakes(store.uri, order_cells(load_runs(store.uri, "chextransfer")))


def page_of(store, out, *words):
    assert main([*store.words, f"out={out}", "resamples=20", "permutations=20", *words]) == 0
    return (out / "index.html").read_text(encoding="utf-8")


def test_the_best_by_validation_of_either_kind_are_shown(store):
    for arch, pretrained, auroc in (
        ("resnet18", True, 0.7), ("resnet34", True, 0.9), ("resnet50", True, 0.8), ("resnet18", False, 0.6),
    ):  # fmt: skip
        run_id = store.add(arch, pretrained, metrics={"valid/auroc": auroc})
        leave_mistakes(store, run_id, mistake(), image=JPEG + arch.encode())
    found = loaded(store)
    assert [cell.title for cell in found.cells] == [
        "Best pretrained cell by validation AUROC (0.900): resnet34-pretrained-t0-s0",
        "Best scratch cell by validation AUROC (0.600): resnet18-scratch-t0-s0",
    ]
    pictures = [base64.b64decode(cell.shown[0].uri.partition(",")[2]) for cell in found.cells]
    assert pictures == [JPEG + b"resnet34", JPEG + b"resnet18"]
    assert found.problems == []


def test_each_says_task_kind_label_score_and_study(store):
    leave_mistakes(store, store.add(), mistake(3), mistake(4, label=1, kind="false negative", images=1))
    (cell,) = loaded(store).cells
    first, second = cell.shown
    assert (first.task, first.kind, first.label, first.score) == ("Pleural effusion", "false positive", "0", "0.988")
    assert first.where == "study p3/s1, frontal of 2 images"
    assert (second.kind, second.label, second.where) == ("false negative", "1", "study p4/s1, frontal")
    assert "unknown" in cell.title


def test_at_image_level_the_image_is_named(store):
    leave_mistakes(store, store.add(), mistake(3), level="image")
    assert loaded(store).cells[0].shown[0].where == "p3/s1/view1.jpg, frontal"


def test_pictures_stop_where_the_page_has_no_more_room(store, monkeypatch):
    monkeypatch.setattr(mistakes, "MOST_BYTES", 250)
    leave_mistakes(store, store.add(), *(mistake(n) for n in range(4)), image=JPEG + b"x" * 97)
    found = loaded(store)
    assert len(found.cells[0].shown) == 2
    assert found.problems == ["2 pictures of densenet121-pretrained-t0-s0 left out, as this page has no room for them."]


def test_a_page_with_all_its_images_stays_below_ten_megabytes():
    from analysis.store import maps

    assert (maps.MOST_BYTES + 2 * mistakes.MOST_BYTES) * 4 / 3 < 8e6  # figures and tables take under 2 MB


def break_json(store, run_id):
    store.leave(run_id, "errors/test.json", b"{")


def break_jpeg(store, run_id):
    store.leave(run_id, "errors/000.jpg", b"<svg onload='alert(1)'>")


def lose_jpeg(store, run_id):
    store.artifact(run_id, "errors/000.jpg").unlink()


def lose_key(store, run_id):
    store.leave(run_id, "errors/test.json", json.dumps({"level": "study", "errors": [{}]}).encode())


def record_none(store, run_id):
    store.artifact(run_id, "errors/test.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_json, "Expecting property name"),
        (break_jpeg, "its picture is not a JPEG image"),
        (lose_jpeg, "there is no file"),
        (lose_key, "'picture'"),
        (record_none, "there is no file"),
    ],
)
def test_a_list_that_cannot_be_shown_is_named_and_the_others_are_shown(store, damage, message):
    run_id = store.add("resnet18")
    leave_mistakes(store, run_id, mistake())
    leave_mistakes(store, store.add("resnet18", False), mistake(1))
    damage(store, run_id)
    found = loaded(store)
    assert ["scratch" in cell.title for cell in found.cells] == [True]
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"errors/test.json of run resnet18-pretrained-t0-s0 ({run_id}) cannot be shown")
    assert message in found.problems[0]


def test_the_page_asks_a_person_to_look_and_says_whose_images_they_are(store, tmp_path):
    leave_mistakes(store, store.add(), mistake())
    page = page_of(store, tmp_path / "r")
    assert "A person should look at each of these" in page
    assert "of patients: pass this page on only to whom" in page
    assert page.count("data:image/jpeg") == 1


def test_phantoms_are_nobody(store, tmp_path):
    leave_mistakes(store, store.add(tags={"data_generated": "true"}), mistake())
    assert "of patients: pass" not in page_of(store, tmp_path / "r")


def test_a_page_without_images_names_no_study(store, tmp_path):
    leave_mistakes(store, store.add(), mistake(7))
    page = page_of(store, tmp_path / "r", "images=false")
    assert page.count("Left out by images=false.") == 2  # maps and errors
    assert "p7/s1" not in page
    assert "data:image/jpeg" not in page
