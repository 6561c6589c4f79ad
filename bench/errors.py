"""What can go wrong for a reason that the user can mend."""


class BenchError(Exception):
    """A mistake in the input: the message says what is wrong, where, and what to do."""


class ConfigError(BenchError):
    """A key or value of the configuration that is not valid."""


class DataError(BenchError):
    """A data set that is not what it should be."""


class WeightsError(BenchError):
    """Pretrained weights that cannot be had, or that do not fit the network."""


class TrackingError(BenchError):
    """A tracking store that cannot be used."""
