import os
import subprocess
import sys
import time

import pytest

from bench import waiting


@pytest.fixture
def fresh(monkeypatch):
    """As before torch is loaded, with nothing set."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    for name in waiting.SET_BY_USER:
        monkeypatch.delenv(name, raising=False)


def stat(*busy):
    """/proc/stat of processors that did so many ticks of work, a tick of each kind and the rest as a user's."""
    lines = [f"cpu{number} {ticks - 5} 1 1 1000 50 1 1 1 7 7" for number, ticks in enumerate(busy)]
    return "\n".join(["cpu  9999 0 0 0 0 0 0 0 0 0", *lines, "intr 5"])


@pytest.mark.parametrize(("used", "policy"), [(0.0, None), (0.3, None), (0.9, "passive"), (2.0, "passive")])
def test_threads_sleep_where_others_use_the_cores(fresh, monkeypatch, used, policy):
    monkeypatch.setattr(waiting, "used_by_others", lambda: used)
    waiting.choose()
    assert os.environ.get("OMP_WAIT_POLICY") == policy
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)


@pytest.mark.parametrize("name", waiting.SET_BY_USER)
def test_what_the_user_chose_stays(fresh, monkeypatch, name):
    monkeypatch.setattr(waiting, "used_by_others", lambda: 2.0)
    monkeypatch.setenv(name, "5000")
    before = dict(os.environ)
    waiting.choose()
    assert dict(os.environ) == before


def test_where_torch_is_loaded_nothing_is_set(fresh, monkeypatch):
    monkeypatch.setattr(waiting, "used_by_others", lambda: 2.0)
    monkeypatch.setitem(sys.modules, "torch", object())
    waiting.choose()
    assert "OMP_WAIT_POLICY" not in os.environ


def test_what_this_processs_own_cores_do_is_counted(tmp_path, monkeypatch):
    """Two of three processors are its own; the third, and waiting for a disk, do not count."""
    file = tmp_path / "stat"
    file.write_text(stat(100, 200, 300))
    monkeypatch.setattr(waiting.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(waiting.os, "sysconf", lambda _: 100)
    monkeypatch.setattr(waiting.time, "sleep", lambda _: file.write_text(stat(107, 203, 999)))
    assert waiting.used_by_others(file, 0.1) == pytest.approx(1.0)


def test_without_linux_and_on_one_core_nothing_is_known(tmp_path, monkeypatch):
    assert waiting.used_by_others(tmp_path / "none") == 0
    monkeypatch.setattr(waiting.os, "sched_getaffinity", lambda _: {0})
    assert waiting.used_by_others() == 0


@pytest.mark.skipif(not waiting.STAT.exists() or os.cpu_count() == 1, reason="no /proc/stat, or one core")
def test_a_real_process_in_the_way_is_seen():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            end = time.monotonic() + 30
            while (used := waiting.used_by_others()) < waiting.BUSY and time.monotonic() < end:
                pass
        finally:
            other.kill()
    assert used > waiting.BUSY
