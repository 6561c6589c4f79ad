"""Random numbers that do not depend on which other tables are made."""

import zlib

import numpy as np


def stream(seed: int, name: str) -> np.random.Generator:
    """A generator of a table's own: the same for the same seed and name, whatever else is drawn.

    >>> bool(stream(0, "family").random() == stream(0, "family").random())
    True
    >>> bool(stream(0, "family").random() == stream(0, "boost").random())
    False

    Source: keys of numpy.random.SeedSequence; CRC-32 makes one of the name.
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
