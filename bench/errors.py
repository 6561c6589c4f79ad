"""What can go wrong for a reason that the user can mend."""


class BenchError(Exception):
    """A mistake in the input: the message says what is wrong, where, and what to do."""


class ConfigError(BenchError):
    """A key or value of the configuration that is not valid."""


class DataError(BenchError):
    """A data set that is not what it should be."""


class NotMadeError(DataError):
    """A generated data set that is not there yet, asked for by who only looks."""


class WeightsError(BenchError):
    """Pretrained weights that cannot be had, or that do not fit the network."""


class TornWeightsError(WeightsError):
    """A weight file in the hub cache that is not whole."""


class TrackingError(BenchError):
    """A tracking store that cannot be used."""


class SurroundingsError(BenchError):
    """What stopped a cell lies outside it (disk, memory, another process): the same command, started again, goes on."""


class StorageError(SurroundingsError):
    """A file that cannot be written."""


class TrainingError(BenchError):
    """A training that cannot go on."""


class BrokenLossError(TrainingError):
    """The loss of a training step, counted from 1, is NaN or infinite."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class BatchTooLargeError(SurroundingsError):
    """A batch that does not fit into the device's memory, as it is used now."""


class LostProcessError(SurroundingsError):
    """A process of a command's own was killed."""


class MachineError(BenchError):
    """A machine that lacks what the configuration asks for; nothing is recorded, as another machine may have it."""


class MissingExtraError(BenchError):
    """An optional package that is not installed."""


class ExportError(BenchError):
    """A run whose prediction cannot be exported, or an export that does not compute it."""


class PublishError(BenchError):
    """A report that is published without a model."""
