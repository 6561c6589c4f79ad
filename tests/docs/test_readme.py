"""README's main commands, run as they are typed there: on a phantom, one architecture, a small image."""

import importlib
import re
import sys

import pytest

from tests.conftest import TINY
from tests.docs.test_commands import TEXTS, commands

BLOCK = TEXTS["README.md"].partition("## Your own runs")[2].partition("```\n")[0]
ELSEWHERE = {
    "bench.architectures": "tests/bench/test_architectures.py",
    "bench.cam": "tests/bench/test_cam.py",
    "bench.export": "tests/bench/test_export.py",
    "bench.publish": "tests/bench/test_publish.py",
    "analysis.export": "tests/analysis/test_export.py",
}
"""Commands that take longer or an MLflow run's id, with the test that runs them."""


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_stands_beside_them(phantom_root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv[:1])  # bench.run leaves its words there, for Hydra
    store = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    small = [*TINY, f"data.cache={tmp_path}/cache", store, f"outputs={tmp_path}/outputs"]
    printed = []
    for module, words in commands(f"{BLOCK}```\n"):
        sweep = "+sweeps=paper" in words
        if module in ELSEWHERE or (module == "bench.run" and not sweep) or "watch=true" in words:
            continue  # tests/test_end_to_end.py types lists of values, tests/analysis/page/test_watch.py watches
        typed = [f"data.root={phantom_root}" if word.startswith("data.root=") else word for word in words]
        typed += [*small] if sweep or module == "bench.prepare" else []
        typed += ["arch=resnet18", "pretrained=false", "truncate=0,1"] if sweep else []
        typed += [store, f"out={tmp_path}/report"] if module == "analysis.report" else []
        typed += ["resamples=100", "permutations=100"] if module == "analysis.paper" else []
        assert importlib.import_module(module).main(typed) == 0, f"{module} {typed}\n{capsys.readouterr()}"
        printed.append((module, " ".join(capsys.readouterr().out.split())))
    assert [module for module, _ in printed] == [
        *("bench.prepare", "bench.run", "bench.run", "bench.status", "analysis.report", "analysis.paper"),
    ]
    prepared, planned, trained, status, reported, paper = (text for _, text in printed)
    assert "every checksum holds" in prepared
    assert "2 cells: 2 missing" in planned
    assert "2 cells: 2 missing" in trained
    for depth in range(2):
        assert re.search(rf"resnet18-scratch-t{depth}-s0-32px │ done", trained)
        assert re.search(rf"resnet18-scratch-t{depth}-s0-32px │ done", status)
    assert reported.endswith(f"{tmp_path}/report/index.html")
    assert (tmp_path / "report" / "index.html").exists()
    assert "reproduced" in paper
