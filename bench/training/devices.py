"""What the machine offers, where the configuration leaves it open: fixed rules, never a measurement at run time.

torch is imported where it is asked, as a look at a sweep need not load it.
"""

import os
from typing import TYPE_CHECKING

from bench.errors import MachineError
from bench.schema import TrainerConfig

if TYPE_CHECKING:
    import torch

CPU_BF16_FAMILIES = ("DenseNet", "ResNet", "Inception")
"""Families that train faster in bf16 on a CPU with AVX512-BF16: densenet121 66 against 42 images/s, resnet50 54 against
34, resnet18 136 against 75 (two cores, 96 px, channels_last, batch 16); the depthwise convolutions of the others do
not: efficientnet_b0 65 against 112, mobilenetv3_large_100 110 against 182. Measured once, with `make perf`."""


AMPERE = (8, 0)
"""The first compute capability with TF32. Source: NVIDIA's Ampere GPU architecture tuning guide."""


def on_gpu(trainer: TrainerConfig) -> bool:
    """Whether the cell trains on a GPU, which is one that CUDA knows: Apple's have no float64, in which scores are."""
    if trainer.accelerator == "cpu":
        return False
    import torch

    return torch.cuda.is_available()


def accelerator(trainer: TrainerConfig) -> str:
    """Return Lightning's word for the device; its own `auto` would take an Apple GPU or a TPU."""
    return "cuda" if on_gpu(trainer) else "cpu"


def check_machine(trainer: TrainerConfig) -> None:
    """Returns where this machine has what the trainer asks for.

    Raises:
        MachineError: no GPU can be used though one is asked for, or not as many, or none that computes in TF32.
    """
    import torch

    gpu = on_gpu(trainer)
    if trainer.accelerator == "gpu" and not gpu:
        raise MachineError(
            f"trainer=gpu: torch {torch.__version__} can use no CUDA GPU of this machine ({_why_none()}): mend that, "
            "or give trainer=cpu"
        )
    if gpu and trainer.devices > torch.cuda.device_count():
        raise MachineError(
            f"trainer.devices={trainer.devices}: this process sees {torch.cuda.device_count()} GPU(s): give "
            f"trainer.devices={torch.cuda.device_count()}, or look at CUDA_VISIBLE_DEVICES"
        )
    if trainer.precision == "tf32" and not (gpu and torch.cuda.get_device_capability() >= AMPERE):
        raise MachineError(
            "trainer.precision=tf32: only NVIDIA GPUs since Ampere compute in TF32, and the cell would train on "
            f"{torch.cuda.get_device_name() if gpu else 'the CPU'}: give trainer.precision=fp32"
        )


def unused_gpu(trainer: TrainerConfig) -> str:
    """A sentence where a cell trains on the CPU though an NVIDIA driver is there; empty where that is as it should be.

    Hidden GPUs (`CUDA_VISIBLE_DEVICES=`) are as they should be.
    """
    if trainer.accelerator != "auto" or on_gpu(trainer) or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ""
    driver = _driver()
    if not driver:
        return ""
    import torch

    return (
        f"an NVIDIA driver is here ({driver}), and torch {torch.__version__} cannot use it ({_why_none()}): the cell "
        "trains on the CPU; install a torch that is built for this driver, or give trainer=cpu"
    )


def _why_none() -> str:
    """Return torch's own message on why it has no CUDA device."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]  # torch's
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return "it sees none"


def _driver() -> str:
    """The version of NVIDIA's driver where it has a GPU; empty where there is none."""
    try:
        import pynvml  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        return ""
    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion()) if pynvml.nvmlDeviceGetCount() else ""
    except pynvml.NVMLError:
        return ""


def generators(device: "torch.device") -> list["torch.Generator"]:
    """What a network on a device draws from: torch's own generator of the CPU, and of that GPU.

    `torch.manual_seed` seeds those of every backend that torch knows, which takes 0.3 ms; and where one of them is not
    in use yet, it keeps a note of each call for ever.
    """
    import torch

    own = [torch.default_generator]
    return own if device.type == "cpu" else [*own, torch.cuda.default_generators[device.index or 0]]


NO_MEMORY = ("can't allocate memory", "not enough memory")
"""What torch says of a CPU's memory, in a plain RuntimeError; of a GPU's it has its own."""


def out_of_memory(error: RuntimeError) -> bool:
    """Return whether torch ran out of memory, on a GPU or on the CPU."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in NO_MEMORY)


def gpu_is_lost() -> bool:
    """Whether CUDA refuses all work in this process from now on, as after a fault in a kernel or of the card."""
    import torch

    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def leave_memory_unfilled() -> None:
    """Stop deterministic algorithms of this process from filling new memory with NaN.

    torch does so lest an operation reads what none has written; none of ours does, and the filling takes 10 to 20 % of
    a training on a CPU (densenet121 and efficientnet_b0 at 224 px). Source: torch's manual, torch.utils.deterministic.
    """
    import torch

    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of the module


def precision(trainer: TrainerConfig, family: str) -> str:
    """`fp32`, `tf32` or `bf16` (bf16-mixed): what is asked for, or by the rule for this device and family.

    By the rule: bf16 on a GPU that has it; on a CPU that has AVX512-BF16 for CPU_BF16_FAMILIES; else fp32. The layout
    is channels_last throughout.
    """
    if trainer.precision != "auto":
        return trainer.precision
    import torch

    if on_gpu(trainer):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if family in CPU_BF16_FAMILIES and torch.cpu._is_avx512_bf16_supported() else "fp32"
