import hashlib
import threading
import time

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from bench.errors import ConfigError, TrackingError, WeightsError
from bench.networks import hub
from bench.networks.registry import architecture
from bench.networks.weights import body_header, check_source, describe, locate
from bench.schema import ArchConfig, WeightsConfig
from bench.sweeps.plan import plan

ROW = architecture("resnet18")


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub that cannot be reached and an empty cache; counts how often it was asked."""
    asked = []

    def refuse(url, **_):
        asked.append(url)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    cache = tmp_path / "hub"
    find = huggingface_hub.try_to_load_from_cache
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repo, file: find(repo, file, cache_dir=cache))
    monkeypatch.setattr(hub, "_Down", type("NotYet", (), {"since": -hub.MEMORY, "reason": ""}))
    return cache, asked


def write(path, value, **header):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"conv1.weight": torch.full((2,), float(value))}, path, metadata=header or None)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def put_in_cache(cache, value):
    repo = cache / "models--timm--resnet18.tv_in1k"
    digest = write(repo / "snapshots" / "0123abc" / "model.safetensors", value)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0123abc")
    return digest


def test_the_folder_comes_before_the_cache_and_the_cache_before_the_hub(no_hub, tmp_path):
    cache, asked = no_hub
    in_cache = put_in_cache(cache, 1)
    in_folder = write(tmp_path / "mine" / "resnet18.tv_in1k.safetensors", 2)
    assert locate(ROW, WeightsConfig(dir=str(tmp_path / "mine"))).sha256 == in_folder
    assert locate(ROW, WeightsConfig()).sha256 == in_cache
    assert locate(ROW, WeightsConfig(dir=str(tmp_path / "empty"))).sha256 == in_cache
    assert asked == []


def test_without_any_the_error_says_where_it_looked_and_what_to_do(no_hub, tmp_path):
    _, asked = no_hub
    write(tmp_path / "mine" / "resnet18.a1_in1k.safetensors", 2)  # another tag is never taken instead
    config = WeightsConfig(dir=str(tmp_path / "mine"))
    for _ in range(2):
        with pytest.raises(WeightsError) as caught:
            locate(ROW, config)
    message = str(caught.value)
    assert "no weights resnet18.tv_in1k" in message
    assert f"weights.dir={tmp_path / 'mine'}" in message
    assert "no route to host" in message
    assert "put resnet18.tv_in1k.safetensors into a folder and give it as weights.dir=DIR" in message
    assert "`python -m bench.prefetch arch=resnet18`" in message
    with pytest.raises(WeightsError, match="no route to host"):
        locate(architecture("resnet34"), config)
    assert len(asked) == 1, "a hub that cannot be reached is asked once, not once a network"


def test_an_offline_node_asks_nobody(no_hub, monkeypatch):
    _, asked = no_hub
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        locate(ROW, WeightsConfig())
    assert asked == []


def test_a_hub_is_asked_again_after_a_while(no_hub, monkeypatch):
    _, asked = no_hub
    for _ in range(2):
        with pytest.raises(WeightsError):
            locate(ROW, WeightsConfig())
        monkeypatch.setattr(hub._Down, "since", time.monotonic() - hub.MEMORY)
    assert len(asked) == 2


def test_a_resolver_that_hangs_is_not_waited_for(no_hub, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: never.wait(60))
    start = time.monotonic()
    with pytest.raises(WeightsError, match=r"the hub cannot be reached \(no answer in 3 seconds\).*bench.prefetch"):
        locate(ROW, WeightsConfig())
    never.set()
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        (ArchConfig(name="resnet18"), "arch=resnet18 weights.tag=mine"),
        (ArchConfig(name="vgg11_bn"), "arch=timm arch.name=vgg11_bn.tv_in1k weights.tag=mine"),
    ],
)
def test_the_command_in_the_message_is_one_that_can_be_typed(no_hub, asked, command):
    with pytest.raises(WeightsError) as caught:
        locate(architecture(asked), WeightsConfig(tag="mine"))
    assert f"`python -m bench.prefetch {command}`" in str(caught.value)
    (config,) = plan(command.split()).configs
    assert config.arch.name.split(".")[0] == asked.name
    assert config.weights.tag == "mine"


def test_the_tag_can_be_chosen(no_hub, tmp_path):
    write(tmp_path / "resnet18.mine.safetensors", 1)
    assert locate(ROW, WeightsConfig(tag="mine", dir=str(tmp_path))).name == "resnet18.mine"


def test_the_header_tells_standins_and_normalisation(tmp_path):
    path = tmp_path / "a.safetensors"
    write(path, 1, generated="true", source="image folder textures", mean="0.5,0.5,0.5", std="0.25,0.25,0.25")
    found = describe(path, "a")
    assert found.standin
    assert (found.mean, found.std) == ((0.5,) * 3, (0.25,) * 3)
    write(path, 1)
    assert not describe(path, "a").standin, "a rewritten file is read again"


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "resnet18.tv_in1k.safetensors").write_bytes(b"PK\x03\x04 a pickle")
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        locate(ROW, WeightsConfig(dir=str(tmp_path)))


def test_a_file_can_be_named(tmp_path):
    digest = write(tmp_path / "nih.safetensors", 3, mean="0.5,0.5,0.5", std="0.5,0.5,0.5")
    found = locate(ROW, WeightsConfig(source=str(tmp_path / "nih.safetensors")))
    assert (found.name, found.sha256, found.mean) == ("file:nih", digest, (0.5,) * 3)
    with pytest.raises(WeightsError, match=f"no file {tmp_path}/none.safetensors"):
        locate(ROW, WeightsConfig(source=str(tmp_path / "none.safetensors")))


def test_a_source_and_a_tag_are_one_too_many():
    check_source(WeightsConfig(source="a.safetensors", dir="weights"))
    check_source(WeightsConfig(tag="mine"))
    with pytest.raises(ConfigError, match="weights.source=a.safetensors and weights.tag=mine both say which weights"):
        check_source(WeightsConfig(source="a.safetensors", tag="mine"))


class Stored:
    """A tracking store that holds one run's files in a folder."""

    def __init__(self, root):
        self.root, self.downloads = root, []

    def artifacts(self, run_id, folder):
        return sorted(str(path.relative_to(self.root / run_id)) for path in (self.root / run_id / folder).glob("*"))

    def download(self, run_id, path):
        self.downloads.append(path)
        return self.root / run_id / path


RUN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def stored(tmp_path):
    return Stored(tmp_path)


def checkpoint(stored, step, auroc, value, *, generated=False):
    said = body_header(ROW, 1, (0.5,), (0.25,), source="nih", generated=generated)
    path = stored.root / RUN / "checkpoints" / f"step={step}.safetensors"
    return write(path, value, **said, **{"valid/auroc": repr(auroc)})


def test_the_body_of_a_run_is_its_best_state(stored):
    checkpoint(stored, 10, 0.71, 1)
    best = checkpoint(stored, 20, 0.8, 2)
    checkpoint(stored, 1, float("nan"), 3)
    checkpoint(stored, 9, 0.79, 4)
    config = WeightsConfig(source=f"run:{RUN}")
    found = locate(ROW, config, stored)
    assert (found.name, found.sha256) == (f"run:{RUN}", best)
    assert (found.arch, found.depth, found.mean, found.std) == ("resnet18", 1, (0.5,), (0.25,))
    assert (found.source, found.standin) == ("nih", False)
    assert locate(ROW, config, stored) == found
    assert len(stored.downloads) == 4, "fetched once a process"


def test_a_run_on_generated_images_gives_standins(stored):
    checkpoint(stored, 1, 0.5, 1, generated=True)
    assert locate(ROW, WeightsConfig(source=f"run:{RUN}"), stored).standin


def test_a_run_without_states_is_refused(stored):
    with pytest.raises(WeightsError, match=f"run:{RUN}: the run has no checkpoints/.*tracking.checkpoints=none"):
        locate(ROW, WeightsConfig(source=f"run:{RUN}"), stored)


def test_a_run_that_is_not_there_is_refused(stored, monkeypatch):
    def refuse(*_):
        raise TrackingError("no such run")

    monkeypatch.setattr(stored, "artifacts", refuse)
    with pytest.raises(WeightsError, match=f"weights.source=run:{RUN}: no such run"):
        locate(ROW, WeightsConfig(source=f"run:{RUN}"), stored)


def test_a_state_that_does_not_say_what_it_is_of_is_refused(stored):
    write(stored.root / RUN / "checkpoints" / "step=1.safetensors", 1, **{"valid/auroc": "0.5"})
    with pytest.raises(WeightsError, match="checkpoints/step=1.safetensors does not say of which network it is"):
        locate(ROW, WeightsConfig(source=f"run:{RUN}"), stored)


def test_a_command_without_a_store_says_so():
    with pytest.raises(WeightsError, match="this command reads no runs"):
        locate(ROW, WeightsConfig(source=f"run:{RUN}"))
