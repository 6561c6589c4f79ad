import hashlib

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from bench.errors import WeightsError
from bench.registry import architecture
from bench.schema import WeightsConfig
from bench.weights import _hub_problem, describe, locate

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
    _hub_problem.cache_clear()
    yield cache, asked
    _hub_problem.cache_clear()


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
    assert "Put resnet18.tv_in1k.safetensors into a folder and give it as weights.dir=DIR" in message
    assert len(asked) == 1, "a hub that cannot be reached is asked once"


def test_an_offline_node_asks_nobody(no_hub, monkeypatch):
    _, asked = no_hub
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        locate(ROW, WeightsConfig())
    assert asked == []


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
