"""From a network's logits to its loss and its probabilities, for tasks of one logit and of three.

A task of width 1 is a sigmoid: its target is a probability. A task of width 3 is a softmax over negative, positive and
uncertain: its target is the class, 0, 1 or 2, and at prediction the softmax is over negative and positive alone.

Source: the CheXpert paper (Irvin et al., AAAI 2019), U-MultiClass.
"""

from collections.abc import Sequence
from functools import cache
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
    """
    total, known = sums(logits, targets, widths)
    return total / known.clamp(min=1)


def sums(logits: Tensor, targets: Tensor, widths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(sum of the cross-entropies, how many targets are not NaN), so that batches and devices can be weighted exactly.

    Args:
        logits: [batch, outputs] float.
        targets: [batch, tasks] float, NaN left out.
    """
    known = ~torch.isnan(targets)
    filled = torch.where(known, targets, 0.0)
    total = logits.new_zeros(())
    for width, columns, starts in _groups(tuple(widths)):
        if width == 1:
            losses = binary_cross_entropy_with_logits(_take(logits, starts), _take(filled, columns), reduction="none")
        else:
            losses = cross_entropy(_classes(logits, starts), _take(filled, columns).long(), reduction="none")
        total = total + (losses * _take(known, columns)).sum()
    return total, known.sum()


def probabilities(logits: Tensor, widths: Sequence[int]) -> Tensor:
    """The probability of a positive, [batch, tasks] float64.

    Args:
        logits: [batch, outputs] float.
    """
    exact = logits.double()
    scores: list[Tensor] = [exact] * len(widths)
    for width, columns, starts in _groups(tuple(widths)):
        if width == 1:
            found = torch.sigmoid(_take(exact, starts))
        else:
            found = torch.softmax(_classes(exact, starts)[:, NEGATIVE : POSITIVE + 1], dim=1)[:, 1]
        for place, column in enumerate(columns):
            scores[column] = found[:, place]
    return torch.stack(scores, dim=1)


@cache
def _groups(widths: tuple[int, ...]) -> list[tuple[int, list[int], list[int]]]:
    """(width, its tasks' columns, the first logit of each) of each width that there is."""
    starts = [0, *accumulate(widths)]
    groups = []
    for width in sorted(set(widths)):
        columns = [column for column, own in enumerate(widths) if own == width]
        groups.append((width, columns, [starts[column] for column in columns]))
    return groups


def _take(tensor: Tensor, columns: Sequence[int]) -> Tensor:
    """Columns of [batch, columns]; by slices, as a list of numbers would be copied to a GPU, which waits for it."""
    step = columns[1] - columns[0] if len(columns) > 1 else 1
    if list(columns) == list(range(columns[0], columns[-1] + 1, step)):
        whole = step == 1 and len(columns) == tensor.shape[1]
        return tensor if whole else tensor[:, columns[0] : columns[-1] + 1 : step].contiguous()
    return torch.stack([tensor[:, column] for column in columns], dim=1)


def _classes(logits: Tensor, starts: Sequence[int]) -> Tensor:
    """[batch, 3, tasks]: the logits of the tasks that start at `starts`."""
    return torch.stack([_take(logits, [start + place for start in starts]) for place in range(CLASSES)], dim=1)
