"""`make gpu` itself: rehearsed on the CPU, carried as it would be to a machine without network; and what it says."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import tests.gpu.__main__ as command
from tests.gpu import table
from tests.gpu.parts import Task

PROJECT = Path(__file__).resolve().parents[2]
CARRIED = ("analysis", "bench", "conf", "sweeps", "tests", "docs", "pyproject.toml")


@pytest.mark.slow
def test_carried_without_git_it_passes_its_rehearsal_on_the_cpu(tmp_path):
    for name in CARRIED:
        source, target = PROJECT / name, tmp_path / "carried" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [sys.executable, "-m", "tests.gpu", str(tmp_path / "out"), "--small"]
    done = subprocess.run(
        words, cwd=tmp_path / "carried", env=environment | {"CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads((tmp_path / "out" / "gpu.json").read_text())
    states = {part["part"]: part["state"] for part in found["parts"]}
    assert set(states) == set(command.known())
    assert {name for name, part in command.known().items() if part.needs_gpu} == {
        name for name, state in states.items() if state == "needs a GPU"
    }
    assert set(states.values()) == {"ok", "needs a GPU"}
    figures = {row["figure"]: row for row in found["figures"]}
    assert figures["the paper's sweep, 32 cells"]["columns"]["hours"] > 0
    assert found["machine"]["card"] == "none: the CPU"


def test_without_a_gpu_it_says_that_it_is_skipped(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["tests.gpu"])
    assert command.main() == 0
    assert "skipped: torch finds no CUDA device" in capsys.readouterr().out


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A process that does what its parts are called: `dies`, `hangs`, or is well."""
    script = tmp_path / "worker.py"
    script.write_text(
        textwrap.dedent("""
        import json, os, pathlib, sys, time
        task = json.loads(pathlib.Path(sys.argv[1]).read_text())
        def note(**line):
            with open(task["work"] + "/lines", "a") as file:
                file.write(json.dumps(line) + "\\n")
        for name in task["parts"]:
            if name == "unwell":
                note(part=name, state="failed"); os._exit(1)
            note(begin=name, seconds=0.1)
            if name == "dies": os._exit(7)
            if name == "hangs": time.sleep(60)
            note(figure="a figure", row=name, columns={"": 1.0})
            note(part=name, state="ok")
        """)
    )
    monkeypatch.setattr(command, "WORKER", (sys.executable, str(script)))
    monkeypatch.setattr(command, "SHORTEST", 2.0)
    return lambda *parts: list(command.run(Task("", str(tmp_path), True, 0.0, parts)))


def test_a_part_that_ends_its_process_or_hangs_is_named_and_the_others_go_on(stand_in):
    said = stand_in("first", "dies", "unwell", "hangs", "last")
    states = {line["part"]: (line["state"], line.get("why", "")) for line in said if "part" in line}
    assert list(states) == ["first", "dies", "unwell", "hangs", "last"]
    assert states["first"] == states["last"] == ("ok", "")
    assert states["dies"] == ("failed", "it ended its process, with status 7")
    assert states["unwell"] == ("failed", "")
    assert states["hangs"] == ("failed", "it ended its process, with status -9")
    assert [line["row"] for line in said if "figure" in line] == ["first", "last"]


def test_a_process_that_cannot_begin_is_said_of_every_part(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "WORKER", (sys.executable, "-c", "raise SystemExit(3)"))
    said = list(command.run(Task("", str(tmp_path), True, 0.0, ("one", "two"))))
    assert [(line["part"], line["state"]) for line in said] == [("one", "failed"), ("two", "failed")]


FOUND = {
    "date": "2027-01-02", "rehearsal": False, "seconds": 400.0, "machine": {"card": "H100", "driver": "580"},
    "parts": [
        {"part": "energy", "state": "ok", "took": 4.25}, {"part": "compiled", "state": "left out", "why": "late"},
    ],
    "figures": [
        {"figure": "ms a step", "row": "resnet18", "columns": {"bf16": 6.25, "fp32": 11.5}},
        {"figure": "ms a step", "row": "densenet121", "columns": {"bf16": 1234.5}},
    ],
}  # fmt: skip


def test_the_tables_say_what_the_file_holds():
    assert table.lines(FOUND) == [
        "2027-01-02, 400 s: card H100, driver 580.",
        "",
        "| part |  | s | why |",
        "|---|---|---|---|",
        "| energy | ok | 4.25 |  |",
        "| compiled | left out |  | late |",
        "",
        "**ms a step**",
        "",
        "|  | bf16 | fp32 |",
        "|---|---|---|",
        "| resnet18 | 6.25 | 11.5 |",
        "| densenet121 | 1234 |  |",
    ]


def test_the_page_is_made_from_the_file_that_is_kept():
    text = table.PAGE.read_text(encoding="utf-8")
    assert table.page(text, table.kept()) == text, "run `python -m tests.gpu.table`"
    assert (table.NONE in text) == (table.kept() is None)


def test_a_run_becomes_the_page_and_a_rehearsal_does_not(tmp_path, monkeypatch, capsys):
    page, kept, brought = tmp_path / "gpu.md", tmp_path / "gpu.json", tmp_path / "brought.json"
    page.write_text(table.PAGE.read_text(encoding="utf-8"))
    monkeypatch.setattr(table, "PAGE", page)
    monkeypatch.setattr(table, "KEPT", kept)
    monkeypatch.setattr(sys, "argv", ["table", str(brought)])
    brought.write_text(json.dumps(FOUND | {"rehearsal": True}))
    assert table.main() == 1
    assert "a rehearsal" in capsys.readouterr().out
    assert not kept.exists()
    brought.write_text(json.dumps(FOUND))
    assert table.main() == 0
    assert "| densenet121 | 1234 |  |" in page.read_text()
    assert table.NONE not in page.read_text()
    assert json.loads(kept.read_text()) == FOUND
