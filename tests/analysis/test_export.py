"""Cells as files and back: `analysis.export`, then `analysis.report results=`."""

import json
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import export, report
from analysis.settings import PROJECT
from analysis.store.folders import pseudonyms
from tests.analysis.conftest import FakeStore, make_predictions
from tests.analysis.recorded import card, leave_card

FEW = ["allow_missing=true", "resamples=100", "permutations=50"]
OLD = Path(__file__).parent / "store" / "results-1"
"""A folder that version 1 wrote."""


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def recorded(empty_database, tmp_path_factory):
    """Four cells with a history each, and a run that failed."""
    folder = tmp_path_factory.mktemp("recorded")
    shutil.copy(empty_database, folder / "mlflow.db")
    made = FakeStore(folder)
    for number, (arch, arm) in enumerate(product(("resnet18", "densenet121"), (False, True))):
        run = made.add(arch, arm, frame=make_predictions(number, skill=1.5 if arm else 0.7), tags={"sweep": arch})
        for step, value in enumerate((0.1, 1 / 3, 0.7)):
            made.client.log_metric(run, "valid/auroc", value, step=step)
    made.add("resnet34", status="FAILED", tags={"failure": "WeightsError: no weights"})
    return made


@pytest.fixture(scope="module")
def exported(recorded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "results"
    assert export.main([*recorded.words, f"results={folder}", "licence=CC BY 4.0"]) == 0
    return folder


def test_a_report_from_files_is_the_report_from_the_store_to_the_last_bit(recorded, exported, tmp_path):
    assert report.main([*recorded.words, *FEW, "images=false", f"out={tmp_path / 'a'}"]) == 0
    assert (
        report.main([f"results={exported}", *FEW, f"out={tmp_path / 'b'}", "tracking.uri=sqlite:///none/there.db"]) == 0
    )
    ours, theirs = files(tmp_path / "a"), files(tmp_path / "b")
    assert theirs.keys() == ours.keys()
    assert "figures/learning.csv" in ours, "histories are drawn"
    tables = [name for name in ours if re.match(r"(tables|figures)/.*\.(csv|md|tex)$", name)]
    assert len(tables) > 30
    # what became of unfinished runs is in no table but in the page's words
    different = [name for name in tables if ours[name].read_bytes() != theirs[name].read_bytes()]
    reasons = (": WeightsError: no weights", "")
    assert [n for n in different if ours[n].read_text().replace(*reasons) != theirs[n].read_text()] == []
    verdicts = [json.loads(found["verdicts.json"].read_text().replace(*reasons)) for found in (ours, theirs)]
    assert verdicts[0] == verdicts[1]


def test_no_id_and_no_place_of_the_machine_is_in_the_files(recorded, exported):
    everything = b"".join(path.read_bytes() for path in files(exported).values() if path.suffix != ".parquet")
    assert str(recorded.folder).encode() not in everything
    frames = [pd.read_parquet(path) for name, path in files(exported).items() if name.endswith(".parquet")]
    assert len(frames) == 4
    for frame in frames:
        text = frame.select_dtypes(exclude="number").astype(str).to_numpy().ravel()
        assert not [value for value in text if "patient" in value or ".jpg" in value]
        assert frame["patient"].nunique() == 60


def test_pseudonyms_keep_the_order_and_differ_with_the_salt():
    ids = pd.Series([f"p{number}" for number in np.random.default_rng(0).permutation(2000)])
    named = pd.Series(pseudonyms(ids, b"one"))
    assert named.nunique() == 2000
    assert (named.rank() == ids.rank()).all()
    assert not set(named.str.partition("-")[2]) & set(pd.Series(pseudonyms(ids, b"two")).str.partition("-")[2])
    assert list(named) == pseudonyms(ids, b"one")


def test_ids_are_kept_where_asked(recorded, tmp_path):
    assert export.main([*recorded.words, f"results={tmp_path / 'r'}", "ids=kept"]) == 0
    frame = pd.read_parquet(next((tmp_path / "r").rglob("test.parquet")))
    assert frame["patient"].str.startswith("patient").all()
    assert json.loads((tmp_path / "r" / "results.json").read_text())["ids"] == "kept"


def test_the_salt_is_stored_nowhere(recorded, tmp_path):
    assert export.main([*recorded.words, f"results={tmp_path / 'r'}", "salt=a-secret-word"]) == 0
    assert not [path for path in files(tmp_path / "r").values() if b"a-secret-word" in path.read_bytes()]


def test_several_folders_and_the_store_stand_side_by_side(recorded, tmp_path, capsys):
    words = [*recorded.words, "salt=one", "allow_missing=true"]
    for arch in ("resnet18", "densenet121"):
        assert export.main([*words[:-1], f"results={tmp_path / arch}", f"sweep={arch}"]) == 0
    both = f"results={tmp_path / 'resnet18'},{tmp_path / 'densenet121'}"
    assert report.main([both, *FEW, f"out={tmp_path / 'both'}"]) == 0
    assert len(pd.read_csv(tmp_path / "both" / "tables" / "auroc.csv")) == 4 * 6
    capsys.readouterr()
    assert report.main([f"results=mlflow,{tmp_path / 'resnet18'}", *recorded.words, *FEW, f"out={tmp_path / 'x'}"]) == 1
    assert "such rows)" in capsys.readouterr().err  # hashed ids do not meet those of the store


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "results=DIR is missing"),
        (["results={here}/full"], "is there and no folder of `analysis.export`"),
        (["results={here}/x", "ids=none"], "ids=none: not one of hashed, kept"),
        (["results={here}/x", "idz=kept"], "unknown key idz"),
    ],
)
def test_mistakes_of_the_export_are_said(recorded, tmp_path, capsys, words, said):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert export.main([*recorded.words, *(word.format(here=tmp_path) for word in words)]) == 2
    assert said in capsys.readouterr().err
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    assert not (tmp_path / "x").exists()


def test_mistakes_of_the_report_are_said(exported, tmp_path, capsys):
    assert report.main([f"results={tmp_path / 'none'}", f"out={tmp_path / 'o'}"]) == 1
    assert "is no folder of `analysis.export`: it has no results.json" in capsys.readouterr().err
    newer = shutil.copytree(exported, tmp_path / "newer")
    (newer / "results.json").write_text('{"version": 2}')
    assert report.main([f"results={newer}", f"out={tmp_path / 'o'}"]) == 1
    assert "is of version 2, and this reads version 1" in capsys.readouterr().err
    torn = shutil.copytree(exported, tmp_path / "torn")
    (torn / "runs.json").write_text("[{")
    assert report.main([f"results={torn}", f"out={tmp_path / 'o'}"]) == 1
    assert "runs.json cannot be read" in capsys.readouterr().err
    shutil.rmtree(next((newer / "cells").iterdir()))
    (newer / "results.json").write_text((exported / "results.json").read_text())
    assert report.main([f"results={newer}", *FEW, f"out={tmp_path / 'o'}"]) == 1
    assert "predictions/test.parquet of run" in capsys.readouterr().err
    assert report.main([f"results={exported}", "watch=true", f"out={tmp_path / 'o'}"]) == 2
    assert "there is nothing to watch" in capsys.readouterr().err


def test_an_export_replaces_an_earlier_one_whole(recorded, tmp_path):
    folder = tmp_path / "r"
    assert export.main([*recorded.words, f"results={folder}", "salt=s"]) == 0
    first = {
        name: path.read_bytes() for name, path in files(folder).items() if name.endswith((".parquet", "runs.json"))
    }
    (folder / "cells" / "stale").mkdir()
    assert export.main([*recorded.words, f"results={folder}", "salt=s"]) == 0
    assert {name: path.read_bytes() for name, path in files(folder).items() if name in first} == first
    assert not (folder / "cells" / "stale").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_the_data_card_comes_along(recorded, exported, tmp_path):
    run = next(iter(recorded.client.search_runs([recorded.experiment_id], "attributes.status = 'FINISHED'")))
    leave_card(recorded, run.info.run_id, card())
    assert export.main([*recorded.words, f"results={tmp_path / 'r'}"]) == 0
    assert (tmp_path / "r" / "cells" / run.info.run_id / "data_card.json").is_file()
    assert not [name for name in files(exported) if name.endswith("data_card.json")]


def test_a_folder_of_version_1_still_gives_its_numbers(tmp_path):
    assert report.main([f"results={OLD}", *FEW, f"out={tmp_path}"]) == 0
    table = pd.read_csv(tmp_path / "tables" / "auroc.csv").set_index(["cell", "task"])
    frozen = pd.read_csv(OLD / "auroc.csv").set_index(["cell", "task"])
    pd.testing.assert_series_equal(table["estimate"], frozen["estimate"], rtol=1e-12)


def test_nothing_of_mlflow_or_torch_is_imported(exported, tmp_path):
    code = f"""
import sys
from analysis import report
assert report.main(["results={exported}", *{FEW}, "out={tmp_path}"]) == 0
print(sorted({{"mlflow", "torch", "sqlalchemy"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
