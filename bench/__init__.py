"""One cell in, one MLflow run out: trains and evaluates a network on chest X-rays."""

import os

# Here, as OpenMP reads it when torch is imported and never again. Threads that wait for each other spin by default;
# where anything else ran on the same cores (a worker, a second cell) a training step was measured 10x slower for it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
