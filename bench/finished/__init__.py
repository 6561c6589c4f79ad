"""An earlier run's networks: maps and files of them."""
