import re
import shlex
from pathlib import Path

import pytest

from bench.config import compose_config
from bench.data.sources import nih, padchest, read_release, vindr

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
