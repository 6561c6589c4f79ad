"""What the key `adapt` says about a network: how much of it learns, and when; imports no torch."""

from bench.errors import ConfigError
from bench.networks.registry import Architecture


def check_adapt(row: Architecture, truncate: int, adapt: str) -> None:
    """Refuses a `last:<k>` with more stages than the network has.

    Args:
        row: the architecture; each of its cuts ends a stage, and one more stage follows the last of them.

    Raises:
        ConfigError: naming the range.
    """
    frozen_stages(adapt, len(row.cuts) + 1 - truncate, row.name)


def frozen_stages(adapt: str, stages: int, name: str) -> int:
    """How many stages, counted from the input, never learn; the head, which is no stage, always does.

    Args:
        stages: of the network as it is built, without its head.

    Raises:
        ConfigError: `last:<k>` with k above `stages`.
    """
    if adapt in ("full", "lpft"):
        return 0
    if adapt == "linear":
        return stages
    learning = int(adapt.removeprefix("last:"))
    if learning > stages:
        raise ConfigError(f"adapt={adapt}: {name} as cut here has {stages} stages, so last:1 to last:{stages}")
    return stages - learning


def phase(adapt: str, epoch: int, probe_epochs: int) -> str:
    """What is in force in an epoch: `adapt` itself, or for lpft `linear` and after `probe_epochs` of it `full`.

    Args:
        epoch: counted from 0 over the whole training, the probe included.
        probe_epochs: of the head alone; read for lpft only.
    """
    if adapt != "lpft":
        return adapt
    return "linear" if epoch < probe_epochs else "full"


def remark(adapt: str, *, pretrained: bool) -> str | None:
    """What a reader of the log should know of this combination; None where there is nothing to say.

    A frozen random body is a legitimate control (how far do random features carry?), so it is said and not refused.
    """
    if pretrained or adapt == "full":
        return None
    if adapt == "lpft":
        return "adapt=lpft with pretrained=false: the probe of the first epochs is fitted to random features"
    return f"adapt={adapt} with pretrained=false: what is frozen stays at its random initialisation"
