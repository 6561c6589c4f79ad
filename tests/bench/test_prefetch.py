import http.server
import os
import subprocess
import sys
import threading
from functools import partial
from hashlib import sha256

import pytest
import torch
from safetensors.torch import save

from bench.paths import PROJECT
from bench.prefetch import main, paper, wanted
from bench.schema import ArchConfig, Config, WeightsConfig
from tests import told

FILE = save({"conv1.weight": torch.zeros(2)})
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """What the hub's client needs of a hub that has one file: resnet18's."""

    served: list[str]

    def do_HEAD(self):
        self.served.append(f"{self.command} {self.path}")
        there = self.path == "/timm/resnet18.tv_in1k/resolve/main/model.safetensors" or COMMIT in self.path
        self.send_response(200 if there else 404)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{sha256(FILE).hexdigest()}"')
        self.send_header("Content-Length", str(len(FILE) if there else 0))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(FILE)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    """(address of a hub on this machine, what it was asked)."""
    handler = type("Counted", (Hub,), {"served": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.05))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.served
        server.shutdown()
        thread.join()


def command(module, *arguments, endpoint, cache, offline=False):
    """Runs a command of ours in a process of its own, as the hub's client reads its environment once."""
    own = {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": str(int(offline)), "NO_PROXY": "*"}
    words = [sys.executable, *module, *arguments]
    return subprocess.run(words, cwd=PROJECT, env={**os.environ, **own}, capture_output=True, text=True, check=False)


prefetch = partial(command, ["-m", "bench.prefetch"])
locate = partial(
    command,
    [
        "-c",
        "import sys, time\n"
        "from bench.networks.registry import architecture\n"
        "from bench.schema import WeightsConfig\n"
        "from bench.networks import weights\n"
        "start = time.monotonic()\n"
        "try:\n"
        "    find = weights.look if sys.argv[2:] else weights.locate\n"
        "    print(find(architecture(sys.argv[1]), WeightsConfig()).sha256)\n"
        "finally:\n"
        "    print('seconds', time.monotonic() - start)\n",
    ],
)


@pytest.mark.slow
def test_what_was_prefetched_is_there_without_a_hub(hub, tmp_path):
    endpoint, served = hub
    missing = locate("resnet18", endpoint="http://127.0.0.1:9", cache=tmp_path, offline=True)
    first = prefetch(*told.command(missing.stderr)[3:], endpoint=endpoint, cache=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "resnet18.tv_in1k" in first.stdout
    assert "fetched" in first.stdout
    assert [line for line in served if line.startswith("GET")], "the file came from this hub"
    asked = len(served)
    again = prefetch("arch=resnet18", endpoint=endpoint, cache=tmp_path)
    assert "had" in again.stdout
    assert len(served) == asked, "what is there is not asked for"
    offline = locate("resnet18", endpoint="http://127.0.0.1:9", cache=tmp_path, offline=True)
    assert offline.returncode == 0, offline.stderr
    assert offline.stdout.splitlines()[0] == sha256(FILE).hexdigest()


@pytest.mark.slow
def test_a_look_tells_the_digest_of_weights_and_leaves_them_on_the_hub(hub, tmp_path):
    endpoint, served = hub
    looked = locate("resnet18", "look", endpoint=endpoint, cache=tmp_path)
    assert looked.stdout.splitlines()[0] == sha256(FILE).hexdigest(), looked.stderr
    assert [line for line in served if line.startswith("GET") and "safetensors" in line] == []
    assert list(tmp_path.iterdir()) == []
    away = locate("resnet18", "look", endpoint="http://127.0.0.1:9", cache=tmp_path)
    assert "no weights resnet18.tv_in1k" in away.stderr


@pytest.mark.slow
@pytest.mark.parametrize("mend", ["prefetch", "delete"])
def test_a_torn_file_in_the_cache_is_named_and_mended(hub, tmp_path, mend):
    endpoint, _ = hub
    prefetch("arch=resnet18", endpoint=endpoint, cache=tmp_path)
    (blob,) = tmp_path.glob("models--*/blobs/*")
    blob.write_bytes(FILE[:-3])
    torn = locate("resnet18", endpoint=endpoint, cache=tmp_path)
    assert f"or delete {blob.resolve()}" in torn.stderr
    away = prefetch("arch=resnet18", endpoint="http://127.0.0.1:9", cache=tmp_path)
    assert (away.returncode, "cannot be reached" in away.stdout) == (1, True)
    if mend == "delete":
        blob.unlink()
    mended = prefetch(*told.command(torn.stderr)[3:], endpoint=endpoint, cache=tmp_path)
    assert (mended.returncode, "fetched" in mended.stdout) == (0, True)
    assert locate("resnet18", endpoint=endpoint, cache=tmp_path).stdout.splitlines()[0] == sha256(FILE).hexdigest()


@pytest.mark.slow
def test_one_that_cannot_be_had_is_said_and_the_others_are_brought(hub, tmp_path):
    endpoint, _ = hub
    sweep = prefetch("-m", "arch=resnet34,resnet18", "pretrained=true,false", endpoint=endpoint, cache=tmp_path)
    assert sweep.returncode == 1
    assert "the hub answers 404 for timm/resnet34.tv_in1k" in sweep.stdout
    assert list(tmp_path.glob("models--timm--resnet18.tv_in1k/snapshots/*/model.safetensors"))


@pytest.mark.slow
def test_a_hub_that_takes_the_call_and_says_nothing_fails_in_seconds_and_names_the_command(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as silent:  # listens, and nobody ever answers
        endpoint = f"http://127.0.0.1:{silent.server_port}"
        failed = locate("resnet18", endpoint=endpoint, cache=tmp_path)
    assert "python -m bench.prefetch arch=resnet18" in failed.stderr
    assert float(failed.stdout.split()[-1]) < 5


def cell(name, *, pretrained=True, **weights):
    return Config(arch=ArchConfig(name=name), pretrained=pretrained, weights=WeightsConfig(**weights))


def test_each_file_is_wanted_once_and_scratch_cells_want_none():
    cells = [cell("resnet18"), cell("resnet18"), cell("resnet34", pretrained=False), cell("resnet18", tag="a1_in1k")]
    assert [file.name for file in wanted(cells)] == ["resnet18.tv_in1k", "resnet18.a1_in1k"]


def test_without_a_sweep_the_papers_weights_are_wanted():
    names = [file.name for file in paper()]
    assert len(names) == 16
    assert {"densenet121.tv_in1k", "mobilenetv3_large_100.ra_in1k"} <= set(names)


def test_a_folder_serves_and_a_run_is_left_to_the_store(tmp_path, capsys):
    (tmp_path / "resnet18.tv_in1k.safetensors").write_bytes(FILE)
    assert main(["arch=resnet18", f"weights.dir={tmp_path}"]) == 0
    assert "had" in capsys.readouterr().out
    assert main(["arch=resnet18", f"weights.source=run:{'0' * 32}"]) == 0
    assert "lies in the tracking store" in capsys.readouterr().out


def test_a_wrong_line_is_refused_and_help_is_given(capsys):
    assert main(["arc=resnet18"]) == 2
    assert "did you mean 'arch'" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "HF_HUB_OFFLINE=1" in capsys.readouterr().out


def test_help_loads_no_torch():
    code = "import sys; from bench.prefetch import main; main(['--help']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True)
    assert not {"torch", "mlflow", "timm"} & set(loaded.stdout.splitlines()[-1].split())
