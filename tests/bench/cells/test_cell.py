from pathlib import Path
from types import SimpleNamespace

from bench.cells.cell import NOT_FOUND, make_cell
from bench.config import compose_config
from bench.data.labels import policies
from bench.data.tasks import ALL_TASKS
from bench.networks.registry import architecture
from bench.networks.weights import Weights

FILE = Weights("resnet18.tv_in1k", Path("/somewhere/resnet18.tv_in1k.safetensors"), "ab" * 32)


def cell(*overrides, fingerprint="f" * 16, weights=FILE):
    config = compose_config(["arch=resnet18", "trainer.precision=fp32", *overrides])
    data = SimpleNamespace(
        fingerprint=fingerprint, tasks=ALL_TASKS, policies=policies(config.data.uncertain, ALL_TASKS)
    )
    return make_cell(config, architecture(config.arch.name), data, weights if config.pretrained else None)


def test_data_and_weight_digests_are_part_of_it():
    other = Weights(FILE.name, FILE.path, "cd" * 32)
    hashes = {cell().hash, cell(fingerprint="0" * 16).hash, cell(weights=other).hash, cell(weights=None).hash}
    assert len(hashes) == 4
    assert cell(weights=None).weights_sha256 == NOT_FOUND


def test_weights_do_not_touch_a_cell_from_scratch():
    scratch = cell("pretrained=false")
    assert scratch.hash == cell("pretrained=false", "weights.tag=a1_in1k").hash
    assert (scratch.weights, scratch.weights_sha256) == ("none", "")


def test_other_pixels_of_the_same_files_are_another_cell(monkeypatch):
    before = cell().hash
    monkeypatch.setattr("bench.cells.cell.DECODER_VERSION", 99)
    assert cell().hash != before


def test_what_is_not_read_is_not_there_to_be_read():
    typed = ("protocol.probe_epochs=3", "protocol.lr_grid=[1e-2]", "weights.tag=mine", "pretrained=false")
    settled = cell(*typed, "evaluation.level=image", "evaluation.views=mean").config
    assert (settled.protocol.probe_epochs, settled.protocol.lr_grid, settled.weights.tag) == (1, [], None)
    assert settled.protocol.micro_batch == settled.protocol.batch_size
    assert settled.evaluation.views == "max"
    assert settled == cell("pretrained=false", "evaluation.level=image").config


def test_the_name_is_the_contracts():
    assert cell("seed=3").name == "resnet18-pretrained-t0-s3"
    assert cell("pretrained=false").name == "resnet18-scratch-t0-s0"


def test_the_name_says_each_axis_that_is_not_at_its_default():
    typed = ("adapt=linear", "data.fraction=0.1", "arch.in_chans=1", "data.uncertain=u-ones")
    size = ("protocol.image.resize=320", "protocol.image.crop=256")
    assert cell(*typed, *size).name == "resnet18-pretrained-t0-s0-linear-f0.1-c1-u-ones-320-256px"
    assert cell("data.patients=50", "data.uncertain.edema=u-ones").name.endswith("-s0-p50-u-ignore-edema-u-ones")
    assert cell("protocol=quick").name == "resnet18-pretrained-t0-s0"


def test_the_hash_is_stable_over_releases():
    """A change here makes every finished cell of every user new: raise IDENTITY_VERSION on purpose or not at all."""
    assert cell().hash == "605e3b33dbab3601"
