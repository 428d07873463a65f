# `make run` sets everything up and runs the main job; `make test` passes the tests.
# `make test-slow` passes those that take longer than ten seconds each: real runs, killed and resumed.
# `make test-slurm` passes those that start a virtual SLURM: as root, with Debian's packages.
# `make run PYTHON=/path/to/python` chooses the interpreter; else it is the first of these that runs,
# is 3.11, 3.12 or 3.13 and can make an environment. The constraints are tested most with 3.11.
PYTHON ?=
PYTHONS := python3.11 python3.12 python3.13 python3 python
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test test-slow test-sweep test-slurm check dashboard changelog

run: $(VENV)/.run
	snakemake

test: $(VENV)/.dev check
	pytest -n 2 --dist loadfile -m "not slow and not slurm and not sweep"

test-slow: $(VENV)/.dev
	pytest -n 2 --dist loadfile -m "slow and not slurm and not sweep"

# Wide ranges of settings, where the default tests take a few: a quarter of an hour.
test-sweep: $(VENV)/.dev
	pytest -n 2 -m sweep

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

# Moves the fragments of changelog.d to the head of "Unreleased".
FRAGMENTS = $(filter-out changelog.d/README.md,$(sort $(wildcard changelog.d/*.md)))
changelog:
	grep -q '^## Unreleased$$' CHANGELOG.md
	$(if $(FRAGMENTS),cat $(FRAGMENTS) | sed -i '/^## Unreleased$$/r /dev/stdin' CHANGELOG.md)
	$(if $(FRAGMENTS),rm $(FRAGMENTS))

# `python -m pip`: should .venv lack a pip, the one of the system would answer to that name.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt

$(VENV)/.run: pyproject.toml constraints.txt
	@$(MAKE_VENV)
	$(PIP_INSTALL) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP_INSTALL) --editable ".[dev]"
	touch $@

# An environment that is there is used, whichever interpreter made it: remove .venv to choose. A name on PATH need not run:
# version managers leave such names behind for versions that are not chosen.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
define MAKE_VENV
if [ -e $(VENV)/bin ]; then \
	$(BIN)/python -c '$(SUPPORTED)' 2>/dev/null && exit 0; \
	echo '$(VENV): expected an environment of Python 3.11 to 3.13, got one of another version,' \
		'or one whose Python does not run; remove it' >&2; exit 1; \
fi; \
set -- $(if $(PYTHON),"$(PYTHON)",$(PYTHONS)); bare=; \
for name in "$$@"; do \
	"$$name" -c '$(SUPPORTED)' 2>/dev/null || continue; \
	if "$$name" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$(VENV): made with $$name"; exec "$$name" -m venv $(VENV); \
	fi; \
	bare="$${bare:-$$name}"; \
done; \
if [ -n "$$bare" ]; then \
	echo "$$bare: expected its modules venv and ensurepip, found none;" \
		'install them (Debian: python3-venv)' >&2; \
else \
	echo "expected Python 3.11, 3.12 or 3.13 as one of: $$*; found none;" \
		'install one, or name it: make run PYTHON=/path/to/python' >&2; \
fi; exit 1
endef
