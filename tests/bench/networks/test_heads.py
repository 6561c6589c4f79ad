import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils._python_dispatch import TorchDispatchMode

from bench.networks.heads import loss, outputs, probabilities, sums

NAN = math.nan
MIXED = (1, 3, 1, 3)


def loop(logits, targets, widths):
    """(sum of the losses, number known), an image and a task at a time, from the definitions."""
    total, known = 0.0, 0
    for image, row in zip(logits.tolist(), targets.tolist(), strict=True):
        start = 0
        for width, target in zip(widths, row, strict=True):
            own = image[start : start + width]
            start += width
            if math.isnan(target):
                continue
            known += 1
            if width == 1:
                chance = 1 / (1 + math.exp(-own[0]))
                total -= target * math.log(chance) + (1 - target) * math.log(1 - chance)
            else:
                total -= own[int(target)] - math.log(sum(map(math.exp, own)))
    return total, known


def drawn(widths, batch=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, sum(widths), generator=generator, dtype=torch.float64)
    columns = [
        torch.rand(batch, generator=generator) if width == 1 else torch.randint(3, (batch,), generator=generator)
        for width in widths
    ]
    targets = torch.stack([column.double() for column in columns], dim=1)
    targets[torch.rand(targets.shape, generator=generator) < 0.3] = NAN
    return logits, targets


@pytest.mark.parametrize("widths", [(1, 1, 1), (3, 3), MIXED, (3, 1, 1, 3, 1)])
def test_the_sums_are_those_of_a_plain_loop(widths):
    logits, targets = drawn(widths)
    total, known = sums(logits, targets, widths)
    expected = loop(logits, targets, widths)
    assert total.item() == pytest.approx(expected[0], rel=1e-12)
    assert known.item() == expected[1]
    assert loss(logits, targets, widths).item() == pytest.approx(expected[0] / expected[1], rel=1e-12)


def test_with_one_logit_each_it_is_the_masked_binary_cross_entropy_to_the_bit():
    logits, targets = (tensor.float() for tensor in drawn((1,) * 14, batch=16))
    known = ~torch.isnan(targets)
    losses = binary_cross_entropy_with_logits(logits, torch.where(known, targets, 0.0), reduction="none")
    assert loss(logits, targets, (1,) * 14).item() == ((losses * known).sum() / known.sum()).item()


def test_sums_of_parts_add_up_to_the_whole():
    logits, targets = drawn(MIXED, batch=8)
    parts = [sums(logits[rows], targets[rows], MIXED) for rows in (slice(0, 3), slice(3, 8))]
    whole = sums(logits, targets, MIXED)
    assert sum(total for total, _ in parts).item() == pytest.approx(whole[0].item(), rel=1e-12)
    assert sum(known for _, known in parts).item() == whole[1].item()


def test_nothing_known_is_a_loss_of_zero_with_a_gradient_of_zero():
    logits = torch.randn(2, outputs(MIXED), requires_grad=True)
    value = loss(logits, torch.full((2, len(MIXED)), NAN), MIXED)
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_an_unknown_target_moves_none_of_its_logits():
    logits = torch.randn(1, 4, requires_grad=True)
    loss(logits, torch.tensor([[1.0, NAN]]), (1, 3)).backward()
    assert logits.grad[0, 0] != 0
    assert torch.equal(logits.grad[0, 1:], torch.zeros(3))


def test_probabilities_are_a_sigmoid_or_a_softmax_over_negative_and_positive():
    logits = torch.tensor([[0.3, 1.0, 2.0, 50.0, -0.7]])
    expected = [1 / (1 + math.exp(-0.3)), math.exp(2) / (math.exp(1) + math.exp(2)), 1 / (1 + math.exp(0.7))]
    scores = probabilities(logits, (1, 3, 1))
    assert scores.dtype == torch.float64
    assert scores[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_the_uncertain_class_says_nothing_at_prediction_and_takes_its_part_in_training():
    low, high = torch.tensor([[0.0, 1.0, -5.0]]), torch.tensor([[0.0, 1.0, 5.0]])
    assert torch.equal(probabilities(low, (3,)), probabilities(high, (3,)))
    assert loss(low, torch.tensor([[1.0]]), (3,)) < loss(high, torch.tensor([[1.0]]), (3,))


def test_outputs_are_the_sum_of_the_widths():
    assert outputs(MIXED) == 8


class Operations(TorchDispatchMode):
    """The names of all that torch does in the block."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operation, _types, arguments=(), named=None):
        self.names.append(operation.overloadpacket.__name__)
        return operation(*arguments, **(named or {}))


@pytest.mark.parametrize("widths", [(1,) * 14, (3,) * 5, MIXED, (3, 1, 1, 3, 1)])
def test_nothing_is_copied_from_the_host_that_a_gpu_would_wait_for(widths):
    """To index by a list of numbers makes a tensor of it on the host, and copies that."""
    logits, targets = drawn(widths)
    logits.requires_grad_()
    with Operations() as done:
        loss(logits, targets, widths).backward()
        probabilities(logits, widths)
    assert "stack" in done.names
    assert not {"index", "index_put", "index_put_", "lift_fresh"} & set(done.names)
