"""One cell in, one MLflow run out: trains and evaluates a network on chest X-rays."""
