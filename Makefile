# `make run` sets everything up and runs the main job; `make test` passes the tests.
# `make test-slurm` passes those that start a virtual SLURM: as root, with Debian's packages.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test test-slurm check dashboard

run: $(VENV)/.run
	snakemake

test: $(VENV)/.dev check
	pytest -n 2 --dist loadfile -m "not slurm"

# One at a time: the jobs of the virtual nodes use all cores already. Skips where it cannot run.
test-slurm: $(VENV)/.dev
	pytest -m slurm

# Everything that reads the code without running it.
check: $(VENV)/.dev
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	codespell
	snakefmt --check Snakefile workflow
	snakemake --lint

# One Ray with one dashboard and time series for later runs, until Ctrl-C: docs/monitoring.md.
dashboard: $(VENV)/.run
	python -m cluster.dashboard

$(VENV)/.run: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@
