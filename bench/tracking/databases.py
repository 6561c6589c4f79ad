"""What stands behind a tracking URI: whether it answers, and an SQLite file that several processes may start on."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from analysis.store.uris import CONNECT_SECONDS, PORTS, beside_store, check_reachable, local_path, sqlite_file
from bench.errors import TrackingError
from bench.tracking.answers import AbsentError

ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow 3.17 keeps the absolute paths of artifacts: table and column."""


def check_answer(uri: str) -> None:
    """Fails within seconds where nobody listens; MLflow would try for minutes.

    Raises:
        TrackingError: it cannot be a store.
        AnalysisError: nobody listens.
    """
    kind = urlsplit(uri).scheme.partition("+")[0]
    if kind in ("http", "https", *PORTS):
        check_reachable(uri)
    elif kind != "sqlite":
        raise TrackingError("neither sqlite:///FILE, nor a server's http(s)://, nor a database's URI")


def check_there(uri: str) -> None:
    """Returns where a store is there to look at.

    Raises:
        AbsentError: the file of an SQLite store is not there yet.
    """
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        raise AbsentError("there is no such file yet")
    if file is not None:
        check_reachable(uri)  # a file that is no store of MLflow's would be made one


@contextmanager
def prepared(uri: str, *, create: bool = True) -> Iterator[None]:
    """Holds others off an SQLite file in the block: several processes would race in its migration, and die.

    Args:
        create: whether the file may be made and set up; else nothing is written.
    """
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    if not create:
        lock = Path(f"{file}.lock")
        with FileLock(lock) if os.access(lock, os.W_OK) else nullcontext():
            yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        with closing(sqlite3.connect(file)) as connection, suppress(sqlite3.OperationalError):
            # Kept in the file; readers then never wait for writers. An old file that is in use stays as it is until a
            # quieter start. How long a writer waits for another is MLflow's: 20 s, in each of its sessions.
            connection.execute("PRAGMA journal_mode = WAL")
        yield


def follow(file: Path, recorded: str) -> Path | None:
    """Where an experiment's artifacts lie now, if its store was moved or copied with them, as it then says itself."""
    old = local_path(recorded)
    new = beside_store(file, old) if old is not None else None
    if old is None or new is None or (old.exists() and old.samefile(new)):
        return None
    with closing(sqlite3.connect(file, timeout=CONNECT_SECONDS)) as connection, connection:
        for table, column in ADDRESSES:
            known = connection.execute(f"SELECT DISTINCT {column} FROM {table}")  # noqa: S608  # names of ours
            for (address,) in known.fetchall():
                if address is None or not f"{address}/".startswith(f"{recorded.rstrip('/')}/"):
                    continue
                before, after = old / address[len(recorded) :].lstrip("/"), new / address[len(recorded) :].lstrip("/")
                if after.exists() or not before.exists():  # what a copy recorded in the first one's folder stays there
                    change = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"  # noqa: S608  # the same
                    connection.execute(change, (new.as_uri() + address[len(recorded) :], address))
    return new
