"""What runs left in MLflow, and the only door to it."""
