"""A disk that is really full, and what its message says to do, typed."""

import subprocess

import pytest

from tests import told
from tests.launchers import commands


@pytest.fixture
def disk(tmp_path):
    """A disk in memory of 600 kB, mounted as the folder `disk`; called with a size, it has that one."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no disk can be mounted here, so that none is full: {made.stderr.strip()}")
    yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)
    subprocess.run(["umount", place], check=True)


@pytest.mark.slow
def test_after_a_full_disk_the_same_command_goes_on(words, disk):
    typed = words("seed=0,1", outputs="disk")
    code, said = commands.run("bench.run", typed)
    assert code == 1, said
    assert said.count("No space left on device") >= 2
    assert "free some room and start the same command again" in said
    assert set(told.keys(said)) >= {"outputs=DIR"}
    assert "retry=failed" not in said
    assert {run.status for run in commands.store(typed).server.runs()} <= {"KILLED", "RUNNING"}
    disk("64m")
    code, said = commands.run("bench.run", typed)
    assert code == 0, said
    assert {run.status for run in commands.store(typed).server.runs()} == {"FINISHED"}


@pytest.mark.slow
@pytest.mark.parametrize("remedy", ["data.cache=DIR", "outputs=DIR"])
def test_with_a_folder_on_another_disk_it_goes_on(words, disk, tmp_path, remedy):
    key = remedy.partition("=")[0]
    if key == "data.cache":
        disk("40k")
    typed = [word for word in words() if not word.startswith(f"{key}=")]
    code, said = commands.run("bench.run", [*typed, f"{key}={tmp_path}/disk"])
    assert (code, remedy in told.keys(said)) == (1, True), said
    code, said = commands.run("bench.run", [*typed, remedy.replace("DIR", f"{tmp_path}/other")])
    assert code == 0, said
