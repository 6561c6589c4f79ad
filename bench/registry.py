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
        auxiliary: prefixes of parameters that a weight file may hold beside body and head (a training-time classifier).
    """

    name: str
    family: str
    label: str
    tag: str
    auxiliary: tuple[str, ...] = ()


_ROWS = (
    Architecture("densenet121", "DenseNet", "DenseNet-121", "tv_in1k"),
    Architecture("densenet169", "DenseNet", "DenseNet-169", "tv_in1k"),
    Architecture("densenet201", "DenseNet", "DenseNet-201", "tv_in1k"),
    Architecture("resnet18", "ResNet", "ResNet-18", "tv_in1k"),
    Architecture("resnet34", "ResNet", "ResNet-34", "tv_in1k"),
    Architecture("resnet50", "ResNet", "ResNet-50", "tv_in1k"),
    Architecture("resnet101", "ResNet", "ResNet-101", "tv_in1k"),
    Architecture("inception_v3", "Inception", "Inception-v3", "tv_in1k", auxiliary=("AuxLogits.",)),
    Architecture("inception_v4", "Inception", "Inception-v4", "tf_in1k"),
    Architecture("mnasnet_100", "MNASNet", "MNASNet", "rmsp_in1k"),
    Architecture("efficientnet_b0", "EfficientNet", "EfficientNet-B0", "ra_in1k"),
    Architecture("efficientnet_b1", "EfficientNet", "EfficientNet-B1", "ft_in1k"),
    Architecture("efficientnet_b2", "EfficientNet", "EfficientNet-B2", "ra_in1k"),
    Architecture("efficientnet_b3", "EfficientNet", "EfficientNet-B3", "ra2_in1k"),
    Architecture("mobilenetv2_100", "MobileNet", "MobileNetV2", "ra_in1k"),
    Architecture("mobilenetv3_large_100", "MobileNet", "MobileNetV3", "ra_in1k"),
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
