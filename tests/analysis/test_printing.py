import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.printing import Forgiving, replace_unprintable

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("package", ["bench", "analysis"])
def test_whatever_imports_a_package_of_ours_prints_in_any_locale(package):
    said = subprocess.run(
        [sys.executable, "-c", f"import {package}.errors; print('a \\u2501 b')"],
        cwd=PROJECT, env=os.environ | {"PYTHONIOENCODING": "latin-1"}, capture_output=True, check=True,
    )  # fmt: skip
    assert said.stdout == b"a ? b\n"


def test_a_stream_that_is_told_how_to_go_on_is_left_alone(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", errors="xmlcharrefreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    replace_unprintable()
    assert stream.errors == "xmlcharrefreplace"


class Full(io.StringIO):
    def write(self, _):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("broken", ["full", "closed", "latin-1"])
def test_what_cannot_be_written_is_let_go(monkeypatch, broken):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", errors="strict")
    if broken == "closed":
        stream.close()
    if broken == "full":
        stream = Full()
    monkeypatch.setattr(sys, "stdout", stream)
    text = Forgiving()
    assert text.write("\u2501") == 1
    text.flush()
    assert not text.isatty()
