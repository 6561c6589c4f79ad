"""Arrays in, arrays out: the arithmetic, which needs numpy and scipy alone."""
