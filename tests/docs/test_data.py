import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from bench.config import compose_config
from bench.data.sources import nih, padchest, read_release, vindr
from bench.data.tasks import OBSERVATIONS
from bench.errors import DataError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
CELLS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
LABELS = {row[0]: row[1:] for row in CELLS[CELLS.index(next(row for row in CELLS if row[0] == "observation")) + 2 :]}


@pytest.mark.parametrize(("column", "module"), [(0, nih), (1, vindr)])
def test_the_label_map_is_the_readers(column, module):
    written = {name: tuple(cells[column].split(", ")) for name, cells in LABELS.items() if cells[column]}
    assert written == module.FINDINGS


def test_the_label_map_of_padchest_leaves_out_no_more_than_children():
    assert {name for name, cells in LABELS.items() if cells[2]} == set(padchest.FINDINGS)
    for name, cells in LABELS.items():
        assert set(cells[2].split(", ")) - {""} <= set(padchest.FINDINGS.get(name, ()))


def test_the_example_of_an_own_table_is_read_by_its_command(tmp_path):
    (table,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "cohort.csv").write_text(table)
    (tmp_path / "held_out.csv").write_text(table)
    (command,) = (text for text in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) if "data=csv" in text)
    given = [word for word in shlex.split(command.replace("\\\n", " ")) if "=" in word and "data.root" not in word]
    release = read_release("csv", tmp_path, compose_config([*given, f"data.root={tmp_path}"]).data)
    assert release.observations == ("edema", "pleural_effusion")
    assert release.train["study"].to_list() == ["p17/1", "p17/1", "p18/1"]
    assert release.train["edema"].to_list() == [1, 1, -1]
    assert release.train["pleural_effusion"].isna().to_list() == [False, False, True]


SECTION = PAGE.partition("## Tables that are not read as they are")[2]
BOXES = {
    "RSNA": {
        "stage_2_train_labels.csv": "patientId,x,y,width,height,Target\n"
        + "".join(f"id{n},1,2,3,4,1\nid{n},5,6,7,8,1\n" if n % 2 else f"id{n},,,,,0\n" for n in range(20))
    },
    "VinBigData": {
        "train.csv": "image_id,class_name,class_id,rad_id,x_min\n"
        + "".join(
            f"im{n},{said},0,R{reader},1\n"
            for n in range(20)
            for reader, said in enumerate(("Cardiomegaly", "Cardiomegaly" if n % 2 else "No finding", "Atelectasis"))
        )
        + "im0,Consolidation,4,R0,1\nim0,Pleural effusion,10,R0,1\n"
    },
    "CheXphoto": {
        f"CheXphoto-v1.0/{split}.csv": f"Path,Sex,Age,Frontal/Lateral,AP/PA,{','.join(OBSERVATIONS)}\n"
        + "".join(
            f"CheXphoto-v1.0/{split}/{kind}/patient{number:05d}/study1/view1.jpg,Male,50,Frontal,AP{',1,-1' * 7}\n"
            for kind in ("synthetic/digital", "natural/nokia")
        )
        for number, split in enumerate(("train", "valid"), start=1)
    },
}


def made(name, folder):
    for file, text in BOXES[name].items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)


@pytest.mark.parametrize(("name", "train", "test"), [("RSNA", 18, 2), ("VinBigData", 18, 2), ("CheXphoto", 2, 2)])
def test_a_table_that_is_not_read_as_it_is_is_read_once_it_was_prepared(name, train, test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made(name, tmp_path)
    (code,) = (
        text for said, text in re.findall(r"\n\*\*(\w+).*?```python\n(.*?)```", SECTION, re.DOTALL) if said == name
    )
    exec(code, {})
    words = shlex.split(code.rstrip().rpartition("\n# ")[2])
    release = read_release("csv", tmp_path, compose_config([*words, f"data.root={tmp_path}"]).data)
    assert (len(release.train), len(release.tests["test"])) == (train, test)
    whole = pd.concat([release.train, release.tests["test"]])
    assert not set(release.train["patient"]) & set(release.tests["test"]["patient"])
    if name == "RSNA":
        assert [int(patient[2:]) % 2 for patient in whole["patient"]] == whole["pneumonia"].to_list()
    if name == "VinBigData":
        assert [int(patient[2:]) % 2 for patient in whole["patient"]] == whole["cardiomegaly"].to_list()
        assert whole[["atelectasis", "consolidation"]].eq(0).all(axis=None), "one of three is no majority"
    if name == "CheXphoto":
        assert release.train["study"].nunique() == 2


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        (
            "RSNA",
            ["data=csv", "data.table.train=stage_2_train_labels.csv", "data.table.labels=[Target]"],
            "the table of RSNA's pneumonia challenge",
        ),
        (
            "RSNA",
            [
                "data=csv",
                "data.table.train=stage_2_train_labels.csv",
                "data.table.test=null",
                "data.table.image=patientId",
                "data.table.patient=patientId",
                "data.table.labels=[Target]",
            ],
            "path is there twice .* the table of RSNA's pneumonia challenge",
        ),
        ("VinBigData", ["data=vindr"], "VinBigData's files from Kaggle, perhaps"),
        ("VinBigData", ["data=csv", "data.table.labels=[edema]"], "the table of VinBigData's challenge on Kaggle"),
        ("CheXphoto", ["data=chexpert"], "the table of CheXphoto, whose paths"),
    ],
)
def test_a_table_that_is_not_read_as_it_is_is_refused_with_what_to_do(name, words, message, tmp_path):
    made(name, tmp_path)
    root = tmp_path / "CheXphoto-v1.0" if name == "CheXphoto" else tmp_path
    for split in ("train", "valid"):
        (root / split).mkdir(exist_ok=True)
    config = compose_config([*words, f"data.root={root}"]).data
    with pytest.raises(DataError, match=message) as caught:
        read_release(config.name, root, config)
    (title,) = re.findall(r"docs/data.md, '(.*?)'", str(caught.value).split("\n")[0])
    assert f"## {title}" in PAGE
