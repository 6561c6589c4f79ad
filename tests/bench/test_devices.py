import pytest
import torch

from bench.config import compose_config
from bench.devices import MOST_WORKERS, workers


@pytest.mark.parametrize(
    ("override", "cuda", "cores", "expected"),
    [
        ("trainer=auto", False, 16, 0),
        ("trainer=auto", True, 4, 4),
        ("trainer=auto", True, 64, MOST_WORKERS),
        ("trainer=cpu", True, 16, 0),
        ("trainer.workers=3", True, 16, 3),
        ("trainer.workers=0", True, 16, 0),
    ],
)
def test_workers_follow_what_is_said_and_else_the_device(monkeypatch, override, cuda, cores, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert workers(compose_config([override]).trainer) == expected
