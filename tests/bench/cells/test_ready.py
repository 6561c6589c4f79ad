"""What `bench.prepare` refuses is what `bench.run` would, and before any training: each fault through both."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.cells import runner
from bench.cells.ready import UNUSABLE, ready, unusable
from bench.cells.runner import run_cell
from bench.data.card import card
from bench.data.sets import open_dataset
from bench.data.tasks import COMPETITION_TASKS
from bench.errors import DataError
from bench.prepare import prepare
from bench.tracking.stores import store_of

SKIP = "data.on_bad_image=skip"


@pytest.fixture
def root(phantom_root, tmp_path):
    folder = tmp_path / "CheXpert-phantom"
    shutil.copytree(phantom_root, folder)
    return folder


@pytest.fixture
def settings(configure, root, tmp_path):
    """A configuration of the copy, whatever else is said."""
    return lambda *overrides: configure(f"data.root={root}", f"data.cache={tmp_path}/cache", *overrides)


@pytest.fixture
def refused(monkeypatch):
    """What preparing says; running must say the same, and train nothing."""
    monkeypatch.setattr(runner, "fit", lambda *_: pytest.fail("was trained"))

    def messages(config):
        found = []
        for do in (prepare, lambda config: run_cell(config, store_of(config))):
            with pytest.raises(DataError) as caught:
                do(config)
            found.append(str(caught.value))
        assert found[0] == found[1]
        return found[0]

    return messages


def opened(config):
    return open_dataset(config.data, scored=config.evaluation.tasks)


def remove(root, frame):
    for path in frame["path"]:
        (root / path).unlink()


def change(root, name, edit):
    edit(pd.read_csv(root / name)).to_csv(root / name, index=False)


@pytest.mark.parametrize("name", ["train", "valid", "test"])
def test_a_split_of_which_no_image_is_there_is_refused(settings, root, refused, name):
    config = settings(SKIP)
    split = getattr(opened(config), name)
    remove(root, split.frame)
    images = len(split.frame)
    assert refused(config).startswith(f"no image of the {name} split can be used ({images}: {images} no such image): ")


def test_an_external_set_of_which_no_image_is_there_is_refused(settings, phantom_root, root, refused):
    for image in (root / "valid").rglob("*.jpg"):
        image.unlink()
    config = settings(SKIP, "data.external=[chexpert]", f"data.roots.chexpert={root}")
    config.data.root = str(phantom_root)
    assert refused(config).startswith("no image of the chexpert split can be used (")


@pytest.mark.parametrize(("name", "said"), [("train", "training"), ("valid", "validation")])
def test_a_class_that_was_left_out_with_its_images_is_missed(settings, root, refused, name, said):
    config = settings(SKIP)
    split = getattr(opened(config), name)
    remove(root, split.frame[split.frame["edema"] == 1])
    message = refused(config)
    assert message.startswith(f"the {said} split (")
    assert "images) has 0 positive and" in message


def test_too_few_images_for_a_batch_are_refused_after_the_bad_ones_are_out(settings, root, refused):
    images = len(opened(settings()).train.frame)
    (root / opened(settings()).train.frame["path"].iloc[-1]).write_bytes(b"")
    message = refused(settings(SKIP, f"protocol.batch_size={images}"))
    assert message == f"protocol.batch_size={images} is larger than the training split of {images - 1} images"


@pytest.mark.parametrize("name", ["valid.csv", "train.csv"])
def test_views_that_disagree_are_refused_before_the_training_whose_score_they_would_spoil(
    settings, root, refused, name
):
    config = settings()
    data = opened(config)
    frame = (data.test if name == "valid.csv" else data.valid).frame
    lateral = frame[(frame["view"] == "lateral") & frame["edema"].isin([0, 1])].iloc[0]

    def edit(table):
        row = table["Path"].str.endswith(lateral["path"])
        table.loc[row, "Edema"] = 1 - table.loc[row, "Edema"]
        return table

    change(root, name, edit)
    assert f"study {lateral['study']} of patient {lateral['patient']} disagree on label/edema" in refused(config)
    prepare(settings("evaluation.level=image"))


def test_a_task_that_is_not_there_is_refused(settings, refused):
    assert "evaluation.tasks=[oedema]: no task oedema" in refused(settings("evaluation.tasks=[oedema]"))


def test_all_problems_of_what_is_left_come_together(settings, root, refused):
    train = opened(settings()).train.frame
    remove(root, train[train["edema"] == 1])
    first, second = refused(settings(SKIP, "protocol.batch_size=4096")).split("\n")
    assert "has 0 positive and" in first
    assert "protocol.batch_size=4096 is larger" in second


def test_the_card_counts_what_is_used_and_says_what_was_left_out_and_why(settings, root):
    config = settings(SKIP)
    before = opened(config)
    gone, empty, torn, single = (root / path for path in before.test.frame["path"][:4])
    gone.unlink()
    empty.write_bytes(b"")
    torn.write_bytes(torn.read_bytes()[:-300])
    single.unlink()
    made = json.loads((prepare(config) / "card.json").read_text())
    assert made["splits"]["test"]["images"] == len(before.test.frame) - 4
    assert made["splits"]["train"]["images"] == len(before.train.frame)
    counts = made["splits"]["test"]["labels"]["edema"]
    assert sum(counts.values()) == len(before.test.frame) - 4
    left_out = [(one["reason"], one["images"]) for one in made["filters"] if one["filter"] == UNUSABLE]
    assert left_out == [("cannot be decoded", 1), ("is empty", 1), ("no such image", 2)]
    data, caches = ready(opened(config), config)
    assert card(data) == made
    assert made["fingerprint"] != before.fingerprint, "a cell without these images is another one"
    assert unusable(data) == 4
    assert set(caches) == {"train", "valid", "test"}
    patients = before.test.frame["patient"].nunique() - data.test.frame["patient"].nunique()
    assert sum(one.patients for one in data.dropped if one.filter == UNUSABLE) == patients
    assert len(data.test.labels) == len(data.test.frame)


def test_a_set_that_is_whole_stays_as_it_is(settings):
    config = settings()
    before = opened(config)
    data, _ = ready(before, config)
    assert data.dropped == before.dropped
    for name in ("train", "valid", "test"):
        pd.testing.assert_frame_equal(getattr(data, name).frame, getattr(before, name).frame)


@pytest.fixture
def own(configure, tmp_path):
    """An own table of 60 patients, an image each, and the configuration that reads it."""
    folder, rng = tmp_path / "own", np.random.default_rng(0)
    (folder / "scans").mkdir(parents=True)
    for number in range(60):
        Image.fromarray(rng.integers(0, 256, (40, 40), np.uint8)).save(folder / f"scans/{number}.png")
    table = pd.DataFrame({"path": [f"scans/{n}.png" for n in range(60)], "patient": [f"p{n}" for n in range(60)]})
    table = table.assign(**{task: np.arange(60) % 2 for task in COMPETITION_TASKS})
    table[:40].to_csv(folder / "train.csv", index=False)
    table[40:].to_csv(folder / "test.csv", index=False)
    labels = f"data.table.labels=[{','.join(COMPETITION_TASKS)}]"
    return folder, configure("data=csv", f"data.root={folder}", f"data.cache={tmp_path}/cache", labels)


def test_an_own_table_is_ready(own):
    assert prepare(own[1]).is_dir()


@pytest.mark.parametrize("form", ["copy", "as PNG anew", "link"])
def test_an_own_table_with_one_image_under_two_patients_in_two_splits_is_refused(own, refused, form):
    folder, config = own
    first, other = folder / "scans/0.png", folder / "scans/41.png"
    other.unlink()
    if form == "copy":
        shutil.copy(first, other)
    elif form == "link":
        other.symlink_to(first)
    else:
        Image.open(first).save(other, compress_level=0)
    message = refused(config)
    assert message.startswith("1 image(s) of test are, pixel by pixel, images of other patients in ")
    assert "scans/0.png (patient p0, row 2 of train.csv) and scans/41.png (patient p41, row 3 of test.csv)" in message


def test_one_patient_may_have_an_image_twice_and_two_patients_of_one_split_too(own, capsys):
    folder, config = own
    shutil.copy(folder / "scans/40.png", folder / "scans/41.png")
    prepare(config)
    assert "pixel by pixel" not in capsys.readouterr().out


def test_a_file_in_both_tables_is_refused_by_its_path(own, refused):
    folder, config = own
    change(folder, "test.csv", lambda table: table.assign(path=[r".\scans\3.png", *table["path"][1:]]))
    message = refused(config)
    assert message.startswith("scans/3.png is in both ")
    assert "test (row 2 of test.csv): an image must not be in two splits" in message


@pytest.mark.parametrize(
    ("first", "second"), [("p1", "P1"), ("p1", "p01"), ("p1", "p 1"), ("patient 7", "Patient  07"), ("1", "001")]
)
def test_a_patient_of_both_tables_is_found_however_the_name_is_written(own, refused, first, second):
    folder, config = own
    change(folder, "train.csv", lambda table: table.assign(patient=[first, *table["patient"][1:]]))
    change(folder, "test.csv", lambda table: table.assign(patient=[second, *table["patient"][1:]]))
    assert "differ only in case, blanks or leading zeros: patients must never cross splits" in refused(config)


@pytest.mark.parametrize(
    ("first", "second"), [("p1", "p1 "), ("1.0", "1"), ("12", "12.0"), ("J\u00f6rg", "Jo\u0308rg")]
)
def test_a_patient_of_both_tables_is_found_by_what_is_meant(own, refused, first, second):
    folder, config = own
    for name, patient in (("train.csv", first), ("test.csv", second)):
        text = (folder / name).read_text().replace(",p0,", f",{patient},").replace(",p40,", f",{patient},")
        (folder / name).write_text(text)
    assert "is in both " in refused(config)


def test_of_a_release_the_same_pictures_are_said_and_counted(settings, root, capsys):
    config = settings()
    data = opened(config)
    shutil.copy(root / data.train.frame["path"][0], root / data.test.frame["path"][0])
    made = json.loads((prepare(config) / "card.json").read_text())
    assert made["same_pictures"] == [{"split": "train", "other": "test", "images": 1}]
    assert (
        "1 image(s) of test are, pixel by pixel, images of other patients in train, as released"
        in capsys.readouterr().out
    )
