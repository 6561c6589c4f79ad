"""From a network's logits to its loss and its probabilities, for tasks of one logit and of three.

A task of width 1 is a sigmoid: its target is a probability. A task of width 3 is a softmax over negative, positive and
uncertain: its target is the class, 0, 1 or 2, and at prediction the softmax is over negative and positive alone.

Source: the CheXpert paper (Irvin et al., AAAI 2019), U-MultiClass.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

CLASSES = 3
NEGATIVE, POSITIVE = 0, 1


def outputs(widths: Sequence[int]) -> int:
    """How many logits a network has.

    Args:
        widths: of each task, 1 or 3.
    """
    return sum(widths)


def loss(logits: Tensor, targets: Tensor, widths: Sequence[int]) -> Tensor:
    """The mean cross-entropy over the targets that are not NaN; 0, with a gradient of 0, where all are.

    Args:
        logits: [batch, outputs] float.
        targets: [batch, tasks] float, NaN left out.
        widths: of each task.
    """
    total, known = sums(logits, targets, widths)
    return total / known.clamp(min=1)


def sums(logits: Tensor, targets: Tensor, widths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(sum of the cross-entropies, how many targets are not NaN), so that batches and devices can be weighted exactly.

    Args:
        logits: [batch, outputs] float.
        targets: [batch, tasks] float, NaN left out.
        widths: of each task.
    """
    known = ~torch.isnan(targets)
    filled = torch.where(known, targets, 0.0)
    total = logits.new_zeros(())
    for width, columns, starts in _groups(widths):
        if width == 1:
            losses = binary_cross_entropy_with_logits(logits[:, starts], filled[:, columns], reduction="none")
        else:
            losses = cross_entropy(_classes(logits, starts), filled[:, columns].long(), reduction="none")
        total = total + (losses * known[:, columns]).sum()
    return total, known.sum()


def probabilities(logits: Tensor, widths: Sequence[int]) -> Tensor:
    """The probability of a positive, [batch, tasks] float64.

    Args:
        logits: [batch, outputs] float.
        widths: of each task.
    """
    exact = logits.double()
    scores = exact.new_empty((logits.shape[0], len(widths)))
    for width, columns, starts in _groups(widths):
        if width == 1:
            scores[:, columns] = torch.sigmoid(exact[:, starts])
        else:
            classes = _classes(exact, starts)
            scores[:, columns] = torch.softmax(classes[:, [NEGATIVE, POSITIVE]], dim=1)[:, 1]
    return scores


def _groups(widths: Sequence[int]) -> Iterator[tuple[int, list[int], list[int]]]:
    """(width, its tasks' columns, the first logit of each) of each width that there is."""
    starts = [0, *accumulate(widths)]
    for width in sorted(set(widths)):
        columns = [column for column, own in enumerate(widths) if own == width]
        yield width, columns, [starts[column] for column in columns]


def _classes(logits: Tensor, starts: Sequence[int]) -> Tensor:
    """[batch, 3, tasks]: the logits of the tasks that start at `starts`."""
    return torch.stack([logits[:, [start + place for start in starts]] for place in range(CLASSES)], dim=1)
