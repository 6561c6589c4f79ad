"""Checkpoints of other code bases become weight files, and are used as the originals are."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from bench.convert import main
from bench.networks.models import build_model
from bench.networks.registry import ARCHITECTURES
from bench.networks.weights import describe

ROW = ARCHITECTURES["resnet18"]


@pytest.fixture(scope="module")
def other():
    """torchvision's network, the code base of most published ResNets, with random weights and moved statistics."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def run(folder, file, *words, arch="resnet18"):
    return main([f"file={file}", f"arch={arch}", "tag=mine", f"out={folder}", *words])


def features(network, image):
    with torch.no_grad():
        return nn.Sequential(*list(network.children())[:-1])(image).flatten(1)


def saved(other, file, wrapped):
    torch.save(wrapped(other.state_dict()), file)
    return file


WRAPPERS = {
    "plain": lambda state: state,
    "lightning": lambda state: {"epoch": 3, "state_dict": {f"model.{k}": v for k, v in state.items()}, "lr": [0.1]},
    "data parallel": lambda state: {"model": {f"module.backbone.{k}": v for k, v in state.items()}},
    "optimiser": lambda state: {"net": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(64, 3, 7, 7)}}}},
    "half": lambda state: {k: v.half().float() for k, v in state.items()},
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapped_checkpoint_gives_the_same_network(other, tmp_path, wrapper, capsys):
    file = saved(other, tmp_path / "their.pt", WRAPPERS[wrapper])
    assert run(tmp_path, file) == 0
    weights = describe(tmp_path / "resnet18.mine.safetensors", "resnet18.mine")
    network = build_model(ROW, outputs=5, weights=weights, seed=0).eval()
    image = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = network.forward_head(network.forward_features(image), pre_logits=True)
    exact = features(other, image)
    torch.testing.assert_close(
        ours, exact, rtol=1e-2 if wrapper == "half" else 1e-5, atol=1e-2 if wrapper == "half" else 1e-5
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "100 tensors" in said
    assert "by name" in said
    assert "left out: 2 beside them (fc.weight, fc.bias)" in said


def test_a_numbered_sequential_is_matched_by_order_and_proven(other, tmp_path, capsys):
    state = {f"backbone.{k}": v for k, v in nn.Sequential(*list(other.children())[:-1]).state_dict().items()}
    torch.save(state, tmp_path / "radimagenet.pt")
    image = torch.randn(2, 3, 64, 64)
    np.savez(tmp_path / "reference.npz", image=image.numpy(), features=features(other, image).numpy())
    assert run(tmp_path, tmp_path / "radimagenet.pt", f"reference={tmp_path / 'reference.npz'}") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "100 tensors below backbone., by order and shape" in said
    assert "proven by a forward pass" in said
    made = load_file(tmp_path / "resnet18.mine.safetensors")
    assert torch.equal(made["layer4.1.bn2.running_var"], other.state_dict()["layer4.1.bn2.running_var"])


def test_tensors_in_the_wrong_places_do_not_pass_the_reference(other, tmp_path, capsys):
    state = dict(nn.Sequential(*list(other.children())[:-1]).state_dict())
    names = list(state)
    one, two = (names.index(name) for name in ("4.0.conv1.weight", "4.0.conv2.weight"))  # of one shape
    state[names[one]], state[names[two]] = state[names[two]], state[names[one]]
    torch.save(state, tmp_path / "mixed.pt")
    image = torch.randn(1, 3, 64, 64)
    np.savez(tmp_path / "reference.npz", image=image.numpy(), features=features(other, image).numpy())
    assert run(tmp_path, tmp_path / "mixed.pt", f"reference={tmp_path / 'reference.npz'}") == 1
    assert "not where they belong" in capsys.readouterr().err
    assert not (tmp_path / "resnet18.mine.safetensors").exists()


def test_of_two_encoders_one_must_be_chosen(other, tmp_path, capsys):
    state = {f"module.encoder_{which}.{k}": v for which in "qk" for k, v in other.state_dict().items()}
    file = saved(other, tmp_path / "moco.pth.tar", lambda _: {"state_dict": state})
    assert run(tmp_path, file) == 1
    assert (
        "choose with published.prefix=, one of state_dict.module.encoder_k., state_dict.module.encoder_q."
        in capsys.readouterr().err
    )
    assert run(tmp_path, file, "source=moco_cxr") == 0
    with safe_open(tmp_path / "resnet18.mine.safetensors", "np") as made:
        assert made.metadata()["seen"] == "chexpert,imagenet"
        assert made.metadata()["source"] == "moco_cxr"


def test_a_pickled_network_is_refused_and_nothing_in_it_runs(other, tmp_path, capsys):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    torch.save({"state_dict": other.state_dict(), "hyper": Trap()}, tmp_path / "trap.ckpt")
    torch.save(other, tmp_path / "whole.pt")
    for name in ("trap.ckpt", "whole.pt"):
        assert run(tmp_path, tmp_path / name) == 1
        assert "would run code of whoever made it" in capsys.readouterr().err
    assert not (tmp_path / "trapped").exists()


def test_one_channel_serves_one_channel(tmp_path, capsys):
    torch.manual_seed(0)
    network = timm.create_model("densenet121", pretrained=False, num_classes=18, in_chans=1)
    save_file(network.state_dict(), tmp_path / "xrv.safetensors")
    assert run(tmp_path, tmp_path / "xrv.safetensors", "source=torchxrayvision", arch="densenet121") == 0
    assert "1 channel(s), mean (0.5,), std (0.00048828125,)" in " ".join(capsys.readouterr().out.split())
    weights = describe(tmp_path / "densenet121.mine.safetensors", "densenet121.mine")
    built = build_model(ARCHITECTURES["densenet121"], outputs=5, weights=weights, seed=1, in_chans=1)
    assert torch.equal(built.features.conv0.weight, network.features.conv0.weight)


def test_arrays_of_numpy_are_read(other, tmp_path):
    np.savez(tmp_path / "their.npz", **{k: v.numpy() for k, v in other.state_dict().items()})
    assert run(tmp_path, tmp_path / "their.npz") == 0


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (["arch=resnet34"], "lacks 80 of 180 parameters (layer1.2.conv1.weight", 1),
        (["arch=densenet121", "source=moco_cxr"], "source=moco_cxr has resnet18, resnet50", 1),
        (["published.mean=[0.5,0.5,0.5]"], "give published.mean and published.std together", 1),
        (["published.mean=[0.5]", "published.std=[0.5]"], "are not of the file's 3 channel(s)", 1),
        (["source=nobody"], "Valid: moco_cxr, other, radimagenet, torchxrayvision", 2),
        (["tga=x"], "unknown key 'tga'", 2),
        (["tag=null"], "tag=TAG is missing", 1),
        (["reference=none.npz"], "reference=none.npz has no arrays", 1),
        (["published.prefix=encoder."], "lacks 100 of 100", 1),
    ],
)
def test_mistakes_are_said_in_a_sentence_and_nothing_is_written(other, tmp_path, capsys, words, said, status):
    file = saved(other, tmp_path / "their.pth", lambda state: state)
    assert main([f"file={file}", "arch=resnet18", "tag=mine", f"out={tmp_path / 'out'}", *words]) == status
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("name", "content"), [("a.h5", b"x"), ("a.pt", b"PK\x03\x04torn"), ("a.npz", b"no"), ("a.safetensors", b"{")]
)
def test_files_that_are_none_are_refused(tmp_path, capsys, name, content):
    (tmp_path / name).write_bytes(content)
    assert run(tmp_path, tmp_path / name) == 1
    assert str(tmp_path / name) in capsys.readouterr().err
    assert run(tmp_path, tmp_path / "missing.pt") == 1
    assert "missing.pt cannot be read" in capsys.readouterr().err


def test_a_file_that_is_there_is_not_replaced(other, tmp_path, capsys):
    (tmp_path / "resnet18.mine.safetensors").write_bytes(b"mine")
    assert run(tmp_path, saved(other, tmp_path / "a.pt", lambda state: state)) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "resnet18.mine.safetensors").read_bytes() == b"mine"
