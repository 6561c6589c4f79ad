"""Many cells: a command line's list of them, which are done, and who trains the rest."""
