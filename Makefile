# One environment for every command. Packages are the only thing that is ever downloaded.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint perf screenshots

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(INSTALLED) ## a small sweep on generated data, then report/index.html; minutes on two cores
	$(BIN)/python -m bench.pretrain -m arch=resnet18,efficientnet_b0 source=textures
	$(BIN)/python -m bench.run +sweeps=demo
	$(BIN)/python -m analysis.report experiment=demo

# A process a core, each with one thread: more of them would wait for one another.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

test: $(INSTALLED) ## the whole test suite, offline
	$(PYTEST)

test-fast: $(INSTALLED) ## the suite without the tests marked slow
	$(PYTEST) -m 'not slow'

perf: $(INSTALLED) ## the performance table, a line a figure; minutes
	$(BIN)/python -m tests.perf.statistics
	$(BIN)/python -m tests.perf.report
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.perf.index
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.perf.data
	$(BIN)/python -m tests.perf.training

screenshots: $(INSTALLED) ## docs/mlflow.png and docs/report.png, of made-up runs; needs chromium and chromedriver
	$(BIN)/python -m docs.screenshots

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
