# Each target sets up all it needs: Python 3.10 or newer, make and a network are enough.
# ARGS goes to the program behind a target: make test ARGS="-k footer".

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
AZURITE := tests/azurite

# What is installed is told by stamps, so that a second call has nothing to do.
INSTALLED := $(VENV)/.installed
FUZZER := $(VENV)/.installed-fuzzer
EMULATOR := $(AZURITE)/node_modules/.installed

.DEFAULT_GOAL := help

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) $(EMULATOR)  ## Inspect a disk, upload it to the emulator, prove it equal
	@$(BIN)/python -m tests.demo $(ARGS)

test: $(INSTALLED) $(EMULATOR)  ## Run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(INSTALLED)  ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)  ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) $(EMULATOR)  ## Measure against the other tools and the limit
	$(BIN)/python -m benchmarks $(ARGS)

fuzz: $(FUZZER)  ## Look for inputs that break parsing, inspection or reading
	$(BIN)/python -m tests.fuzz $(ARGS)

fixtures: $(INSTALLED)  ## Make the sample disks anew (needs the tools that CONTRIBUTING.md names)
	$(BIN)/python fixtures/make_fixtures.py $(ARGS)

venv: $(INSTALLED) $(EMULATOR)  ## Set up the virtual environment and the emulator

clean:  ## Remove what the tools left, but for what they installed
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis benchmarks/.work
	find vhdtools tests fixtures benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Remove the virtual environment and the emulator, too
	rm -rf $(VENV) $(AZURITE)/node_modules

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@# As pip does with what it does not link; Python may be told not to.
	$(BIN)/python -m compileall -q vhdtools
	@touch $@

$(FUZZER): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	@touch $@

$(EMULATOR): $(AZURITE)/package.json $(AZURITE)/package-lock.json | $(INSTALLED)
	$(BIN)/python -m tests.support.node $(AZURITE)
	@touch $@

.PHONY: help demo test lint format bench fuzz fixtures venv clean distclean
