"""What one attempt at a cell records, kept in a folder of its own before any tracking server sees it.

The folder holds `journal.jsonl` (one entry a line, only ever appended to), `files/` (the artifacts, under the paths
that they have in the run) and `position.json` (how much of the journal was uploaded, and to which run). An attempt is
written by one process alone, which holds its cell's lock, as does whoever uploads it afterwards.
"""

import hashlib
import json
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import StorageError, TrackingError

RECORD = "record"
"""The folder of a cell's attempts, in the cell's own folder below `outputs`."""
JOURNAL = "journal.jsonl"
TAIL = 100
"""Bytes of a journal that hold its last entry, where that is its end."""
NAME_TAG = "mlflow.runName"
FINISHED, FAILED, KILLED, RUNNING = "FINISHED", "FAILED", "KILLED", "RUNNING"
"""MLflow's words for how a run stands."""


class ClaimTakenError(TrackingError):
    """The cell is another worker's, or was finished by one."""


Entry = Mapping[str, Any]
"""`kind` (start, tags, metrics, artifact or end), `time` (milliseconds since 1970) and what the kind brings."""


@dataclass(frozen=True)
class Position:
    """How far an upload has come: bytes of the journal, and the MLflow run that they went to ("" before the first)."""

    offset: int = 0
    run_id: str = ""


@dataclass(frozen=True)
class Run:
    """A run as MLflow holds it, or an attempt as its journal tells it, which is RUNNING where the journal has no end.

    Attributes:
        id: MLflow's; "" where there is none yet.
        started: milliseconds since 1970.
        metrics: the last value of each.
    """

    id: str
    status: str
    started: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def cell(self) -> str:
        """The cell's hash; "" of a run that is no cell's."""
        return self.tags.get("cell", "")

    @property
    def name(self) -> str:
        """The run's name, or its id where it has none."""
        return self.tags.get(NAME_TAG) or self.id


class Spool:
    """The record of one attempt.

    Args:
        folder: of the attempt; its name is the attempt's id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = folder.name
        self._journal = folder / JOURNAL

    @classmethod
    def create(
        cls, cell_folder: Path, *, cell: str, experiment: str, name: str, tags: Mapping[str, str], params: Entry
    ) -> "Spool":
        """A new attempt's spool in `<cell_folder>/record/`, with its first entry.

        Args:
            cell_folder: made where it is not there.
            experiment: that the attempt is uploaded to.
            name: of the run, as are tags and params, which are kept as text.
        """
        spool = cls(cell_folder / RECORD / uuid.uuid4().hex)
        texts = {key: str(value) for key, value in params.items()}
        spool._append("start", cell=cell, experiment=experiment, name=name, tags=dict(tags), params=texts)
        return spool

    def tags(self, tags: Mapping[str, str]) -> None:
        """Records tags; the last value of each counts."""
        self._append("tags", tags=dict(tags))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Records numbers at one training step."""
        self._append("metrics", values={key: float(value) for key, value in values.items()}, step=step)

    def artifact(self, path: str, write: Callable[[Path], None]) -> None:
        """Keeps the file that `write` makes; a later one under the same path replaces it.

        Raises:
            StorageError: the folder cannot be written to, or not by `write`; an earlier file under the path stays.
        """
        target = self.folder / "files" / path
        with _room_for(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder) as beside:
                file = Path(beside) / target.name
                write(file)
                file.replace(target)  # whole or not there
        self._append("artifact", path=path)

    def end(self, status: str) -> None:
        """Records how the attempt ended."""
        self._append("end", status=status)

    def _append(self, kind: str, **content: Any) -> None:
        line = json.dumps({"kind": kind, "time": time.time_ns() // 1_000_000, **content}).encode() + b"\n"
        with _room_for(self._journal):
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._journal.open("ab", buffering=0) as file:
                before = file.tell()
                try:
                    if file.write(line) < len(line):
                        raise OSError("no space left on device")
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(before)  # half a line would spoil the next one
                    raise

    def entries(self, offset: int = 0) -> Iterator[tuple[int, Entry]]:
        """(offset behind it, entry) of each whole entry behind `offset`; a torn last line is none."""
        with self._journal.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                yield offset, json.loads(line)

    def run(self) -> Run:
        """The attempt, told by its whole journal."""
        start = next(self.entries())[1]
        tags: dict[str, str] = {"cell": start["cell"], NAME_TAG: start["name"]}
        metrics: dict[str, float] = {}
        status = RUNNING
        for _, entry in self.entries():
            tags |= entry.get("tags", {})
            metrics |= entry.get("values", {})
            status = entry.get("status", status)
        return Run(self.position().run_id, status, start["time"], tags, start["params"], metrics)

    @property
    def experiment(self) -> str:
        """Where the attempt is to be recorded."""
        return str(next(self.entries())[1]["experiment"])

    def position(self) -> Position:
        """How far the upload has come."""
        file = self.folder / "position.json"
        return Position(**json.loads(file.read_bytes())) if file.exists() else Position()

    def advance(self, position: Position) -> None:
        """Notes how far the upload has come; lost in a crash, it only makes the next upload repeat itself."""
        fresh = self.folder / "position.json.new"
        fresh.write_text(json.dumps({"offset": position.offset, "run_id": position.run_id}), encoding="utf-8")
        fresh.replace(self.folder / "position.json")

    @property
    def exists(self) -> bool:
        """Whether nobody removed it meanwhile."""
        return self._journal.exists()

    @property
    def uploaded(self) -> bool:
        """Whether the attempt has ended, and nothing of its journal is left to upload."""
        whole = self._journal.stat().st_size
        with self._journal.open("rb") as file:
            file.seek(max(0, whole - TAIL))
            return self.position().offset == whole and b'{"kind": "end"' in file.read()

    def drop_files(self) -> None:
        """Removes the artifacts of an attempt that was uploaded; the journal stays, for who has no server to ask."""
        shutil.rmtree(self.folder / "files", ignore_errors=True)

    def set_aside(self) -> Path:
        """Where the attempt then lies: out of the way, as another one's record of the cell counts."""
        aside = self.folder.parent.parent / "superseded" / self.id
        aside.parent.mkdir(exist_ok=True)
        self.folder.rename(aside)
        return aside

    def remove(self) -> None:
        """Removes the attempt."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def locked(cell_folder: Path, experiment: str) -> Iterator[str]:
    """Keeps every other process off a cell's attempts in the block; the kernel frees the lock of one that died.

    Yields the lock's place. Whoever holds it knows that everybody else who held it is gone: the place names the running
    system and the file, as another machine's kernel may not tell this one of its locks.

    Args:
        cell_folder: of the cell, below `outputs`; made where it is not there.
        experiment: whose attempts are meant.

    Raises:
        ClaimTakenError: another process has the cell.
        StorageError: the folder cannot be written to.
    """
    file = cell_folder / RECORD / f"{hashlib.sha256(experiment.encode()).hexdigest()[:8]}.lock"
    lock = FileLock(file, blocking=False)
    with _room_for(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise ClaimTakenError(f"cell {cell_folder.name} is being trained or uploaded by another process") from None
    try:
        told = file.stat()
        yield f"{_system()}:{told.st_dev}:{told.st_ino}"
    finally:
        lock.release()


def _system() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname()  # not Linux


@contextmanager
def _room_for(target: Path) -> Iterator[None]:
    """Whatever keeps `target` from being written in the block is said with what to do.

    Raises:
        StorageError: a file could not be read or written.
    """
    try:
        yield
    except OSError as error:
        why = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        raise StorageError(
            f"{target}: cannot be written ({why}); free some room or give another folder as outputs=DIR, and start the "
            "same command again"
        ) from None


def spools(outputs: Path, cell: str = "*") -> list[Spool]:
    """The attempts at a cell, or at all, below `outputs`, oldest first."""
    found = []
    for path in outputs.glob(f"{cell}/{RECORD}/*/{JOURNAL}"):
        spool = Spool(path.parent)
        with suppress(FileNotFoundError):  # whoever holds it removed it meanwhile
            first = next(spool.entries(), None)
            if first is not None:
                found.append((first[1]["time"], spool))
    return [spool for _, spool in sorted(found, key=_time)]


def _time(pair: tuple[int, Spool]) -> int:
    return pair[0]
