"""One cell in, one MLflow run out: trains and evaluates a network on chest X-rays."""

import analysis as analysis  # from there on Ctrl-C is listened to, and streams print what they can
