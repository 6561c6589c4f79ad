from types import SimpleNamespace

import pytest
import torch

from bench.cells.runner import run_cell
from bench.tracking.stores import store_of
from bench.training.arithmetic import single_precision
from bench.training.module import Classifier


def now():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):
        return cudnn.conv.fp32_precision, matmul.fp32_precision
    return tuple("tf32" if switch.allow_tf32 else "ieee" for switch in (cudnn, matmul))


@pytest.mark.parametrize(("word", "inside"), [("fp32", ("ieee", "ieee")), ("tf32", ("tf32", None)), ("bf16", None)])
def test_the_words_are_what_is_computed_and_everything_is_put_back(word, inside):
    before = now()
    with single_precision(word):
        expected = before if inside is None else (inside[0], inside[1] or before[1])
        assert now() == expected
        assert torch.get_float32_matmul_precision() == "highest"  # Lightning asks, and torch refuses a mixture
    assert now() == before


@pytest.mark.parametrize("word", ["fp32", "tf32"])
def test_before_torch_2_9_the_switches_had_other_names(monkeypatch, word):
    cudnn, matmul = SimpleNamespace(allow_tf32=word == "fp32"), SimpleNamespace(allow_tf32=True)
    monkeypatch.setattr(torch, "backends", SimpleNamespace(cudnn=cudnn, cuda=SimpleNamespace(matmul=matmul)))
    with single_precision(word):
        assert (cudnn.allow_tf32, matmul.allow_tf32) == (word == "tf32", word == "tf32")
    assert (cudnn.allow_tf32, matmul.allow_tf32) == (word == "fp32", True)


class Seen(BaseException):
    """Ends the cell at its first step."""


def test_a_training_in_fp32_computes_its_convolutions_in_fp32(configure, monkeypatch):
    def step(*_):
        raise Seen(*now())

    monkeypatch.setattr(Classifier, "training_step", step)
    config = configure("trainer=cpu", "trainer.precision=fp32", "truncate=3")
    with pytest.raises(Seen) as seen:
        run_cell(config, store_of(config))
    assert seen.value.args == ("ieee", "ieee")
