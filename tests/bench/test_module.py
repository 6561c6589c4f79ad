import math

import numpy as np
import pytest
import torch
from torch import nn

from bench.config import compose_config
from bench.models import Normalisation
from bench.module import Classifier, collect, masked_bce


def test_masked_bce_is_the_mean_over_known_labels():
    logits = torch.tensor([[0.3, -1.2], [2.0, 0.1]])
    targets = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    known = [(0.3, 1), (2.0, 0), (0.1, 1)]
    expected = sum(-math.log(1 / (1 + math.exp(-z))) if y else -math.log(1 - 1 / (1 + math.exp(-z))) for z, y in known)
    assert masked_bce(logits, targets).item() == pytest.approx(expected / 3, rel=1e-6)


def test_a_batch_without_labels_has_no_loss_and_no_gradient():
    logits = torch.ones(2, 3, requires_grad=True)
    loss = masked_bce(logits, torch.full((2, 3), math.nan))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(2, 3))


def test_masked_entries_get_no_gradient():
    logits = torch.zeros(1, 2, requires_grad=True)
    masked_bce(logits, torch.tensor([[1.0, math.nan]])).backward()
    assert logits.grad[0, 0] != 0
    assert logits.grad[0, 1] == 0


def test_the_network_sees_three_normalised_channels():
    seen = []

    class Spy(nn.Module):
        def forward(self, image):
            seen.append(image)
            return image.mean((2, 3))

    norm = Normalisation((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    module = Classifier(Spy(), norm, compose_config([]).protocol, lambda _: {})
    module(torch.full((2, 1, 4, 4), 51, dtype=torch.uint8))  # 51 / 255 = 0.2
    expected = torch.tensor([(0.2 - 0.4) / 0.1, (0.2 - 0.5) / 0.2, (0.2 - 0.6) / 0.3])
    assert seen[0].shape == (2, 3, 4, 4)
    torch.testing.assert_close(seen[0][0, :, 0, 0], expected)


def test_scores_are_collected_in_the_order_of_the_rows():
    first = (torch.tensor([2, 0]), torch.tensor([[0.2], [0.0]], dtype=torch.float64))
    second = (torch.tensor([1]), torch.tensor([[0.1]], dtype=torch.float64))
    np.testing.assert_array_equal(collect([first, second]), [[0.0], [0.1], [0.2]])


@pytest.mark.parametrize("rows", [[0, 0], [1, 2]])
def test_a_missing_or_repeated_image_is_refused(rows):
    with pytest.raises(ValueError, match="exactly once"):
        collect([(torch.tensor(rows), torch.zeros(2, 1, dtype=torch.float64))])
