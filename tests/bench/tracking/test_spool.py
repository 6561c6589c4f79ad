import json
from pathlib import Path

import pytest

from bench.errors import StorageError
from bench.tracking.spool import ClaimTakenError, Position, Spool, locked, spools
from bench.tracking.store import Store


def make(folder, cell="c1", name="n"):
    return Spool.create(folder / cell, cell=cell, experiment="e", name=name, tags={"a": "1"}, params={"p": 2})


def test_what_is_recorded_is_told_in_its_order_with_the_last_values(tmp_path):
    spool = make(tmp_path)
    spool.metrics({"loss": 1.0, "nothing": float("nan")}, 3)
    spool.metrics({"loss": 0.5}, 4)
    spool.tags({"a": "2"})
    spool.artifact("predictions/test.txt", lambda path: path.write_text("rows"))
    spool.end("FINISHED")
    assert [entry["kind"] for _, entry in spool.entries()] == ["start", "metrics", "metrics", "tags", "artifact", "end"]
    told = spool.run()
    assert (told.cell, told.name, told.status, told.tags["a"]) == ("c1", "n", "FINISHED", "2")
    assert told.metrics["loss"] == 0.5
    assert told.metrics["nothing"] != told.metrics["nothing"]
    assert (spool.folder / "files" / "predictions" / "test.txt").read_text() == "rows"


def test_entries_go_on_behind_an_offset(tmp_path):
    spool = make(tmp_path)
    (offset, _) = next(spool.entries())
    spool.end("KILLED")
    ((end, entry),) = spool.entries(offset)
    assert entry["status"] == "KILLED"
    assert not spool.uploaded
    spool.advance(Position(end, "r"))
    assert Spool(spool.folder).uploaded
    assert Spool(spool.folder).position() == Position(end, "r")


def test_a_torn_last_line_is_no_entry(tmp_path):
    spool = make(tmp_path)
    journal = spool.folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"kind": "end", "sta')
    assert [entry["kind"] for _, entry in spool.entries()] == ["start"]
    assert spool.run().status == "RUNNING"


def test_a_spool_whose_first_line_is_torn_is_none(tmp_path):
    journal = make(tmp_path).folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:20])
    assert spools(tmp_path) == []


def test_a_file_that_cannot_be_made_leaves_no_entry(tmp_path):
    spool = make(tmp_path)

    def break_off(path: Path) -> None:
        path.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spool.artifact("x.txt", break_off)
    assert len(list(spool.entries())) == 1
    assert not (spool.folder / "files" / "x.txt").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full: a full disk cannot be shown")
def test_a_full_disk_is_said_and_spoils_no_earlier_entry(tmp_path):
    spool = make(tmp_path)
    journal = spool.folder / "journal.jsonl"
    kept = journal.read_bytes()
    journal.unlink()
    journal.symlink_to("/dev/full")
    with pytest.raises(StorageError, match="cannot be written .*outputs=DIR"):
        spool.end("FINISHED")
    journal.unlink()
    journal.write_bytes(kept)
    spool.end("FINISHED")
    assert [json.loads(line)["kind"] for line in journal.read_bytes().splitlines()] == ["start", "end"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full: a full disk cannot be shown")
def test_a_disk_too_full_for_a_file_is_said_and_leaves_the_earlier_file(tmp_path):
    spool = make(tmp_path)
    spool.artifact("folder/x.txt", lambda path: path.write_text("earlier"))
    with pytest.raises(StorageError, match=r"x.txt: cannot be written \(No space left on device\); .*outputs=DIR"):
        spool.artifact("folder/x.txt", lambda _: Path("/dev/full").write_text("later"))
    assert (spool.folder / "files" / "folder" / "x.txt").read_text() == "earlier"
    assert [entry["kind"] for _, entry in spool.entries()] == ["start", "artifact"]


def test_half_a_line_that_was_written_is_taken_back(tmp_path, monkeypatch):
    spool = make(tmp_path)
    monkeypatch.setattr(
        "bench.tracking.spool.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(StorageError):
        spool.end("FINISHED")
    monkeypatch.undo()
    spool.end("KILLED")
    assert spool.run().status == "KILLED"
    assert len(list(spool.entries())) == 2


def test_a_cell_is_one_process_s_at_a_time_in_each_experiment(tmp_path):
    with locked(tmp_path / "c1", "e") as first:
        with pytest.raises(ClaimTakenError, match="another process"), locked(tmp_path / "c1", "e"):
            raise AssertionError
        with locked(tmp_path / "c1", "other") as other, locked(tmp_path / "c2", "e") as third:
            assert len({first, other, third}) == 3
    with locked(tmp_path / "c1", "e") as again:
        assert again == first


@pytest.mark.parametrize("gone_at", ["entries", "uploaded", "run"])
def test_an_attempt_that_its_holder_removes_during_a_look_is_passed_over(tmp_path, monkeypatch, gone_at):
    kept, removed = make(tmp_path), make(tmp_path, "c2")
    real = getattr(Spool, gone_at)

    def look(self, *given):
        if self.id == removed.id:
            self.remove()
        return real.fget(self) if isinstance(real, property) else real(self, *given)

    monkeypatch.setattr(Spool, gone_at, property(look) if isinstance(real, property) else look)
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", "e", tmp_path, offline=gone_at != "uploaded")
    assert store.states().keys() == ({"c1"} if gone_at != "uploaded" else set())
    assert [spool.id for spool in spools(tmp_path)] == [kept.id]


def test_spools_are_found_oldest_first(tmp_path, monkeypatch):
    now = iter([5_000_000_000, 3_000_000_000, 4_000_000_000])
    monkeypatch.setattr("bench.tracking.spool.time.time_ns", lambda: next(now))
    late, early, other = make(tmp_path), make(tmp_path), make(tmp_path, "c2")
    assert [spool.id for spool in spools(tmp_path)] == [early.id, other.id, late.id]
    assert [spool.id for spool in spools(tmp_path, "c2")] == [other.id]
    assert early.set_aside().is_dir()
    assert [spool.id for spool in spools(tmp_path, "c1")] == [late.id]
