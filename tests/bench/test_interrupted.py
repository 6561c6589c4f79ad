"""Many quick Ctrl-C end a command in 130 and never in a traceback, wherever it is."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from bench.paths import PROJECT
from tests.conftest import TINY

TRAINS = "trains"
"""In place of an import: the first metric of a training was recorded."""


def interrupted(words, where, times, outputs):
    """(exit status to a shell, all that it says to stderr) of a command that gets so many Ctrl-C once it is there."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", *words], cwd=PROJECT, stdout=subprocess.DEVNULL, text=True,
        stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=listening,  # noqa: PLW1509  # it takes no lock
    )  # fmt: skip
    heard = []  # `-X importtime` says each import
    reader = threading.Thread(target=lambda: heard.extend(iter(process.stderr.readline, "")))
    reader.start()
    try:
        until = time.monotonic() + 200
        while not there(heard, where, outputs):
            assert process.poll() is None, "".join(heard[-20:])
            assert time.monotonic() < until
            time.sleep(0.005)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)  # quick, and not merged by the kernel into one
        code = process.wait(120)
        return 128 - code if code < 0 else code, "".join(line for line in heard if not line.startswith("import time:"))
    finally:
        process.kill()
        reader.join()
        process.stderr.close()


def listening():
    """In the new process: what a shell starts in the background ignores Ctrl-C, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def there(heard, where, outputs):
    if where == TRAINS:
        return any(b'"metrics"' in journal.read_bytes() for journal in outputs.rglob("journal.jsonl"))
    return any(line.split()[-1:] == [where] for line in heard[:])


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("where", ["enum", "analysis.interrupted", "hydra", "omegaconf", "torch", "mlflow", TRAINS])
def test_ctrl_c_ends_in_130_and_no_traceback(where, times, phantom_root, tmp_path):
    code, said = interrupted(
        [
            "bench.run", "arch=resnet18", "pretrained=false", "data=chexpert", f"data.root={phantom_root}", *TINY,
            f"data.cache={phantom_root.parent}/cache", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
            f"outputs={tmp_path}/outputs", "protocol.epochs=200",
        ], where, times, tmp_path / "outputs",
    )  # fmt: skip
    assert (code, "Traceback" in said, "Exception ignored" in said) == (130, False, False), said[-3000:]


@pytest.mark.slow
def test_the_report_too(tmp_path):
    code, said = interrupted(["analysis.report", f"out={tmp_path}"], "pandas", 5, tmp_path)
    assert (code, "Traceback" in said) == (130, False), said
