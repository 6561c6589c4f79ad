import numpy as np
import pytest
import torch
from torch import nn

from bench.models import Normalisation
from bench.module import Classifier, collect


def no_optimizer(_):
    raise AssertionError("nothing is trained here")


def test_the_network_sees_three_normalised_channels():
    seen = []

    class Spy(nn.Module):
        def forward(self, image):
            seen.append(image)
            return image.mean((2, 3))

    norm = Normalisation((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    module = Classifier(Spy(), norm, (1, 1, 1), optimizer=no_optimizer)
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
