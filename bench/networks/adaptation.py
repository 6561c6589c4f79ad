"""Which parts of a network learn, when, and at which rate.

A network is a chain of stages and a head. The stages are those that `truncate` removes one by one: each of the row's
cuts ends one, the first has the stem with it, and whatever stands between the last stage and the classifier (a last
convolution and norm) belongs to the last. The head is the new linear layer alone.
"""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch import nn

from bench.errors import ConfigError
from bench.networks.models import head_names
from bench.networks.modes import frozen_stages, phase
from bench.networks.registry import Architecture
from bench.networks.truncation import Tapped, Truncated


def stages(network: nn.Module, row: Architecture) -> list[list[str]]:
    """The names of the modules that own parameters, by stage from input to head, each group in order of definition.

    Every such module stands in exactly one group; the head is the last one.

    Raises:
        ConfigError: the network lacks a module at which the row cuts.
    """
    ends = _ends(network, row)
    groups: list[list[str]] = [[] for _ in range(len(ends) + 2)]
    modules = dict(network.named_modules())
    for name, group in _places(network, ends).items():
        if _owns(modules[name]):
            groups[group].append(name)
    return groups


def _ends(network: nn.Module, row: Architecture) -> list[str]:
    """The modules with which all stages but the last end, from the input on.

    Raises:
        ConfigError: one of them is missing.
    """
    prefix, truncated = "", isinstance(network, Truncated)
    if isinstance(network, Truncated):
        prefix = "body.network." if isinstance(network.body, Tapped) else "body."
    modules = dict(network.named_modules())
    there = tuple(cut for cut in row.cuts if prefix + cut in modules)
    if there != (row.cuts[-len(there) :] if truncated else row.cuts):
        raise ConfigError(
            f"{row.name} lacks a module of {', '.join(row.cuts)}, where its stages end: they cannot be told apart, so "
            "use adapt=full, linear or lpft, and protocol.lr_decay=1"
        )
    order, heads = list(modules), _heads(network)
    body = [place for place, name in enumerate(order) if _owns(modules[name]) and not _within(name, heads)]
    ends = [prefix + cut for cut in reversed(there)]
    return [end for end in ends if _last(order, end) < body[-1]]  # behind the others the body has ended


def _places(network: nn.Module, ends: list[str]) -> dict[str, int]:
    """For each module's name, in order of definition, the number of the group in which the module begins.

    The order of definition is the order of computation, as for truncation, where it is tested for every row.
    """
    names, heads = [name for name, _ in network.named_modules()], _heads(network)
    last = [_last(names, end) for end in ends]
    return {
        name: len(ends) + 1 if _within(name, heads) else sum(place > end for end in last)
        for place, name in enumerate(names)
    }


def _heads(network: nn.Module) -> tuple[str, ...]:
    return ("head",) if isinstance(network, Truncated) else head_names(network)


def _owns(module: nn.Module) -> bool:
    """Whether a module has parameters of its own, not only in modules within it."""
    return next(module.parameters(recurse=False), None) is not None


def _last(names: list[str], module: str) -> int:
    """The place of the last of the names that lies in a module."""
    return max(place for place, name in enumerate(names) if _within(name, (module,)))


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return name in modules or name.startswith(tuple(f"{module}." for module in modules))


def _grouped(network: nn.Module, row: Architecture, adapt: str) -> tuple[dict[str, int], int]:
    """(`_places`, the number of the first group that learns); only last:<k> needs to know more than body and head."""
    ends = _ends(network, row) if adapt.startswith("last:") else []
    return _places(network, ends), frozen_stages(adapt, len(ends) + 1, row.name)


def trainable(network: nn.Module, row: Architecture, adapt: str) -> set[str]:
    """The names of the parameters that learn at some time of the training.

    Args:
        adapt: full, linear, last:<k> or lpft; for lpft all parameters, as its second phase trains them all.

    Raises:
        ConfigError: `last:<k>` with more stages than there are.
    """
    places, first = _grouped(network, row, adapt)
    return {name for name, _ in network.named_parameters() if places[name.rpartition(".")[0]] >= first}


def freeze(network: nn.Module, row: Architecture, adapt: str) -> list[nn.Module]:
    """The modules that lie wholly in stages that do not learn, for `hold`; sets what needs a gradient and what not.

    Args:
        network: timm's whole network, or a truncated one; only `requires_grad` of its parameters is changed.

    Raises:
        ConfigError: `last:<k>` with more stages than there are.
    """
    learning = trainable(network, row, adapt)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in learning)
    places, first = _grouped(network, row, adapt)
    reach = _reach(places)
    return [module for name, module in network.named_modules() if reach[name] < first]


def _reach(places: dict[str, int]) -> dict[str, int]:
    """For each module's name, the number of the last group that it has a part in."""
    reach = dict(places)
    for name, group in places.items():
        parts = name.split(".")
        for length in range(len(parts)):
            around = ".".join(parts[:length])
            reach[around] = max(reach[around], group)
    return reach


def hold(frozen: list[nn.Module]) -> None:
    """Puts frozen modules into eval mode: BatchNorm uses its statistics and does not move them; dropout rests."""
    for module in frozen:
        module.training = False  # not eval(), which descends: every frozen module is in the list


def parameter_groups(network: nn.Module, row: Architecture, *, lr: float, lr_decay: float) -> list[dict[str, Any]]:
    """Groups for torch.optim of the parameters that need a gradient now.

    Args:
        lr: learning rate of the head.
        lr_decay: factor on it per stage away from the head (the last stage has lr * lr_decay). At 1 there is a single
            group in the order of `network.parameters()`; else one a stage, from input to head.

    Raises:
        ConfigError: rates that differ by stage, of a network whose stages cannot be told apart.
    """
    learning = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    if lr_decay == 1:
        return [{"params": [parameter for _, parameter in learning], "lr": lr}]
    ends = _ends(network, row)
    places, head = _places(network, ends), len(ends) + 1
    groups: dict[int, list[nn.Parameter]] = {}
    for name, parameter in learning:
        groups.setdefault(places[name.rpartition(".")[0]], []).append(parameter)
    return [{"params": members, "lr": lr * lr_decay ** (head - group)} for group, members in sorted(groups.items())]


class Adaptation(pl.Callback):
    """Keeps `adapt` true during a fit: what is frozen gets no gradient and stays in eval mode.

    For lpft the optimiser has all parameters from the start; Adam passes over those without a gradient, so that their
    moments begin with the second phase. Which phase it is follows from the epoch alone, so there is no state to save,
    and a training that goes on in the middle of either phase goes on in it. A checkpoint is the whole network in both
    phases: those that are kept are the best by validation AUROC, whichever phase they come from.

    Args:
        adapt: full, linear, last:<k> or lpft.
        probe_epochs: of the head alone, first; read for lpft only.
        epoch: tells the epoch of the batch that begins, counted from 0 over the whole training, whatever the number of
            attempts at it; None where that is the trainer's own count.
    """

    def __init__(
        self,
        network: nn.Module,
        row: Architecture,
        adapt: str,
        *,
        probe_epochs: int,
        epoch: Callable[[], int] | None = None,
    ) -> None:
        super().__init__()
        self._epoch = epoch
        self._network, self._row, self._adapt, self._probe_epochs = network, row, adapt, probe_epochs
        self._frozen: list[nn.Module] = []
        self._phase = ""

    def setup(self, *_: Any, **__: Any) -> None:
        """Freezes what never learns, before the optimiser is made."""
        freeze(self._network, self._row, "full" if self._adapt == "lpft" else self._adapt)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Enters the epoch's phase, and holds the frozen part in eval mode, whoever called `train()` meanwhile.

        Not at an epoch's start, as Lightning calls no such hook where a training goes on in the middle of an epoch.
        """
        self.before_batch(trainer)
        hold(self._frozen)

    def before_batch(self, trainer: pl.Trainer, *_: Any) -> None:
        """Enters the epoch's phase; between two evaluations nobody calls `train()`, so all else stays as it is."""
        epoch = trainer.current_epoch if self._epoch is None else self._epoch()
        now = phase(self._adapt, epoch, self._probe_epochs)
        if now != self._phase:
            self._frozen, self._phase = freeze(self._network, self._row, now), now
            hold(self._frozen)
