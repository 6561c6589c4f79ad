"""One cell in, one MLflow run out: trains and evaluates a network on chest X-rays."""

import analysis as analysis  # Ctrl-C is listened to from there on
