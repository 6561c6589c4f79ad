import types

import numpy as np
import pytest
import torch
from torch import nn

from bench.errors import ExportError
from bench.finished.prediction import BATCH, Prediction, contrasts, predict, prediction_of
from bench.networks.heads import probabilities
from bench.networks.models import Normalisation
from bench.schema import CheckpointsConfig, Config, ProtocolConfig, TrackingConfig


class Sums(nn.Module):
    """Logits: the channels' means, times a factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, image):
        return self.factor * image.mean(dim=(2, 3))


def test_the_prediction_is_the_mean_probability_of_normalised_images():
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
    pixels = np.random.default_rng(0).integers(0, 256, (2 * BATCH + 1, 1, 4, 6)).astype(np.uint8)
    grey = pixels.mean(axis=(1, 2, 3), keepdims=True)[:, :, 0, 0] / 255
    logits = (grey - np.array(mean)) / np.array(std)
    expected = (1 / (1 + np.exp(-2 * logits)) + 1 / (1 + np.exp(logits))) / 2
    made = predict(Prediction([Sums(2), Sums(-1)], Normalisation(mean, std), (1, 1, 1)), pixels)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected, atol=1e-6)


def test_one_channel_stays_one():
    pixels = np.full((1, 1, 2, 2), 255, np.uint8)
    made = predict(Prediction([Sums(1)], Normalisation((0.5,), (0.25,)), (1,)), pixels)
    assert made.item() == pytest.approx(1 / (1 + np.exp(-2)))


@pytest.mark.parametrize("widths", [(1, 1, 1, 1), (1, 3, 1, 3), (3,)])
def test_contrasts_give_the_probabilities_of_the_heads(widths):
    logits = torch.randn(6, sum(widths), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(torch.sigmoid(logits @ contrasts(widths)), probabilities(logits, widths))


def run(average="probability", keep=10, stored="kept"):
    rule = CheckpointsConfig(every_examples=None, keep=keep, average=average)
    config = Config(
        protocol=ProtocolConfig(checkpoints=rule), tracking=TrackingConfig(uri="", experiment="", checkpoints=stored)
    )
    checkpoint = types.SimpleNamespace(network=Sums(1))
    numbers = Normalisation((0.5,), (0.25,))
    return types.SimpleNamespace(
        run_id="a1", config=config, checkpoints=[checkpoint], normalisation=numbers, widths=(1,)
    )


def test_one_kept_checkpoint_may_be_the_best():
    assert not prediction_of(run(keep=1, stored="best")).training


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"average": "task"}, "a1 averages by protocol.checkpoints.average=task"),
        ({"average": "weights"}, "averages by protocol.checkpoints.average=weights"),
        ({"stored": "best"}, "only the best of up to 10 checkpoints .* tracking.checkpoints=kept"),
    ],
)
def test_scores_that_are_no_mean_of_the_stored_checkpoints_are_refused(settings, message):
    with pytest.raises(ExportError, match=message):
        prediction_of(run(**settings))
