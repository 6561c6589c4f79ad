"""What a run leaves: on this machine first, then in MLflow."""
