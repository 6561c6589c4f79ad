"""The 16 architectures of CheXtransfer, and a few more, as a table of facts; imports no torch.

Source: PROTOCOL, "Known" (which architectures) and "ImageNet weights" (the tags nearest to the paper's 2020 weights).
A bare timm name picks timm's newest recipe, which moves the x axis of the paper's first claim, so every tag is pinned.
Any other network of timm's becomes a row in `bench.networks.beyond`.
"""

from dataclasses import dataclass, replace

from bench.errors import ConfigError
from bench.schema import ArchConfig


@dataclass(frozen=True)
class Architecture:
    """One row of the registry.

    Attributes:
        name: timm's name, which is also the value of the key `arch`.
        family: the paper's family, or another; the paper's second claim compares families.
        label: how tables and figures print it.
        tag: timm's weight tag nearest to the paper's weights.
        cuts: the module that the network ends with at truncate = 1, 2, ...; what comes after it is dropped.
        auxiliary: prefixes of parameters that a weight file may hold beside body and head (a training-time classifier).
        smallest: the smallest side of an image, pixels, at truncate = 0, 1, ...; empty where every side will do that
            `protocol.image.crop` allows.
        side: the only side of an image that the network takes, pixels; None where it takes several.
        paper: whether it is one of the paper's 16.
        chain: whether the network's modules run in the order of their definition, so that it can be cut between them;
            where not, timm's own `forward_intermediates` cuts it.
    """

    name: str
    family: str
    label: str
    tag: str
    cuts: tuple[str, ...]
    auxiliary: tuple[str, ...] = ()
    smallest: tuple[int, ...] = ()
    side: int | None = None
    paper: bool = True
    chain: bool = True


# Where each step of `truncate` cuts. Source: PROTOCOL, "Truncation" (the paper's own cuts are not known). A DenseNet
# block's output is not normalised: the cut lies behind the norm and ReLU with which the network itself goes on.
_DENSENET = ("features.transition3.norm", "features.transition2.norm", "features.transition1.norm")
_RESNET = ("layer3", "layer2", "layer1")
_INCEPTION_V3 = ("Mixed_6e", "Mixed_5d")
_INCEPTION_V4 = ("features.17", "features.9")  # the last InceptionB, the last InceptionA
# Found by trying: the Inceptions pad little. Every other row pads, or needs less than 32 pixels.
_INCEPTION_SIDES = (75, 43, 27)
_MBCONV = ("blocks.5", "blocks.4", "blocks.3", "blocks.2")

_ROWS = (
    Architecture("densenet121", "DenseNet", "DenseNet-121", "tv_in1k", _DENSENET),
    Architecture("densenet169", "DenseNet", "DenseNet-169", "tv_in1k", _DENSENET),
    Architecture("densenet201", "DenseNet", "DenseNet-201", "tv_in1k", _DENSENET),
    Architecture("resnet18", "ResNet", "ResNet-18", "tv_in1k", _RESNET),
    Architecture("resnet34", "ResNet", "ResNet-34", "tv_in1k", _RESNET),
    Architecture("resnet50", "ResNet", "ResNet-50", "tv_in1k", _RESNET),
    Architecture("resnet101", "ResNet", "ResNet-101", "tv_in1k", _RESNET),
    Architecture(
        "inception_v3",
        "Inception",
        "Inception-v3",
        "tv_in1k",
        _INCEPTION_V3,
        auxiliary=("AuxLogits.",),
        smallest=_INCEPTION_SIDES,
    ),
    Architecture("inception_v4", "Inception", "Inception-v4", "tf_in1k", _INCEPTION_V4, smallest=_INCEPTION_SIDES),
    Architecture("mnasnet_100", "MNASNet", "MNASNet", "rmsp_in1k", _MBCONV),
    Architecture("efficientnet_b0", "EfficientNet", "EfficientNet-B0", "ra_in1k", _MBCONV),
    Architecture("efficientnet_b1", "EfficientNet", "EfficientNet-B1", "ft_in1k", _MBCONV),
    Architecture("efficientnet_b2", "EfficientNet", "EfficientNet-B2", "ra_in1k", _MBCONV),
    Architecture("efficientnet_b3", "EfficientNet", "EfficientNet-B3", "ra2_in1k", _MBCONV),
    Architecture("mobilenetv2_100", "MobileNet", "MobileNetV2", "ra_in1k", _MBCONV),
    Architecture("mobilenetv3_large_100", "MobileNet", "MobileNetV3", "ra_in1k", _MBCONV),
    Architecture("tf_efficientnet_lite0", "EfficientNet-Lite", "EfficientNet-Lite0", "in1k", _MBCONV, paper=False),
)

ARCHITECTURES: dict[str, Architecture] = {row.name: row for row in _ROWS}
"""By name; the paper's 16 come first."""


def architecture(asked: ArchConfig | str) -> Architecture:
    """The row of an architecture: the registry's, or for any other network of timm's one made from what timm knows.

    Args:
        asked: the configuration's choice, or its name alone: `densenet121`, `convnext_tiny.fb_in22k_ft_in1k`.

    Raises:
        ConfigError: neither the registry nor timm has it, or timm has no such weight tag; the message names those
            there are.
    """
    config = ArchConfig(name=asked) if isinstance(asked, str) else asked
    name, _, tag = config.name.partition(".")
    row = ARCHITECTURES.get(name)
    if row is None or tag:
        from bench.networks.beyond import timm_row  # imports timm and torch, which a row of the registry does without

        row = timm_row(name, tag, known=ARCHITECTURES)
    return replace(row, family=config.family or row.family, label=config.label or row.label)


def check_depth(row: Architecture, truncate: int) -> None:
    """Refuses a depth that the architecture does not have.

    Raises:
        ConfigError: naming the range.
    """
    if not 0 <= truncate <= len(row.cuts):
        raise ConfigError(f"truncate={truncate}: {row.name} has the depths 0 to {len(row.cuts)}")


def check_size(row: Architecture, truncate: int, crop: int) -> None:
    """Refuses images that are too small for the network, or of another size than the only one that it takes.

    Args:
        crop: side of the square that the network sees, pixels.

    Raises:
        ConfigError: naming the size.
    """
    if row.side is not None and crop != row.side:
        raise ConfigError(
            f"protocol.image.crop={crop}: {row.name} takes images of {row.side} pixels only; "
            f"give protocol.image.crop={row.side}, and protocol.image.resize={row.side} where it is smaller"
        )
    smallest = row.smallest[truncate] if row.smallest else 0
    if crop < smallest:
        raise ConfigError(
            f"protocol.image.crop={crop}: {row.name} at truncate={truncate} needs at least {smallest} pixels, "
            "as it pads little and a smaller image leaves no cell of its last feature map"
        )
    if not row.chain:
        from bench.networks.beyond import try_size  # imports timm and torch

        try_size(row, truncate, crop)
