"""What the machine offers, where the configuration leaves it open."""

import os

import torch

from bench.schema import TrainerConfig

MOST_WORKERS = 8
"""Decoding processes beyond which a GPU is fed well enough (about 1,000 images a second each, at 320 pixels)."""


def workers(trainer: TrainerConfig) -> int:
    """Processes that decode images beside the one that trains.

    Where nothing is said: none on a CPU, whose cores the training threads need (120 against 107 images/s with one
    worker, efficientnet_b0 at 96 px on two cores); on a GPU one per core, up to MOST_WORKERS.
    """
    if trainer.workers is not None:
        return trainer.workers
    on_gpu = trainer.accelerator != "cpu" and torch.cuda.is_available()
    return min(MOST_WORKERS, os.cpu_count() or 1) if on_gpu else 0
