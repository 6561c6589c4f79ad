import pytest

from bench.checkpoints import evaluation_interval
from bench.schema import CheckpointsConfig


@pytest.mark.parametrize(
    ("every", "batch_size", "batches", "epochs", "steps"),
    [
        (8192, 16, 13_000, 3, 512),  # CheXpert: every 8,192 images
        (8192, 32, 13_000, 3, 256),  # counted in images, not steps
        (None, 16, 43, 4, 43),  # once an epoch
        (8192, 16, 40, 3, 120),  # a small set: at least once, at the end
        (8, 16, 40, 3, 1),  # no finer than a step
    ],
)
def test_the_interval_counts_images(every, batch_size, batches, epochs, steps):
    rule = CheckpointsConfig(every_examples=every, keep=10)
    assert evaluation_interval(rule, batch_size=batch_size, batches=batches, epochs=epochs) == steps
