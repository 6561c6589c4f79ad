"""What stands behind a tracking URI: whether it answers, and an SQLite file that several processes may start on."""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from analysis.store.uris import CONNECT_SECONDS, check_reachable
from bench.errors import TrackingError

PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Databases that MLflow takes as a store, with the ports that they listen on by default."""


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for another store."""
    return Path(uri.partition(":///")[2].partition("?")[0]) if uri.startswith("sqlite") else None


def check_answer(uri: str) -> None:
    """Fails within seconds where nobody listens; MLflow would try for minutes.

    Raises:
        TrackingError, AnalysisError, OSError: it cannot be a store, or nobody listens.
    """
    parts = urlsplit(uri)
    kind = parts.scheme.partition("+")[0]
    if kind in ("http", "https"):
        check_reachable(uri)
    elif kind in PORTS:
        address = (parts.hostname or "localhost", parts.port or PORTS[kind])
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    elif kind != "sqlite":
        raise TrackingError("neither sqlite:///FILE, nor a server's http(s)://, nor a database's URI")


@contextmanager
def prepared(uri: str) -> Iterator[None]:
    """Holds others off an SQLite file in the block: several processes would race in its migration, and die."""
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        with closing(sqlite3.connect(file)) as connection, suppress(sqlite3.OperationalError):
            # Kept in the file; readers then never wait for writers. An old file that is in use stays as it is until a
            # quieter start. How long a writer waits for another is MLflow's: 20 s, in each of its sessions.
            connection.execute("PRAGMA journal_mode = WAL")
        yield
