"""A training whose output cannot be printed."""

import os
import subprocess
import sys

import pytest

from bench.paths import PROJECT
from tests.launchers import commands


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "target"), [("latin-1", "said.txt"), ("utf-8", "/dev/full")])
def test_nothing_that_is_printed_fails_a_cell(words, tmp_path, encoding, target):
    typed = words("seed=0,1")
    drawn = {"PYTHONIOENCODING": encoding, "FORCE_COLOR": "1", "TTY_INTERACTIVE": "1"}  # the bar, as in a terminal
    with (tmp_path / target).open("w") as out:
        subprocess.run(
            [sys.executable, "-m", "bench.run", *typed], cwd=PROJECT, env=os.environ | commands.ENVIRONMENT | drawn,
            stdout=out, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert [run.status for run in commands.store(typed).server.runs()] == ["FINISHED"] * 2
