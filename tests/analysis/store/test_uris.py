import socket
import sqlite3
import time

import pytest

from analysis.errors import AnalysisError
from analysis.settings import PROJECT
from analysis.store.io import load_runs
from analysis.store.uris import mask, resolve_uri


def test_a_relative_file_lies_in_the_project_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_uri("sqlite:///mlflow.db") == f"sqlite:///{PROJECT}/mlflow.db"
    assert resolve_uri("sqlite+pysqlite:///a/b.db") == f"sqlite+pysqlite:///{PROJECT}/a/b.db"
    for absolute in ("sqlite:////a/b.db", "http://host:5000", "postgresql://host/db"):
        assert resolve_uri(absolute) == absolute


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://user:s3cret@host:5432/db", "postgresql://user:***@host:5432/db"),
        ("report tracking.uri=https://u:p%40s@h/x out=y", "report tracking.uri=https://u:***@h/x out=y"),
        ("mysql://h/db?user=u&password=s3cret&x=1", "mysql://h/db?user=u&password=***&x=1"),
        ("postgresql://user:s3/cr@t@host/db", "postgresql://user:***@host/db"),
        ("https://:s3cret@host", "https://:***@host"),
        ("https://h/x?access_token=s3cret&X-Amz-Signature=s3cret", "https://h/x?access_token=***&X-Amz-Signature=***"),
        ("http://host:5000/a:b@c", "http://host:5000/a:b@c"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
    ],
)
def test_passwords_are_masked(text, shown):
    assert mask(text) == shown


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(AnalysisError, match=r"there is no file .*mlflow.db; run a cell first"):
        load_runs(f"sqlite:///{tmp_path}/mlflow.db", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path):
    (tmp_path / "text.db").write_text("not a database" * 100)
    with pytest.raises(AnalysisError, match="file is not a database"):
        load_runs(f"sqlite:///{tmp_path}/text.db", "x")
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(AnalysisError, match="is not an MLflow store"):
        load_runs(f"sqlite:///{tmp_path}/other.db", "x")
    assert (tmp_path / "other.db").read_bytes() == before


def test_a_server_that_does_not_answer_fails_fast(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://me:s3cret@127.0.0.1:{unused.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(AnalysisError, match=r"tracking.uri=http://me:\*\*\*@127.0.0.1:\d+ cannot be used") as error:
            load_runs(uri, "x")
    assert time.monotonic() - start < 10
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("uri", ["gopher://host", "nonsense://", "postgresql://me:s3cret@127.0.0.1:1/db"])
def test_other_stores_that_cannot_be_used_are_one_sentence(uri):
    start = time.monotonic()
    with pytest.raises(AnalysisError, match="cannot be used") as error:
        load_runs(uri, "x")
    assert time.monotonic() - start < 10, "MLflow by itself tries for 100 seconds where a driver is installed"
    assert len(str(error.value).splitlines()) == 1
    assert "s3cret" not in str(error.value)
