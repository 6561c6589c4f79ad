"""What the machine offers, where the configuration leaves it open: fixed rules, never a measurement at run time.

torch is imported where it is asked, as a look at a sweep need not load it.
"""

from bench.schema import TrainerConfig

CPU_BF16_FAMILIES = ("DenseNet", "ResNet", "Inception")
"""Families that train faster in bf16 on a CPU with AVX512-BF16: densenet121 66 against 42 images/s, resnet50 54 against
34, resnet18 136 against 75 (two cores, 96 px, channels_last, batch 16); the depthwise convolutions of the others do
not: efficientnet_b0 65 against 112, mobilenetv3_large_100 110 against 182. Measured once, with `make perf`."""


def on_gpu(trainer: TrainerConfig) -> bool:
    """Whether the cell trains on a GPU."""
    if trainer.accelerator == "cpu":
        return False
    import torch

    return torch.cuda.is_available()


def leave_memory_unfilled() -> None:
    """From now on in this process, deterministic algorithms do not write NaN into all memory that they take.

    torch does so lest an operation reads what none has written; none of ours does, and the filling takes 10 to 20 % of
    a training on a CPU (densenet121 and efficientnet_b0 at 224 px). Source: torch's manual, torch.utils.deterministic.
    """
    import torch

    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of the module


def precision(trainer: TrainerConfig, family: str) -> str:
    """`fp32` or `bf16` (bf16-mixed): what is asked for, or by the rule for this device and family.

    By the rule: bf16 on a GPU that has it; on a CPU that has AVX512-BF16 for CPU_BF16_FAMILIES; else fp32. The layout
    is channels_last throughout.
    """
    if trainer.precision != "auto":
        return trainer.precision
    import torch

    if on_gpu(trainer):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if family in CPU_BF16_FAMILIES and torch.cpu._is_avx512_bf16_supported() else "fp32"
