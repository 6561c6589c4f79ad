"""The harness from a wheel, in a folder that knows of no checkout; and from a checkout that cannot be written to."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.paths import PROJECT
from bench.tracking.server import Server
from tests.bench.recording import copy_database
from tests.launchers.conftest import SMALL

OFFLINE = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def command(place, code, *words, read_only=None, environment=None):
    """A command of the packages in the folder `code`, typed in the folder `place`: exit status, what it says."""
    typed = [sys.executable, *(words if words[0] == "-c" else ("-m", *words))]
    if read_only is not None:
        mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        typed = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(read_only), *typed]
    home = place.parent / "home"  # libraries keep caches there
    home.mkdir(exist_ok=True)
    own = OFFLINE | {"PYTHONPATH": str(code), "HOME": str(home), **(environment or {})}
    done = subprocess.run(
        typed, cwd=place, env=os.environ | own, check=False, capture_output=True, text=True, timeout=500
    )
    return done.returncode, done.stdout + done.stderr


def left(place):
    """What lies in a folder, bytecode left out: its names, and the empty folders anywhere in it."""
    empty = [path for path in place.rglob("*") if path.is_dir() and not any(path.iterdir())]
    return {path.name for path in place.iterdir() if path.name != "__pycache__"}, empty


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that a wheel of this checkout was installed into; its dependencies are this environment's."""
    if importlib.util.find_spec("hatchling") is None or importlib.util.find_spec("pip") is None:
        pytest.skip("no hatchling or pip here: a wheel was not built")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, PROJECT], check=True
    )
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.mark.slow
def test_a_wheel_runs_where_it_is_typed_and_leaves_nothing_elsewhere(installed, tmp_path):
    before = left(installed)[0]
    code, said = command(tmp_path, installed, "bench.run", "+sweeps=demo", "weights.dir=null", "--dry-run")
    assert (code, "4 cells" in said) == (0, True), said
    assert left(tmp_path)[0] == set()
    for words in (["bench.run", "--help"], ["analysis.report", "--help"], ["bench.architectures"]):
        assert command(tmp_path, installed, *words)[0] == 0
    files = tmp_path.parent / "my files"  # laid out as conf/ is
    (files / "protocol").mkdir(parents=True)
    mine = (PROJECT / "conf" / "protocol" / "quick.yaml").read_text().replace("name: quick", "name: mine")
    (files / "protocol" / "mine.yaml").write_text(mine)
    own = ["--config-dir", str(files), "protocol=mine", *(word for word in SMALL if not word.startswith("tracking."))]
    for words in (own, ["-m", "seed=0,1", *own]):
        code, said = command(tmp_path, installed, "bench.run", *words)
        assert code == 0, said
        assert command(tmp_path, installed, "bench.status", *words)[0] == 0
    code, said = command(tmp_path, installed, "analysis.report", "resamples=10", "permutations=10")
    assert code == 0, said
    names, empty = left(tmp_path)
    assert {name for name in names if not name.startswith("mlflow.db")} == {"data", "outputs", "mlartifacts", "report"}
    assert empty == []
    assert left(installed)[0] == before


@pytest.fixture
def checkout(tmp_path):
    """A copy of this checkout, in which nothing was started yet."""
    copy = tmp_path / "checkout"
    for name in ("analysis", "bench", "conf", "sweeps"):
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


RUN = f"run={'0' * 32}"
LOOKS = [
    *(["bench.status", "+sweeps=demo"], ["bench.run", "+sweeps=demo", "--dry-run"], ["bench.architectures"]),
    *(["bench.cam", RUN], ["bench.export", RUN], ["bench.publish"], ["bench.sync"], ["bench.run", "--help"]),
    *(["analysis.report"], ["analysis.report", "--help"], ["analysis.paper"]),
]
LOOK = """
import contextlib, importlib, json, sys
for module, *words in json.loads(sys.argv[1]):
    with contextlib.suppress(SystemExit):
        print(module, *words, "ends in", importlib.import_module(module).main(words))
"""


@pytest.mark.slow
@pytest.mark.parametrize("database", [False, True])
def test_looking_writes_nothing(checkout, tmp_path, database):
    """With no database, and with one that has another experiment; libraries' caches in HOME are not ours."""
    place = tmp_path / "typed"
    place.mkdir()
    if database:
        Server(f"sqlite:///{tmp_path}/made.db", "another")
        copy_database(tmp_path / "made.db", checkout / "mlflow.db")  # which this process does not hold open
    hub = {"HF_HUB_CACHE": str(tmp_path / "hub"), "PYTHONDONTWRITEBYTECODE": "1"}
    before = seen(checkout) | seen(place)
    code, said = command(place, checkout, *("-c", LOOK, json.dumps(LOOKS)), environment=hub)
    assert (code, said.count("ends in") >= len(LOOKS) - 2) == (0, True), said
    assert seen(checkout) | seen(place) == before
    assert not (tmp_path / "hub").exists()


def seen(place):
    """Every file and folder below a place, with its content."""
    paths = place.rglob("*")
    return {path.relative_to(place): path.read_bytes() if path.is_file() else b"" for path in paths}


@pytest.fixture
def read_only(checkout):
    """A copy of this checkout that cannot be written to, by whoever `command` starts."""
    probe = ["unshare", "--map-root-user", "--mount", "true"]
    if shutil.which("unshare") is None or subprocess.run(probe, check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here: a checkout that cannot be written to was not tried")
    return checkout


@pytest.mark.slow
def test_a_checkout_that_cannot_be_written_to_works_with_its_places_elsewhere(read_only, tmp_path):
    before = sorted(path.relative_to(read_only) for path in read_only.rglob("*"))
    (tmp_path / "typed").mkdir()
    own = [f"outputs={tmp_path}/own/outputs", f"tracking.uri=sqlite:///{tmp_path}/own/mlflow.db"]
    words = [*SMALL, *own, f"data.cache={tmp_path}/own/data/cache"]
    code, said = command(tmp_path / "typed", read_only, "bench.run", *words, read_only=read_only)
    assert code == 0, said
    words = ["analysis.report", own[1], "resamples=10", "permutations=10", f"out={tmp_path}/out"]
    code, said = command(tmp_path / "typed", read_only, *words, read_only=read_only)
    assert code == 0, said
    assert sorted(path.relative_to(read_only) for path in read_only.rglob("*")) == before
    assert left(tmp_path / "typed") == (set(), [])
    assert left(tmp_path / "own")[1] == []
    assert Path(tmp_path / "out" / "index.html").is_file()
