"""Real ImageNet weights on real photographs: conversion, normalisation and layout are right end to end.

Source of the figures: the README beside the weights (top-1 of EfficientNet-Lite0 through timm's own transform).
"""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.data.decode import decode
from bench.networks.models import build_model, normalisation
from bench.networks.registry import architecture
from bench.networks.weights import locate
from bench.schema import WeightsConfig
from bench.training.module import Classifier

pictures = pytest.importorskip("skimage.data", reason="scikit-image's photographs are not installed")

CHELSEA = (("tiger cat", 0.393), ("Egyptian cat", 0.356), ("tabby, tabby cat", 0.170))
FIGURES = {"chelsea": CHELSEA, "coffee": (("espresso", 0.951),), "camera": (("tripod", 0.939),)}
ROUNDING = 0.0006
"""The README gives three digits; other processors round convolutions a little differently."""
RESIZER = 0.03
"""What our bilinear resize may move a probability against timm's bicubic one."""


@pytest.fixture(scope="module")
def lite0(shared):
    """Builds EfficientNet-Lite0 with its own classifier; the harness itself always gives a network a new head."""
    weights = locate(architecture("tf_efficientnet_lite0"), WeightsConfig(dir=str(shared / "weights")))
    assert weights.path.parent == shared / "weights"
    assert weights.sha256.startswith("2b4a5f7e")

    def build(in_chans=3):
        row = architecture("tf_efficientnet_lite0")
        network = build_model(row, outputs=1000, weights=weights, seed=0, in_chans=in_chans)
        head = {key: value for key, value in load_file(weights.path).items() if key.startswith("classifier.")}
        network.load_state_dict(head, strict=False)
        return network.eval(), normalisation(row, weights, in_chans)

    return build


def top(logits, count):
    """(name, probability) of the likeliest ImageNet classes."""
    names = timm.data.ImageNetInfo()
    values, places = logits.softmax(-1).squeeze(0).topk(count)
    return [(names.index_to_description(int(place)), float(value)) for value, place in zip(values, places, strict=True)]


def photograph(name):
    pixels = getattr(pictures, name)()
    return pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1)


def our_crop(pixels, folder: Path, side=224):
    """[1, channels, side, side] uint8: each channel as a grey file, read as an X-ray is; the centre."""
    channels = []
    for number in range(pixels.shape[-1]):
        path = folder / f"{number}.png"
        Image.fromarray(np.ascontiguousarray(pixels[..., number])).save(path)
        channels.append(torch.from_numpy(decode(path, 256)))  # 256: timm's crop of 0.875
    image = torch.stack(channels)
    top, left = ((length - side) // 2 for length in image.shape[1:])
    return image[None, :, top : top + side, left : left + side]


def classifier(network, norm):
    return Classifier(network, norm, (1,) * 1000, optimizer=torch.optim.Adam).eval()


@pytest.mark.parametrize("name", FIGURES)
def test_timms_own_transform_gives_the_published_figures(lite0, name):
    network, norm = lite0()
    settings = timm.data.resolve_model_data_config(network)
    assert (settings["mean"], settings["std"]) == (norm.mean, norm.std)
    image = timm.data.create_transform(**settings, is_training=False)(Image.fromarray(photograph(name)))
    with torch.no_grad():
        found = top(network(image[None]), len(FIGURES[name]))
    assert [label for label, _ in found] == [label for label, _ in FIGURES[name]]
    assert [value for _, value in found] == pytest.approx([value for _, value in FIGURES[name]], abs=ROUNDING)


@pytest.mark.parametrize("name", FIGURES)
def test_our_own_preprocessing_gives_them_too(lite0, name, tmp_path):
    with torch.no_grad():
        found = top(classifier(*lite0())(our_crop(photograph(name), tmp_path)), len(FIGURES[name]))
    assert [label for label, _ in found] == [label for label, _ in FIGURES[name]]
    assert [value for _, value in found] == pytest.approx([value for _, value in FIGURES[name]], abs=RESIZER)


def test_a_wrong_normalisation_would_be_seen(lite0, tmp_path):
    network, _ = lite0()
    imagenet = normalisation(architecture("resnet18"), None)
    with torch.no_grad():
        found = dict(top(classifier(network, imagenet)(our_crop(photograph("chelsea"), tmp_path)), 3))
    assert abs(found.get("tiger cat", 0.0) - 0.393) > RESIZER


def test_one_channel_is_three_equal_ones_where_the_weights_have_one_mean(lite0, tmp_path):
    grey = our_crop(photograph("camera")[..., :1], tmp_path)
    with torch.no_grad():
        three, one = (classifier(*lite0(channels))(grey) for channels in (3, 1))
    torch.testing.assert_close(one, three, rtol=1e-3, atol=1e-3)
    assert top(one, 1)[0][0] == "tripod"


def test_one_channel_has_the_weights_that_timm_itself_would_load(lite0, shared):
    """timm's own loading of the same file, beside ours: every number, the first layer's sums included."""
    file = {"file": str(shared / "weights" / "tf_efficientnet_lite0.in1k.safetensors")}
    own = timm.create_model("tf_efficientnet_lite0", pretrained=True, in_chans=1, pretrained_cfg_overlay=file)
    network, _ = lite0(in_chans=1)
    state = network.state_dict()
    assert state["conv_stem.weight"].shape[1] == 1
    assert own.state_dict().keys() == state.keys()
    assert [key for key, value in own.state_dict().items() if not torch.equal(value, state[key])] == []


def features(network, norm, folder: Path, most: int):
    """(pooled features [images, channels], class names) of up to `most` images a class."""
    images, names = [], []
    for path in (path for kind in sorted(folder.iterdir()) for path in sorted(kind.iterdir())[:most]):
        picture = Image.open(path).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR)
        images.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
        names.append(path.parent.name)
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (norm.mean, norm.std))
    stacked = (torch.stack(images) / 255 - mean) / std
    with torch.no_grad():
        maps = [network.eval().body(part).mean((2, 3)) for part in stacked.split(64)]
    return torch.cat(maps).numpy(), names


@pytest.mark.slow
def test_a_body_without_a_classifier_sees_clothes_far_better_than_a_random_one(shared):
    """A linear probe on the frozen body, cut a stage short, so that truncation is shown on real weights as well."""
    row, folder = architecture("mobilenetv2_100"), shared / "data" / "clothing-small"
    source = shared / "weights" / "mobilenetv2_100.imagenet1k.safetensors"
    weights = locate(row, WeightsConfig(source=str(source)))
    top1 = {}
    for name, given in (("pretrained", weights), ("random", None)):
        network = build_model(row, outputs=10, weights=given, seed=0, depth=1)
        norm = normalisation(row, given)
        train, labels = features(network, norm, folder / "train", most=40)
        valid, expected = features(network, norm, folder / "valid", most=40)
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)).fit(train, labels)
        top1[name] = probe.score(valid, expected)
    assert top1["pretrained"] > 0.6, top1  # 0.695 and 0.245 measured
    assert top1["pretrained"] > top1["random"] + 0.3, top1
