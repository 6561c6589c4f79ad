import errno
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch

from bench.errors import StorageError
from bench.training import states
from bench.training.states import load_state, on_host, save_state, write_whole


def state(step):
    return {"step": step, "weights": torch.full((1000,), float(step)), "values": [1, 0.5, "text"]}


def test_the_newest_state_is_loaded(tmp_path):
    for step in (5, 20, 100):
        save_state(tmp_path, step, state(step))
    loaded = load_state(tmp_path)
    assert loaded["step"] == 100
    assert torch.equal(loaded["weights"], torch.full((1000,), 100.0))


def test_two_states_stay(tmp_path):
    for step in range(1, 6):
        save_state(tmp_path, step, state(step))
    assert [path.name[:15] for path in sorted(tmp_path.iterdir())] == ["state-000000004", "state-000000005"]


def test_where_there_is_none_there_is_none(tmp_path):
    assert load_state(tmp_path / "missing") is None


@pytest.mark.parametrize("harm", ["cut", "bit", "empty"])
def test_a_torn_state_is_passed_over_for_the_one_before_with_a_warning(tmp_path, caplog, harm):
    save_state(tmp_path, 1, state(1))
    newest = save_state(tmp_path, 2, state(2))
    content = bytearray(newest.read_bytes())
    if harm == "bit":
        content[len(content) // 2] ^= 1
    newest.write_bytes({"cut": content[:-100], "bit": content, "empty": b""}[harm])
    assert load_state(tmp_path)["step"] == 1
    assert f"{newest} is torn" in caplog.text


def test_a_torn_state_does_not_count_among_those_that_stay(tmp_path):
    """Training went on from the one before it: what is torn goes, and two whole ones are there again."""
    for step in (1, 2, 5):
        torn = save_state(tmp_path, step, state(step))
    torn.write_bytes(b"torn")
    assert load_state(tmp_path)["step"] == 2
    kept = {save_state(tmp_path, step, state(step)) for step in (3, 4)}
    assert set(tmp_path.iterdir()) == kept
    again = save_state(tmp_path, 5, state(5) | {"values": ["other seconds"]})
    assert again.name != torn.name
    assert set(tmp_path.iterdir()) == {again, max(kept)}


def test_a_state_with_code_in_it_is_not_loaded(tmp_path):
    class Code:
        def __reduce__(self):
            return (os.system, ("true",))

    save_state(tmp_path, 1, {"step": Code()})
    with pytest.raises(Exception, match="Weights only load failed"):
        load_state(tmp_path)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"before")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(states.os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot be written \(No space left on device\).*goes on from"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_really_full_file_system_does_so_too(tmp_path):
    """A limit on the size of files makes the kernel refuse the write."""
    code = """
        import resource, signal, sys
        from pathlib import Path
        from bench.training.states import write_whole
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        path = Path(sys.argv[1]) / "file"
        write_whole(path, b"before")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        write_whole(path, bytes(1 << 20))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "StorageError" in done.stderr
    assert "cannot be written" in done.stderr
    assert (tmp_path / "file").read_bytes() == b"before"


@pytest.mark.slow
def test_killed_while_writing_there_is_always_a_whole_state(tmp_path):
    code = """
        import sys, torch
        from pathlib import Path
        from bench.training.states import save_state
        for step in range(1, 100_000):
            save_state(Path(sys.argv[1]), step, {"step": step, "weights": torch.rand(300_000)})
            print(step, flush=True)
    """
    newest = 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(7):
            newest = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert load_state(tmp_path)["step"] >= newest
        for path in tmp_path.glob("state-*"):
            path.unlink()


def test_a_copy_is_what_training_cannot_change_with_the_same_bits_and_layout():
    weight = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    given = {"state": {0: {"step": torch.tensor(1.0), "moments": [weight]}}, "text": "a", "pair": (1, weight)}
    copy, before = on_host(given), weight.clone()
    weight.zero_()
    assert (copy["text"], copy["pair"][0], float(copy["state"][0]["step"])) == ("a", 1, 1.0)
    for kept in (copy["state"][0]["moments"][0], copy["pair"][1]):
        assert torch.equal(kept, before)
        assert kept.stride() == before.stride()
