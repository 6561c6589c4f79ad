from pathlib import Path

import pytest

from bench.cells.cell import NOT_FOUND, make_cell
from bench.config import compose_config
from bench.networks.registry import architecture
from bench.networks.weights import Weights

FILE = Weights("resnet18.tv_in1k", Path("/somewhere/resnet18.tv_in1k.safetensors"), "ab" * 32)


def cell(*overrides, fingerprint="f" * 16, weights=FILE):
    config = compose_config(["arch=resnet18", "trainer.precision=fp32", *overrides])
    return make_cell(config, architecture(config.arch.name), fingerprint, weights if config.pretrained else None)


@pytest.mark.parametrize(
    "overrides",
    [
        ["arch=resnet34"],
        ["pretrained=false"],
        ["seed=1"],
        ["protocol.lr=1e-4"],
        ["protocol.epochs=5"],
        ["protocol.image.crop=64"],
        ["protocol.checkpoints.keep=2"],
        ["data.uncertain=u-ones"],
        ["data.tasks=competition"],
        ["data.uncertain.edema=u-ones"],
        ["data.on_bad_image=skip"],
        ["adapt=linear"],
        ["arch.in_chans=1"],
        ["protocol.micro_batch=8"],
        ["protocol.lr=auto"],
        ["protocol.lr_decay=0.5"],
        ["protocol.image.flip=true"],
        ["protocol.checkpoints.average=task"],
        ["trainer.precision=bf16"],
        ["trainer.compile=true"],
        ["truncate=1"],
        ["evaluation.views=mean"],
        ["weights.tag=a1_in1k"],
    ],
)
def test_what_changes_the_science_is_another_cell(overrides):
    assert cell(*overrides).hash != cell().hash


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer=cpu"],
        ["trainer.workers=7"],
        ["trainer.deterministic=false"],
        ["trainer.devices=2"],
        ["trainer.on_oom=accumulate"],
        ["trainer.save_minutes=1"],
        ["tracking.checkpoints=none"],
        ["tracking.errors=0"],
        ["tracking.offline=true"],
        ["data.cache=/elsewhere", "data.resident=device"],
        ["retry=failed"],
        ["hydra/launcher=basic"],
        ["outputs=/elsewhere"],
        ["tracking.uri=http://localhost:5000", "tracking.experiment=other"],
        ["weights.dir=/elsewhere"],
        ["data.root=/elsewhere"],
        ["sweep.name=mine", "sweep.size=9"],
    ],
)
def test_what_does_not_is_the_same_cell(overrides):
    assert cell(*overrides).hash == cell().hash


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


def test_the_name_is_the_contracts():
    assert cell("seed=3").name == "resnet18-pretrained-t0-s3"
    assert cell("pretrained=false").name == "resnet18-scratch-t0-s0"


def test_the_hash_is_stable_over_releases():
    """A change here makes every finished cell of every user new: raise IDENTITY_VERSION on purpose or not at all."""
    assert cell().hash == "033669162edd6c1b"
