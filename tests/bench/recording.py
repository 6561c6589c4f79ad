"""Workers and servers for the tests of tracking: real processes, on loopback."""

import base64
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
EXPERIMENT = "test"
START_SECONDS = 120
NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Without the six processes that MLflow's server starts for jobs of its own, of which we have none."""
FAST = (0.3, 4.0, 0.3)
"""Seconds of a claim's beat, lease and poll."""


class Worker:
    """A process that opens cells and records what it is told to, line by line."""

    def __init__(self, uri: str, outputs: Path, *words: str) -> None:
        command = [sys.executable, "-m", "tests.bench.recording", uri, str(outputs), *words]
        self.process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, text: str) -> str:
        self.say(text)
        return self.hear()

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.communicate()


@contextmanager
def workers(number: int, uri: str, outputs: Path, *words: str, apart: bool = False) -> Iterator[list[Worker]]:
    """Processes that are ready; `apart`, each has outputs of its own, as on a machine that shares only the server."""
    started = [Worker(uri, outputs / str(index) if apart else outputs, *words) for index in range(number)]
    try:
        for worker in started:
            assert worker.hear() == "ready"
        yield started
    finally:
        for worker in started:
            worker.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class MlflowServer:
    """`mlflow server` on loopback, which can be killed and started again on the same port and store."""

    def __init__(
        self, backend: str, folder: Path, words: Iterable[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._command = [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend, "--artifacts-destination",
            str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", *words,
        ]  # fmt: skip
        self._environment = os.environ | NO_JOBS | dict(environment or {})
        self._log = folder / "server.log"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._log.parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            assert self._process.poll() is None, self._log.read_text()
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
                return
            time.sleep(0.2)
        raise AssertionError(self._log.read_text())

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def server_with_users(folder: Path, *names: str) -> Iterator[MlflowServer]:
    """MLflow's server with basic authentication: whoever is named may read what others made, and write their own."""
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/users.db\nadmin_username = admin\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    secrets = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": password("admin"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of a test",
    }
    server = MlflowServer(f"sqlite:///{folder}/mlflow.db", folder, ["--app-name", "basic-auth"], secrets)
    try:
        for name in names:
            _ask_as("admin", server, "2.0/mlflow/users/create", username=name, password=password(name))
        yield server
    finally:
        server.kill()


def grant(server: MlflowServer, experiment_id: str, name: str, by: str) -> None:
    """Lets a user record in an experiment of another's, and delete nothing."""
    told = {"resource_type": "experiment", "resource_id": experiment_id, "permission": "EDIT"}
    _ask_as(by, server, "3.0/mlflow/users/permissions/grant", username=name, **told)


def _ask_as(user: str, server: MlflowServer, path: str, **told: str) -> None:
    login = base64.b64encode(f"{user}:{password(user)}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    asked = urllib.request.Request(f"{server.uri}/api/{path}", json.dumps(told).encode(), headers)
    urllib.request.urlopen(asked).close()


def password(name: str) -> str:
    """Of a user of `server_with_users`."""
    return f"password-of-{name}"


@contextmanager
def mlflow_server(backend: str, folder: Path, *words: str) -> Iterator[MlflowServer]:
    server = MlflowServer(backend, folder, words)
    try:
        yield server
    finally:
        server.kill()


def copy_database(source: Path, target: Path) -> None:
    """With what is still in the write-ahead log."""
    before, after = sqlite3.connect(source), sqlite3.connect(target)
    before.backup(after)
    before.close()
    after.close()


def copy_run(path: str | Path, run_id: str, cells: Iterable[str]) -> None:
    """A run's rows in a store's SQLite file, once for each further cell, without waiting for MLflow to log them."""
    database = sqlite3.connect(path)
    copies = [(cell, uuid.uuid4().hex) for cell in cells]
    for table in ("runs", "tags", "params", "latest_metrics"):
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        rows = database.execute(f"SELECT {','.join(columns)} FROM {table} WHERE run_uuid = ?", (run_id,)).fetchall()
        for cell, copied in copies:
            for row in rows:
                new = dict(zip(columns, row, strict=True)) | {"run_uuid": copied}
                if table == "tags" and new["key"] == "cell":
                    new["value"] = cell
                marks = ",".join("?" * len(columns))
                database.execute(f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})", list(new.values()))
    database.commit()
    database.close()


def main() -> None:
    """Obeys: open CELL, metric KEY VALUE STEP, file PATH TEXT, end, fail; each answered by a line."""
    from bench.tracking.claim import TIMING, ClaimLostError, Timing
    from bench.tracking.spool import ClaimTakenError
    from bench.tracking.store import Store

    uri, outputs, *words = sys.argv[1:]
    timing = Timing(*FAST) if "fast" in words else TIMING
    tell = lambda text: print(text, flush=True)  # noqa: E731, T201  # the worker's voice
    tell("ready")
    store: Store | None = None
    for line in iter(sys.stdin.readline, ""):
        _, cell = line.split()
        store = store or Store(uri, EXPERIMENT, Path(outputs), offline="offline" in words, timing=timing)
        try:
            with store.run(cell, f"name-{cell}", {"cell": cell}, {"p": 1, "q": "x"}) as record:
                tell("got")
                _obey(record, tell)
            tell("finished")
        except ClaimTakenError as error:
            tell(f"taken {error}")
        except ClaimLostError:
            tell("lost")
        except ZeroDivisionError:
            tell("failed")


def _obey(record, tell) -> None:
    for line in iter(sys.stdin.readline, ""):
        match line.split():
            case ["metric", key, value, step]:
                record.metrics({key: float(value)}, step=int(step))
                tell("done")
            case ["file", path, text]:
                record.artifact(path, lambda target, text=text: target.write_text(text))
                tell("done")
            case ["fail"]:
                _ = 1 / 0
            case ["end"]:
                return


if __name__ == "__main__":
    main()
