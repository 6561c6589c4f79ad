"""Class activation maps: what each cell of a network's last map adds to the logit of a task."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench.errors import ConfigError
from bench.extras import extra
from bench.finished.prediction import Normalise, contrasts
from bench.finished.saved import SavedRun
from bench.networks.truncation import Truncated

Maps = npt.NDArray[np.float32]
"""[images, height, width] in cells of the last map, not upsampled; unit: logit."""


class LastMap(nn.Module):
    """A timm network up to its last map before pooling, `forward_features`, as a module that can be hooked."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """The map [batch, channels, height, width]."""
        last: Tensor = self.network.forward_features(image)  # type: ignore[operator]  # every timm network has it
        return last


class Halved(nn.Module):
    """A network in two halves: up to its last map, and from that map to the logits.

    The last map is what global average pooling sees: of a truncated network its body's output; of a whole one timm's
    `forward_features`. That ends with `conv_head` in EfficientNet, MNASNet and MobileNetV2, with the last norm in
    DenseNet, and with the last block in ResNet, Inception and MobileNetV3, whose `conv_head` comes after pooling.

    Attributes:
        channels_last: whether the last map is [batch, height, width, channels], as Swin's is.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.last_map = network.body if isinstance(network, Truncated) else LastMap(network)
        self.channels_last = getattr(network, "output_fmt", "") == "NHWC"  # timm's record of a whole network

    def forward(self, image: Tensor) -> Tensor:
        """Logits [batch, outputs], the network's own.

        Raises:
            ConfigError: the network ends with no map, so that it has no class activation map.
        """
        last, network = self.last_map(image), self.network
        channels = network.head.in_features if isinstance(network, Truncated) else network.num_features
        if last.ndim != 4 or last.shape[3 if self.channels_last else 1] != channels:
            raise ConfigError(
                f"{type(network).__name__} ends with features of shape {list(last.shape[1:])} an image and no map of "
                f"[{channels}, height, width], so it has no class activation map"
            )
        logits: Tensor = (
            network.head(network.pool(last)) if isinstance(network, Truncated) else network.forward_head(last)  # type: ignore[operator]  # every timm network has it
        )
        return logits


def activation_maps(network: nn.Module, images: Tensor, target: Callable[[Tensor], Tensor]) -> Maps:
    """Return the evidence in each cell of the last map for one output of a network in eval mode.

    Grad-CAM by the pytorch-grad-cam package, before that package's ReLU, upsampling and scaling to [0, 1], times the
    number of cells. Behind pooling and one linear layer this is the class activation map sum_k w_k A_k: the mean over
    its cells and the bias add up to the logit. Behind another head (MobileNetV3's) it is that to first order.

    Args:
        images: [images, channels, height, width] float32, normalised.
        target: from the outputs of one image to the number that is asked about, such as a task's logit.

    Raises:
        MissingExtraError: pytorch-grad-cam is not installed.
        ConfigError: the network's features are no map.

    Source: Zhou et al., CVPR 2016 (class activation maps); Selvaraju et al., ICCV 2017 (Grad-CAM).
    """
    package: Any = extra("pytorch_grad_cam", "cam")
    halved = Halved(network).eval()
    of_each = [target] * len(images)
    cam = package.GradCAM(
        model=halved,
        target_layers=[halved.last_map],
        reshape_transform=_channels_first if halved.channels_last else None,
    )
    hooks = cam.activations_and_grads
    try:  # not the package's own context manager, which swallows an IndexError
        cam(images, of_each)  # fills the hooks; what it returns is upsampled and scaled
        (activations,), (gradients,) = hooks.activations, hooks.gradients
        raw = cam.get_cam_image(images, halved.last_map, of_each, activations.numpy(), gradients.numpy())
    finally:
        hooks.release()
    cells = raw.shape[1] * raw.shape[2]
    return np.asarray(raw * cells, dtype=np.float32)


def _channels_first(features: Tensor) -> Tensor:
    return features.permute(0, 3, 1, 2)


def run_maps(run: SavedRun, images: npt.NDArray[np.uint8], task: str) -> Maps:
    """A run's maps of one task: the mean over its stored checkpoints, as its scores are.

    Args:
        images: [images, 1, height, width].
    """
    inputs = Normalise(run.normalisation)(torch.from_numpy(images))
    contrast = contrasts(run.widths)[:, run.tasks.index(task)].to(torch.float32)
    each = [activation_maps(checkpoint.network, inputs, contrast.dot) for checkpoint in run.checkpoints]
    return np.asarray(np.mean(each, axis=0), dtype=np.float32)
