# Every target works from a clean clone: it finds Python 3.11 or newer, makes .venv and installs what it needs, once.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
BENCH ?=

.PHONY: help setup demo test check lint types floors pages format bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/dev.stamp ## make .venv with everything that developing needs

demo: $(VENV)/run.stamp ## audit the built-in demo cluster
	@$(BIN)/gpuaudit demo

test: $(VENV)/dev.stamp ## run the tests; PYTEST_ARGS='-k idle' narrows them, NO_APT=1 installs no system packages
	@.ci/system-packages
	$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

check: $(VENV)/dev.stamp ## lint, format, types, import floors, printed pages
	@$(MAKE) --no-print-directory --keep-going lint types floors pages

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/dev.stamp
	$(BIN)/mypy

floors: $(VENV)/dev.stamp
	$(BIN)/lint-imports --no-logo

pages: $(VENV)/dev.stamp
	$(BIN)/python -m docs.printed --check

format: $(VENV)/dev.stamp ## mend what the linter and the formatter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/dev.stamp ## measure; BENCH='startup' names some, BENCH='--write' renews docs/bench.md
	$(BIN)/python -m bench $(BENCH)

docs: $(VENV)/dev.stamp ## print the pages that the product prints about itself, and the README's screen
	$(BIN)/python -m docs.printed

clean: ## remove .venv and everything that was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Stamps: a change of what is to be installed installs again, anything else costs nothing.
$(VENV)/run.stamp: pyproject.toml constraints.txt .ci/environment
	@.ci/environment $(VENV) .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt .ci/environment
	@.ci/environment $(VENV) '.[dev]'
	@touch $@ $(VENV)/run.stamp
