# One environment for every command. Packages are the only thing that is ever downloaded.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What a run and a report need; and with the tests' packages, the launchers' and every extra.
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools

.DEFAULT_GOAL := help

.PHONY: help demo demo-times test test-slow test-all test-analysis test-lowest coverage mutation audit lint operating perf gpu reference screenshots

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(TOOLS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# How the shapes are learnt: well above chance after 10,000 images of 48 px.
SHAPES := image=48 batch_size=16 epochs=5 lr=1e-3

demo: demo-times $(INSTALLED) ## a small sweep on generated data, then report/index.html; minutes on two cores
	$(BIN)/python -m bench.pretrain -m arch=resnet18,densenet121 source=shapes $(SHAPES)
	$(BIN)/python -m bench.run +sweeps=demo
	$(BIN)/python -m analysis.report experiment=demo

demo-times:
	@echo 'make demo, on two free cores: packages first where there are none; 3 minutes to pretrain two networks on generated'
	@echo 'shapes; 2 for generated radiographs, four cells and the report; twice that beside other work. Typed again, it resumes.'

# A process a core, each with one thread: more of them would wait for one another.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

test: $(TOOLS) ## the test suite, offline; about ten minutes on two cores
	$(PYTEST) -m 'not slow'

test-slow: $(TOOLS) ## its tests marked slow: whole trainings, servers, Slurm, Ray, a browser; a quarter of an hour
	$(PYTEST) -m slow

test-all: test test-slow ## both

# The other environments lie beside the first, and are made anew each time.
test-analysis: ## the tests of analysis where torch is not installed
	$(PYTHON) -m venv --clear --upgrade-deps .venv-analysis
	.venv-analysis/bin/python -m pip install --quiet --constraint constraints.txt --group analysis pytest scikit-learn
	OMP_NUM_THREADS=1 .venv-analysis/bin/python -m pytest --confcutdir=tests/analysis -m 'not slow' tests/analysis \
		--deselect tests/analysis/test_reference.py::test_stored_values_are_the_shared_ones

# Warnings are none of its errors: what was a library's own use of another's new name is an old name by now.
test-lowest: ## the fast tests with the oldest versions that pyproject.toml allows
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct --editable '.[dev]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest --numprocesses auto --dist worksteal -W default -m 'not slow'

# OmegaConf takes coverage for a debugger, and would leave its errors unworded.
coverage: $(TOOLS) ## branch coverage of the whole suite, at least 90 %
	$(BIN)/python -m coverage erase
	OC_CAUSE=0 OMP_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest --numprocesses auto --dist worksteal
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

mutation: ## mutants of analysis/statistics that no fast test of it notices; a quarter of an hour
	$(PYTHON) -m venv --clear --upgrade-deps .venv-mutation
	.venv-mutation/bin/python -m pip install --quiet --constraint constraints.txt --group analysis pytest scikit-learn mutmut
	OMP_NUM_THREADS=1 .venv-mutation/bin/mutmut run
	.venv-mutation/bin/mutmut results

audit: ## known vulnerabilities of the pinned versions; asks the package index
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit
	.venv-audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

operating: $(TOOLS) ## how often each verdict, interval and word is wrong, by simulation; an hour and a half on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.operating.coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.operating.verdicts
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.operating.tables

perf: $(TOOLS) ## the performance table, a line a figure; minutes
	$(BIN)/python -m tests.perf.statistics
	$(BIN)/python -m tests.perf.report
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.perf.index
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.perf.data
	$(BIN)/python -m tests.perf.training
	$(BIN)/python -m tests.perf.host
	$(BIN)/python -m tests.perf.busy
	$(BIN)/python -m tests.perf.sweeps

gpu: $(TOOLS) ## every GPU path proven and measured on one GPU, eight minutes; docs/gpu.md
	out=$$(mktemp -d); $(BIN)/python -m tests.gpu $$out; status=$$?; \
		test ! -e $$out/gpu.json || $(BIN)/python -m tests.gpu.table $$out/gpu.json; exit $$status

reference: $(TOOLS) ## docs/reference.md, from conf/ and docstrings
	$(BIN)/python -m docs.reference

screenshots: $(TOOLS) ## docs/mlflow.png and docs/report.png, of made-up runs; needs chromium and chromedriver
	$(BIN)/python -m docs.screenshots

lint: $(TOOLS) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
