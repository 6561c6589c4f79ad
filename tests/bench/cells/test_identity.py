"""What is read is what is hashed: every key of the schema, where it is read and where it is not."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from bench.cells.identify import identify
from bench.config import Composer
from bench.data import sets
from bench.data.sources import read_release
from bench.data.tasks import ALL_TASKS, COMPETITION_TASKS, OBSERVATIONS
from bench.schema import SETS, Config, leaves

OWN = (
    "arch=resnet18", "pretrained=false", "trainer.precision=fp32", "data=csv", "data.root=ROOT/set",
    "data.valid_fraction=0.3", "data.table.train=cohort.csv", "data.table.test=held_out.csv",
    "data.table.labels=[edema,mass]", "evaluation.tasks=all",
)  # fmt: skip
CHEXPERT = ("data=chexpert", "evaluation.tasks=competition")
PHANTOM = ("data=phantom", "data.root=null", "evaluation.tasks=competition")
PRETRAINED = ("pretrained=true", "weights.dir=ROOT/weights")
SOURCE = "ROOT/weights/resnet18.mine.safetensors"
TIMM = ("arch=timm", "arch.name=resnet18.tv_in1k")
TURNED = f"[{','.join(ALL_TASKS[::-1])}]"

READ = {
    "arch.name": [((), "arch=resnet34"), (TIMM, "resnet26.bt_in1k")],
    "arch.in_chans": [((), "1")],
    "pretrained": [(PRETRAINED[1:], "true")],
    "adapt": [((), "linear")],
    "truncate": [((), "1")],
    "seed": [((), "1")],
    "weights.tag": [(PRETRAINED, "mine")],
    "weights.dir": [(PRETRAINED, "ROOT/others")],
    "weights.source": [(PRETRAINED, SOURCE), ((*PRETRAINED, "weights.source=/no.safetensors"), "/nor.safetensors")],
    "data.name": [((), "data=chexpert")],
    "data.root": [((), "ROOT/other")],
    "data.labels_file": [(CHEXPERT, "relabelled.csv")],
    "data.tasks": [(CHEXPERT, "competition"), (CHEXPERT, TURNED)],
    "data.uncertain": [((), "data.uncertain.default=u-ones"), ((), "data.uncertain.edema=u-zeros")],
    "data.views": [(("data.table.view=view",), "frontal")],
    "data.sex": [(("data.table.sex=sex",), "female")],
    "data.age_min": [(("data.table.age=age",), "40")],
    "data.age_max": [(("data.table.age=age",), "60")],
    "data.fraction": [((), "0.5")],
    "data.patients": [((), "30")],
    "data.valid_fraction": [((), "0.4")],
    "data.split_file": [(("data.valid_fraction=null",), "ROOT/split.csv")],
    "data.test": [(CHEXPERT, "official")],
    "data.external": [(("data.roots.nih=ROOT/other",), "[nih]")],
    "data.on_bad_image": [((), "skip")],
    "data.phantom.seed": [(PHANTOM, "1")],
    "data.phantom.train_patients": [(PHANTOM, "481")],
    "data.phantom.test_patients": [(PHANTOM, "181")],
    "data.table.train": [((), "fewer.csv")],
    "data.table.test": [((), "fewer_held_out.csv")],
    "data.table.image": [((), "link")],
    "data.table.patient": [((), "person")],
    "data.table.study": [((), "study")],
    "data.table.view": [((), "view")],
    "data.table.sex": [(("data.table.sex=sex", "data.sex=female"), "gender")],
    "data.table.age": [(("data.table.age=age", "data.age_min=40"), "years")],
    "data.table.labels": [((), "[edema]")],
    **{f"data.roots.{name}": [((f"data.external=[{name}]", f"data.roots.{name}=ROOT/a"), "ROOT/b")] for name in SETS},
    "protocol.epochs": [((), "5")],
    "protocol.probe_epochs": [(("adapt=lpft",), "2")],
    "protocol.batch_size": [((), "8")],
    "protocol.micro_batch": [((), "8")],
    "protocol.lr": [((), "1e-2"), ((), "auto")],
    "protocol.lr_grid": [(("protocol.lr=auto",), "[1e-2,1e-3]")],
    "protocol.lr_decay": [((), "0.5"), (("adapt=last:1",), "0.5")],
    "protocol.betas": [((), "[0.8,0.999]")],
    "protocol.weight_decay": [((), "0.1")],
    "protocol.image.resize": [((), "100")],
    "protocol.image.crop": [((), "64")],
    "protocol.image.flip": [((), "true")],
    "protocol.checkpoints.every_examples": [((), "32")],
    "protocol.checkpoints.keep": [((), "2")],
    "protocol.checkpoints.average": [((), "task")],
    "evaluation.tasks": [((), "[edema]")],
    "evaluation.level": [((), "image")],
    "evaluation.views": [((), "mean")],
    "trainer.precision": [((), "bf16")],
    "trainer.compile": [((), "true")],
}
"""By key: what is typed beside it where it is read, and another value for it; or the whole override."""

UNREAD = {
    "weights.tag": [((), "mine")],
    "weights.dir": [((), "ROOT/others"), (PRETRAINED, "ROOT/copied")],
    "weights.source": [((), SOURCE), ((*PRETRAINED, f"weights.source={SOURCE}"), "ROOT/copied/renamed.safetensors")],
    "data.root": [((), "ROOT/moved")],
    "data.labels_file": [((), "relabelled.csv")],
    "data.test": [((), "official")],
    "data.tasks": [((), "[edema,mass]"), (CHEXPERT, f"[{','.join(ALL_TASKS)}]")],
    "data.uncertain": [((), "data.uncertain.edema=u-ignore")],
    "data.phantom.seed": [((*PHANTOM, "data.root=ROOT/moved"), "1")],
    **{f"data.table.{name}": [(CHEXPERT, "[x]" if name == "labels" else "x")] for name in (
        "train", "test", "image", "patient", "study", "view", "sex", "age", "labels",
    )},
    "data.table.sex": [((), "sex")],
    "data.table.age": [((), "age")],
    **{f"data.roots.{name}": [((), "ROOT/a")] for name in SETS},
    "protocol.probe_epochs": [((), "2"), (("adapt=linear",), "2")],
    "protocol.micro_batch": [((), "16")],
    "protocol.lr": [(("protocol.lr=1.0",), "1")],
    "protocol.lr_grid": [((), "[1e-2]"), (("protocol.lr=auto", "protocol.lr_grid=[1e-2,1e-3]"), "[1e-3,1e-2,1e-2]")],
    "protocol.lr_decay": [(("adapt=linear",), "0.5")],
    "protocol.checkpoints.every_examples": [(("protocol.checkpoints.every_examples=16",), "1")],
    "evaluation.tasks": [
        ((), "[mass,edema]"),
        (CHEXPERT, f"[{','.join(COMPETITION_TASKS[::-1])}]"),
        ((*CHEXPERT, "data.tasks=competition"), "all"),
    ],
    "evaluation.views": [(("evaluation.level=image",), "mean")],
}  # fmt: skip
"""The same where the key is not read, or where the value says in other words what is said already."""

NEVER = {
    "arch.family": "Mine", "arch.label": "Mine", "data.cache": "/x", "data.resident": "device",
    "data.table.encoding": "latin-1",  # what a table says is hashed, not how its letters are stored
    "protocol.name": "mine", "trainer.name": "mine", "trainer.accelerator": "cpu", "trainer.devices": "2",
    "trainer.workers": "7", "trainer.deterministic": "false", "trainer.on_oom": "accumulate",
    "trainer.save_minutes": "1", "tracking.uri": "http://localhost:5000", "tracking.experiment": "other",
    "tracking.offline": "true", "tracking.checkpoints": "none", "tracking.errors": "0", "sweep.name": "mine",
    "sweep.size": "9", "sweep.grids": "[{seed: 1}]", "sweep.sixteen": "resnet18", "retry": "failed", "outputs": "/x",
}  # fmt: skip
"""Where and how a cell is run; of the family, the precision that it leads to is read, and hashed."""


def cases(table):
    return [(key, *case) for key, found in table.items() for case in found]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Sets and weight files that differ in one thing each. The images are any bytes: an identity reads no pixels."""
    root = tmp_path_factory.mktemp("identity")
    for place in ("set", "moved", "other", "a", "b"):
        write_set(root / place, mark="" if place in ("set", "moved") else place)
    patients = pd.DataFrame({"patient": [f"patient{number}" for number in range(60)]})
    patients.assign(split=np.resize(["train", "valid"], 60)).to_csv(root / "split.csv", index=False)
    for place, value in (("weights", 0.0), ("others", 1.0)):
        (root / place).mkdir()
        for tag, more in (("tv_in1k", 0.0), ("mine", 5.0)):
            save_file({"one": torch.full((1,), value + more)}, root / place / f"resnet18.{tag}.safetensors")
    shutil.copytree(root / "weights", root / "copied")
    shutil.copy(root / "weights" / "resnet18.mine.safetensors", root / "copied" / "renamed.safetensors")
    return root


def write_set(root, mark):
    """A CheXpert release of 60 + 20 patients, and beside it the same images as a laboratory's own table."""
    frames = {}
    for split, numbers in (("train", range(60)), ("valid", range(60, 80)), ("test", range(80, 90))):
        studies = [f"{split}/patient{number}/study1" for number in numbers]
        for study in studies:
            (root / study).mkdir(parents=True)
            (root / study / "view1_frontal.jpg").write_bytes(f"{mark}{study}".encode())
        labels = np.resize([1.0, 0.0, -1.0, np.nan, 0.0], (len(studies), 14))
        frames[split] = pd.DataFrame({"study": studies, **dict(zip(OBSERVATIONS, labels.T, strict=True))})
    for split, own in (("train", "cohort.csv"), ("valid", "held_out.csv")):
        frame = frames[split]
        rows = {"Path": "CheXpert/" + frame["study"] + "/view1_frontal.jpg", "Sex": "Female", "Age": 50}
        release = pd.DataFrame(rows | {"Frontal/Lateral": "Frontal", "AP/PA": "AP"}).join(frame[list(OBSERVATIONS)])
        release.to_csv(root / f"{split}.csv", index=False)
        table(frame).to_csv(root / own, index=False)
        table(frame)[:-3].to_csv(root / f"fewer{'_held_out' if split == 'valid' else ''}.csv", index=False)
        if split == "train":
            release.assign(Edema=release["Edema"].to_numpy()[::-1]).to_csv(root / "relabelled.csv", index=False)
    truth = frames["test"].rename(columns={"study": "Study"})
    truth.assign(**{name: np.resize([1, 0], 10) for name in OBSERVATIONS}).to_csv(root / "groundtruth.csv", index=False)


def table(frame):
    number, rows = frame["study"].str.extract(r"(\d+)/")[0], len(frame)
    image = frame["study"] + "/view1_frontal.jpg"
    return pd.DataFrame(
        {
            "image": image, "link": image.to_numpy()[::-1], "patient": "patient" + number, "person": "p" + number,
            "path": image, "study": "only", "view": np.resize(["frontal", "frontal", "lateral"], rows),
            "sex": np.resize(["F", "M"], rows), "gender": np.resize(["F", "F", "M"], rows),
            "age": np.resize([30, 45, 70], rows), "years": np.resize([70, 30], rows),
            "edema": np.resize([1, 0, -1, 0, 1], rows), "mass": np.resize([0, 1, 0, 1, 0, 0, 1], rows),
        }
    )  # fmt: skip


composer, opened = Composer(), {}
"""Data sets, so that none is read once a case."""


@pytest.fixture
def hashed(places, monkeypatch):
    """The hash of the cell that overrides stand for."""

    def generate(root, spec):
        write_set(root, mark=str(spec))

    def external(name, root, config):
        return read_release("chexpert", root, config).tests["test"], ()

    monkeypatch.setattr(sets.phantom, "generate", generate)
    monkeypatch.setattr(sets, "in_project", lambda path: places / path)
    monkeypatch.setattr(sets, "read_external", external)  # other sets' own layouts are their readers' tests

    def identified(*overrides):
        config = composer.compose([text.replace("ROOT", str(places)) for text in (*OWN, *overrides)])
        key = repr((places, config.data, config.evaluation.tasks))
        if key not in opened:
            opened[key] = sets.open_dataset(config.data, scored=config.evaluation.tasks)
        return identify(config, opened[key]).cell.hash

    return identified


def typed(key, value):
    return value if "=" in value else f"{key}={value}"


def test_every_key_is_in_the_tables():
    keys = [key for key, _ in leaves(Config)]
    assert sorted({*READ, *NEVER}) == sorted(keys)
    assert not set(READ) & set(NEVER)
    assert set(UNREAD) <= set(READ)


@pytest.mark.parametrize(("key", "beside", "value"), cases(READ))
def test_a_key_that_is_read_makes_another_cell(hashed, key, beside, value):
    assert hashed(*beside, typed(key, value)) != hashed(*beside)


@pytest.mark.parametrize(("key", "beside", "value"), cases(UNREAD))
def test_where_it_is_not_read_it_is_the_same_cell(hashed, key, beside, value):
    assert hashed(*beside, typed(key, value)) == hashed(*beside)


@pytest.mark.parametrize(("key", "value"), NEVER.items())
def test_what_is_not_science_is_the_same_cell(hashed, key, value):
    assert hashed(f"{key}={value}") == hashed()
