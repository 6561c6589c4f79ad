"""What a configuration stands for, once its data set and weights were looked for; imports no Lightning."""

import dataclasses

from bench.cells.cell import Cell, make_cell
from bench.data.sets import DataSet, open_dataset
from bench.errors import WeightsError
from bench.networks.registry import architecture
from bench.networks.weights import Runs, Weights, locate, look
from bench.schema import Config
from bench.training.devices import precision


@dataclasses.dataclass(frozen=True)
class Found:
    """What a configuration stands for.

    Attributes:
        weights: None from scratch, or where none could be had.
        problem: why there are no weights for a pretrained cell.
    """

    cell: Cell
    data: DataSet
    weights: Weights | None
    problem: WeightsError | None


def identify(config: Config, data: DataSet | None = None, runs: Runs | None = None, *, fetch: bool = True) -> Found:
    """The cell of a configuration, with its data set and weights, and the precision that this device trains it in.

    Args:
        data: what `open_dataset` gave, where the caller has it already.
        runs: earlier runs, whose bodies `weights=run:<id>` may ask for.
        fetch: whether weights that only the hub has are brought here; else the cell is told all the same.

    Raises:
        DataError: the data set is not what it should be.
    """
    row = architecture(config.arch)
    data = data or open_dataset(config.data, scored=config.evaluation.tasks)
    weights, problem = None, None
    if config.pretrained:
        try:
            weights = (locate if fetch else look)(row, config.weights, runs)
        except WeightsError as error:
            problem = error
    used = dataclasses.replace(config.trainer, precision=precision(config.trainer, row.family))
    resolved = dataclasses.replace(config, trainer=used)
    return Found(make_cell(resolved, row, data, weights), data, weights, problem)
