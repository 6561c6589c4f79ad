"""What single precision means on a GPU: fp32, or TF32, which rounds the factors of a product to 10 bits.

torch lets cuDNN's convolutions use TF32 unless it is told otherwise, and matrix products where the environment asks for
it (TORCH_ALLOW_TF32_CUBLAS_OVERRIDE). Source: torch's manual, "CUDA semantics", TensorFloat-32. CPUs are unaffected.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def single_precision(word: str) -> Iterator[None]:
    """Compute in the single precision that `trainer.precision` names while the block runs, and restore the old one.

    Args:
        word: `fp32`: no TF32 anywhere. `tf32`: convolutions in TF32; matrix products stay as they are, since Lightning
            cannot read torch's setting of them once they are in TF32. `bf16`: everything stays.
    """
    convolutions, products, exact, rounded = _switches()
    wanted = {"fp32": [(convolutions, exact), (products, exact)], "tf32": [(convolutions, rounded)]}.get(word, [])
    before = [(switch, getattr(*switch)) for switch, _ in wanted]
    try:
        for switch, value in wanted:
            setattr(*switch, value)
        yield
    finally:
        for switch, value in before:
            setattr(*switch, value)


def _switches() -> tuple[tuple[Any, str], tuple[Any, str], Any, Any]:
    """Return (cuDNN's switch, cuBLAS's switch, the value for fp32, the value for TF32); torch 2.9 renamed them."""
    backends: Any = torch.backends
    if hasattr(backends.cudnn, "conv"):
        name = "fp32_precision"
        return (backends.cudnn.conv, name), (backends.cuda.matmul, name), "ieee", "tf32"
    return (backends.cudnn, "allow_tf32"), (backends.cuda.matmul, "allow_tf32"), False, True
