"""One cell: what it is, and how it becomes a run."""
