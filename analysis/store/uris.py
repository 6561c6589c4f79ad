"""Tracking URIs: where a relative one points, what may be shown of one, and whether somebody answers."""

import re
import socket
import sqlite3
import ssl
import urllib.error
import urllib.parse
import urllib.request
from contextlib import closing
from pathlib import Path

from analysis.errors import AnalysisError
from analysis.settings import PROJECT

CONNECT_SECONDS = 5.0
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Databases that MLflow takes as a store, with the ports that they listen on by default."""


def resolve_uri(uri: str) -> str:
    """The URI with a relative SQLite file taken relative to the project folder, from wherever it is typed."""
    scheme, slashes, path = uri.partition(":///")
    if not slashes or scheme.partition("+")[0] != "sqlite":
        return uri
    return f"{scheme}:///{PROJECT / path}"


ARTIFACTS = "mlartifacts"
"""The folder beside an SQLite store that holds the artifacts of its experiments; made so by `bench.tracking.server`."""


def beside_store(store: Path, folder: Path) -> Path | None:
    """Where a folder of artifacts lies that was moved with its SQLite file `store`; None where it is not beside it."""
    if ARTIFACTS not in folder.parts:
        return None
    behind = len(folder.parts) - folder.parts[::-1].index(ARTIFACTS)
    found = store.parent.joinpath(ARTIFACTS, *folder.parts[behind:])
    return found if found.exists() else None


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite store; None for another store."""
    return Path(uri.partition(":///")[2].partition("?")[0]) if uri.startswith("sqlite") else None


def local_path(uri: str) -> Path | None:
    """The path of a `file:` URI or of a plain path; None for what is not on this machine."""
    parts = urllib.parse.urlparse(uri)
    return Path(urllib.request.url2pathname(parts.path)) if parts.scheme in ("", "file") else None


def mask(text: str) -> str:
    """The text with the password of every URI in it replaced by three asterisks."""
    text = re.sub(r"((?<!http)(?<!https)://[^/\s:@]*:)\S*@", r"\1***@", text)  # a database's may hold slashes
    text = re.sub(r"(://[^/\s:@]*:)[^/\s]*@", r"\1***@", text)
    return re.sub(r"(?i)([?&][\w-]*(?:password|passwd|pwd|token|secret|api_?key|signature)=)[^&\s]*", r"\1***", text)


def first_line(error: BaseException) -> str:
    """What an error says, in one line and without passwords."""
    return mask((str(error).strip() or type(error).__name__).splitlines()[0])


def check_reachable(uri: str) -> None:
    """Fails fast, and before MLflow makes an empty store where there was none or retries for minutes.

    Raises:
        AnalysisError: a SQLite file that is not there or no store of MLflow's, or a server that does not answer.
    """
    scheme, _, path = uri.partition("://")
    kind = scheme.partition("+")[0]
    try:
        if scheme.startswith("sqlite"):
            _check_sqlite(Path(path.removeprefix("/").partition("?")[0]))
        elif kind in ("http", "https"):
            urllib.request.urlopen(  # noqa: S310  # http or https, as was just asked
                f"{uri.rstrip('/')}/health", timeout=CONNECT_SECONDS
            ).close()
        elif kind in PORTS and (host := urllib.parse.urlsplit(uri).hostname):  # without a host it is a socket file
            port = urllib.parse.urlsplit(uri).port or PORTS[kind]
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except urllib.error.HTTPError as answer:
        answer.close()  # an answer, of whatever kind: MLflow will say what is wrong
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):  # MLflow has certificate settings of its own
            raise AnalysisError(f"no answer within {CONNECT_SECONDS:g} s ({error.reason})") from error
    except OSError as error:
        raise AnalysisError(f"no answer within {CONNECT_SECONDS:g} s ({error})") from error


def _check_sqlite(path: Path) -> None:
    if not path.is_file():
        raise AnalysisError(f"there is no file {path}; run a cell first, or name another store")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise AnalysisError(f"{path}: {error}") from error
    if not {"experiments", "runs"} <= tables:
        raise AnalysisError(f"{path} is not an MLflow store")
