from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from bench.errors import WeightsError
from bench.networks.models import build_model, count_parameters, normalisation
from bench.networks.registry import architecture
from bench.networks.truncation import Truncated
from bench.networks.weights import Weights, body_header, describe

ROW = architecture("resnet18")


@pytest.fixture
def source():
    """A trained network's stand-in: the right keys, other numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(99)
        return timm.create_model("resnet18", num_classes=7).state_dict()


def saved(state, path: Path, **header: str) -> Weights:
    save_file(state, path, metadata=header or None)
    return describe(path, path.stem)


def as_stored(network, depth: int, path: Path, row=ROW) -> Weights:
    """A run's network as the run stores it: its head included, its header saying what it is of."""
    said = body_header(row, depth, (0.4,), (0.2,), source="nih", generated=False)
    return saved({key: value.contiguous() for key, value in network.state_dict().items()}, path, **said)


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


@pytest.mark.parametrize("depth", [0, 2])
def test_a_runs_network_gives_its_body_and_not_its_head(tmp_path, depth):
    earlier = build_model(ROW, outputs=7, weights=None, seed=5, depth=depth)
    weights = as_stored(earlier, depth, tmp_path / "step=1.safetensors")
    state = build_model(ROW, outputs=3, weights=weights, seed=0, depth=depth).state_dict()
    scratch = build_model(ROW, outputs=3, weights=None, seed=0, depth=depth).state_dict()
    for key, value in state.items():
        head = key.startswith(("fc.", "head."))
        assert torch.equal(value, scratch[key] if head else earlier.state_dict()[key]), key
    assert not torch.equal(scratch[next(iter(scratch))], state[next(iter(state))])


def test_a_whole_runs_network_serves_every_depth(tmp_path):
    earlier = build_model(ROW, outputs=7, weights=None, seed=5)
    cut = build_model(ROW, outputs=3, weights=as_stored(earlier, 0, tmp_path / "w.safetensors"), seed=0, depth=3)
    assert isinstance(cut, Truncated)
    assert torch.equal(cut.body.layer1[0].conv1.weight, earlier.layer1[0].conv1.weight)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_truncated_runs_network_serves_its_own_depth_alone(tmp_path, depth):
    earlier = build_model(ROW, outputs=7, weights=None, seed=5, depth=2)
    weights = as_stored(earlier, 2, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=f"at truncate=2, which serves truncate=2 alone, not truncate={depth}"):
        build_model(ROW, outputs=3, weights=weights, seed=0, depth=depth)


def test_another_architectures_weights_are_refused_by_name(tmp_path):
    other = architecture("resnet34")
    weights = as_stored(build_model(other, outputs=7, weights=None, seed=5), 0, tmp_path / "w.safetensors", other)
    with pytest.raises(WeightsError, match="weights w are of resnet34, not of arch=resnet18"):
        build_model(ROW, outputs=3, weights=weights, seed=0)


def test_a_cut_transformers_run_gives_its_body(tmp_path):
    row = architecture("vit_tiny_patch16_224")
    earlier = build_model(row, outputs=7, weights=None, seed=5, depth=11)
    weights = as_stored(earlier, 11, tmp_path / "w.safetensors", row)
    state = build_model(row, outputs=3, weights=weights, seed=0, depth=11).state_dict()
    assert all(torch.equal(value, earlier.state_dict()[key]) for key, value in state.items() if key.startswith("body."))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet_b0", "inception_v3", "convnext_tiny"])
def test_one_channel_sees_what_three_equal_ones_would(tmp_path, name):
    """The first layer's weights are summed: on the normalised grey image itself both networks agree."""
    row = architecture(name)
    weights = saved(timm.create_model(row.name, num_classes=3).state_dict(), tmp_path / "w.safetensors")
    three, one = (
        build_model(row, outputs=2, weights=weights, seed=0, in_chans=channels).double().eval() for channels in (3, 1)
    )
    grey = torch.randn(2, 1, 96, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = three.forward_features(grey.expand(-1, 3, -1, -1))
        difference = one.forward_features(grey) - features
    assert difference.norm() < 1e-5 * features.norm(), "timm sums in single precision"
    assert count_parameters(one) < count_parameters(three)


def test_one_channel_from_one_is_left_as_it_is(tmp_path):
    earlier = build_model(ROW, outputs=7, weights=None, seed=5, depth=1, in_chans=1)
    weights = as_stored(earlier, 1, tmp_path / "w.safetensors")
    network = build_model(ROW, outputs=3, weights=weights, seed=0, depth=1, in_chans=1)
    assert torch.equal(network.body.conv1.weight, earlier.body.conv1.weight)
    with pytest.raises(WeightsError, match=r"in another shape 1 parameters \(body.conv1.weight\)"):
        build_model(ROW, outputs=3, weights=weights, seed=0, depth=1)


def test_one_channel_is_normalised_by_the_channels_means():
    norm = normalisation(ROW, None, in_chans=1)
    assert norm.mean == pytest.approx([(0.485 + 0.456 + 0.406) / 3])
    assert norm.std == pytest.approx([(0.229 + 0.224 + 0.225) / 3])
    stated = Weights("run:0", Path("x"), "", mean=(0.3,), std=(0.2,))
    assert normalisation(ROW, stated, in_chans=1).mean == (0.3,)


@pytest.mark.parametrize("name", ["densenet121", "inception_v4", "mobilenetv3_large_100"])
def test_pretrained_weights_differ_from_scratch_and_are_the_same_for_every_seed(tmp_path, name):
    row = architecture(name)
    source = {key: value + 0.125 for key, value in timm.create_model(name, num_classes=3).state_dict().items()}
    weights = saved(source, tmp_path / "w.safetensors")
    one, two, scratch = (
        build_model(row, outputs=2, weights=given, seed=seed).state_dict()
        for given, seed in ((weights, 0), (weights, 1), (None, 0))
    )
    heads = {key for key in one if one[key].shape != source[key].shape}
    assert len(heads) == 2
    learnt = {key for key, _ in timm.create_model(name, num_classes=2).named_parameters()} - heads
    assert all(torch.equal(one[key], two[key]) and torch.equal(one[key], source[key]) for key in learnt)
    assert not any(torch.equal(one[key], scratch[key]) for key in learnt)


def test_real_imagenet_weights_load_whole(shared):
    path = shared / "weights" / "mobilenetv2_100.imagenet1k.safetensors"
    row = architecture("mobilenetv2_100")
    network = build_model(row, outputs=14, weights=describe(path, "mobilenetv2_100.imagenet1k"), seed=0)
    state = network.state_dict()
    assert all(torch.equal(state[key], value) for key, value in load_file(path).items())
