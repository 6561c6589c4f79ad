from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from bench.errors import WeightsError
from bench.models import build_model, count_parameters, normalisation
from bench.registry import architecture
from bench.weights import Weights, describe

ROW = architecture("resnet18")


@pytest.fixture
def source():
    """A trained network's stand-in: the right keys, other numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(99)
        return timm.create_model("resnet18", num_classes=7).state_dict()


def saved(state, path: Path) -> Weights:
    save_file(state, path)
    return describe(path, path.stem)


def test_the_body_is_the_files_and_the_head_is_new(source, tmp_path):
    weights = saved(source, tmp_path / "w.safetensors")
    loaded = build_model(ROW, outputs=14, weights=weights, seed=0).state_dict()
    scratch = build_model(ROW, outputs=14, weights=None, seed=0).state_dict()
    for key, value in loaded.items():
        expected = scratch[key] if key.startswith("fc.") else source[key]
        assert torch.equal(value, expected), key
    assert not torch.equal(scratch["conv1.weight"], source["conv1.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer4.1.conv2.weight"), r"lacks 1 parameters \(layer4.1.conv2.weight\)"),
        (lambda state: state.update(extra=torch.zeros(1)), r"has, beyond the network's, 1 parameters \(extra\)"),
        (lambda state: state.update({"conv1.weight": torch.zeros(3)}), r"in another shape 1 parameters \(conv1.weight"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_listed(source, tmp_path, change, message):
    change(source)
    with pytest.raises(WeightsError, match=message):
        build_model(ROW, outputs=14, weights=saved(source, tmp_path / "w.safetensors"), seed=0)


def test_batchnorm_counters_may_be_absent(source, tmp_path):
    old = {key: value for key, value in source.items() if not key.endswith("num_batches_tracked")}
    assert len(old) < len(source)
    network = build_model(ROW, outputs=14, weights=saved(old, tmp_path / "w.safetensors"), seed=0)
    assert torch.equal(network.state_dict()["conv1.weight"], source["conv1.weight"])


def test_inceptions_training_time_classifier_is_left_out(tmp_path):
    row = architecture("inception_v3")
    full = timm.create_model("inception_v3", aux_logits=True).state_dict()
    assert any(key.startswith("AuxLogits.") for key in full)
    network = build_model(row, outputs=14, weights=saved(full, tmp_path / "w.safetensors"), seed=0)
    assert torch.equal(network.state_dict()["Mixed_7c.branch1x1.conv.weight"], full["Mixed_7c.branch1x1.conv.weight"])


def test_seeds_decide_the_initialisation_and_leave_the_global_state_alone():
    state = torch.random.get_rng_state()
    first, again, other = (build_model(ROW, outputs=5, weights=None, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert torch.equal(first.fc.weight, again.fc.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


@pytest.mark.parametrize(("name", "millions"), [("densenet121", 6.968), ("resnet18", 11.184), ("mnasnet_100", 3.120)])
def test_parameters_with_the_14_output_head_are_the_protocols(name, millions):
    network = build_model(architecture(name), outputs=14, weights=None, seed=0)
    assert round(count_parameters(network) / 1e6, 3) == millions


def test_the_normalisation_is_that_of_the_weights_in_use():
    imagenet, half = (0.485, 0.456, 0.406), (0.5, 0.5, 0.5)
    file = Path("x")
    assert normalisation(ROW, None).mean == imagenet
    assert normalisation(architecture("inception_v3"), None).mean == half
    assert normalisation(ROW, Weights("resnet18.mine", file, "")).mean == imagenet
    assert normalisation(ROW, Weights("resnet18.mine", file, "", mean=half, std=half)).std == half
    other = Weights("inception_v3.gluon_in1k", file, "")  # timm records ImageNet's own numbers for this tag alone
    assert normalisation(architecture("inception_v3"), other).mean == imagenet


def test_real_imagenet_weights_load_whole(shared):
    path = shared / "weights" / "mobilenetv2_100.imagenet1k.safetensors"
    row = architecture("mobilenetv2_100")
    network = build_model(row, outputs=14, weights=describe(path, "mobilenetv2_100.imagenet1k"), seed=0)
    state = network.state_dict()
    assert all(torch.equal(state[key], value) for key, value in load_file(path).items())
