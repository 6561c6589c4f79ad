"""The 16 architectures of CheXtransfer as a table of facts; imports no torch.

Source: PROTOCOL, "Known" (which architectures) and "ImageNet weights" (the tags nearest to the paper's 2020 weights).
A bare timm name picks timm's newest recipe, which moves the x axis of the paper's first claim, so every tag is pinned.
"""

from dataclasses import dataclass

from bench.errors import ConfigError


@dataclass(frozen=True)
class Architecture:
    """One row of the registry.

    Attributes:
        name: timm's name, which is also the value of the key `arch`.
        family: the paper's family; its second claim compares families.
        label: how tables and figures print it.
        tag: timm's weight tag nearest to the paper's weights.
        cuts: the module that the network ends with at truncate = 1, 2, ...; what comes after it is dropped.
        auxiliary: prefixes of parameters that a weight file may hold beside body and head (a training-time classifier).
    """

    name: str
    family: str
    label: str
    tag: str
    cuts: tuple[str, ...]
    auxiliary: tuple[str, ...] = ()


# Where each step of `truncate` cuts. Source: PROTOCOL, "Truncation" (the paper's own cuts are not known). A DenseNet
# block's output is not normalised: the cut lies behind the norm and ReLU with which the network itself goes on.
_DENSENET = ("features.transition3.norm", "features.transition2.norm", "features.transition1.norm")
_RESNET = ("layer3", "layer2", "layer1")
_INCEPTION_V3 = ("Mixed_6e", "Mixed_5d")
_INCEPTION_V4 = ("features.17", "features.9")  # the last InceptionB, the last InceptionA
_MBCONV = ("blocks.5", "blocks.4", "blocks.3", "blocks.2")

_ROWS = (
    Architecture("densenet121", "DenseNet", "DenseNet-121", "tv_in1k", _DENSENET),
    Architecture("densenet169", "DenseNet", "DenseNet-169", "tv_in1k", _DENSENET),
    Architecture("densenet201", "DenseNet", "DenseNet-201", "tv_in1k", _DENSENET),
    Architecture("resnet18", "ResNet", "ResNet-18", "tv_in1k", _RESNET),
    Architecture("resnet34", "ResNet", "ResNet-34", "tv_in1k", _RESNET),
    Architecture("resnet50", "ResNet", "ResNet-50", "tv_in1k", _RESNET),
    Architecture("resnet101", "ResNet", "ResNet-101", "tv_in1k", _RESNET),
    Architecture("inception_v3", "Inception", "Inception-v3", "tv_in1k", _INCEPTION_V3, auxiliary=("AuxLogits.",)),
    Architecture("inception_v4", "Inception", "Inception-v4", "tf_in1k", _INCEPTION_V4),
    Architecture("mnasnet_100", "MNASNet", "MNASNet", "rmsp_in1k", _MBCONV),
    Architecture("efficientnet_b0", "EfficientNet", "EfficientNet-B0", "ra_in1k", _MBCONV),
    Architecture("efficientnet_b1", "EfficientNet", "EfficientNet-B1", "ft_in1k", _MBCONV),
    Architecture("efficientnet_b2", "EfficientNet", "EfficientNet-B2", "ra_in1k", _MBCONV),
    Architecture("efficientnet_b3", "EfficientNet", "EfficientNet-B3", "ra2_in1k", _MBCONV),
    Architecture("mobilenetv2_100", "MobileNet", "MobileNetV2", "ra_in1k", _MBCONV),
    Architecture("mobilenetv3_large_100", "MobileNet", "MobileNetV3", "ra_in1k", _MBCONV),
)

ARCHITECTURES: dict[str, Architecture] = {row.name: row for row in _ROWS}


def architecture(name: str) -> Architecture:
    """The registry's row of that name.

    Raises:
        ConfigError: no such architecture; the message names those there are.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise ConfigError(f"arch={name}: not one of {', '.join(ARCHITECTURES)}") from None


def check_depth(row: Architecture, truncate: int) -> None:
    """Refuses a depth that the architecture does not have.

    Raises:
        ConfigError: naming the range.
    """
    if not 0 <= truncate <= len(row.cuts):
        raise ConfigError(f"truncate={truncate}: {row.name} has the depths 0 to {len(row.cuts)}")
