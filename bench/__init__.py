"""One cell in, one MLflow run out: trains and evaluates a network on chest X-rays."""

import analysis as analysis  # streams print what they can from there on
